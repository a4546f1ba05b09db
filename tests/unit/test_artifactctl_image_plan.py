"""What a manifest's images are built from: plans and digests, without an engine."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from artifactctl import build_inputs
from artifactctl.errors import ArtifactError
from artifactctl.identity import entry_id
from artifactctl.image_plan import Plan, Target, plan
from artifactctl.manifest import load_manifest

_HOOKS = "runtime-base/runtime-hooks/python"
_BASE = "FROM esb-lambda-base:v1\nCOPY src/ /var/task/\n"


class Roots:
    """Artifact roots of one manifest, with one function each unless more are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.functions: dict[str, dict[str, dict[str, str]]] = {}

    def add(self, root: str, function: str, image: str = "", dockerfile: str | None = _BASE) -> Path:
        """Add a function; `dockerfile` None leaves it without one."""
        folder = self.folder / root / "functions" / function
        (folder / "src").mkdir(parents=True)
        (folder / "src/app.py").write_text("1")
        if dockerfile is not None:
            (folder / "Dockerfile").write_text(dockerfile)
        hooks = self.folder / root / _HOOKS / "docker"
        hooks.mkdir(parents=True, exist_ok=True)
        (hooks / "Dockerfile").write_text(
            "ARG PYTHON_BASE_IMAGE=esb-python-base\nFROM ${PYTHON_BASE_IMAGE}\n"
        )
        self.functions.setdefault(root, {})[function] = {"image": image or f"{function}:v1"}
        return folder

    def plan(self, fixtures: dict[str, Path] | None = None, **environ: str) -> Plan:
        """Write manifest and configs, and plan."""
        entries = []
        for root, functions in self.functions.items():
            config = self.folder / root / "config"
            config.mkdir(exist_ok=True)
            (config / "functions.yml").write_text(yaml.safe_dump({"functions": functions}))
            (config / "routing.yml").write_text("routes: []")
            entries.append(
                {
                    "id": entry_id(f"{root}.yaml"),
                    "artifact_root": root,
                    "runtime_config_dir": "config",
                    "source_template": {"path": f"{root}.yaml"},
                }
            )
        head = {"schema_version": "1", "project": "p", "env": "e", "mode": "docker"}
        path = self.folder / "artifact.yml"
        path.write_text(yaml.safe_dump({**head, "artifacts": entries}))
        return plan(load_manifest(path), fixtures or {}, environ)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """Artifact roots, none yet."""
    return Roots(tmp_path)


def _digest(target: Target) -> str:
    return target.recipe.digest(dict.fromkeys(target.recipe.bases, "same"))


def test_functions_are_sorted_and_share_their_base(roots: Roots) -> None:
    """Targets come by the name of their function; a base is there once for each name and root."""
    for name in ("ship", "audit", "pay"):
        roots.add("shop", name)
    found = roots.plan()
    assert [target.reference for target in found.targets] == ["audit:v1", "pay:v1", "ship:v1"]
    assert [target.reference for target in found.bases.values()] == ["esb-lambda-base:v1"]
    assert found.external_bases() == ("esb-python-base",)


def test_every_root_builds_its_own_base(roots: Roots) -> None:
    """The base of a function comes from the artifact root that the function comes from."""
    roots.add("shop", "pay")
    roots.add("audit", "log")
    found = roots.plan()
    assert [folder.parents[2].name for _, folder in found.bases] == ["audit", "shop"]
    assert {target.reference: target.runtime_base for target in found.targets} == {
        "log:v1": roots.folder / "audit" / _HOOKS,
        "pay:v1": roots.folder / "shop" / _HOOKS,
    }


def test_the_last_entry_with_a_function_builds_it(roots: Roots) -> None:
    """What the merged config runs is what is built."""
    roots.add("shop", "pay", "pay:v1")
    roots.add("audit", "pay", "pay:v2")
    (target,) = roots.plan().targets
    assert (target.reference, target.recipe.inputs.folder) == (
        "pay:v2",
        roots.folder / "audit/functions/pay",
    )


