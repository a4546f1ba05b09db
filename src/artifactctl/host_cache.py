"""What this host keeps between runs: packages for images, and the locks of what is being made."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from artifactctl.commands import Commands
from artifactctl.errors import ArtifactError


class HostCache:
    """A folder of the user; every entry is complete or absent.

    Args:
        environ: `XDG_CACHE_HOME`, else `HOME`, says where it is.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        base = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or "/tmp", ".cache")  # noqa: PTH118, S108
        self._folder = Path(base) / "artifactctl"

    @contextlib.contextmanager
    def lock(self, kind: str, key: str, commands: Commands) -> Iterator[None]:
        """Hold `key` against other threads and processes.

        Args:
            kind: such as `packages`; who holds an `image` may take `packages`, never the reverse.
            key: what is made, whatever its text.
            commands: say how long to wait for whoever makes it now, and when waiting makes no sense any more.

        Raises:
            ArtifactError: somebody else holds it for longer, or the folder cannot be used.
        """
        import filelock  # costs more than a run that has nothing to build

        # A bounded number of files, which are never deleted: that would let two hold one lock.
        name = f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:2]}.lock"
        try:
            folder = self._folder / "locks"
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder / name)
            lock.acquire(timeout=commands.remaining(), cancel_check=lambda: commands.stopped)
        except filelock.Timeout:
            rule = "was stopped" if commands.stopped else "is held by another build for too long"
            raise ArtifactError(
                rule, path=self._folder / "locks" / name, remedy="wait for it to end"
            ) from None
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield
        finally:
            lock.release()

    def folder(self, kind: str, key: str, make: Callable[[Path], None]) -> Path:
        """Return the folder `key` of `kind`, made first if it is not there; the caller holds its lock.

        Args:
            kind: such as `packages`.
            key: says everything that its content depends on.
            make: fills the empty folder that it is given.

        Raises:
            ArtifactError: it cannot be made.
        """
        entry = self._folder / kind / key
        if entry.is_dir():
            return entry
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            for left in entry.parent.glob(f".{key}-*"):  # by a process that was killed: the lock is ours
                shutil.rmtree(left, ignore_errors=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=entry.parent))
        except OSError as error:
            raise self._unusable(error) from error
        try:
            make(unfinished)
            unfinished.rename(entry)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return entry

    def _unusable(self, error: OSError) -> ArtifactError:
        return ArtifactError(
            f"cannot be used: {error.strerror}",
            path=self._folder,
            remedy="set XDG_CACHE_HOME to a folder of yours",
        )
