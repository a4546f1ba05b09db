"""How fast the applier is: start, validation, merge, and a deploy that finds everything done."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import yaml

from artifactctl.identity import entry_id
from benchmarks.measuring import Row, table

REPEATS = 9
FUNCTIONS = 1000
RESOURCES = 200
IMAGES = 20
PROJECT = "esb-bench-artifactctl"


def measure() -> Iterator[Row]:
    """Run the commands as a user does, from the start of the process to its end."""
    with TemporaryDirectory(prefix="esb-bench-") as name:
        folder = Path(name)
        bare = _seconds([sys.executable, "-c", "pass"])
        beside = f"python -c pass: {bare * 1000:.0f} ms"
        yield Row("artifactctl --help", _seconds(_command("--help")), 0.2, "s", beside)
        manifest = _large(folder / "large")
        files = list((manifest.parent / "root/config").iterdir())
        loading = _time(lambda: [yaml.load(file.read_bytes(), yaml.CSafeLoader) for file in files])
        validate = _command("validate-id", "--artifact", str(manifest))
        yield Row("artifactctl validate-id", _seconds(validate), 0.3, "s", beside)
        beside = f"libyaml reads the files: {loading:.2f} s"
        outputs = iter(range(REPEATS + 1))
        merge = _command("merge", "--artifact", str(manifest), "--out")
        merging = _time(lambda: _run([*merge, str(folder / f"out-{next(outputs)}")]))
        name = f"artifactctl merge, {FUNCTIONS} functions, as many routes, {RESOURCES} resources"
        yield Row(name, merging, 1.0, "s", beside)
        if _engine_answers():
            yield from _deploys(folder / "images")


def _engine_answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0  # noqa: S607
    except FileNotFoundError:
        return False


def _deploys(folder: Path) -> Iterator[Row]:
    manifest = _images(folder)
    deploy = _command("deploy", "--artifact", str(manifest), "--out", str(folder / "out"))
    try:
        start = time.perf_counter()
        _run(deploy)
        first = time.perf_counter() - start
        beside = f"the first deploy, which builds them: {first:.1f} s"
        yield Row(
            f"artifactctl deploy, nothing to do, {IMAGES} functions", _seconds(deploy), 0.3, "s", beside
        )
    finally:
        images = ["docker", "image", "ls", "--quiet", "--filter", f"label=com.esb.project={PROJECT}"]
        found = subprocess.run(images, capture_output=True, text=True, check=True).stdout.split()
        _run(["docker", "image", "rm", "--force", *dict.fromkeys(found)])


def _large(folder: Path) -> Path:
    functions = {
        f"function-{number}": {
            "image": f"function-{number}:v1",
            "timeout": 30,
            "memory_size": 128,
            "environment": {"TABLE": "t", "NUMBER": str(number)},
            "scaling": {"min_capacity": 0, "max_capacity": 2},
        }
        for number in range(FUNCTIONS)
    }
    tables = [
        {"TableName": f"table-{number}", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
        for number in range(RESOURCES // 2)
    ]
    buckets = [{"BucketName": f"bucket-{number}"} for number in range(RESOURCES // 2)]
    return _manifest(folder, functions, {"dynamodb": tables, "s3": buckets})


def _images(folder: Path) -> Path:
    names = [f"function-{number}" for number in range(IMAGES)]
    manifest = _manifest(folder, {name: {"image": f"{PROJECT}-{name}:v1"} for name in names}, {})
    docker = folder / "root/runtime-base/runtime-hooks/python/docker"
    docker.mkdir(parents=True)
    (docker / "Dockerfile").write_text("FROM scratch\nCOPY docker/ /\n")
    for name in names:
        source = folder / "root/functions" / name / "src"
        source.mkdir(parents=True)
        (source / "app.py").write_text(f"# {name}\n" * 200)
        (source.parent / "Dockerfile").write_text(f"FROM esb-lambda-base:{PROJECT}\nCOPY src/ /var/task/\n")
    return manifest


def _manifest(folder: Path, functions: Mapping[str, object], resources: Mapping[str, object]) -> Path:
    config = folder / "root/config"
    config.mkdir(parents=True)
    routes = [
        {"path": f"/{number}", "method": "POST", "function": name} for number, name in enumerate(functions)
    ]
    for file, document in (
        ("functions.yml", {"functions": dict(functions)}),
        ("routing.yml", {"routes": routes}),
        ("resources.yml", {"resources": dict(resources)}),
    ):
        (config / file).write_text(yaml.safe_dump(document))
    entry = {
        "id": entry_id("t.yaml"),
        "artifact_root": "root",
        "runtime_config_dir": "config",
        "source_template": {"path": "t.yaml"},
    }
    head = {"schema_version": "1", "project": PROJECT, "env": "e", "mode": "docker"}
    path = folder / "artifact.yml"
    path.write_text(yaml.safe_dump({**head, "artifacts": [entry]}))
    return path


def _command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("artifactctl")), *arguments]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def _seconds(command: list[str]) -> float:
    return _time(lambda: _run(command))


def _time(do: Callable[[], object]) -> float:
    """Return the median of what it takes, in seconds, after one time that only warms up."""
    do()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        do()
        taken.append(time.perf_counter() - start)
    return median(taken)


if __name__ == "__main__":
    print(table(measure()))
