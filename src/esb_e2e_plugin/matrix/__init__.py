"""The matrix of environments: `test_matrix.yaml` as frozen records, its mistakes as one error.

`shape` says what a matrix may hold, `reader` makes records of one, `files` looks at what it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from esb_e2e_plugin.matrix.records import (
    ALL,
    COMPOSE_FILE_NAMES,
    Entry,
    Gateway,
    Matrix,
    Mode,
    Suite,
)

__all__ = [
    "ALL",
    "COMPOSE_FILE_NAMES",
    "Entry",
    "Gateway",
    "Matrix",
    "Mode",
    "Suite",
    "check_files",
    "json_schema",
    "load_matrix",
]


def load_matrix(path: Path, root: Path | None = None) -> Matrix:
    """Read the matrix; of the files that it names none is opened.

    Args:
        path: The file.
        root: The project root; None for the nearest folder above the file with `.git` or `pyproject.toml`.

    Raises:
        MatrixError: The file does not exist or has a mistake; the first by line.
    """
    # pydantic is slow to import, and the records above are used where no matrix is read.
    from esb_e2e_plugin.matrix.reader import read

    return read(path, root)


def check_files(matrix: Matrix, selected: Iterable[Entry]) -> None:
    """Check that every file exists that the enabled and the selected entries of a matrix name.

    Args:
        matrix: The matrix.
        selected: Entries that are checked even if they are not enabled.

    Raises:
        MatrixError: One does not exist, or a manifest does not fit; the first by line.
    """
    from esb_e2e_plugin.matrix.files import first_mistake

    checked = {entry.name: entry for entry in (*matrix.enabled, *selected)}
    if (mistake := first_mistake(matrix, tuple(checked.values()))) is not None:
        raise mistake


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, as it ships in `test_matrix.schema.json`."""
    from esb_e2e_plugin.matrix.shape import MatrixShape

    schema = MatrixShape.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
