"""Parameters: their values, from defaults and overrides, held against their own rules."""

import re
from collections.abc import Mapping

from artifactctl.errors import ArtifactError
from esb_producer import subset
from esb_producer.node import MARK, Node, meant

_KEYS = (
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Default",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
    "Type",
)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def secret_name(parameter: str) -> str:
    """Return the variable that carries a NoEcho parameter: `DbPassword` is `DB_PASSWORD`."""
    return _WORDS.sub("_", parameter).upper()


def values(parameters: Mapping[str, Node], overrides: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return the value of each parameter; of a NoEcho one the mark that stands for it.

    Args:
        parameters: the template's, by name.
        overrides: texts by name; those that another template has may be among them.

    Raises:
        TemplateError: a parameter has no value, or one that its own rules forbid.
    """
    return {name: _value(name, node, overrides.get(name)) for name, node in parameters.items()}


def check_known(overrides: Mapping[str, str], known: set[str]) -> None:
    """Refuse an override that no template has a parameter for.

    Raises:
        ArtifactError: there is one.
    """
    for name in overrides:
        if name not in known:
            remedy = meant(name, known) or f"the parameters are {', '.join(sorted(known)) or 'none'}"
            raise ArtifactError(
                "no template has this parameter", field="--parameter", value=name, remedy=remedy
            )


def _value(name: str, node: Node, given: str | None) -> str | list[str]:
    for key, part in node.mapping().items():
        if key not in _KEYS:
            raise part.error(
                f"is not supported; supported are {', '.join(_KEYS)}",
                meant(key, _KEYS) or "remove it",
                show=False,
            )
    kind = node.required("Type")
    kind.one_of(subset.PARAMETER_TYPES)
    hidden = node.get("NoEcho")
    if hidden is not None and hidden.boolean():
        return _secret(name, node, given)
    default = node.get("Default")
    if given is None and default is None:
        raise node.error("has no value and no Default", f"give one: --parameter {name}=VALUE", show=False)
    text = given if given is not None else _text(default)
    # What was given on the command line is wrong where the parameter stands; a default in its own place.
    place = (default if given is None and default is not None else node).with_value(text)
    if kind.value in ("String", "Number"):
        _check(node, place, text, number=kind.value == "Number")
        return text
    items = [item.strip() for item in text.split(",")]
    for item in items:
        _check(node, place.with_value(item), item, number=kind.value == "List<Number>")
    return items


def _text(default: Node | None) -> str:
    return default.scalar() if default is not None else ""


def _secret(name: str, node: Node, given: str | None) -> str:
    if given is not None:
        raise node.error(
            "is NoEcho: its value may not stand in an artifact",
            f"put {secret_name(name)}=… into the file of secrets instead of --parameter",
            show=False,
        )
    return f"{MARK}{secret_name(name)}{MARK}"


def _check(node: Node, place: Node, text: str, *, number: bool) -> None:
    allowed = node.get("AllowedValues")
    if allowed is not None:
        known = [item.scalar() for item in allowed.items()]
        if text not in known:
            raise place.error(f"expected one of {', '.join(known)}", meant(text, known))
    pattern = node.get("AllowedPattern")
    if pattern is not None and not _matches(pattern, text):
        described = node.get("ConstraintDescription")
        remedy = described.string() if described is not None else None
        raise place.error(f"expected {pattern.scalar()}", remedy)
    least, most = ("MinValue", "MaxValue") if number else ("MinLength", "MaxLength")
    size = place.number(float("-inf")) if number else len(text)
    unit = "" if number else " characters"
    if (low := node.get(least)) is not None and size < low.number(float("-inf")):
        raise place.error(f"expected at least {low.scalar()}{unit}")
    if (high := node.get(most)) is not None and size > high.number(float("-inf")):
        raise place.error(f"expected at most {high.scalar()}{unit}")


def _matches(pattern: Node, text: str) -> bool:
    try:
        return re.fullmatch(pattern.scalar(), text) is not None
    except re.error as error:
        raise pattern.error(f"is not a pattern: {error}") from None
