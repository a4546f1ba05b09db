"""`esb artifact generate` and `esb deploy`."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from esb_cli.main import main

ROOT = Path(__file__).parents[2]
GOOD = ROOT / "tests/unit/producer/good"
LAYER = str(GOOD / "layer/template.yaml")
IMAGE = str(GOOD / "image_function/template.yaml")


def _generate(*arguments: str) -> int:
    return main(["artifact", "generate", "-e", "test", "-m", "process", *arguments])


def test_the_committed_artifacts_are_reproduced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folder, overrides and the way to the template come from the matrix, also below the project root."""
    monkeypatch.chdir(ROOT / "e2e")
    template = "fixtures/template.e2e.yaml"
    for env, mode in (("e2e-local", "process"), ("e2e-docker", "docker")):
        assert main(["artifact", "generate", "-t", template, "-e", env, "-m", mode, "--check"]) == 0
        manifest = ROOT / f"e2e/artifacts/{env}/artifact.yml"
        assert capsys.readouterr().out == f"{manifest}: up to date\n"
    assert main(["artifact", "generate", "-t", template, "-e", "e2e-docker", "-m", "process", "--check"]) == 1
    told = capsys.readouterr().err
    assert "e2e-docker is not what it is made from: .generated.json, artifact.yml, compose.env" in told


def test_generating_writes_once_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs; what has no effect is a warning on stderr."""
    out = tmp_path / "out"
    assert _generate("-t", str(GOOD / "without_effect/template.yaml"), "-o", str(out)) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}/artifact.yml: written\n"
    assert "warning: " in told.err
    assert _generate("-t", str(GOOD / "without_effect/template.yaml"), "-o", str(out), "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "ok": True,
        "manifest": f"{out}/artifact.yml",
        "changed": False,
        "images": None,
    }
    assert told.err == ""


def test_options_reach_the_artifacts(tmp_path: Path) -> None:
    """Parameters, images, languages and the project."""
    out = tmp_path / "out"
    options = ["-t", str(GOOD / "parameters/template.yaml"), "-p", "Seconds=9", "--project", "shop"]
    images = ["-t", IMAGE, "--image-uri", "Ocr=ocr:${TAG}", "--image-runtime", "Ocr=java21"]
    assert _generate(*options, *images, "-o", str(out)) == 0
    entries = yaml.safe_load((out / "artifact.yml").read_text())["artifacts"]
    roots = [out / entry["artifact_root"] / "config/functions.yml" for entry in entries]
    first, second = (yaml.safe_load(path.read_text())["functions"] for path in roots)
    assert (first["shop-a"]["timeout"], first["shop-a"]["image"]) == (9, "shop-shop-a:${ESB_IMAGE_TAG}")
    assert (second["Ocr"]["image"], second["Ocr"]["runtime"]) == ("ocr:${TAG}", "java")


def test_deploy_generates_and_applies_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All templates, one manifest, one configuration; a second time nothing changes."""
    arguments = ["deploy", "-e", "test", "-m", "process", "-t", LAYER, "-t", IMAGE, "--strict"]
    arguments += ["-o", str(tmp_path / "out"), "--config", str(tmp_path / "config")]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("new config ")
    functions = yaml.safe_load((tmp_path / "config/functions.yml").read_text())["functions"]
    assert functions.keys() == {"Hello", "Ocr"}
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("unchanged config ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-t", LAYER, "-o", "out", "-p", "Stage"], 2, "'Stage' is not NAME=VALUE"),
        (["-t", LAYER, "-o", "out", "-p", "A=1", "-p", "A=2"], 2, "NAME A is given twice"),
        (["-t", LAYER], 2, "no folder is known for the artifacts"),
        (["-t", LAYER, "-o", "out", "--no-cache"], 2, "--no-cache is for --build-images"),
        (["-t", LAYER, "-o", "out", "--check"], 1, "out is not what it is made from"),
        (["-t", str(GOOD.parent / "bad/runtime.yaml"), "-o", "out"], 1, "runtime.yaml:8: Hello: "),
    ],
    ids=["no pair", "twice", "no folder", "no cache", "check", "template"],
)
def test_a_mistake_is_one_error_and_nothing_is_written(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """1 for what is wrong in files, 2 for what was asked for; no traceback."""
    monkeypatch.chdir(tmp_path)
    assert _generate(*arguments) == code
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


def test_without_its_extra_the_producer_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, before anything is written."""
    from esb_producer import validation

    validation._matches.cache_clear()
    monkeypatch.setitem(sys.modules, "cfnlint", None)
    assert _generate("-t", LAYER, "-o", str(tmp_path / "out")) == 1
    assert "pip install 'pytest-esb-e2e[producer]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
