"""What an environment is made of: each byte of each input counts, in every mode."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifactctl.errors import ArtifactError
from artifactctl.identity import entry_id
from esb_e2e_plugin import planner
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.fingerprint import Decision, Fingerprint, compare
from esb_e2e_plugin.lifecycle import compose_inputs, contents, inputs
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.matrix import load_matrix
from esb_e2e_plugin.planner import Scenario

MODES = ("process", "docker", "containerd")
NAME = {"process": "e2e-local", "docker": "e2e-docker", "containerd": "e2e-containerd"}
NOT_INPUTS = ("e2e/environments/test_matrix.yaml", "template.yaml")


@dataclass(frozen=True)
class Made:
    """A small project, and what of it is not in files."""

    scenario: Scenario
    run: Run
    place: Mapping[str, str]
    model: Mapping[str, Any]

    @property
    def root(self) -> Path:
        """Where it lies."""
        return self.run.root

    def files(self) -> list[Path]:
        """Return every file that is an input of its environment."""
        found = [path for path in self.root.rglob("*") if path.is_file()]
        return sorted(path for path in found if str(path.relative_to(self.root)) not in NOT_INPUTS)

    def look(self) -> Fingerprint:
        """Return its fingerprint."""
        return inputs.look(self.scenario, self.run, self.place, self.model)

    def look_at_anything(self) -> Fingerprint | str:
        """Return its fingerprint; what is wrong, where an input is."""
        try:
            return self.look()
        except (EsbError, ArtifactError) as error:
            return str(error)


def write_project(root: Path, mode: str) -> None:
    """Write everything that an environment can be made of."""
    environments = root / "e2e/environments"
    entry = {
        "esb_env": NAME[mode],
        "suites": ["all"],
        "mode": mode,
        "artifact_manifest": "e2e/artifact/artifact.yml",
        "config_dir": ".esb/${ESB_ENV}",
        "env_file": f"{NAME[mode]}/.env",
        "env_vars": {"LEVEL": "INFO"},
        "image_uri_overrides": {"image": "fixture:${ESB_IMAGE_TAG}"},
        "secret_env_file": "secrets.env",
    }
    artifact = {
        "id": entry_id("template.yaml"),
        "artifact_root": "tiny",
        "runtime_config_dir": "config",
        "source_template": {"path": "template.yaml"},
    }
    manifest = {"schema_version": "1", "project": "p", "env": "e", "mode": mode, "artifacts": [artifact]}
    texts = {
        "e2e/environments/test_matrix.yaml": yaml.safe_dump(
            {"suites": {"all": {"targets": ["../scenarios/"]}}, "matrix": [entry]}
        ),
        f"e2e/environments/{NAME[mode]}/.env": "COLOUR=blue\n",
        "e2e/artifact/artifact.yml": yaml.safe_dump(manifest),
        "e2e/artifact/tiny/config/functions.yml": "functions: {}\n",
        "e2e/artifact/tiny/config/routing.yml": "routes: []\n",
        "e2e/artifact/tiny/config/resources.yml": "resources: {}\n",
        "e2e/artifact/tiny/functions/echo/Dockerfile": "FROM base\n",
        "e2e/artifact/tiny/functions/echo/src/app.py": "def handler(event, context): pass\n",
        "e2e/artifact/tiny/functions/echo/layers/one/python/shared.py": "ONE = 1\n",
        "e2e/artifact/tiny/runtime-base/runtime-hooks/python/docker/Dockerfile": "FROM python\n",
        "e2e/artifact/tiny/bundle/manifest.json": "{}\n",
        "e2e/fixtures/images/lambda/python/app.py": "def handler(event, context): pass\n",
        "secrets.env": "TOKEN=1\n",
        "conftest.py": "def pytest_esb_deploy(): pass\n",
    }
    if mode != "process":
        texts |= {
            f"e2e/environments/{NAME[mode]}/docker-compose.yml": "services: {gateway: {image: a}}\n",
            "mounted/file.txt": "mounted\n",
            "mounted/folder/deep/file.txt": "mounted\n",
            "settings.txt": "a config\n",
            "build/Dockerfile": "FROM base\n",
            "build/source.txt": "built\n",
            "services/images/Dockerfile": "FROM packages\n",
            "services/images/packages.Dockerfile": "FROM python\n",
            "services/esb_services/gateway.py": "GATEWAY = 1\n",
        }
    environments.mkdir(parents=True)
    (root / "e2e/scenarios").mkdir()
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def model(root: Path) -> dict[str, Any]:
    """Return what Compose would say of the compose file."""
    volumes = [{"type": "bind", "source": str(root / "mounted"), "target": "/mounted"}]
    gateway = {"image": "a", "volumes": volumes, "build": {"context": str(root / "build")}}
    return {"services": {"gateway": gateway}, "configs": {"settings": {"file": str(root / "settings.txt")}}}


@cache
def make(folder: Path, mode: str) -> Made:
    """Make the project of a mode, once."""
    root = folder / mode
    root.mkdir()
    write_project(root, mode)
    matrix = load_matrix(root / "e2e/environments/test_matrix.yaml", root)
    (scenario,) = planner.plan(matrix, [NAME[mode]]).scenarios
    run = cast(Any, Run)(
        run_id="r",
        root=root,
        host=root / "host",
        port_base=18000,
        subnet_pool=IPv4Network("10.231.0.0/16"),
        environ={"PATH": os.environ["PATH"], "HTTP_PROXY": "http://proxy.test"},
        settings=None,
        applier=None,
        commit="abc123",
        ci=True,
        hooks=None,
        listener=None,
        cancelled=None,
        hook_files=(root / "conftest.py",),
    )
    containers = mode != "process"
    place = {"engine": "id 1"} if containers else {}
    return Made(scenario, run, place, model(root) if containers else {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the projects of this module lie."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(params=MODES)
def made(folder: Path, request: pytest.FixtureRequest) -> Made:
    """A small project of each mode."""
    return make(folder, request.param)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_an_input_changes_the_fingerprint(made: Made, data: st.DataObject) -> None:
    """Whichever file it is in, and wherever: also a byte more, and a byte less."""
    before = made.look()
    path = data.draw(st.sampled_from(made.files()))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content)))
    removed = data.draw(st.integers(0, 1))
    added = data.draw(st.binary(max_size=1))
    changed = content[:place] + added + content[place + removed :]
    try:
        path.write_bytes(changed)
        assert (made.look_at_anything() == before) == (changed == content), path
    finally:
        path.write_bytes(content)


def test_every_input_counts_with_its_bytes_and_its_presence(made: Made) -> None:
    """None of them is forgotten in any mode."""
    before = made.look()
    files = made.files()
    assert len(files) == (13 if made.scenario.entry.mode == "process" else 22)
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b"#")
        assert made.look_at_anything() != before, path
        path.unlink()
        assert made.look_at_anything() != before, path
        path.write_bytes(content)
        assert made.look() == before, path


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        (lambda made: replace(made, run=replace(made.run, commit="def456")), Decision.ANEW),
        (lambda made: replace(made, run=replace(made.run, port_base=19000)), Decision.ANEW),
        (lambda made: with_entry(made, env_vars={"LEVEL": "DEBUG"}), Decision.ANEW),
        (lambda made: with_entry(made, env_vars={}), Decision.ANEW),
        (lambda made: with_entry(made, bind_address="127.0.0.2"), Decision.ANEW),
        (
            lambda made: with_entry(made, gateway=replace(made.scenario.entry.gateway, port=1)),
            Decision.ANEW,
        ),
        (lambda made: with_entry(made, strict=not made.scenario.entry.strict), Decision.REDEPLOY),
        (lambda made: with_entry(made, weight=7.0), Decision.REUSED),
    ],
)
def test_what_is_in_no_file_counts_too(
    made: Made, change: Callable[[Made], Made], decision: Decision
) -> None:
    """The matrix' keys that make an environment, the variables, and the commit that names images."""
    before, now = made.look(), change(made).look()
    assert compare(before, now).decision is decision


