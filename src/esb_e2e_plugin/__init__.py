"""A pytest plugin that brings up edge serverless environments and runs scenarios against them."""

import pytest

__version__ = "0.1.0"

RESULTS = pytest.StashKey[dict[str, bool]]()
"""Key of `config.stash`: for each environment that the run used, whether everything in it went well."""
