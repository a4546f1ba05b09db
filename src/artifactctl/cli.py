"""The command line: a thin adapter over the functions of the same names."""

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from artifactctl.errors import ArtifactError

_DESCRIPTION = "Apply committed artifacts: artifact.yml to images and a configuration folder."
_EPILOG = "Every command exits 0, or 1 with one line on stderr: '<command> failed: FILE:LINE: …'."
_ENVIRONMENT = (
    "Environment: CONTAINER_REGISTRY (the registry that the runtime pulls from), HOST_REGISTRY_ADDR "
    "(the same registry as this host pushes to; neither set: nothing is pushed), PYTHON_BASE_IMAGE "
    "(what base images start from), and what docker reads, such as DOCKER_HOST and DOCKER_CONTEXT."
)
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
        with _terminable():
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


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does: builds run in sessions of their own."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # as under nohup, which must stay so
    }
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _failed(command: str, why: str, code: int) -> int:
    if sys.stderr is not None:  # closed by the caller: print would take stdout for it
        print(f"{command} failed: {why}", file=sys.stderr)  # noqa: T201
    return code


def _show(report: _Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report), flush=True)  # noqa: T201
    elif report["ok"]:
        for warning in report.get("warnings", ()) if sys.stderr is not None else ():
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
    prepare = _command(
        commands,
        "prepare-images",
        _prepare_images,
        "build what the functions run from; push it to a registry if one is set",
    )
    deploy = _command(commands, "deploy", _deploy, "prepare the images, then apply")
    for command in (merge, apply, deploy):
        command.add_argument(
            "--out",
            metavar="DIR",
            type=_path,
            required=True,
            help="the output folder: absent, empty, or written by an earlier run",
        )
    for command in (apply, deploy):
        command.add_argument(
            "--secret-env",
            metavar="FILE",
            type=_path,
            help="lines NAME=value with the secrets that the artifacts require",
        )
        command.add_argument(
            "--strict",
            action="store_true",
            help="runtime metadata that does not fit is an error, not a warning",
        )
        command.add_argument(
            "--additive",
            action="store_true",
            help="keep what an earlier run left in the folder, and add to it",
        )
    for command in (prepare, deploy):
        command.add_argument(
            "--no-cache", action="store_true", help="build images even if they are there already"
        )
        command.epilog = f"{_ENVIRONMENT} {_EPILOG}"
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


def _prepare_images(arguments: argparse.Namespace) -> _Report:
    from artifactctl.images import prepare

    log = None if arguments.json else _progress
    return dataclasses.asdict(prepare(arguments.artifact, no_cache=arguments.no_cache, log=log))


def _deploy(arguments: argparse.Namespace) -> _Report:
    from artifactctl.deploy import deploy

    result = deploy(
        arguments.artifact,
        arguments.out,
        secret_env=arguments.secret_env,
        strict=arguments.strict,
        additive=arguments.additive,
        no_cache=arguments.no_cache,
        log=None if arguments.json else _progress,
    )
    return dataclasses.asdict(result.prepared) | dataclasses.asdict(result.applied)


def _progress(line: str) -> None:
    # A reader that went away must not end a build; the result says it.
    with contextlib.suppress(OSError):
        print(line, flush=True)  # noqa: T201


def _summary(report: _Report) -> str:
    command = report["command"]
    if "ids" in report:
        return f"{command}: ok: {', '.join(report['ids'])}"
    told = []
    if "images" in report:
        actions = Counter(image["action"] for image in report["images"])
        pushed = sum(image["pushed"] is not None for image in report["images"])
        told.append(", ".join(f"{number} {action}" for action, number in actions.items()) or "no images")
        told += [f"{pushed} pushed"] if pushed else []
    if "changed" not in report:
        return f"{command}: ok: {', '.join(told)}"
    counts = ", ".join(f"{report[name]} {name}" for name in ("functions", "routes", "resources"))
    state = "new config" if report["changed"] else "unchanged config"
    told.append(f"{state} {report['digest']}: {counts}")
    return f"{command}: ok: {'; '.join(told)}"


def _error_report(error: ArtifactError) -> _Report:
    report = {
        "message": str(error),
        "file": str(error.path) if error.path is not None else None,
        "line": error.line,
        "field": error.field,
    }
    # Only a program that failed has some.
    output = getattr(error, "output", ())
    return {**report, "output": list(output)} if output else report


if __name__ == "__main__":
    sys.exit(main())
