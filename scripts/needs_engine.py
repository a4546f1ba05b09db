"""Tells whether environments of the matrix need a container engine.

Usage: needs_engine.py PROFILE[,PROFILE...]; exits with 0 if one of them does, with 1 if none does.
"""

import sys
from pathlib import Path

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.matrix import load_matrix

MATRIX = Path(__file__).parents[1] / "e2e" / "environments" / "test_matrix.yaml"


def main(profiles: str) -> int:
    """Return 0 if an environment of `profiles` needs an engine; a wrong name is pytest's to tell."""
    try:
        entries = load_matrix(MATRIX).select([name.strip() for name in profiles.split(",")])
    except UserError:
        return 1
    return 0 if any(entry.mode != "process" for entry in entries) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
