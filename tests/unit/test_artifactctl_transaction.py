"""The transaction: killed at any point, and many applies at once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from artifactctl import apply as applier
from artifactctl import output
from artifactctl.errors import ArtifactError
from artifactctl.identity import entry_id
from tests.waiting import eventually

_POINTS = 110
_FILES = ("functions.yml", "routing.yml", "resources.yml")


def _manifest(folder: Path, image: str) -> Path:
    config = folder / image / "config"
    config.mkdir(parents=True)
    names = [f"function-{i}" for i in range(20)]
    (config / "functions.yml").write_text(
        "functions:\n" + "".join(f"  {name}: {{image: '{image}'}}\n" for name in names)
    )
    (config / "routing.yml").write_text(
        "routes:\n" + "".join(f"- {{path: /{image}/{name}, function: {name}}}\n" for name in names)
    )
    (config / "resources.yml").write_text(f"resources: {{s3: [{{BucketName: bucket-{image}}}]}}\n")
    path = folder / f"{image}.yml"
    path.write_text(
        "schema_version: '1'\nproject: p\nenv: e\nmode: docker\nartifacts:\n"
        f"- id: {entry_id('t.yaml')}\n  artifact_root: {image}\n  runtime_config_dir: config\n"
        "  source_template: {path: t.yaml}\n"
    )
    return path


# Runs in a process with one thread: forks a child per point, which kills itself before its n-th line.
_KILLER = """
import json, os, random, signal, sys
from pathlib import Path
from artifactctl import output
from artifactctl.apply import apply, remove
import filelock

old, new, folder = map(Path, sys.argv[1:4])
points, prepared, then = int(sys.argv[4]), *sys.argv[5:7]

def watch(on_line):
    def local(frame, event, _):
        if event == "line":
            on_line()
        return local
    def trace(frame, event, _):
        return local if frame.f_code.co_filename == output.__file__ else None
    sys.settrace(trace)

def prepare(out):
    if prepared == "switch":
        apply(old, out)

def visible(out):
    current = output.current(out)
    if current is None:
        return [None] * 3
    return [(current / name).read_text() for name in ("functions.yml", "routing.yml", "resources.yml")]

lines = 0
def count():
    global lines
    lines += 1
prepare(folder / "counted")
watch(count)
apply(new, folder / "counted")
sys.settrace(None)

random.seed(20260131)
for number, point in enumerate(sorted(random.sample(range(1, lines + 1), min(points, lines)))):
    out = folder / str(number)
    prepare(out)
    child = os.fork()
    if child == 0:
        left = point
        def die():
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        watch(die)
        apply(new, out)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    seen = visible(out)
    apply(new, out) if then == "apply" else remove(out)
    print(json.dumps({"out": str(out), "killed": os.WIFSIGNALED(status), "seen": seen, "then": visible(out)}))
"""


@pytest.mark.parametrize("prepared", ["fresh", "switch"])
def test_a_kill_at_any_point_leaves_the_whole_old_or_the_whole_new_config(
    tmp_path: Path, prepared: str
) -> None:
    """After SIGKILL between any two lines of the transaction the config is whole and the next apply works."""
    old, new = _manifest(tmp_path, "v1"), _manifest(tmp_path, "v2")
    expected = []
    for manifest in (old, new):
        applier.apply(manifest, tmp_path / "expected")
        expected.append([(tmp_path / "expected" / name).read_text() for name in _FILES])
    before, after = [None] * 3 if prepared == "fresh" else expected[0], expected[1]
    runs = tmp_path / "runs"
    runs.mkdir()
    command = [sys.executable, "-c", _KILLER, str(old), str(new), str(runs), str(_POINTS), prepared, "apply"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == _POINTS
    assert all(report["killed"] for report in reports)
    assert all(report["seen"] in (before, after) for report in reports)
    assert {report["seen"] == after for report in reports} == {False, True}
    assert all(report["then"] == after for report in reports)
    for report in reports:
        applier.remove(Path(report["out"]))
        assert not Path(report["out"]).exists()


def test_what_an_apply_leaves_that_is_killed_at_any_point_is_removed(tmp_path: Path) -> None:
    """From the folder on, which is made before it can be locked: nothing of it is left."""
    manifest, runs = _manifest(tmp_path, "v1"), tmp_path / "runs"
    runs.mkdir()
    command = [sys.executable, "-c", _KILLER, *map(str, (manifest, manifest, runs, 1000)), "fresh", "remove"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(report["killed"] for report in reports)
    assert len(reports) > _POINTS
    assert [path.name for path in runs.iterdir()] == ["counted"]


def test_twenty_applies_at_once_end_with_one_whole_config(tmp_path: Path) -> None:
    """Concurrent applies take turns; each succeeds and the last one's config is complete."""
    manifests = [_manifest(tmp_path, image) for image in ("v1", "v2")]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "artifactctl.cli", "apply", "--out", str(out), "--json", "--artifact"]
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen([*command, str(manifests[i % 2])], stdout=subprocess.PIPE, text=True)
            )
            for i in range(20)
        ]
        reports = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert all(report["ok"] for report in reports)
    digest = (out / ".current").readlink().name
    assert digest in {report["digest"] for report in reports}
    config = "".join((out / name).read_text() for name in _FILES)
    assert ("v1" in config) != ("v2" in config)
    applier.remove(out)
    assert not out.exists()


_HOLDER = """
import sys
from pathlib import Path
from artifactctl import output
with output.exclusive(Path(sys.argv[1]), 10):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _holder(out: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _HOLDER, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_live_holder_leads_to_a_timeout_that_names_it(tmp_path: Path) -> None:
    """Who waits in vain learns for which process."""
    out = tmp_path / "out"
    with _holder(out) as process:
        told = f"is held by process {process.pid} on .* for longer than 0.1 s; wait for it to end, or end it"
        with pytest.raises(ArtifactError, match=told):
            applier.apply(_manifest(tmp_path, "v1"), out, lock_timeout=0.1)
        with pytest.raises(ArtifactError, match=told):
            applier.remove(out, lock_timeout=0.1)


def test_a_holder_that_died_does_not_block(tmp_path: Path) -> None:
    """The lock of a killed process is free."""
    out = tmp_path / "out"
    with _holder(out) as process:
        process.kill()
        process.wait(timeout=10)
        assert applier.apply(_manifest(tmp_path, "v1"), out, lock_timeout=5).changed


def test_applies_and_removals_may_meet(tmp_path: Path) -> None:
    """A folder that is removed while others wait for it is made again by them."""
    manifest = _manifest(tmp_path, "v1")
    out = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from artifactctl import apply as a\n"
        "for _ in range(15): a.apply(Path(sys.argv[1]), Path(sys.argv[2])); a.remove(Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(manifest), str(out)]
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
            for _ in range(3)
        ]
        errors = [process.communicate(timeout=60)[1] for process in running]
    assert errors == [""] * 3
    assert not os.path.lexists(out)


def test_a_link_that_comes_and_goes_is_read_or_not_there(tmp_path: Path) -> None:
    """Whoever looks without the lock may meet a removal at any point."""
    link = tmp_path / output.CURRENT
    code = "import os, sys\nwhile True: os.symlink('x', sys.argv[1]); os.unlink(sys.argv[1])"
    with subprocess.Popen([sys.executable, "-c", code, str(link)]) as process:
        try:
            eventually(link.is_symlink, "the links begin")
            for _ in range(20_000):
                assert not output.is_published(tmp_path, {"functions.yml": b""})
            eventually(lambda: not link.is_symlink(), "a link goes")
            eventually(link.is_symlink, "another link comes")
        finally:
            process.kill()
