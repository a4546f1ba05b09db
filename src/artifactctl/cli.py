"""The command line: a thin adapter over the functions of the same names."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from artifactctl.errors import ArtifactError

_DESCRIPTION = "Apply committed artifacts: artifact.yml to a configuration folder."
_EPILOG = "Every command exits 0, or 1 with one line on stderr: '<command> failed: FILE:LINE: …'."
_Report = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments without the program's name; None takes the process' own.

    Returns:
        The exit code: 0, or 1 after one line on stderr. Usage errors exit with 2.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], _Report] = arguments.run
    report: _Report = {"command": arguments.command}
    failure = None
    try:
        report |= {"ok": True, **run(arguments)}
    except ArtifactError as error:
        report |= {"ok": False, "error": _error_report(error)}
        failure = str(error)
    except KeyboardInterrupt:
        return _failed(arguments.command, "interrupted", 130)
    try:
        _show(report, as_json=arguments.json)
    except OSError as error:
        # Python would try to flush once more at its end, and print a traceback.
        sys.stdout = None
        return _failed(arguments.command, failure or f"cannot print the result: {error.strerror}", 1)
    return _failed(arguments.command, failure, 1) if failure is not None else 0


def _failed(command: str, why: str, code: int) -> int:
    print(f"{command} failed: {why}", file=sys.stderr)  # noqa: T201
    return code


def _show(report: _Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report), flush=True)  # noqa: T201
    elif report["ok"]:
        for warning in report.get("warnings", ()):
            print(f"{report['command']} warning: {warning}", file=sys.stderr)  # noqa: T201
        print(_summary(report), flush=True)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("artifactctl", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _command(commands, "validate-id", _validate_id, "check the manifest alone; no other file is opened")
    merge = _command(
        commands, "merge", _merge, "check the manifest and merge its runtime config into a folder"
    )
    apply = _command(
        commands, "apply", _apply, "check manifest, runtime metadata and secrets, then merge into a folder"
    )
    for command in (merge, apply):
        command.add_argument(
            "--out",
            metavar="DIR",
            type=_path,
            required=True,
            help="the output folder: absent, empty, or written by an earlier run",
        )
    apply.add_argument(
        "--secret-env",
        metavar="FILE",
        type=_path,
        help="lines NAME=value with the secrets that the artifacts require",
    )
    apply.add_argument(
        "--strict", action="store_true", help="runtime metadata that does not fit is an error, not a warning"
    )
    apply.add_argument(
        "--additive", action="store_true", help="keep what an earlier run left in the folder, and add to it"
    )
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], _Report],
    description: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=description, description=f"{description.capitalize()}.", epilog=_EPILOG
    )
    command.set_defaults(run=run)
    command.add_argument("--artifact", metavar="MANIFEST", type=_path, required=True, help="the artifact.yml")
    command.add_argument("--json", action="store_true", help="print the result as one JSON object on stdout")
    return command


def _path(text: str) -> Path:
    # An unset shell variable must not become the current folder.
    if not text.strip():
        raise argparse.ArgumentTypeError("may not be empty")
    return Path(text)


class _Version(argparse.Action):
    """`--version` that looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"artifactctl {version('pytest-esb-e2e')}")  # noqa: T201
        parser.exit()


def _validate_id(arguments: argparse.Namespace) -> _Report:
    from artifactctl.manifest import load_manifest

    manifest = load_manifest(arguments.artifact)
    return {"ids": [entry.id for entry in manifest.artifacts]}


def _merge(arguments: argparse.Namespace) -> _Report:
    from artifactctl.merge import merge

    return dataclasses.asdict(merge(arguments.artifact, arguments.out))


def _apply(arguments: argparse.Namespace) -> _Report:
    from artifactctl.apply import apply

    result = apply(
        arguments.artifact,
        arguments.out,
        secret_env=arguments.secret_env,
        strict=arguments.strict,
        additive=arguments.additive,
    )
    return dataclasses.asdict(result)


def _summary(report: _Report) -> str:
    command = report["command"]
    if "ids" in report:
        return f"{command}: ok: {', '.join(report['ids'])}"
    counts = ", ".join(f"{report[name]} {name}" for name in ("functions", "routes", "resources"))
    state = "new config" if report["changed"] else "unchanged config"
    return f"{command}: ok: {state} {report['digest']}: {counts}"


def _error_report(error: ArtifactError) -> _Report:
    return {
        "message": str(error),
        "file": str(error.path) if error.path is not None else None,
        "line": error.line,
        "field": error.field,
    }


if __name__ == "__main__":
    sys.exit(main())
