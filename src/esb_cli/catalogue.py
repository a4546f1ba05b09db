"""Every command, with what it does in a line: `esb --help` lists them without importing one.

The command `esb NAME` is `command` in `esb_cli.commands.NAME`; `esb GROUP NAME` is it in
`esb_cli.commands.GROUP_NAME`. A `-` in a name is a `_` in the module's.
"""

from collections.abc import Mapping
from typing import Final

COMMANDS: Final[Mapping[str, str]] = {
    "deploy": "Generate artifacts from templates, build their images, and apply them.",
    "completion": "Print a script for the completion of a shell.",
    "doctor": "Look for what keeps environments from coming up.",
    "down": "Remove an environment.",
    "env": "Print the variables of an environment.",
    "exec": "Run a command in the container of a service.",
    "invoke": "Call a function and print its result.",
    "logs": "Print what services and functions have written.",
    "plan": "Print what a run would do.",
    "prune": "Remove what dead runs have left.",
    "ps": "List environments, or what runs in one.",
    "reset": "Bring an environment up anew from nothing.",
    "url": "Print where a service is reached.",
    "up": "Bring an environment up and leave it running.",
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
    "report": (
        "Work with reports of runs, as --esb-report writes them.",
        {
            "merge": "Make one report of several.",
        },
    ),
}
"""What a group is for, and its commands."""
