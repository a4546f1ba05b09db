"""A pytest plugin that brings up edge serverless environments and runs scenarios against them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esb_e2e_plugin.keys import RESULTS

__all__ = ["RESULTS"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # What drives environments without pytest must not pay for its import.
    if name == "RESULTS":
        from esb_e2e_plugin.keys import RESULTS

        return RESULTS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
