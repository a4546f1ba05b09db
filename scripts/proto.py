"""Generate the Python code beside each .proto file; `--check` only says whether it is what they describe."""

import sys
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

SOURCES = Path(__file__).resolve().parent.parent / "services"
AGENT = Path("esb_services", "agent")
MESSAGES = ("python_out", "pyi_out")
PROTOCOLS = {
    AGENT / "v1" / "agent.proto": (*MESSAGES, "grpc_python_out"),
    AGENT / "containerd_api" / "containerd.proto": MESSAGES,
}
SUFFIXES = {"python_out": "_pb2.py", "pyi_out": "_pb2.pyi", "grpc_python_out": "_pb2_grpc.py"}


def generate(folder: Path) -> None:
    """Write the code, in the packages it belongs to, under `folder`.

    Raises:
        SystemExit: a .proto file is wrong; protoc has said what.
    """
    with resources.as_file(resources.files("grpc_tools") / "_proto") as well_known:
        for protocol, kinds in PROTOCOLS.items():
            outputs = [f"--{kind}={folder}" for kind in kinds]
            arguments = [f"-I{SOURCES}", f"-I{well_known}", *outputs, str(SOURCES / protocol)]
            if exit_code := protoc.main(["protoc", *arguments]):
                raise SystemExit(exit_code)


def outdated() -> dict[Path, Path]:
    """Return the generated files that are not what their .proto file describes, and that file."""
    with TemporaryDirectory() as folder:
        generate(Path(folder))
        stubs = {
            protocol.with_name(protocol.stem + SUFFIXES[kind]): protocol
            for protocol, kinds in PROTOCOLS.items()
            for kind in kinds
        }
        return {
            stub: protocol
            for stub, protocol in stubs.items()
            if not _same(SOURCES / stub, Path(folder, stub))
        }


def _same(present: Path, expected: Path) -> bool:
    return present.is_file() and present.read_bytes() == expected.read_bytes()


def main() -> int:
    """Generate or check; the exit code says whether all is well."""
    if sys.argv[1:] != ["--check"]:
        generate(SOURCES)
        return 0
    for stub, protocol in (found := outdated()).items():
        print(f"services/{stub} is not what {protocol.name} describes: run `make proto`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
