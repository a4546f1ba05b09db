"""What AWS itself says of a template: cfn-lint, which knows the schema of each property."""

import functools
from typing import Any, Final

from artifactctl.errors import ArtifactError
from esb_producer.errors import TemplateError
from esb_producer.scope import REGION
from esb_producer.template import Template

_IGNORED: Final = ("W", "I", "E2531", "E2533")
"""Warnings, and errors about the age of runtimes: what was right may not become wrong by the date."""


def check(template: Template) -> None:
    """Check a template against what AWS accepts.

    Raises:
        TemplateError: it would be refused there.
        ArtifactError: cfn-lint is not installed.
    """
    try:
        found = _matches(template.content)
    except ImportError as error:
        raise ArtifactError(
            f"cfn-lint, which checks templates, cannot be imported: {error}",
            remedy="pip install 'pytest-esb-e2e[producer]'",
        ) from None
    # A value that fits none of several schemas has a match of its own, and one below it for each of them.
    own = [match for match in found if match.parent_id is None and match.rule.id.startswith("E")]
    if not own:
        return
    first = min(own, key=lambda match: (match.linenumber, match.rule.id, match.message))
    path = list(getattr(first, "path", None) or [])
    owner, field = _place(path)
    raise TemplateError(
        f"{first.message} (cfn-lint {first.rule.id})",
        path=template.path,
        line=first.linenumber,
        owner=owner,
        field=field,
    )


@functools.cache
def _matches(content: bytes) -> tuple[Any, ...]:
    from cfnlint import api
    from cfnlint.config import ManualArgs

    config = ManualArgs(regions=[REGION], ignore_checks=list(_IGNORED))
    return tuple(api.lint(content.decode("utf-8-sig"), rules=_rules(), config=config))


@functools.cache
def _rules() -> Any:
    from cfnlint.core import get_rules

    return get_rules([], list(_IGNORED), [])


def _place(path: list[Any]) -> tuple[str, str]:
    depth = 2 if len(path) > 1 else 1
    named = [str(part) for part in path[:depth]]
    owner = named[1] if len(named) > 1 and named[0] == "Resources" else ".".join(named)
    field = ""
    for part in path[depth:]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
    return owner, field
