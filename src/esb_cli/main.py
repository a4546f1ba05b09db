"""The entry point: one command, and how it ends. 0: it went well; 1: it failed; 2: the user's mistake."""

import os
import re
import sys
from collections.abc import Sequence
from typing import Final

import click

from artifactctl.errors import ArtifactError
from esb_cli.catalogue import COMMANDS, GROUPS
from esb_cli.lazy import LazyGroup
from esb_cli.output import Output
from esb_e2e_plugin.errors import EsbError, UserError

FAILED: Final = 1
MISTAKE: Final = 2

_TEXT = """Bring up isolated environments of an edge serverless platform, look around, deploy, take them down.

The environment is the one of --env, else of ESB_ENV, else `default`. It is made from the profile of its name,
if the matrix has one, else of ESB_PROFILE, else of the ini file, else from `e2e-local`.

Exit codes: 0, it went well; 1, it failed; 2, a mistake in what was asked for.
"""
_EXAMPLE = """esb up --env dev-feature-x
esb invoke --env dev-feature-x lambda-echo '{"message": "hello"}'
esb down --env dev-feature-x"""


def command_line() -> LazyGroup:
    """Return the whole command line; no command is imported yet."""
    root = LazyGroup("esb", COMMANDS, text=_TEXT, example=_EXAMPLE)
    for name, (text, commands) in GROUPS.items():
        root.add_command(LazyGroup(name, commands, prefix=f"{name}_", text=text))
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments without the program's name; None takes the process' own.

    Returns:
        The exit code.
    """
    output = Output()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        root = command_line()
        code = root.main(arguments, prog_name="esb", standalone_mode=False, obj=output)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        return MISTAKE
    except click.ClickException as error:
        return _failed(output, arguments, error.format_message(), None, FAILED)
    except EsbError as error:
        code = MISTAKE if isinstance(error, UserError) else FAILED
        remedy = None if error.remedy is None else _own_words(error.remedy)
        return _failed(output, arguments, _own_words(error.message), remedy, code)
    except ArtifactError as error:
        return _failed(output, arguments, str(error), None, FAILED)
    except (KeyboardInterrupt, click.Abort):
        return _failed(output, arguments, "interrupted", None, FAILED)
    except BrokenPipeError:
        # Python would try to flush once more at its end, and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code if isinstance(code, int) else 0


def _failed(output: Output, arguments: Sequence[str], message: str, remedy: str | None, code: int) -> int:
    output.failure(_name_of(arguments), message, remedy)
    return code


def _name_of(arguments: Sequence[str]) -> str:
    words = [word for word in arguments if not word.startswith("-")]
    depth = 2 if words and words[0] in GROUPS else 1
    return " ".join(["esb", *words[:depth]])


def _own_words(text: str) -> str:
    """Return what the lifecycle says with the names that options have here."""
    return text if "pytest" in text else re.sub(r"--esb-(?=[a-z])", "--", text)