def with_entry(made: Made, **changes: Any) -> Made:
    """Return the project with another entry in its matrix."""
    scenario = made.scenario
    return replace(made, scenario=replace(scenario, entry=replace(scenario.entry, **changes)))


def test_only_processes_have_the_callers_variables(folder: Path) -> None:
    """What containers see of them, Compose fills into the model."""
    for mode in MODES:
        made = make(folder, mode)
        other = replace(made, run=replace(made.run, environ={**made.run.environ, "HTTP_PROXY": "x"}))
        before, now = made.look(), other.look()
        expected = "anew: variable HTTP_PROXY changed" if mode == "process" else "reused: nothing changed"
        assert str(compare(before, now)) == expected


@pytest.mark.parametrize("mode", ["docker", "containerd"])
def test_containers_have_their_engine_and_their_model(folder: Path, mode: str) -> None:
    """Also what no compose file says itself: an included one, or a variable."""
    made = make(folder, mode)
    before = made.look()
    elsewhere, other = replace(made, place={"engine": "id 2"}), {**made.model, "x": 1}
    filled = replace(made, model=other)
    for changed, why in ((elsewhere, "engine changed"), (filled, "compose model changed")):
        now = changed.look()
        assert str(compare(before, now)) == f"anew: {why}"


@pytest.mark.parametrize(
    ("mode", "name", "expected"),
    [
        ("docker", "functions/echo/src/app.py", "redeploy: echo sources changed"),
        ("process", "functions/echo/src/app.py", "redeploy: echo sources changed"),
        ("containerd", "functions/echo/src/app.py", "anew: echo sources changed"),
        ("containerd", "config/functions.yml", "redeploy: functions.yml changed"),
        ("docker", "config/routing.yml", "redeploy: routing.yml changed"),
        ("docker", "config/resources.yml", "anew: resources.yml changed"),
    ],
)
def test_the_reason_names_the_part_and_the_phase_fits(
    folder: Path, mode: str, name: str, expected: str
) -> None:
    """Stores keep what was provisioned, and a containerd the images that it has pulled: those begin anew."""
    made = make(folder, mode)
    before = made.look()
    path = made.root / "e2e/artifact/tiny" / name
    content = path.read_bytes()
    try:
        path.write_bytes(content + b"\n")
        now = made.look()
    finally:
        path.write_bytes(content)
    assert str(compare(before, now)) == expected


