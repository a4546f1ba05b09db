"""Values of a template that know where they stand, before and after their functions are resolved."""

import dataclasses
import difflib
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from artifactctl.yaml_source import Document
from esb_producer.errors import TemplateError

MARK: Final = "\0"
"""Stands before and after the name of a secret inside a text; no template can contain it."""

Value = Any  # str, int, float, bool, None, dict[str, Node] or list[Node]


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a template.

    Attributes:
        value: a scalar, a dict of nodes by key, or a list of nodes.
        line: 1-based line of its key, or of itself where it has none.
        path: the template.
        owner: the logical id that it belongs to, or its section.
        name: its place below the owner, as `Properties.Timeout`.
        text: a scalar as it is written.
    """

    value: Value
    line: int
    path: Path
    owner: str
    name: str
    text: str | None = None

    def error(self, rule: str, remedy: str | None = None, *, show: bool = True) -> TemplateError:
        """Return the error that this value breaks `rule`."""
        secret = isinstance(self.value, str) and MARK in self.value
        given = {"value": self.value} if show and not secret else {}
        return TemplateError(
            rule, path=self.path, line=self.line, owner=self.owner, field=self.name, remedy=remedy, **given
        )

    def told(self, text: str) -> str:
        """Return one line about this value, located like an error: for warnings."""
        return str(self.error(text, show=False))

    def with_value(self, value: Value, text: str | None = None) -> "Node":
        """Return another value in the same place."""
        return dataclasses.replace(self, value=value, text=text)

    def child(self, key: str, value: Value) -> "Node":
        """Return a value that was made up for `key`, in the place of this one."""
        return dataclasses.replace(self, value=value, text=None, name=_joined(self.name, key))

    def get(self, key: str) -> "Node | None":
        """Return the value of `key` in this mapping, or None."""
        found: Node | None = self.mapping().get(key)
        return found

    def required(self, key: str) -> "Node":
        """Return the value of `key` in this mapping.

        Raises:
            TemplateError: there is none.
        """
        if (found := self.get(key)) is None:
            raise self.error(f"expected {key}", show=False)
        return found

    def mapping(self) -> "dict[str, Node]":
        """Return this value as a mapping."""
        if not isinstance(self.value, dict):
            raise self.error("expected a mapping")
        return self.value

    def items(self) -> "list[Node]":
        """Return this value as a list."""
        if not isinstance(self.value, list):
            raise self.error("expected a list")
        return self.value

    def string(self) -> str:
        """Return this value as a text that is not blank and holds no secret."""
        text = self.scalar()
        if MARK in text:
            raise self.error("holds a NoEcho parameter", "use those in Environment.Variables only")
        if not text.strip():
            raise self.error("may not be blank")
        return text

    def scalar(self) -> str:
        """Return this value as text, written as in the template."""
        if isinstance(self.value, dict | list) or self.value is None:
            raise self.error("expected a text")
        return self.text if self.text is not None else str(self.value)

    def boolean(self) -> bool:
        """Return this value as true or false."""
        if isinstance(self.value, bool):
            return self.value
        if isinstance(self.value, str) and self.value.lower() in ("true", "false"):
            return self.value.lower() == "true"
        raise self.error("expected true or false")

    def whole(self, least: int, most: int, what: str = "a whole number") -> int:
        """Return this value as a whole number of `least` to `most`; numbers may stand in quotes."""
        number = self.number(least, most, what)
        if not float(number).is_integer():
            raise self.error(f"expected {what} of {least} to {most}")
        return int(number)

    def number(self, least: float, most: float = math.inf, what: str = "a number") -> float:
        """Return this value as a number of `least` to `most`; whole ones as int."""
        rule = f"expected {what} of at least {least}"
        if most != math.inf:
            rule = f"expected {what} of {least} to {most}"
        if isinstance(self.value, bool | dict | list) or self.value is None:
            raise self.error(rule)
        try:
            number = float(self.string())
        except ValueError:
            raise self.error(rule) from None
        if not least <= number <= most:
            raise self.error(rule)
        return int(number) if number.is_integer() else number

    def one_of(self, allowed: Collection[str]) -> str:
        """Return this value as one of the texts `allowed`."""
        text = self.string()
        if text not in allowed:
            raise self.error(f"expected one of {', '.join(allowed)}", meant(text, allowed))
        return text

    def plain(self) -> Any:
        """Return this value without places, as it would be dumped to YAML.

        Raises:
            TemplateError: it holds a secret.
        """
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.string() if isinstance(self.value, str) and self.value.strip() else self.value


def meant(text: str, known: Collection[str]) -> str | None:
    """Return a remedy that names what is nearest to `text`, if anything is."""
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else None


def section(document: Document, name: str) -> Iterator[tuple[str, Node]]:
    """Yield key and value of each entry of the section `name`; the entries are owners, of errors as well.

    Raises:
        TemplateError: the section, or one of its keys, is no mapping of texts.
    """
    entries = document.data.get(name)
    line = document.key_line((name,))
    top = Node(entries, line, document.path, name, "")
    if not isinstance(entries, dict):
        raise top.error("expected a mapping")
    for key in entries:
        keys = (name, key)
        if not isinstance(key, str):
            raise Node(key, document.key_line(keys), document.path, name, "").error("expected a text as key")
        owner = key if name == "Resources" else f"{name}.{key}"
        yield key, _read(document, keys, owner, "", entries[key])


def _read(document: Document, keys: tuple[Any, ...], owner: str, name: str, value: Any) -> Node:
    line = document.key_line(keys)
    if isinstance(value, dict):
        children: Any = {}
        for key, below in value.items():
            if not isinstance(key, str):
                place = Node(key, document.key_line((*keys, key)), document.path, owner, name)
                raise place.error("expected a text as key", "put it in quotes")
            children[key] = _read(document, (*keys, key), owner, _joined(name, key), below)
        return Node(children, line, document.path, owner, name)
    if isinstance(value, list):
        items = [
            _read(document, (*keys, index), owner, f"{name}[{index}]", item)
            for index, item in enumerate(value)
        ]
        return Node(items, line, document.path, owner, name)
    return Node(value, line, document.path, owner, name, document.text(keys))


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
