"""The root of every pytest run of the project; plugins are named in pyproject.toml or on the command line.

A `pytest_plugins` here would break runs that start in another folder.
"""
