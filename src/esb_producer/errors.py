"""What can be wrong with a template: one line that names file, line, logical id and rule."""

from pathlib import Path

from artifactctl.errors import ArtifactError, one_line

_NOTHING = object()


class TemplateError(ArtifactError):
    """A mistake in a template, as `FILE:LINE: LogicalId: Property = value: rule; remedy`.

    Args:
        rule: what was expected, or what failed.
        path: the template.
        line: 1-based line in `path`.
        owner: the logical id, or the section and name where no resource is concerned.
        field: the property inside its owner, as `Properties.Events.Post.Path`; empty for the owner itself.
        value: what stands there. Never pass a secret.
        remedy: what the user can do.
    """

    def __init__(
        self,
        rule: str,
        *,
        path: Path,
        line: int,
        owner: str = "",
        field: str = "",
        value: object = _NOTHING,
        remedy: str | None = None,
    ) -> None:
        given = {} if value is _NOTHING else {"value": value}
        super().__init__(rule, path=path, line=line, field=field or None, remedy=remedy, **given)
        self.owner = owner

    @property
    def message(self) -> str:
        """The line without its location."""
        inner = super().message
        return one_line(f"{self.owner}: {inner}") if self.owner else inner
