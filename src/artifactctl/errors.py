"""The one root of everything that can be wrong with an artifact, a secrets file or an output folder."""

from pathlib import Path

_LONGEST_VALUE = 80
_NOTHING = object()


class ArtifactError(Exception):
    """A mistake in the user's input, told in one line: where, which field, its value, the rule, the remedy.

    Args:
        rule: what was expected, or what failed.
        path: the file (or folder) that is wrong.
        line: 1-based line in `path`.
        field: the field as `artifacts[2].runtime_config_dir`.
        value: what the field holds; shortened and escaped for display. Never pass a secret.
        remedy: what the user can do.
    """

    def __init__(
        self,
        rule: str,
        *,
        path: Path | None = None,
        line: int | None = None,
        field: str | None = None,
        value: object = _NOTHING,
        remedy: str | None = None,
    ) -> None:
        self.rule = rule
        self.path = path
        self.line = line
        self.field = field
        self.value = None if value is _NOTHING else shown(value)
        self.remedy = remedy
        super().__init__(rule)

    @property
    def message(self) -> str:
        """The line without its location: `field = value: rule; remedy`."""
        subject = self.field or ""
        if self.value is not None:
            subject = f"{subject} = {self.value}" if subject else self.value
        parts = f"{subject}: {self.rule}" if subject else self.rule
        return one_line(f"{parts}; {self.remedy}" if self.remedy else parts)

    def __str__(self) -> str:
        if self.path is None:
            return self.message
        where = one_line(str(self.path))
        return f"{where}:{self.line}: {self.message}" if self.line is not None else f"{where}: {self.message}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle by their positional arguments, which would lose everything but the rule.
        return (_rebuilt, (type(self), self.__dict__.copy()))


def _rebuilt(kind: type[ArtifactError], state: dict[str, object]) -> ArtifactError:
    error = kind(str(state["rule"]))
    error.__dict__.update(state)
    return error


def shown(value: object) -> str:
    """Return `value` as a message shows it: quoted, escaped, containers by kind, cut to 80 characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]!r}…"
    return repr(value)


def one_line(text: str) -> str:
    """Return `text` with every character that is not printable escaped, so that it stays on one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
