"""Variables that look like the compose files' or the plugin's own, and mean nothing to either."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from esb_e2e_plugin.context import PORT_NAMES
from esb_e2e_plugin.env_file import line_of, read_env_file
from esb_e2e_plugin.errors import MatrixError, nearest
from esb_e2e_plugin.lifecycle import node_image, registry
from esb_e2e_plugin.lifecycle.compose import PROFILES_VARIABLE
from esb_e2e_plugin.lifecycle.service_images import BASE_VARIABLE, IMAGE_VARIABLE
from esb_e2e_plugin.matrix import Entry

_OF_A_SERVICE = re.compile(r"ESB_PORT_\w+|\w+_IMAGE")
_WORD = re.compile(r"\b[A-Z][A-Z0-9_]*\b")
_ELSEWHERE = re.compile(r"^\s*-?\s*(?:env_file|extends|include)\s*:", re.MULTILINE)
_OURS = frozenset(
    {
        IMAGE_VARIABLE,
        BASE_VARIABLE,
        node_image.IMAGE_VARIABLE,
        node_image.BASE_VARIABLE,
        registry.IMAGE_VARIABLE,
        *PORT_NAMES,
    }
)


def unused(entry: Entry, model: Mapping[str, Any]) -> list[str]:
    """Return a warning for each variable that names a service or a profile which is not there.

    Args:
        entry: the entry of the matrix, with its variables.
        model: its compose files as Compose reads them, normalised.
    """
    from_file = read_env_file(entry.env_file) if entry.env_file is not None else {}
    chosen = {**from_file, **entry.env_vars}
    return [*_of_no_service(entry, chosen), *_of_no_profile(entry, chosen, model)]


def _of_no_service(entry: Entry, chosen: Mapping[str, str]) -> Iterator[str]:
    suspects = [name for name in chosen if _OF_A_SERVICE.fullmatch(name) and name not in _OURS]
    if not suspects:
        return
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in entry.compose_files]
    if any(_ELSEWHERE.search(text) for text in texts):
        return  # whoever reads it may stand in another file
    used = {word for text in texts for word in _WORD.findall(text)}
    known = {word for word in used if _OF_A_SERVICE.fullmatch(word)} | _OURS
    for name in suspects:
        if name not in used:
            similar = [other for other in sorted(known) if nearest(_stem(name), [_stem(other)]) is not None]
            yield _warning(entry, name, "no service reads it", name, similar)


def _stem(name: str) -> str:
    return name.removeprefix("ESB_PORT_").removesuffix("_IMAGE")


def _of_no_profile(entry: Entry, chosen: Mapping[str, str], model: Mapping[str, Any]) -> Iterator[str]:
    services = model.get("services") or {}
    known = sorted({profile for service in services.values() for profile in service.get("profiles") or ()})
    for name in (part.strip() for part in chosen.get(PROFILES_VARIABLE, "").split(",")):
        if name not in ("", "*", *known):
            yield _warning(entry, PROFILES_VARIABLE, f"no service has profile {name!r}", name, known)


def _warning(entry: Entry, variable: str, problem: str, given: str, known: list[str]) -> str:
    if variable in entry.env_vars or entry.env_file is None:
        path, line, key = entry.source, entry.line(f"env_vars.{variable}"), f"env_vars.{variable}"
    else:
        path, line, key = entry.env_file, line_of(entry.env_file, variable), variable
    return str(MatrixError.at(path, line, key, problem, given=given, known=known))
