"""The files that a matrix names: whether they exist and fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from artifactctl.errors import ArtifactError
from artifactctl.manifest import Manifest, load_manifest
from esb_e2e_plugin.errors import MatrixError
from esb_e2e_plugin.matrix.reader import FIRECRACKER_RUNTIME, exists, inside, is_file
from esb_e2e_plugin.matrix.records import COMPOSE_FILE_NAMES, Entry, Matrix, Suite

_Mistake = tuple[int, MatrixError]


def first_mistake(matrix: Matrix, entries: Sequence[Entry]) -> MatrixError | None:
    """Return what is wrong with the files of some entries, the first by line; None if nothing is."""
    used = dict.fromkeys(name for entry in entries for name in entry.suites)
    mistakes: list[_Mistake] = []
    for name in used:
        mistakes.extend(_suite_mistakes(matrix.path, matrix.suites[name]))
    for entry in entries:
        mistakes.extend(_entry_mistakes(matrix.root, entry))
    return min(mistakes, key=lambda mistake: mistake[0])[1] if mistakes else None


def _suite_mistakes(source: Path, suite: Suite) -> Iterator[_Mistake]:
    for kind, paths in (("targets", suite.targets), ("exclude", suite.exclude)):
        for index, path in enumerate(paths):
            if not exists(path):
                line = suite.lines[f"{kind}.{index}"]
                key = f"suites.{suite.name}.{kind}[{index}]"
                yield (
                    line,
                    MatrixError.at(
                        source, line, key, f"{path} does not exist", expected="a file or a folder"
                    ),
                )


def _entry_mistakes(root: Path, entry: Entry) -> Iterator[_Mistake]:
    if entry.mode != "process":
        yield from _compose_mistakes(entry)
    for key, path in (("env_file", entry.env_file), ("secret_env_file", entry.secret_env_file)):
        if path is not None and not is_file(path):
            yield _missing(entry, key, path, "a file")
    if entry.artifact_manifest is not None:
        if not is_file(entry.artifact_manifest):
            yield _missing(entry, "artifact_manifest", entry.artifact_manifest, "an artifact.yml")
        else:
            yield from _manifest_mistakes(root, entry, entry.artifact_manifest)


def _compose_mistakes(entry: Entry) -> Iterator[_Mistake]:
    if not exists(entry.env_dir):
        yield _missing(entry, "env_dir", entry.env_dir, "a folder")
    elif not entry.compose_files:
        names = ", ".join(COMPOSE_FILE_NAMES)
        problem = f"{entry.env_dir} holds no compose file"
        yield entry.line("env_dir"), entry.error("env_dir", problem, expected=f"one of {names}")
    for path in entry.compose_files:
        if not is_file(path):
            yield _missing(entry, "compose_files", path, "a compose file")


def _manifest_mistakes(root: Path, entry: Entry, path: Path) -> Iterator[_Mistake]:
    line = entry.line("artifact_manifest")
    try:
        manifest = load_manifest(path)
    except ArtifactError as error:
        yield line, MatrixError(str(error), f"{entry.name} names it in {entry.source}:{line}")
        return
    fitting = "firecracker" if entry.containerd_runtime == FIRECRACKER_RUNTIME else entry.mode
    if manifest.mode != fitting:
        yield (
            line,
            entry.error(
                "artifact_manifest", f"{path} was made for mode {manifest.mode}", expected=f"mode {fitting}"
            ),
        )
    yield from _config_mistakes(root, entry, manifest)


def _config_mistakes(root: Path, entry: Entry, manifest: Manifest) -> Iterator[_Mistake]:
    config = entry.config_path(root, entry.name.lower())
    for artifact in manifest.artifacts:
        if config is not None and inside(artifact.artifact_root, config):
            yield (
                entry.line("config_dir"),
                entry.error(
                    "config_dir",
                    f"{str(config)!r} holds the artifact root {artifact.artifact_root}",
                    expected="a folder of its own",
                ),
            )


def _missing(entry: Entry, key: str, path: Path, expected: str) -> _Mistake:
    return entry.line(key), entry.error(key, f"{path} does not exist", expected=expected)
