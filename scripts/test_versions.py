"""Runs the plugin's tests with every supported version of pytest, with and without xdist.

Each combination has a virtual environment of its own below `.venv-versions/`, made from the pins in
`requirements/versions/` and made anew when those change. Exit code 1 when a combination fails.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "requirements" / "versions"
ENVIRONMENTS = ROOT / ".venv-versions"
TESTS = (
    "tests/plugin",
    "tests/faults/test_faults_kills.py",
    "tests/faults/test_faults_together.py",
    "tests/chaos/test_chaos_workers.py",
)
SEEDS = "10"
INSTALL_SECONDS = 900
RUN_SECONDS = 2400
_DISTRIBUTED = ("-n", "auto", "--dist", "worksteal")
_COLUMNS = ("pytest", "xdist", "exit", "result")


@dataclass(frozen=True)
class Combination:
    """A version of pytest, with or without xdist.

    Attributes:
        version: the minor version of pytest, such as "8.4".
        xdist: whether xdist is installed.
    """

    version: str
    xdist: bool

    @property
    def folder(self) -> Path:
        """Its virtual environment."""
        return ENVIRONMENTS / f"pytest-{self.version}-{'with' if self.xdist else 'without'}-xdist"

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    @property
    def requirements(self) -> tuple[Path, ...]:
        """Its pins."""
        xdist = (PINS / "xdist.txt",) if self.xdist else ()
        return (PINS / "stack.txt", PINS / f"pytest-{self.version}.txt", *xdist)

    def digest(self) -> str:
        """Return what its environment is made from, in short; an environment cannot be moved."""
        digest = hashlib.sha256(f"{sys.version}\n{self.folder}".encode())
        for path in (*self.requirements, ROOT / "pyproject.toml", ROOT / "services" / "pyproject.toml"):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def make(self) -> None:
        """Make its environment, where it is not there as it should be."""
        stamp = self.folder / ".made-from"
        if stamp.exists() and stamp.read_text() == self.digest():
            return
        _command(sys.executable, "-m", "venv", "--clear", "--without-pip", str(self.folder))
        pins = [argument for path in self.requirements for argument in ("--requirement", str(path))]
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-compile")
        _command(*pip, "--require-hashes", *pins)
        sources = ("--editable", str(ROOT), "--editable", str(ROOT / "services"))
        _command(*pip, "--no-deps", "--no-build-isolation", *sources)
        stamp.write_text(self.digest())

    def test(self, arguments: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
        """Run pytest, and return its exit code and its last line.

        Args:
            arguments: tests and options.
            variables: what is set where the caller has not set it.
        """
        distributed = _DISTRIBUTED if self.xdist else ()
        command = [self.python, "-m", "pytest", "--color=no", *distributed, *arguments]
        last = ""
        environment = {**variables, **os.environ}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            alarm = threading.Timer(RUN_SECONDS, process.kill)
            alarm.start()
            try:
                for line in process.stdout or ():
                    print(line, end="", flush=True)
                    last = line.strip("= \n") or last
                return process.wait(), last
            finally:
                alarm.cancel()
                process.terminate()


def versions() -> list[str]:
    """Return the versions of pytest that there are pins for, the oldest first."""
    found = [match[1] for path in PINS.iterdir() if (match := re.fullmatch(r"pytest-(.+)\.txt", path.name))]
    return sorted(found, key=lambda version: tuple(map(int, version.split("."))))


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--versions", nargs="*", metavar="X.Y", help="only these versions of pytest (default: all)"
    )
    parser.add_argument("--xdist", choices=("with", "without", "both"), default="both")
    parser.add_argument("pytest", nargs="*", help="tests and options for pytest, after --")
    asked = parser.parse_args()
    known = versions()
    if unknown := set(asked.versions or ()) - set(known):
        parser.error(f"no pins for pytest {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    named = any((ROOT / argument.partition("::")[0]).exists() for argument in asked.pytest)
    arguments = asked.pytest if named else [*TESTS, *asked.pytest]
    variables = {} if named else {"CHAOS_RUNS": SEEDS}
    ways = {"with": (True,), "without": (False,), "both": (True, False)}[asked.xdist]
    rows = []
    for version in asked.versions or known:
        for xdist in ways:
            combination = Combination(version, xdist)
            print(f"== pytest {version} {'with' if xdist else 'without'} xdist", flush=True)
            combination.make()
            code, last = combination.test(arguments, variables)
            rows.append((version, "yes" if xdist else "no", str(code), last))
    print("\n".join(["", *_table(rows)]))
    return 1 if any(code != "0" for _, _, code, _ in rows) else 0


def _command(*arguments: str) -> None:
    subprocess.run(arguments, cwd=ROOT, check=True, timeout=INSTALL_SECONDS)


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [_COLUMNS, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]


if __name__ == "__main__":
    sys.exit(main())
