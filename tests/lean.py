"""What pytest is told in runs under test: no plugins that are only here for the tests themselves."""

LEAN = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:sugar")
"""hypothesis alone takes half a second at the end of every run."""
