"""Variables as lines: what reads them gets the same values."""

import os
import subprocess

from esb_cli.variables import for_env_file, for_shell

VALUES = {
    "PLAIN": "http://127.0.0.1:8000/a",
    "SPACES": "two  words",
    "QUOTES": 'it\'s "so"',
    "DOLLAR": "$HOME and `date`",
    "EMPTY": "",
    "LINES": "one\ntwo",
}


def test_a_shell_gets_every_value_as_it_is() -> None:
    """Quotes, dollars, spaces and line ends."""
    done = subprocess.run(
        ["sh", "-c", f"{for_shell(VALUES)}\nenv -0"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)
    assert {name: found[name] for name in VALUES} == VALUES


def test_an_env_file_quotes_only_what_has_to_be() -> None:
    """As Compose reads it."""
    assert for_env_file(VALUES).splitlines() == [
        "PLAIN=http://127.0.0.1:8000/a",
        "SPACES='two  words'",
        'QUOTES="it\'s \\"so\\""',
        "DOLLAR='$HOME and `date`'",
        "EMPTY=",
        'LINES="one\\ntwo"',
    ]
