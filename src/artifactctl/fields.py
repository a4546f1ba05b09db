"""Typed access to the values of a YAML document, with errors that name field, value and line."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from artifactctl.errors import ArtifactError
from artifactctl.yaml_source import Document

_PLAIN_KEY = re.compile(r"[\w$-]+")


class Field:
    """A value together with its place in a document.

    Attributes:
        value: the plain value; null counts as absent wherever a field is optional.
    """

    __slots__ = ("_document", "_keys", "value")

    def __init__(self, document: Document, keys: tuple[str | int, ...] = (), value: Any = None) -> None:
        self._document = document
        self._keys = keys
        self.value: Any = value if keys else document.data

    @property
    def key(self) -> str | int:
        """The key or index of this value in its parent; only the top has none."""
        return self._keys[-1]

    @property
    def name(self) -> str:
        """The field as `artifacts[2].runtime_config_dir`."""
        name = ""
        for key in self._keys:
            if isinstance(key, int) and not isinstance(key, bool):
                name += f"[{key}]"
            elif isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
                name += f".{key}" if name else key
            else:
                name += f"[{key!r}]"
        return name

    def error(self, rule: str, remedy: str | None = None) -> ArtifactError:
        """Return the error that this field's value breaks `rule`."""
        return ArtifactError(rule, **self._place(), value=self.value, remedy=remedy)

    def told(self, text: str) -> str:
        """Return one line about this field, located like an error: for warnings."""
        return str(ArtifactError(text, **self._place()))

    def optional(self, key: str) -> "Field | None":
        """Return the field `key` of this mapping, or None if it is absent or null."""
        value = self.mapping().get(key)
        return None if value is None else Field(self._document, (*self._keys, key), value)

    def required(self, key: str) -> "Field":
        """Return the field `key` of this mapping.

        Raises:
            ArtifactError: it is absent or null.
        """
        found = self.optional(key)
        if found is None:
            place = Field(self._document, (*self._keys, key))
            raise ArtifactError("is required", **place._place())
        return found

    def present(self, key: str) -> "Field":
        """Return the field `key` of this mapping; it may be null, which counts as empty.

        Raises:
            ArtifactError: it is absent.
        """
        return Field(self._document, (*self._keys, key), None) if self._is_null(key) else self.required(key)

    def mapping(self) -> dict[str, Any]:
        """Return the value as a mapping whose keys are strings."""
        if not isinstance(self.value, dict):
            raise self.error("expected a mapping")
        for key in self.value:
            if not isinstance(key, str):
                place = Field(self._document, (*self._keys, key), key)
                raise place.error("expected a string as key", "put it in quotes")
        return self.value

    def entries(self) -> "Iterator[Field]":
        """Yield a field for each key of this mapping; null is an empty one."""
        if self.value is None:
            return
        for key, value in self.mapping().items():
            yield Field(self._document, (*self._keys, key), value)

    def items(self) -> "list[Field]":
        """Return a field for each item of this list; null is an empty one."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error("expected a list")
        return [Field(self._document, (*self._keys, i), item) for i, item in enumerate(self.value)]

    def string(self) -> str:
        """Return the value as a string that is not blank."""
        if not isinstance(self.value, str):
            raise self.error("expected a string", "put it in quotes" if self._is_scalar() else None)
        if not self.value.strip():
            raise self.error("may not be blank")
        return self.value

    def one_of(self, allowed: Sequence[str]) -> str:
        """Return the value as one of the strings `allowed`."""
        value = self.string()
        if value not in allowed:
            near = difflib.get_close_matches(value, allowed, n=1)
            remedy = f"did you mean {near[0]}?" if near else None
            raise self.error(f"expected one of {', '.join(allowed)}", remedy)
        return value

    def literal_strings(self) -> dict[str, str]:
        """Return the value as a mapping of scalars, keys and values with the text they have in the file."""
        if not isinstance(self.value, dict):
            raise self.error("expected a mapping")
        texts: dict[str, str] = {}
        for key, value in self.value.items():
            place = Field(self._document, (*self._keys, key), value)
            text = self._document.text((*self._keys, key))
            name = self._document.key_text((*self._keys, key))
            if text is None or name is None:
                raise place.error("expected a scalar")
            if name in texts:
                raise place.error("the same key twice", "remove one of the two")
            texts[name] = text
        return texts

    def _is_null(self, key: str) -> bool:
        mapping = self.mapping()
        return key in mapping and mapping[key] is None

    def _is_scalar(self) -> bool:
        return not isinstance(self.value, dict | list)

    def _place(self) -> dict[str, Any]:
        line = self._document.key_line(self._keys)
        return {"path": self._document.path, "line": line, "field": self.name or None}
