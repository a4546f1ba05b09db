"""`prepare-images` and `deploy` on a real engine."""

import base64
import json
import os
import shutil
import signal
import subprocess
import urllib.parse
from pathlib import Path

import pytest

from artifactctl import images
from artifactctl.commands import Commands
from artifactctl.errors import ArtifactError
from artifactctl.identity import entry_id
from tests.engine.artifact_project import ArtifactProject, docker, image_id, labels, tree_digest
from tests.waiting import eventually

pytestmark = pytest.mark.engine
_DEADLINE = 60.0


def test_two_functions_on_one_base_make_three_images_and_the_second_run_builds_none(
    project: ArtifactProject,
) -> None:
    """The base is built once; a run that finds everything leaves everything."""
    base, pay, ship = f"example.test/{project.base}", *project.images.values()
    assert project.prepare() == {base: "built", pay: "built", ship: "built"}
    before = [image_id(name) for name in (base, pay, ship)]
    assert project.prepare() == {base: "present", pay: "present", ship: "present"}
    assert [image_id(name) for name in (base, pay, ship)] == before


def test_images_carry_their_labels(project: ArtifactProject) -> None:
    """Whoever cleans up finds the images of a project, and what each is built from, by label."""
    project.prepare()
    found = labels(project.images["pay"])
    assert (found["com.esb.managed"], found["com.esb.project"]) == ("true", project.name)
    assert len(found["com.esb.digest"]) == 64
    assert found["com.esb.digest"] != labels(project.images["ship"])["com.esb.digest"]


def test_one_changed_byte_rebuilds_exactly_that_function(project: ArtifactProject) -> None:
    """The other function and the base stay as they are, and changing it back builds nothing."""
    project.prepare()
    source = project.root / "functions/pay/src/app.py"
    original = source.read_text()
    source.write_text(original.replace("#", "%"))
    changed = project.prepare()
    assert {name for name, action in changed.items() if action != "present"} == {project.images["pay"]}
    assert changed[project.images["pay"]] == "built"
    source.write_text(original)
    assert project.prepare()[project.images["pay"]] == "tagged"


def test_a_changed_base_rebuilds_everything_on_it(project: ArtifactProject) -> None:
    """The digest of a base is part of every digest above it."""
    project.prepare()
    (project.root / "runtime-base/runtime-hooks/python/docker/base.txt").write_text("other")
    assert set(project.prepare().values()) == {"built"}


def test_no_cache_rebuilds_what_is_there(project: ArtifactProject) -> None:
    """Every image is built anew, and the names lead to the new ones."""
    project.prepare()
    before = image_id(project.images["pay"])
    assert set(project.prepare("--no-cache").values()) == {"built"}
    assert image_id(project.images["pay"]) != before


def test_a_name_taken_by_something_else_is_taken_back(project: ArtifactProject) -> None:
    """What an image is follows from its digest and not from its name; nothing is built again."""
    pay, ship = project.images.values()
    project.prepare()
    docker("image", "tag", ship, pay)
    assert project.prepare()[pay] == "tagged"
    assert labels(pay)["com.esb.digest"] != labels(ship)["com.esb.digest"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a folder read-only")
def test_nothing_below_the_artifact_root_changes_even_when_it_is_read_only(
    project: ArtifactProject,
) -> None:
    """Builds work on a read-only mount, and leave names, modes, times and bytes alone."""
    before = tree_digest(project.root)
    mount = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && ! touch "$1/x" 2>/dev/null'
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", f'{mount} && shift && exec "$@"', "sh", str(project.root)),
            *project.command("prepare-images", "--json"),
        ],
        env=project.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    assert {image["action"] for image in json.loads(done.stdout)["images"]} == {"built"}
    assert tree_digest(project.root) == before


