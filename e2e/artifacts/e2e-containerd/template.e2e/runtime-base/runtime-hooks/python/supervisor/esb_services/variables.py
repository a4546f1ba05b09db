"""Settings from environment variables: each is read once, and a mistake names the variable and its form."""

from collections.abc import Mapping
from pathlib import Path


class SettingError(ValueError):
    """An environment variable is missing or does not have the form that its service expects."""

    def __init__(self, name: str, value: str | None, expected: str) -> None:
        found = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"environment variable {name} {found}; expected {expected}")
        self.name = name


class Variables:
    """Reads typed values out of a process environment.

    Args:
        environ: the variables, such as `os.environ`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, expected: str, default: str | None = None) -> str:
        """Return the value of `name`, which may not be blank; `expected` says in an error what it should be.

        Raises:
            SettingError: it is not set and has no default, or is blank.
        """
        value = self._environ.get(name, default)
        if value is None or not value.strip():
            raise SettingError(name, value, expected)
        return value.strip()

    def integer(self, name: str, default: int | None = None, *, low: int = 0, high: int = 2**31 - 1) -> int:
        """Return `name` as a whole number between `low` and `high`, both included."""
        expected = f"a whole number from {low} to {high}"
        value = self.text(name, expected, None if default is None else str(default))
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
            raise SettingError(name, value, expected)
        return int(value)

    def port(self, name: str, default: int | None = None) -> int:
        """Return `name` as a TCP port that can be listened on or connected to."""
        return self.integer(name, default, low=1, high=65535)

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return `name`, which must be one of `choices`."""
        expected = "one of " + ", ".join(choices)
        value = self.text(name, expected, default)
        if value not in choices:
            raise SettingError(name, value, expected)
        return value

    def url(self, name: str) -> str:
        """Return `name` as the address of an HTTP service."""
        expected = "an address such as http://127.0.0.1:8000"
        value = self.text(name, expected)
        if not value.startswith(("http://", "https://")):
            raise SettingError(name, value, expected)
        return value

    def file(self, name: str) -> Path:
        """Return `name` as the path of a file that exists."""
        value = self.text(name, "the path of a file that exists")
        if not Path(value).is_file():
            raise SettingError(name, value, "the path of a file that exists")
        return Path(value)

    def folder(self, name: str) -> Path:
        """Return `name` as the path of a folder that exists."""
        value = self.text(name, "the path of a folder that exists")
        if not Path(value).is_dir():
            raise SettingError(name, value, "the path of a folder that exists")
        return Path(value)

    def log_level(self) -> str:
        """Return `LOG_LEVEL` in upper case, INFO where it is not set."""
        levels = ("DEBUG", "INFO", "WARNING", "ERROR")
        value = self.text("LOG_LEVEL", "one of " + ", ".join(levels), "INFO").upper()
        if value not in levels:
            raise SettingError("LOG_LEVEL", value, "one of " + ", ".join(levels))
        return value
