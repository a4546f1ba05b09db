"""From the text of `test_matrix.yaml` to frozen records, with every mistake on its line."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from artifactctl import yaml_source
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.errors import MatrixError
from esb_e2e_plugin.matrix.mistakes import Keys, explain, label
from esb_e2e_plugin.matrix.records import COMPOSE_FILE_NAMES, Entry, Gateway, Matrix, Mode, Suite
from esb_e2e_plugin.matrix.shape import EntryShape, MatrixShape, SuiteShape

FIRECRACKER_RUNTIME = "aws.firecracker"

_ROOT_MARKS = (".git", "pyproject.toml")
_REPEATABLE = {"esb_env", "suites"}
_ABOUT_KEY = {"extra_forbidden", "invalid_key"}


def read(path: Path, root: Path | None) -> Matrix:
    """Read a matrix; see `matrix.load_matrix`."""
    path = path.absolute()
    content = _content(path)
    try:
        document = yaml_source.loads(content, path)
    except ArtifactError as error:
        raise MatrixError.at(path, error.line or 0, "", error.message) from None
    reader = _Reader(document, (root or _project_root(path)).absolute())
    return reader.matrix(hashlib.sha256(content).hexdigest())


def _content(path: Path) -> bytes:
    if not exists(path):
        raise MatrixError.at(path, 0, "", "there is no matrix", remedy="name it with --esb-matrix")
    if not is_file(path):
        raise MatrixError.at(path, 0, "", "is not a file", remedy="name one with --esb-matrix")
    try:
        return path.read_bytes()
    except OSError as error:
        raise MatrixError.at(path, 0, "", f"cannot be read: {error.strerror}") from error


def _project_root(path: Path) -> Path:
    for folder in path.parents:
        if any(exists(folder / mark) for mark in _ROOT_MARKS):
            return folder
    return path.parent


class _Reader:
    """Reads one document and collects its mistakes."""

    def __init__(self, document: yaml_source.Document, root: Path) -> None:
        self._document = document
        self._path = document.path
        self._root = root
        self._mistakes: list[tuple[int, MatrixError]] = []

    def matrix(self, digest: str) -> Matrix:
        """Return the matrix, or raise the first mistake by line."""
        data = self._document.data
        suites = data.get("suites")
        known = [str(name) for name in suites] if isinstance(suites, dict) else []
        shape = None
        try:
            shape = MatrixShape.model_validate(data, context=known)
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False)
            misspelled = {error["loc"][:-1] for error in errors if error["type"] in _ABOUT_KEY}
            for error in errors:
                # Beside a key that nobody knows, a missing one is most likely the same one.
                if error["type"] != "missing" or error["loc"][:-1] not in misspelled:
                    self._add_invalid(error)
        entries = self._entries(data.get("matrix"), known)
        if self._mistakes or shape is None:
            raise min(self._mistakes, key=lambda mistake: mistake[0])[1]
        return Matrix(
            path=self._path,
            root=self._root,
            digest=digest,
            suites={name: self._suite(name, suite) for name, suite in shape.suites.items()},
            entries=entries,
            subnet_pool=IPv4Network(shape.subnet_pool),
            port_base=shape.port_base,
        )

    def _suite(self, name: str, shape: SuiteShape) -> Suite:
        lines = {
            f"{key}.{index}": self._document.line(("suites", name, key, index))
            for key in ("targets", "exclude")
            for index in range(len(getattr(shape, key)))
        }
        return Suite(
            name=name,
            description=shape.description,
            targets=tuple(map(self._beside, shape.targets)),
            exclude=tuple(map(self._beside, shape.exclude)),
            lines=lines,
        )

    def _entries(self, items: Any, known: Sequence[str]) -> tuple[Entry, ...]:
        """Build the well-formed entries, so that mistakes between keys are found beside all others."""
        entries: dict[str, Entry] = {}
        for index, item in enumerate(items if isinstance(items, list) else []):
            try:
                shape = EntryShape.model_validate(item, context=known)
            except ValidationError:
                continue
            name = shape.esb_env.casefold()
            if name in entries:
                entries[name] = self._extended(entries[name], shape, index)
            else:
                entry = self._entry(shape, index)
                self._check_together(entry, shape, index)
                self._check_apart(entry, entries.values(), index)
                entries[name] = entry
        return tuple(entries.values())

    def _extended(self, entry: Entry, shape: EntryShape, index: int) -> Entry:
        for key in shape.model_fields_set - _REPEATABLE:
            self._add(
                ("matrix", index, key),
                f"{shape.esb_env} stands on line {entry.line()} already",
                expected="only esb_env and suites where an entry is repeated",
                remedy=f"move {key} there",
            )
        return replace(entry, suites=tuple(dict.fromkeys((*entry.suites, *shape.suites))))

    def _entry(self, shape: EntryShape, index: int) -> Entry:
        env_dir = shape.env_dir or shape.esb_env
        mode, containerd_runtime = _mode(shape.mode, f"{env_dir} {shape.env_file or ''}")
        env_file = self._beside(shape.env_file or f"{env_dir}/.env")
        compose_files = tuple(map(self._beside, shape.compose_files or ()))
        if mode != "process" and not compose_files:
            usual = (self._beside(f"{env_dir}/{name}") for name in COMPOSE_FILE_NAMES)
            compose_files = tuple(path for path in usual if is_file(path))[:1]
        return Entry(
            name=shape.esb_env,
            suites=tuple(dict.fromkeys(shape.suites)),
            enabled=shape.enabled,
            mode=mode,
            project=shape.esb_project,
            env_dir=self._beside(env_dir),
            env_file=env_file if shape.env_file or exists(env_file) else None,
            env_vars=shape.env_vars,
            artifact_manifest=self._below_root(shape.artifact_manifest),
            config_dir=shape.config_dir,
            image_uri_overrides=shape.image_uri_overrides,
            image_runtime_overrides=shape.image_runtime_overrides,
            secret_env_file=self._below_root(shape.secret_env_file),
            strict=shape.strict,
            compose_files=compose_files,
            gateway=Gateway(**shape.gateway.model_dump()),
            docker_context=shape.docker_context,
            bind_address=shape.bind_address,
            engine_socket=shape.engine_socket,
            weight=shape.weight,
            containerd_runtime=containerd_runtime,
            source=self._path,
            lines=self._lines(index, shape),
        )

    def _lines(self, index: int, shape: EntryShape) -> dict[str, int]:
        place: Keys = ("matrix", index)
        lines = {"": self._document.line(place)}
        lines |= {key: self._document.key_line((*place, key)) for key in shape.model_fields_set}
        nested = {"env_vars": shape.env_vars, "gateway": shape.gateway.model_fields_set}
        for key, names in nested.items():
            lines |= {f"{key}.{name}": self._document.key_line((*place, key, name)) for name in names}
        return lines

    def _check_together(self, entry: Entry, shape: EntryShape, index: int) -> None:
        """Check the keys of one entry that depend on each other."""
        place: Keys = ("matrix", index)
        if shape.compose_files and entry.mode == "process":
            self._add((*place, "compose_files"), "process mode has no compose files", remedy="remove it")
        if (shape.artifact_manifest is None) != (shape.config_dir is None):
            given, missing = "config_dir", "artifact_manifest"
            if shape.config_dir is None:
                given, missing = missing, given
            self._add((*place, given), f"{missing} is missing", expected="both of them, or none")
        elif (config := entry.config_path(self._root, entry.name.lower())) is not None:
            holds = [self._root, self._path, entry.artifact_manifest or self._path]
            if not inside(config, self._root) or any(inside(path, config) for path in holds):
                self._add(
                    (*place, "config_dir"),
                    f"{str(config)!r} cannot be replaced by an apply",
                    expected=f"a folder inside {self._root} that holds neither matrix nor artifact",
                )

    def _check_apart(self, entry: Entry, others: Iterable[Entry], index: int) -> None:
        """Check that an entry shares nothing with those before it."""
        place: Keys = ("matrix", index)
        config = entry.config_path(self._root, entry.name.lower())
        for other in others:
            theirs = other.config_path(self._root, other.name.lower())
            if config and theirs and (inside(config, theirs) or inside(theirs, config)):
                self._add(
                    (*place, "config_dir"),
                    f"{other.name} applies to {str(theirs)!r}",
                    expected="a folder that no other environment uses",
                )
            if _project(entry) == _project(other):
                self._add(
                    (*place, "esb_env"),
                    f"its resources would be named {_project(entry)!r} like those of {other.name}",
                    expected="another esb_env or esb_project",
                )

    def _beside(self, text: str) -> Path:
        return Path(os.path.normpath(self._path.parent / text))

    def _below_root(self, text: str | None) -> Path | None:
        return None if text is None else Path(os.path.normpath(self._root / text))

    def _add(
        self, keys: Keys, problem: str, *, expected: str | None = None, remedy: str | None = None
    ) -> None:
        line = self._document.key_line(keys)
        error = MatrixError.at(self._path, line, label(keys), problem, expected=expected, remedy=remedy)
        self._mistakes.append((line, error))

    def _add_invalid(self, error: ErrorDetails) -> None:
        keys = tuple(key for key in error["loc"] if key != "[key]")
        about_key = error["type"] in _ABOUT_KEY or keys != error["loc"]
        if error["type"] == "missing":
            line = self._document.line(keys[:-1])
        else:
            line = self._document.key_line(keys) if about_key else self._document.line(keys)
        self._mistakes.append((line, MatrixError.at(self._path, line, label(keys), **explain(error))))


def inside(path: Path, folder: Path) -> bool:
    """Tell whether `path` is `folder` or lies in it, whatever links lead there."""
    real, real_folder = os.path.realpath(path), os.path.realpath(folder)
    return real == real_folder or real.startswith(real_folder.rstrip(os.sep) + os.sep)


def exists(path: Path) -> bool:
    """Tell whether there is anything; what cannot be looked at, as with a name too long, is not there."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for some paths that a user can write


def is_file(path: Path) -> bool:
    """Tell whether there is a file, as `exists` does."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for some paths that a user can write


def _project(entry: Entry) -> str:
    return f"{entry.project}-{entry.name}".lower()


def _mode(given: Mode | None, text: str) -> tuple[Mode, str | None]:
    """Return the mode, and the runtime that containerd is to use, by whole words of `text`."""
    if given is not None:
        return given, None
    words = set(re.split(r"[^a-z0-9]+", text.lower()))
    if "firecracker" in words:
        return "containerd", FIRECRACKER_RUNTIME
    if "containerd" in words:
        return "containerd", None
    return ("process", None) if "local" in words else ("docker", None)
