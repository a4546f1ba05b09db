"""The image store of the process runtime: a JSON file that maps image references to code on this machine."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Image:
    """Where the code of an image lies, and how it runs.

    Attributes:
        python_path: where a Python function imports from beside its own folder.
        java: what every Java function starts from; None where the function is Python.
    """

    source: Path
    handler: str | None
    python_path: tuple[str, ...] = ()
    java: Path | None = None


class ImageError(Exception):
    """An image cannot be used; the message names it and the index."""


class ImageIndex:
    """The index file, read again whenever it changes.

    Args:
        path: the index; it need not exist before the first look-up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature: tuple[int, int, int] | None = None
        self._images: dict[str, Any] = {}

    def find(self, reference: str) -> Image:
        """Return the image `reference`.

        Raises:
            ImageError: the index cannot be read, or holds no usable image of that name.
        """
        self._refresh()
        if reference not in self._images:
            raise ImageError(
                f"image {reference!r} is not in the image index {self._path}, which deploy writes"
            )
        entry = self._images[reference]
        where = f"image {reference!r} in the image index {self._path}"
        if not isinstance(entry, dict):
            raise ImageError(f"{where} is not an object")
        runtime, source, handler = entry.get("runtime"), entry.get("source"), entry.get("handler")
        python_path = entry.get("python_path", [])
        if not isinstance(runtime, str) or not runtime.startswith(("python", "java")):
            raise ImageError(f"{where} needs runtime {runtime!r}; in process mode python and java run")
        if "missing" in entry:
            raise ImageError(f"{where} cannot run here: {entry['missing']}")
        if not isinstance(source, str) or not Path(source).is_dir():
            raise ImageError(f"{where} has source {source!r}, which is not a folder")
        if handler is not None and not isinstance(handler, str):
            raise ImageError(f"{where} has handler {handler!r}; expected text such as 'app.handler'")
        if not isinstance(python_path, list) or not all(isinstance(item, str) for item in python_path):
            raise ImageError(f"{where} has python_path {python_path!r}; expected a list of folders")
        if runtime.startswith("python"):
            return Image(Path(source), handler, tuple(python_path))
        java = entry.get("java")
        if not isinstance(java, str) or not Path(java).is_dir():
            raise ImageError(f"{where} has java {java!r}, which is not a folder")
        return Image(Path(source), handler, java=Path(java))

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
            signature = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if signature == self._signature:
                return
            index = json.loads(self._path.read_bytes())
        except OSError as error:
            raise ImageError(f"the image index {self._path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ImageError(f"the image index {self._path} is not JSON: {error}") from error
        if (
            not isinstance(index, dict)
            or index.get("version") != 1
            or not isinstance(index.get("images"), dict)
        ):
            raise ImageError(
                f"the image index {self._path} has not the form {{'version': 1, 'images': {{…}}}}"
            )
        self._signature, self._images = signature, index["images"]