def test_images_without_a_dockerfile_must_exist_unless_a_fixture_builds_them(roots: Roots) -> None:
    """The two kinds are told apart; the fixture is built on the base of the function that names it."""
    roots.add("shop", "pay", "elsewhere:v1", dockerfile=None)
    roots.add("shop", "image", "fixture:v1", dockerfile=None)
    fixture = roots.folder / "fixture"
    fixture.mkdir()
    (fixture / "Dockerfile").write_text("FROM esb-lambda-base\n")
    found = roots.plan({"fixture:v1": fixture})
    assert list(found.existing) == ["elsewhere:v1"]
    assert [(target.reference, target.kind) for target in found.targets] == [("fixture:v1", "fixture")]
    assert found.targets[0].runtime_base == roots.folder / "shop" / _HOOKS


def test_variables_in_image_names_come_from_the_environment(roots: Roots) -> None:
    """The name is the one that the gateway will ask for."""
    roots.add("shop", "pay", "pay:${ESB_TAG}")
    assert roots.plan(ESB_TAG="e2e").targets[0].reference == "pay:e2e"


def test_a_java_function_starts_from_the_java_base(roots: Roots) -> None:
    """The runtime of a function says which of the hooks its base is built from."""
    roots.add("shop", "pay")
    roots.functions["shop"]["pay"]["runtime"] = "java21"
    with pytest.raises(ArtifactError, match="runtime-hooks/java/docker/Dockerfile: file not found"):
        roots.plan()


def test_the_java_base_brings_its_jars_and_may_start_from_another_image(roots: Roots) -> None:
    """Beside its Dockerfile lies what pins its jars; `JAVA_BASE_IMAGE` is for it, and Python's is not."""
    roots.add("shop", "pay", dockerfile="FROM esb-lambda-java-base:v1\n")
    roots.functions["shop"]["pay"]["runtime"] = "java"
    docker = roots.folder / "shop/runtime-base/runtime-hooks/java/docker"
    docker.mkdir(parents=True)
    (docker / "Dockerfile").write_text("ARG JAVA_BASE_IMAGE=esb-java-base\nFROM ${JAVA_BASE_IMAGE}\n")
    (docker / "pom.xml").write_text("<project/>")
    (base,) = roots.plan(JAVA_BASE_IMAGE="own-java:v2", PYTHON_BASE_IMAGE="own-python:v2").bases.values()
    assert (base.reference, base.recipe.bases) == ("esb-lambda-java-base:v1", ("own-java:v2",))
    assert base.recipe.pom == docker / "pom.xml"


def _image_twice(roots: Roots) -> None:
    roots.add("shop", "pay", "same:v1")
    (roots.add("shop", "ship", "same:v1") / "src/app.py").write_text("2")


def _link_out(roots: Roots) -> None:
    (roots.add("shop", "pay") / "src/secret").symlink_to("/etc/hostname")


def _folder_link_out(roots: Roots) -> None:
    folder = roots.add("shop", "pay")
    folder.rename(roots.folder / "moved")
    folder.symlink_to(roots.folder / "moved")


def _fifo(roots: Roots) -> None:
    os.mkfifo(roots.add("shop", "pay") / "src/pipe")


def _base_of_itself(roots: Roots) -> None:
    roots.add("shop", "pay")
    (roots.folder / "shop" / _HOOKS / "docker/Dockerfile").write_text("FROM esb-lambda-base:v1\n")


def _packages_for_nothing(roots: Roots) -> None:
    roots.add("shop", "pay")
    docker = roots.folder / "shop" / _HOOKS / "docker"
    (docker / "Dockerfile").write_text("FROM scratch\n")
    (docker / "requirements.txt").write_text("six\n")


def _not_utf8(roots: Roots) -> None:
    (roots.add("shop", "pay") / "Dockerfile").write_bytes(b"FROM a\xff")


