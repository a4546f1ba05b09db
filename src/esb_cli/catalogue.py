"""Every command, with what it does in a line: `esb --help` lists them without importing one.

The command `esb NAME` is `command` in `esb_cli.commands.NAME`; `esb GROUP NAME` is it in
`esb_cli.commands.GROUP_NAME`. A `-` in a name is a `_` in the module's.
"""

from collections.abc import Mapping
from typing import Final

COMMANDS: Final[Mapping[str, str]] = {
    "deploy": "Generate artifacts from templates, build their images, and apply them.",
    "schema": "Print a JSON Schema of the package.",
    "version": "Print the version.",
}
GROUPS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "artifact": (
        "Work with artifacts: what a manifest, an artifact.yml, describes.",
        {
            "generate": "Turn SAM templates into artifact roots and a manifest.",
            "apply": "Check a manifest and merge its configuration into a folder.",
        },
    ),
}
"""What a group is for, and its commands."""
