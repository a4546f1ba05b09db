"""Removing what an environment wrote."""

import shutil
from pathlib import Path

from artifactctl.apply import remove
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.environment import Paths

_RESULTS = frozenset({"events.jsonl"})


def remove_files(paths: Paths) -> list[str]:
    """Remove what an apply wrote and the content of the state folder, but not the results of the run.

    Args:
        paths: the environment's files and folders.

    Returns:
        What cannot be removed, each with the reason or the command that removes it.
    """
    left = []
    if paths.config is not None:
        try:
            remove(paths.config)
            _remove_empty_parents(paths.config, paths.root)
        except (ArtifactError, OSError) as error:
            left.append(f"{paths.config}: {error}")
    for path in list(paths.state.iterdir()) if paths.state.is_dir() else []:
        if path.name in _RESULTS:
            continue
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            left.append(f"{path}: {error.strerror} (rm -rf {path})")
    return left


def _remove_empty_parents(folder: Path, root: Path) -> None:
    """Remove the folders above `folder` that are empty, up to `root`; two runs may do so at once."""
    for parent in folder.parents:
        if parent == root or not parent.is_relative_to(root):
            return
        try:
            parent.rmdir()
        except OSError:
            return
