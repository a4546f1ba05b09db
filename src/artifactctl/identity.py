"""The id of an artifact entry: a slug for people and a digest over path, parameters and content hash."""

import hashlib
import re
from collections.abc import Mapping

_NO_SLUG = re.compile("[^a-z0-9]+")


def entry_id(path: str, parameters: Mapping[str, str] | None = None, sha256: str | None = None) -> str:
    """Return the id of the entry made from a template: `<slug>-<8 lower hex>`.

    Args:
        path: the template's path as recorded in the manifest; it is cleaned lexically and never opened.
        parameters: the template's parameters with their literal text.
        sha256: the template's content hash as recorded.
    """
    reference = clean_path(path)
    lines = "\n".join(f"{key}={value}" for key, value in sorted((parameters or {}).items()))
    text = f"{reference}\n{lines}\n{(sha256 or '').strip()}"
    return f"{_slug(reference)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def clean_path(path: str) -> str:
    """Return `path` in one spelling: `/` only, no `.`, `..` resolved where possible, a leading `/` kept."""
    trimmed = path.strip().replace("\\", "/")
    rooted = trimmed.startswith("/")
    parts: list[str] = []
    for part in trimmed.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts and parts[-1] != "..":
            parts.pop()
        elif not rooted:
            parts.append(part)
    joined = "/".join(parts)
    return f"/{joined}" if rooted else joined or "."


def _slug(reference: str) -> str:
    name = reference.rpartition("/")[2]
    stem = name.rpartition(".")[0] if "." in name else name
    return _NO_SLUG.sub("-", stem.lower()).strip("-") or "template"