def _dockerfile_folder(roots: Roots) -> None:
    (roots.add("shop", "pay", dockerfile=None) / "Dockerfile").mkdir()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_not_utf8, "pay/Dockerfile: is not UTF-8; save it as UTF-8"),
        (_dockerfile_folder, "pay/Dockerfile: is not a regular file"),
        (
            lambda roots: roots.add("shop", "pay", "Pay Me"),
            "functions.yml:3: functions.pay.image = 'Pay Me': expected",
        ),
        (
            lambda roots: roots.add("shop", "pay", "pay:${TAG}"),
            "${TAG} is not set in the environment; set it",
        ),
        (lambda roots: roots.add("shop", "pay", dockerfile="RUN x\n"), "pay/Dockerfile:1: has no FROM"),
        (
            lambda roots: roots.add("shop", "pay", dockerfile="FROM A b c\n"),
            "pay/Dockerfile:1: expected FROM",
        ),
        (
            lambda roots: roots.add("shop", "pay", dockerfile="FROM --x -y\n"),
            "'-y': FROM expects the name of an",
        ),
        (
            _image_twice,
            "functions.ship.image = 'same:v1': the function pay builds another image of that name",
        ),
        (_link_out, "src/secret: is a link that leaves the folder that is built; copy the file"),
        (_folder_link_out, "functions/pay: is a link that leaves its artifact root; copy the folder"),
        (_fifo, "src/pipe: is neither a file nor a folder; remove it"),
        (_base_of_itself, "docker/Dockerfile: runtime-base may not start from esb-lambda-base:v1"),
        (_packages_for_nothing, "docker/Dockerfile: expected FROM an image with Python: requirements.txt"),
    ],
)
def test_each_mistake_is_told_in_one_line(roots: Roots, make: Callable[[Roots], object], told: str) -> None:
    """Where, what, and what to do; nothing was built before."""
    make(roots)
    with pytest.raises(ArtifactError, match=re.escape(told)) as caught:
        roots.plan()
    assert str(caught.value).isprintable()


def test_a_digest_depends_on_content_and_on_nothing_else(roots: Roots) -> None:
    """Bytes, names, the executable bit, arguments and bases count; places, times and caches do not."""
    folder = roots.add("shop", "pay")
    (before,) = roots.plan().targets
    source = folder / "src/app.py"
    os.utime(source, (1, 1))
    (folder / "src/__pycache__").mkdir()
    (folder / "src/__pycache__/app.pyc").write_bytes(b"x")
    source.chmod(0o600)
    (same,) = roots.plan().targets
    assert _digest(same) == _digest(before)
    assert before.recipe.digest({"esb-lambda-base:v1": "other"}) != _digest(before)
    source.chmod(0o700)
    program = _digest(roots.plan().targets[0])
    source.rename(folder / "src/app2.py")
    renamed = _digest(roots.plan().targets[0])
    (folder / "src/app2.py").write_text("2")
    changed = _digest(roots.plan().targets[0])
    assert len({_digest(before), program, renamed, changed}) == 4


def test_another_python_base_makes_another_base_image(roots: Roots) -> None:
    """`PYTHON_BASE_IMAGE` replaces what the base starts from, and enters its digest."""
    roots.add("shop", "pay")
    (default,) = roots.plan().bases.values()
    (chosen,) = roots.plan(PYTHON_BASE_IMAGE="python:3.13").bases.values()
    assert (default.recipe.bases, chosen.recipe.bases) == (("esb-python-base",), ("python:3.13",))
    assert _digest(default) != _digest(chosen)


def test_a_copy_is_what_was_looked_at_whatever_the_umask(tmp_path: Path) -> None:
    """Files get the modes of an image; one that changed meanwhile is an error."""
    folder = tmp_path / "folder"
    (folder / "src").mkdir(parents=True)
    (folder / "src/app.py").write_text("1")
    (folder / "src/link").symlink_to("app.py")
    (folder / "src/app.py").chmod(0o600)
    inputs = build_inputs.collect(folder)
    inputs.copy_to(tmp_path / "copy")
    copied = tmp_path / "copy/src/app.py"
    assert (copied.read_text(), copied.stat().st_mode & 0o777) == ("1", 0o644)
    assert (tmp_path / "copy/src/link").readlink() == Path("app.py")
    (folder / "src/app.py").write_text("2")
    with pytest.raises(ArtifactError, match="changed while it was built; run it again"):
        inputs.copy_to(tmp_path / "again")
