"""Generate the gRPC stubs beside agent.proto; `--check` only says whether they are what it describes."""

import sys
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

SOURCES = Path(__file__).resolve().parent.parent / "services"
PROTO = Path("esb_services", "agent", "v1", "agent.proto")
STUBS = tuple(PROTO.with_name(name) for name in ("agent_pb2.py", "agent_pb2.pyi", "agent_pb2_grpc.py"))


def generate(folder: Path) -> None:
    """Write the stubs, in the packages they belong to, under `folder`.

    Raises:
        SystemExit: agent.proto is wrong; protoc has said what.
    """
    with resources.as_file(resources.files("grpc_tools") / "_proto") as well_known:
        exit_code = protoc.main(
            [
                "protoc",
                f"-I{SOURCES}",
                f"-I{well_known}",
                *(f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")),
                str(SOURCES / PROTO),
            ]
        )
    if exit_code:
        raise SystemExit(exit_code)


def outdated() -> list[Path]:
    """Return the stubs that are not what agent.proto describes, relative to the distribution's folder."""
    with TemporaryDirectory() as folder:
        generate(Path(folder))
        return [stub for stub in STUBS if not _same(SOURCES / stub, Path(folder, stub))]


def _same(present: Path, expected: Path) -> bool:
    return present.is_file() and present.read_bytes() == expected.read_bytes()


def main() -> int:
    """Generate or check; the exit code says whether all is well."""
    if sys.argv[1:] != ["--check"]:
        generate(SOURCES)
        return 0
    for stub in (found := outdated()):
        print(f"services/{stub} is not what agent.proto describes: run `make proto`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