def test_two_environments_prepare_from_one_root_at_the_same_time(project: ArtifactProject) -> None:
    """Both succeed, and no image is built twice."""
    other = project.write_manifest("other.yml")
    runs = [
        subprocess.Popen(
            project.command("prepare-images", "--json", manifest=manifest),
            env=project.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        for manifest in (project.manifest, other)
    ]
    outputs = [run.communicate(timeout=_DEADLINE)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    actions = [image["action"] for output in outputs for image in json.loads(output)["images"]]
    assert actions.count("built") == 3
    assert set(actions) <= {"built", "tagged", "present"}


def test_two_roots_with_one_base_name_keep_their_own_bases(project: ArtifactProject, tmp_path: Path) -> None:
    """Each function stands on the base of its own root, whoever has the name; the second run finds all."""
    other = ArtifactProject(tmp_path / "other")
    for function in ("pay", "ship"):
        other.add_function(function, f"FROM example.test/{project.base}\nCOPY src/ /var/task/\n")
    entries = [
        {
            "id": entry_id(f"{folder.parent.name}.yaml"),
            "artifact_root": str(folder),
            "runtime_config_dir": "config",
            "source_template": {"path": f"{folder.parent.name}.yaml"},
        }
        for folder in (project.root, other.root)
    ]
    other.images = {f"other-{name}": image for name, image in other.images.items()}
    for name in ("pay", "ship"):
        (other.root / "functions" / name).rename(other.root / "functions" / f"other-{name}")
    other.write_config()
    project.write_manifest_of(entries)
    actions = project.prepare()
    assert sorted(actions.values()) == ["built"] * 6
    bases = {
        docker("image", "inspect", "--format", "{{index .RootFS.Layers 0}}", image)
        for image in (*project.images.values(), *other.images.values())
    }
    assert len(bases) == 2
    assert set(project.prepare().values()) == {"present"}


def test_a_missing_runtime_base_says_what_to_do(project: ArtifactProject) -> None:
    """One line names the file, who needs it, and the remedy; nothing is built."""
    shutil.rmtree(project.root / "runtime-base")
    done = project.run("prepare-images")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"prepare-images failed: {project.root}/runtime-base/runtime-hooks/python/docker/")
    assert "file not found" in line
    assert "functions/pay/Dockerfile starts from example.test/esb-lambda-base" in line
    assert "generate the artifact again" in line


def test_an_image_without_a_dockerfile_must_be_there_or_pullable(project: ArtifactProject) -> None:
    """One that is in the engine is fine; one that is nowhere is told with the line that names it."""
    project.prepare()
    project.images["extra"] = project.images["pay"]
    project.write_config()
    assert set(project.prepare().values()) == {"present"}
    project.images["extra"] = f"registry.invalid/{project.name}:none"
    project.write_config()
    done = project.run("prepare-images")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert f"{project.root}/config/functions.yml:3: functions.extra.image = " in line
    assert "has no Dockerfile, is not in the engine, and" in line
    assert "add functions/<name>/Dockerfile" in line


def test_a_build_that_fails_is_one_line_with_its_cause_and_the_output_before_it(
    project: ArtifactProject,
) -> None:
    """The line names the Dockerfile and what went wrong in it; `deploy` then leaves its folder alone."""
    project.add_function("broken", "FROM scratch\nCOPY missing/ /\n")
    out = project.folder / "out"
    done = project.run("deploy", "--out", out)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith(f"deploy failed: {project.root}/functions/broken/Dockerfile: ")
    assert "the build failed: " in line
    assert "missing" in line
    assert "COPY missing/" in done.stdout
    assert not out.exists()
    report = json.loads(project.run("deploy", "--json", "--out", out).stdout)
    assert any("missing" in output for output in report["error"]["output"])


def test_deploy_prepares_and_applies_and_the_second_time_changes_nothing(project: ArtifactProject) -> None:
    """Images are there before the config names them."""
    out = project.folder / "out"
    first = json.loads(project.run("deploy", "--json", "--out", out).stdout)
    assert (first["changed"], first["functions"]) == (True, 2)
    assert {image["action"] for image in first["images"]} == {"built"}
    assert project.images["pay"] in (out / "functions.yml").read_text()
    second = json.loads(project.run("deploy", "--json", "--out", out).stdout)
    assert (second["changed"], second["digest"]) == (False, first["digest"])
    assert {image["action"] for image in second["images"]} == {"present"}


def test_deploy_refuses_what_apply_refuses_before_it_builds(project: ArtifactProject) -> None:
    """A secret that is missing costs no build."""
    project.write_manifest(required_secret_env=["TOKEN"])
    done = project.run("deploy", "--out", project.folder / "out")
    assert done.returncode == 1
    assert "TOKEN" in done.stderr
    label = f"label=com.esb.project={project.name}"
    assert docker("image", "ls", "--quiet", "--filter", label) == ""


def test_fixture_images_are_built_with_the_functions_that_name_them(project: ArtifactProject) -> None:
    """A fixture is built on the runtime-base of its function, once; its function needs no Dockerfile."""
    fixture = project.folder / "fixture"
    fixture.mkdir()
    (fixture / "Dockerfile").write_text(f"FROM {project.base}\nCOPY app.py /var/task/\n")
    (fixture / "app.py").write_text(project.name)
    name = f"{project.name}-fixture:latest"
    project.images["image"] = name
    project.write_config()
    results = [
        images.prepare(project.manifest, fixtures={name: fixture}, environ=project.environ) for _ in range(2)
    ]
    built, present = (
        {image.reference: image.action for image in result.images if image.kind == "fixture"}
        for result in results
    )
    assert (built, present) == ({name: "built"}, {name: "present"})


def test_builds_have_no_network(project: ArtifactProject) -> None:
    """A build sees the loopback interface and nothing else."""
    # The name keeps the builder from answering out of its cache.
    probe = f"import socket; print('{project.name}', [name for _, name in socket.if_nameindex()])"
    base = _python_base(project)
    project.add_function("offline", f'FROM {base}\nRUN ["python3", "-c", "{probe}"]\n')
    lines: list[str] = []
    images.prepare(project.manifest, environ=project.environ, log=lines.append)
    assert any(line.endswith(f"{project.name} ['lo']") for line in lines)


def _python_base(project: ArtifactProject) -> str:
    from artifactctl.base_images import obtain
    from artifactctl.docker_engine import DockerEngine
    from artifactctl.host_cache import HostCache

    reference = "esb-python-base:latest"
    commands = Commands(project.environ, None, images.TIMEOUT)
    obtain(reference, DockerEngine(commands), commands, HostCache(project.environ))
    return reference


def test_sigterm_ends_the_builds_too(project: ArtifactProject) -> None:
    """A terminated command says so, leaves no build behind and no files."""
    wait = "import time; time.sleep(600)"
    project.add_function("slow", f'FROM {_python_base(project)}\nRUN ["python3", "-c", "{wait}"]\n')
    output = project.folder / "output"
    with output.open("wb") as stream:
        run = subprocess.Popen(
            project.command("prepare-images"), env=project.environ, stdout=stream, stderr=subprocess.PIPE
        )
        eventually(
            lambda: b"time.sleep" in output.read_bytes().rpartition(b"docker build")[2], "the build runs"
        )
        run.send_signal(signal.SIGTERM)
        _, errors = run.communicate(timeout=_DEADLINE)
    assert (run.returncode, errors) == (130, b"prepare-images failed: interrupted\n")
    assert not list(project.folder.glob("artifactctl-*"))
    eventually(lambda: not _command_lines_with(str(project.folder)), "the builds end")


def _command_lines_with(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


def test_stopping_ends_a_preparation_from_another_thread(project: ArtifactProject) -> None:
    """Whoever holds the commands can end what runs in them."""
    lines: list[str] = []

    def stop_at_build(line: str) -> None:
        lines.append(line)
        if "docker build" in line:
            commands.stop()

    commands = Commands(project.environ, stop_at_build, images.TIMEOUT)
    with pytest.raises(ArtifactError, match="was stopped"):
        images.prepare(project.manifest, commands=commands)
    assert lines


def test_a_base_that_cannot_be_had_gives_every_reason(project: ArtifactProject, tmp_path: Path) -> None:
    """Not in the engine, not to be pulled, not to be built: one line says all three, and what to do."""
    programs = tmp_path / "bin"
    programs.mkdir()
    found = shutil.which("docker")
    assert found is not None
    (programs / "docker").symlink_to(found)
    name = "registry.invalid/esb-python-base:none"
    project.write(
        "runtime-base/runtime-hooks/python/docker/Dockerfile",
        "ARG PYTHON_BASE_IMAGE\nFROM $PYTHON_BASE_IMAGE\n",
    )
    done = project.run("prepare-images", environ={"PATH": str(programs), "PYTHON_BASE_IMAGE": name})
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert f"'{name}': it is not in the engine; {name} cannot be pulled: " in line
    assert "it cannot be built from Debian packages: mmdebstrap is not installed" in line
    assert "name another image in PYTHON_BASE_IMAGE" in line


def test_an_engine_that_does_not_answer_is_told(project: ArtifactProject) -> None:
    """The line says what to start."""
    done = project.run("prepare-images", environ={"DOCKER_HOST": f"unix://{project.folder}/none.sock"})
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "the Docker engine does not answer" in line
    assert "make engine" in line


def test_a_secret_of_the_environment_reaches_no_image_and_no_output(project: ArtifactProject) -> None:
    """Neither outputs, config nor images hold it in any usual form, on success or failure."""
    canary = f"cänary/+ {project.name}?&="
    forms = {canary.encode(), base64.b64encode(canary.encode()), urllib.parse.quote(canary, safe="").encode()}
    secrets = project.folder / "secrets.env"
    secrets.write_text(f"TOKEN={canary}\n")
    project.write_manifest(required_secret_env=["TOKEN"])
    project.add_function("greedy", f"FROM {project.base}\nARG TOKEN\nENV COPY=$TOKEN\nCOPY src/ /\n")
    out = project.folder / "out"
    seen = b""
    for arguments in (("deploy",), ("deploy", "--json", "--no-cache"), ("deploy", "--strict", "--json")):
        done = project.run(
            *arguments, "--out", out, "--secret-env", secrets, environ={"TOKEN": canary, "ESB_CANARY": canary}
        )
        assert done.returncode == 0
        seen += done.stdout.encode() + done.stderr.encode()
    for path in out.rglob("*"):
        seen += path.read_bytes() if path.is_file() else b""
    for image in project.images.values():
        seen += docker("image", "history", "--no-trunc", image).encode()
        seen += docker("image", "inspect", image).encode()
    assert b"deploy: ok" in seen
    assert not any(form in seen or form.rstrip(b"=") in seen for form in forms)