def test_caches_and_times_of_writing_do_not_count(made: Made) -> None:
    """A run writes both: else nothing would ever be reused."""
    before = made.look()
    source = made.root / "e2e/artifact/tiny/functions/echo/src"
    (source / "__pycache__").mkdir(exist_ok=True)
    (source / "__pycache__/app.cpython-311.pyc").write_bytes(os.urandom(8))
    os.utime(source / "app.py", (1, 1))
    assert made.look() == before


def test_a_folder_counts_with_links_modes_and_names(tmp_path: Path) -> None:
    """All that a container, or an interpreter, would see of it; and a link in a circle has an end."""
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.write_text("1")
    (folder / "a").write_text("1")
    (folder / "link").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    seen = {contents.of(folder)}
    for change in (
        lambda: outside.write_text("2"),
        lambda: (folder / "a").chmod(0o700),
        lambda: (folder / "a").rename(folder / "b"),
        lambda: (folder / "empty").mkdir(),
        lambda: (folder / "link").rename(folder / "other link"),
    ):
        change()
        now = contents.of(folder)
        assert now not in seen
        seen.add(now)
    (folder / "cache").mkdir()
    (folder / "cache/CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert contents.of(folder, lambda path: path.name == "never") == now


def test_what_a_build_does_not_send_does_not_count(folder: Path) -> None:
    """As Docker reads `.dockerignore`; without one, everything is sent."""
    made = make(folder, "docker")
    build = made.root / "build"
    ignored, noise = build / ".dockerignore", build / "noise.log"
    try:
        noise.write_text("1")
        everything = made.look()
        noise.write_text("2")
        assert made.look() != everything
        ignored.write_text("*.log\n")
        sent = made.look()
        noise.write_text("3")
        assert made.look() == sent
        (build / "more.txt").write_text("sent")
        assert made.look() != sent
    finally:
        for path in (ignored, noise, build / "more.txt"):
            path.unlink(missing_ok=True)


def test_images_of_services_count_with_what_they_are_built_on(folder: Path) -> None:
    """Those of the platform's own services, and those that a compose file builds; a stage is no image."""
    made = make(folder, "docker")
    (made.root / "build/Dockerfile").write_text(
        "ARG BASE=two:1\nFROM one:1 AS first\nFROM $BASE\nFROM first\n"
    )
    build = {"context": str(made.root / "build"), "args": {"BASE": "three:1"}}
    built = {"services": {"gateway": {"build": build}}}
    try:
        assert compose_inputs.bases(made.scenario, made.root, built) == ["python", "one:1", "three:1"]
        assert compose_inputs.bases(made.scenario, made.root, {}) == ["python"]
    finally:
        (made.root / "build/Dockerfile").write_text("FROM base\n")
