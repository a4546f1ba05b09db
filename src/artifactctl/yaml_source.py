"""YAML files as plain data that remembers on which line each value stands.

Documents are built from parser events and without recursion, so that hostile ones (deep nesting, alias
bombs, duplicate keys, broken encodings) end in one `YamlError` that names the line.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from artifactctl import regular_file
from artifactctl.errors import ArtifactError

LIMIT_BYTES: Final = 16 * 1024 * 1024
LIMIT_DEPTH: Final = 64
LIMIT_VALUES: Final = 1_000_000

_LONGEST_NUMBER = 256
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STR = "tag:yaml.org,2002:str"
_MAP = "tag:yaml.org,2002:map"
_SEQ = "tag:yaml.org,2002:seq"
_MERGE = "tag:yaml.org,2002:merge"


class YamlError(ArtifactError):
    """A file that cannot be read as one YAML document with a mapping at its top."""


class _Node:
    """Where a value stands, and how much it is worth (values, levels) when its aliases are written out."""

    __slots__ = ("height", "line", "text", "value", "weight")

    def __init__(self, line: int, value: Any, text: str | None = None) -> None:
        self.line = line
        self.value = value
        self.text = text
        self.weight = 1
        self.height = 0


class _Mapping(_Node):
    __slots__ = ("entries", "keys")

    def __init__(self, line: int) -> None:
        super().__init__(line, {})
        self.entries: dict[Any, _Node] = {}
        self.keys: dict[Any, _Node] = {}


class _Sequence(_Node):
    __slots__ = ("items",)

    def __init__(self, line: int) -> None:
        super().__init__(line, [])
        self.items: list[_Node] = []


class Document:
    """One YAML document: `.data` is plain data, `.line()` says where a value of it came from.

    Attributes:
        path: the file it was read from.
        data: the mapping at the top, of dict, list, str, int, float, bool and None. Aliased values are
            shared: treat it as read-only.
    """

    def __init__(self, path: Path, root: _Mapping) -> None:
        self.path = path
        self.data: dict[Any, Any] = root.value
        self._root = root

    def line(self, keys: Sequence[str | int] = ()) -> int:
        """Return the 1-based line where the value at `keys` starts, or its nearest ancestor that exists."""
        return self._walk(keys)[0].line

    def key_line(self, keys: Sequence[str | int]) -> int:
        """Return the 1-based line of the key that `keys` ends in, or of the nearest ancestor that exists.

        The item of a list has no key: its own first line is returned.
        """
        node, key, _ = self._walk(keys)
        return node.line if key is None else key.line

    def text(self, keys: Sequence[str | int]) -> str | None:
        """Return the scalar at `keys` as it is written, without quotes; None if there is no scalar."""
        node, _, complete = self._walk(keys)
        return node.text if complete else None

    def key_text(self, keys: Sequence[str | int]) -> str | None:
        """Return the key that `keys` ends in as it is written; None if there is no such key."""
        _, key, complete = self._walk(keys)
        return key.text if key is not None and complete else None

    def _walk(self, keys: Sequence[str | int]) -> tuple[_Node, _Node | None, bool]:
        """Return the deepest node on the way along `keys`, its own key, and whether all of `keys` exist."""
        node: _Node = self._root
        own_key: _Node | None = None
        for key in keys:
            if isinstance(node, _Mapping) and key in node.entries:
                own_key, node = node.keys[key], node.entries[key]
            elif isinstance(node, _Sequence) and isinstance(key, int) and 0 <= key < len(node.items):
                own_key, node = None, node.items[key]
            else:
                return node, own_key, False
        return node, own_key, True


def load(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> Document:
    """Read the YAML file at `path`.

    Args:
        path: a regular file, UTF-8.
        limit_bytes: refuse a larger file.

    Raises:
        YamlError: it cannot be read, is too large, or is not one well-formed YAML mapping.
    """
    return loads(regular_file.read(path, limit_bytes, YamlError), path)


def loads(text: bytes, path: Path, tags: Mapping[str, str] | None = None) -> Document:
    """Parse `text`, the content of the file at `path`.

    Args:
        text: UTF-8.
        path: named in errors.
        tags: what a tagged value stands for, a mapping with this one key: with `{"!Ref": "Ref"}`, `!Ref X`
            is read as `{Ref: X}`.

    Raises:
        YamlError: it is not one well-formed YAML mapping in UTF-8.
    """
    root = _Reader(path, tags or {}).read(_decoded(text, path))
    if root is None or root.value is None:
        raise YamlError("expected a mapping, found nothing", path=path, line=1)
    if not isinstance(root, _Mapping):
        raise YamlError("expected a mapping at the top", path=path, line=root.line)
    return Document(path, root)


def _decoded(text: bytes, path: Path) -> str:
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise YamlError("is not UTF-8", path=path, line=line, remedy="save it as UTF-8") from None
    if (match := _NOT_PRINTABLE.search(decoded)) is not None:
        line = decoded.count("\n", 0, match.start()) + 1
        raise YamlError("character is not allowed in YAML", path=path, line=line, value=match.group())
    return decoded


class _Open:
    """A mapping or list whose end has not come yet."""

    __slots__ = ("anchor", "key", "merged", "node", "tag")

    def __init__(self, node: _Mapping | _Sequence, anchor: str | None, tag: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.tag = tag
        self.key: _Node | None = None
        self.merged: list[_Mapping] | None = None


class _Reader:
    """Builds nodes from the parser's events; one instance reads one text."""

    def __init__(self, path: Path, tags: Mapping[str, str]) -> None:
        self._path = path
        self._tags = tags
        self._resolver: Any = Resolver()
        self._open: list[_Open] = []
        self._anchors: dict[str, _Node | None] = {}
        self._root: _Node | None = None

    def read(self, text: str) -> _Node | None:
        loader = _Loader(text)
        documents = 0
        try:
            while (event := loader.get_event()) is not None:
                documents += isinstance(event, yaml.DocumentStartEvent)
                if documents > 1:
                    raise self._error("expected one document, found several", event)
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            # The parser counts one line more than there are when it reaches the end.
            line = min(mark.line + 1, len(text.splitlines())) if mark is not None else None
            rule = f"is not valid YAML: {error.problem or error.context}"
            raise YamlError(rule, path=self._path, line=line) from None
        except yaml.YAMLError as error:
            raise YamlError(f"is not valid YAML: {error}", path=self._path) from None
        finally:
            loader.dispose()
        return self._root

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._complete(self._tagged(self._scalar(event), event.tag), event.anchor, event)
            case yaml.MappingStartEvent():
                self._start(_Mapping(_line(event)), _MAP, event)
            case yaml.SequenceStartEvent():
                self._start(_Sequence(_line(event)), _SEQ, event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self._open[-1]
                if isinstance(done.node, _Mapping):
                    self._merge(done.node, done.merged or [], event)
                self._open.pop()
                self._complete(self._tagged(done.node, done.tag), done.anchor, event)
            case yaml.AliasEvent():
                self._add(self._aliased(event), event)

    def _start(self, node: _Mapping | _Sequence, tag: str, event: yaml.CollectionStartEvent) -> None:
        if event.tag not in (None, "!", tag) and event.tag not in self._tags:
            raise self._error(f"tag {event.tag} is not supported here", event)
        if len(self._open) >= LIMIT_DEPTH:
            raise self._error(f"is nested deeper than {LIMIT_DEPTH} levels", event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(node, event.anchor, event.tag))

    def _tagged(self, node: _Node, tag: str | None) -> _Node:
        name = self._tags.get(tag) if tag is not None else None
        if name is None:
            return node
        stands_for = _Mapping(node.line)
        stands_for.entries[name] = node
        stands_for.keys[name] = _Node(node.line, name, name)
        stands_for.value[name] = node.value
        stands_for.weight += node.weight
        stands_for.height = node.height + 1
        return stands_for

    def _complete(self, node: _Node, anchor: str | None, event: yaml.Event) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._add(node, event)

    def _aliased(self, event: yaml.AliasEvent) -> _Node:
        anchor = str(event.anchor)
        if anchor not in self._anchors:
            raise self._error(f"alias *{anchor} has no anchor before it", event)
        node = self._anchors[anchor]
        if node is None:
            raise self._error(f"alias *{anchor} contains itself", event)
        if node.value is _MERGE_KEY:
            raise self._error(f"alias *{anchor} stands for <<", event)
        return node

    def _add(self, node: _Node, event: yaml.Event) -> None:
        if not self._open:
            self._root = node
            return
        container = self._open[-1]
        parent = container.node
        if isinstance(parent, _Sequence):
            parent.items.append(node)
            parent.value.append(node.value)
        elif container.key is None:
            if isinstance(node, _Mapping | _Sequence):
                raise self._error("a key must be a scalar", event)
            container.key = node
            return
        else:
            key, container.key = container.key, None
            if key.value is _MERGE_KEY:
                if container.merged is not None:
                    raise self._error("duplicate key <<", event)
                container.merged = self._merge_sources(node, event)
                return
            self._put(parent, key, node)
        self._count(parent, node, event)

    def _put(self, parent: _Mapping, key: _Node, node: _Node) -> None:
        if key.value in parent.entries:
            raise YamlError(
                f"duplicate key, first on line {parent.keys[key.value].line}",
                path=self._path,
                line=key.line,
                value=key.text,
                remedy="remove one of the two",
            )
        parent.entries[key.value] = node
        parent.keys[key.value] = key
        parent.value[key.value] = node.value

    def _count(self, parent: _Node, node: _Node, event: yaml.Event) -> None:
        parent.weight += node.weight
        parent.height = max(parent.height, node.height + 1)
        if parent.weight > LIMIT_VALUES:
            raise self._error(f"stands for more than {LIMIT_VALUES} values", event)
        if len(self._open) + node.height > LIMIT_DEPTH:
            raise self._error(f"is nested deeper than {LIMIT_DEPTH} levels", event)

    def _merge_sources(self, node: _Node, event: yaml.Event) -> list[_Mapping]:
        candidates = node.items if isinstance(node, _Sequence) else [node]
        sources = [candidate for candidate in candidates if isinstance(candidate, _Mapping)]
        if len(sources) < len(candidates):
            raise self._error("<< expects a mapping or a list of mappings", event)
        return sources

    def _merge(self, parent: _Mapping, sources: list[_Mapping], event: yaml.Event) -> None:
        for source in sources:
            for key, node in source.entries.items():
                if key not in parent.entries:
                    self._put(parent, source.keys[key], node)
                    self._count(parent, node, event)

    def _scalar(self, event: yaml.ScalarEvent) -> _Node:
        text: str = event.value
        tag = event.tag
        if tag in self._tags:
            tag = _STR
        if tag in (None, "!"):
            # Only plain scalars are looked at for numbers and the like; quoted ones are strings.
            plain = tag is None and event.implicit[0]
            tag = self._resolver.resolve(yaml.ScalarNode, text, (True, False)) if plain else _STR
        if tag == _MERGE and self._expects_key():
            return _Node(_line(event), _MERGE_KEY, text)
        if tag in _LITERAL:
            if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
                raise self._error("half of a surrogate pair is not a character", event)
            return _Node(_line(event), text, text)
        construct = _CONSTRUCT.get(tag)
        if construct is None:
            raise self._error(f"tag {tag} is not supported here", event)
        if len(text) > _LONGEST_NUMBER:
            raise self._error(f"a number may have {_LONGEST_NUMBER} characters", event)
        try:
            value = construct(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, IndexError, OverflowError):
            raise self._error(f"{text!r} is not a value of type {tag.rpartition(':')[2]}", event) from None
        return _Node(_line(event), value, text)

    def _expects_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].node, _Mapping) and self._open[-1].key is None

    def _error(self, rule: str, event: yaml.Event) -> YamlError:
        return YamlError(rule, path=self._path, line=_line(event))


def _line(event: yaml.Event) -> int:
    mark: Any = event.start_mark
    return int(mark.line) + 1


_MERGE_KEY: Final = object()
# A date stays the text it is: plain data has no type for it, and templates use dates as versions.
_LITERAL = frozenset({_STR, _MERGE, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"})
_safe = SafeConstructor()
_CONSTRUCT: dict[str, Callable[[yaml.ScalarNode], Any]] = {
    "tag:yaml.org,2002:null": _safe.construct_yaml_null,
    "tag:yaml.org,2002:bool": _safe.construct_yaml_bool,
    "tag:yaml.org,2002:int": _safe.construct_yaml_int,
    "tag:yaml.org,2002:float": _safe.construct_yaml_float,
}
