"""Applying: runtime metadata, secrets, the output folder, and the command line as a user sees it."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifactctl import apply as applier
from artifactctl.cli import main
from artifactctl.errors import ArtifactError
from artifactctl.identity import entry_id
from artifactctl.merge import merge

_SITECUSTOMIZE = "runtime-base/runtime-hooks/python/sitecustomize/site-packages/sitecustomize.py"
Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a function that writes a manifest with one artifact of one function and returns its path."""

    def write(image: str = "v1", function: str = "pay", **entry: Any) -> Path:
        folder = tmp_path / f"project-{function}-{image}"
        config = folder / "root/config"
        config.mkdir(parents=True, exist_ok=True)
        route = {"path": f"/{function}", "function": function}
        (config / "functions.yml").write_text(yaml.safe_dump({"functions": {function: {"image": image}}}))
        (config / "routing.yml").write_text(yaml.safe_dump({"routes": [route]}))
        (config / "resources.yml").write_text(yaml.safe_dump({"resources": {"s3": [{"BucketName": "b"}]}}))
        artifact = {
            "id": entry_id("t.yaml"),
            "artifact_root": "root",
            "runtime_config_dir": "config",
            "source_template": {"path": "t.yaml"},
            **entry,
        }
        manifest = {
            "schema_version": "1",
            "project": "p",
            "env": "e",
            "mode": "docker",
            "artifacts": [artifact],
        }
        (folder / "artifact.yml").write_text(yaml.safe_dump(manifest))
        return folder / "artifact.yml"

    return write


def _contents(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder` by name; links are read through."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_apply_publishes_the_config_through_links_and_names_its_digest(
    project: Project, tmp_path: Path
) -> None:
    """The folder has the layout of the contract, and readers of the three names see one generation."""
    out = tmp_path / "deep/config"
    result = applier.apply(project(), out)
    assert (result.functions, result.routes, result.resources, result.changed) == (1, 1, 1, True)
    assert (out / ".current").readlink() == Path(f".generations/{result.digest}")
    assert (out / "functions.yml").readlink() == Path(".current/functions.yml")
    assert yaml.safe_load((out / "functions.yml").read_text()) == {"functions": {"pay": {"image": "v1"}}}
    assert yaml.safe_load((out / "routing.yml").read_text()) == {
        "routes": [{"path": "/pay", "function": "pay"}]
    }
    assert yaml.safe_load((out / "resources.yml").read_text()) == {"resources": {"s3": [{"BucketName": "b"}]}}


def test_applying_again_writes_nothing(project: Project, tmp_path: Path) -> None:
    """A second apply of the same manifest leaves every file as it is and says so."""
    first = applier.apply(project(), tmp_path / "out")
    before = {
        path: path.lstat().st_mtime_ns
        for path in (tmp_path / "out").rglob("*")
        if path.name != ".artifactctl.lock"
    }
    second = applier.apply(project(), tmp_path / "out")
    assert (second.digest, second.changed) == (first.digest, False)
    assert before == {
        path: path.lstat().st_mtime_ns
        for path in (tmp_path / "out").rglob("*")
        if path.name != ".artifactctl.lock"
    }


def test_a_config_that_was_damaged_is_repaired(project: Project, tmp_path: Path) -> None:
    """A generation is what its digest says, whatever happened to its files."""
    out = tmp_path / "out"
    applier.apply(project(), out)
    expected = (out / "functions.yml").read_bytes()
    (out / "functions.yml").resolve().write_bytes(b"functions: [")
    (out / "routing.yml").unlink()
    assert applier.apply(project(), out).changed
    assert (out / "functions.yml").read_bytes() == expected
    assert (out / "routing.yml").exists()


def test_a_new_image_under_an_old_name_is_a_new_config(project: Project, tmp_path: Path) -> None:
    """What an apply is told of its images is a part of the config; without it, names are all there is."""
    manifest, out = project(), tmp_path / "out"
    plain = applier.apply(manifest, out).digest
    first = applier.apply(manifest, out, images={"v1": "sha256:a"})
    assert yaml.safe_load((out / "images.yml").read_text()) == {"images": {"v1": "sha256:a"}}
    again = applier.apply(manifest, out, images={"v1": "sha256:a"})
    second = applier.apply(manifest, out, images={"v1": "sha256:b"})
    assert (first.changed, again.changed, second.changed) == (True, False, True)
    assert len({plain, first.digest, second.digest}) == 3
    applier.apply(project("v2", "ship"), out, images={"v2": "sha256:c"}, additive=True)
    both = {"v1": "sha256:b", "v2": "sha256:c"}
    assert yaml.safe_load((out / "images.yml").read_text()) == {"images": both}
    assert applier.apply(manifest, out).digest == plain
    assert not (out / "images.yml").exists()


def test_nothing_of_an_earlier_apply_survives_unless_additive(project: Project, tmp_path: Path) -> None:
    """The result is what the manifest says; `additive` takes what is there as the first entry."""
    out = tmp_path / "out"
    applier.apply(project("v1", "pay"), out)
    applier.apply(project("v1", "ship"), out)
    assert list(yaml.safe_load((out / "functions.yml").read_text())["functions"]) == ["ship"]
    added = applier.apply(project("v2", "pay"), out, additive=True)
    assert (added.functions, added.routes) == (2, 2)
    assert yaml.safe_load((out / "functions.yml").read_text())["functions"]["pay"] == {"image": "v2"}
    assert not applier.apply(project("v2", "pay"), out, additive=True).changed


def test_generations_do_not_pile_up(project: Project, tmp_path: Path) -> None:
    """The current config and the one before it stay, for readers in the middle of it; older ones go."""
    out = tmp_path / "out"
    digests = [applier.apply(project(f"v{i}"), out).digest for i in range(4)]
    assert {path.name for path in (out / ".generations").iterdir()} == set(digests[-2:])
    applier.apply(project("v2"), out)
    assert {path.name for path in (out / ".generations").iterdir()} == set(digests[-2:])


def test_the_config_is_readable_by_another_user(project: Project, tmp_path: Path) -> None:
    """Whatever the umask, a consumer with another uid can read what was applied."""
    out = tmp_path / "deep/out"
    command = [
        sys.executable,
        "-m",
        "artifactctl.cli",
        "apply",
        "--artifact",
        str(project()),
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, umask=0o077, stdout=subprocess.DEVNULL)
    modes = {path.stat().st_mode & 0o777 for path in [out, *out.rglob("*")] if path.is_dir()}
    assert modes == {0o755}
    assert {path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()} == {0o644}
    if os.geteuid() == 0:
        read = subprocess.run(["cat", "functions.yml"], cwd=out, user=65534, capture_output=True, check=True)
        assert b"image: v1" in read.stdout


def test_files_that_no_apply_wrote_are_never_touched(project: Project, tmp_path: Path) -> None:
    """A folder of somebody else is refused with its first file named, and stays as it is."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "a.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"out/a.txt: was not written by an earlier apply; name an empty"):
        applier.apply(project(), out)
    applier.remove(out)
    assert _contents(out) == {"a.txt": b"mine", "notes.txt": b"mine"}


def test_an_artifact_root_is_no_place_for_output(project: Project) -> None:
    """Artifacts are never written to, also not through a folder that is not there yet."""
    manifest = project()
    root = manifest.parent / "root"
    before = _contents(root)
    with pytest.raises(ArtifactError, match=r"lies inside the artifact root .*; name a folder outside"):
        applier.apply(manifest, root / "deep" / "out")
    assert _contents(root) == before
    assert not (root / "deep").exists()


def test_remove_takes_away_what_apply_wrote_and_leaves_the_rest(project: Project, tmp_path: Path) -> None:
    """Foreign files and their folders stay; without any, the folder itself goes."""
    out = tmp_path / "out"
    applier.remove(out)
    applier.apply(project("v1"), out)
    applier.apply(project("v2"), out)
    (out / "notes.txt").write_text("mine")
    digest = str((out / ".current").readlink())
    (out / digest / "extra").write_text("mine")
    applier.remove(out)
    assert _contents(out) == {f"{digest}/extra": b"mine", "notes.txt": b"mine"}
    applier.apply(project("v1"), tmp_path / "clean")
    applier.remove(tmp_path / "clean")
    assert not (tmp_path / "clean").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"version": 2, "files": []}',
        '{"version": 1, "files": ["../../x"]}',
        '{"version": 1}',
    ],
    ids=["empty", "deep", "list", "newer", "outside", "no-files"],
)
def test_a_list_of_files_that_cannot_be_trusted_is_an_error(
    project: Project, tmp_path: Path, content: str
) -> None:
    """A damaged ownership list never makes a removal reach beyond its folder."""
    out = tmp_path / "out"
    applier.apply(project(), out)
    (out / ".artifactctl.json").write_text(content)
    for act in (lambda: applier.apply(project("v2"), out), lambda: applier.remove(out)):
        with pytest.raises(ArtifactError, match=r"artifactctl.json: is not a list that artifactctl wrote"):
            act()
    assert b"image: v1" in (out / "functions.yml").read_bytes()


def test_an_output_that_is_no_folder_is_told(project: Project, tmp_path: Path) -> None:
    """Files, dangling links and names below a file are errors, not tracebacks."""
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name, told in (
        ("file", "is not a folder"),
        ("dangling", "is not a folder"),
        ("file/out", "cannot be used: Not a directory"),
        ("n\0l", "cannot be used"),
    ):
        with pytest.raises(ArtifactError, match=told):
            applier.apply(project(), tmp_path / name)


def test_a_broken_config_leaves_the_earlier_one(project: Project, tmp_path: Path) -> None:
    """Everything is checked before anything is written."""
    out = tmp_path / "out"
    applier.apply(project(), out)
    before = _contents(out)
    manifest = project("v2")
    (manifest.parent / "root/config/functions.yml").write_text("functions:\n  pay: [\n")
    with pytest.raises(ArtifactError, match=r"functions.yml:2: is not valid YAML"):
        applier.apply(manifest, out)
    with pytest.raises(ArtifactError, match=r"functions.yml:2: is not valid YAML"):
        applier.apply(manifest, tmp_path / "fresh")
    assert _contents(out) == before
    assert not (tmp_path / "fresh").exists()


def _meta(digest: str | None = None, api: str | None = None, renderer: str | None = None) -> dict[str, Any]:
    return {
        "runtime_hooks": {"python_sitecustomize_digest": digest, "api_version": api},
        "template_renderer": {"name": renderer, "api_version": api},
    }


def test_an_artifact_root_whose_name_is_too_long_is_one_error(project: Project, tmp_path: Path) -> None:
    """The system refuses to look for such a file; that is no traceback."""
    with pytest.raises(ArtifactError, match=r"functions\.yml: file not found"):
        applier.apply(project(artifact_root="r" * 300), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runtime_metadata_that_fits_is_silent(project: Project, tmp_path: Path) -> None:
    """The digest is compared with the artifact's own file."""
    manifest = project(
        runtime_meta=_meta(hashlib.sha256(b"hook").hexdigest().upper(), "1.0", "esb-cli-embedded-templates")
    )
    source = manifest.parent / "root" / _SITECUSTOMIZE
    source.parent.mkdir(parents=True)
    source.write_bytes(b"hook")
    assert applier.apply(manifest, tmp_path / "out", strict=True).warnings == ()


@pytest.mark.parametrize(
    ("meta", "warned"),
    [
        (
            _meta(api="1.3"),
            "runtime_hooks.api_version = '1.3': the minor version differs from the supported 1.0",
        ),
        (_meta(api="one"), "runtime_hooks.api_version = 'one': is not major[.minor]; supported is 1.0"),
        (_meta(digest="0" * 64), "sitecustomize.py has the digest"),
    ],
)
def test_runtime_metadata_that_does_not_fit_warns_or_fails_when_strict(
    project: Project, tmp_path: Path, meta: dict[str, Any], warned: str
) -> None:
    """The same finding is a warning, or an error before anything is written."""
    manifest = project(runtime_meta=meta)
    source = manifest.parent / "root" / _SITECUSTOMIZE
    source.parent.mkdir(parents=True)
    source.write_bytes(b"hook")
    with pytest.raises(ArtifactError) as caught:
        applier.apply(manifest, tmp_path / "out", strict=True)
    assert warned in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert str(caught.value) in applier.apply(manifest, tmp_path / "out").warnings
    assert merge(manifest, tmp_path / "out").warnings == ()


def test_a_missing_digest_source_warns_or_fails_when_strict(project: Project, tmp_path: Path) -> None:
    """Nothing to compare with is a finding of its own, also behind a link that leaves the root."""
    manifest = project(runtime_meta=_meta(digest="0" * 64))
    for told in ("file not found: its digest cannot be compared", "is a link that leaves its artifact root"):
        (warning,) = applier.apply(manifest, tmp_path / "out").warnings
        assert f"{_SITECUSTOMIZE}: {told}" in warning
        with pytest.raises(ArtifactError, match=told):
            applier.apply(manifest, tmp_path / "out", strict=True)
        source = manifest.parent / "root" / _SITECUSTOMIZE
        source.parent.mkdir(parents=True, exist_ok=True)
        source.unlink(missing_ok=True)
        source.symlink_to(manifest)


def test_another_major_version_is_always_an_error(project: Project, tmp_path: Path) -> None:
    """An artifact for another generation of hooks cannot work."""
    with pytest.raises(ArtifactError, match=r"api_version = '2.0': the major version differs"):
        applier.apply(project(runtime_meta=_meta(api="2.0")), tmp_path / "out")


def test_another_renderer_only_warns(project: Project, tmp_path: Path) -> None:
    """Even a strict apply accepts what another renderer made."""
    result = applier.apply(project(runtime_meta=_meta(renderer="mine")), tmp_path / "out", strict=True)
    assert "template_renderer.name = 'mine': this version expects the renderer" in result.warnings[0]


_SECRETS = ["A_KEY", "B_TOKEN"]


def test_required_secrets_without_a_file_are_named(project: Project, tmp_path: Path) -> None:
    """The error lists the names and how to give them."""
    with pytest.raises(
        ArtifactError, match=r"requires the secrets A_KEY, B_TOKEN, and no secrets file"
    ) as caught:
        applier.apply(project(required_secret_env=_SECRETS), tmp_path / "out")
    assert "--secret-env" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A_KEY=1\nexport B_TOKEN='x=y'\n", None),
        ('\ufeff# note\n\n  export A_KEY = "1"  \r\nB_TOKEN=a=b\n', None),
        ("A_KEY=1\n", "has no value for B_TOKEN; add a line NAME=value for each"),
        ("A_KEY=\nB_TOKEN=''\n", "has no value for A_KEY, B_TOKEN"),
        ("A_KEY=1\nB_TOKEN=2\nA_KEY=", "has no value for A_KEY"),
        ("A_KEY=1\nhidden\n", ":2: expected NAME=value"),
        ("=1\n", ":1: expected NAME=value"),
    ],
)
def test_the_secrets_file_must_give_every_name_a_value(
    project: Project, tmp_path: Path, text: str, told: str | None
) -> None:
    """Missing and empty values are named; the syntax is that of the contract."""
    secrets = tmp_path / "secrets.env"
    secrets.write_text(text, encoding="utf-8", newline="")
    manifest = project(required_secret_env=_SECRETS)
    if told is None:
        assert applier.apply(manifest, tmp_path / "out", secret_env=secrets).changed
        return
    with pytest.raises(ArtifactError) as caught:
        applier.apply(manifest, tmp_path / "out", secret_env=secrets)
    assert f"{secrets}{told}" in str(caught.value).replace(": has", "has")
    assert "hidden" not in str(caught.value)


def test_a_secret_never_shows_up_anywhere(
    project: Project, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Neither outputs nor written files hold a secret's value in any usual form, on success or failure."""
    canary = "cänary/+ s3cret?&=="
    forms = {canary.encode(), base64.b64encode(canary.encode()), urllib.parse.quote(canary, safe="").encode()}
    secrets = tmp_path / "secrets.env"
    manifest = str(project(required_secret_env=_SECRETS))
    for text in (
        f"A_KEY={canary}\nB_TOKEN='{canary}'",
        f"A_KEY={canary}",
        f"A_KEY=1\n{canary.replace('=', '')}",
    ):
        secrets.write_text(text)
        for flags in ([], ["--json"]):
            main(
                [
                    "apply",
                    "--artifact",
                    manifest,
                    "--out",
                    str(tmp_path / "out"),
                    "--secret-env",
                    str(secrets),
                    *flags,
                ]
            )
    captured = capfdbinary.readouterr()
    written = b"".join(_contents(tmp_path / "out").values())
    seen = captured.out + captured.err + written
    assert b"apply: ok" in captured.out
    assert b"has no value for B_TOKEN" in captured.err
    assert not any(form in seen or form.rstrip(b"=") in seen for form in forms)


def _run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "artifactctl.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_each_command_exits_0_and_tells_what_it_did(project: Project, tmp_path: Path) -> None:
    """One line on stdout, or one JSON object with --json."""
    manifest = project(runtime_meta=_meta(renderer="mine"))
    validated = _run("validate-id", "--artifact", manifest, "--json")
    assert (validated.returncode, validated.stderr) == (0, "")
    assert json.loads(validated.stdout) == {"command": "validate-id", "ok": True, "ids": [entry_id("t.yaml")]}
    merged = _run("merge", "--artifact", manifest, "--out", tmp_path / "out")
    assert (merged.returncode, merged.stderr) == (0, "")
    assert merged.stdout.startswith("merge: ok: new config ")
    applied = _run("apply", "--artifact", manifest, "--out", tmp_path / "out")
    assert applied.returncode == 0
    assert applied.stdout.startswith("apply: ok: unchanged config ")
    assert applied.stderr.startswith(f"apply warning: {manifest}:")
    report = json.loads(_run("apply", "--artifact", manifest, "--out", tmp_path / "out", "--json").stdout)
    assert (report["ok"], report["functions"], report["routes"], report["resources"]) == (True, 1, 1, 1)
    assert report["digest"] == (tmp_path / "out/.current").readlink().name
    assert len(report["warnings"]) == 1


@pytest.mark.parametrize("command", ["validate-id", "merge", "apply"])
def test_each_command_exits_1_with_one_line_on_stderr(tmp_path: Path, command: str) -> None:
    """A mistake is one line that starts with the command's name; --json adds a report on stdout."""
    manifest = tmp_path / "artifact.yml"
    manifest.write_text("schema_version: '9'\n")
    out: list[str | Path] = [] if command == "validate-id" else ["--out", tmp_path / "out"]
    line = f"{manifest}:1: schema_version = '9': the supported version is \"1\"; generate the artifact again"
    failed = _run(command, "--artifact", manifest, *out)
    assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", f"{command} failed: {line}\n")
    reported = _run(command, "--artifact", manifest, *out, "--json")
    assert reported.stderr == failed.stderr
    assert json.loads(reported.stdout) == {
        "command": command,
        "ok": False,
        "error": {"message": line, "file": str(manifest), "line": 1, "field": "schema_version"},
    }


def test_usage_errors_exit_2_and_help_names_every_option() -> None:
    """The help of each command is enough to use it."""
    assert _run().returncode == 2
    assert _run("apply").returncode == 2
    assert "validate-id" in _run("--help").stdout
    shown = _run("apply", "--help").stdout
    for option in ("--artifact", "--out", "--secret-env", "--strict", "--additive", "--json"):
        assert option in shown
    assert _run("--version").stdout.startswith("artifactctl ")


def test_an_empty_path_is_a_usage_error_and_not_the_current_folder(tmp_path: Path) -> None:
    """What an unset shell variable gives is refused before anything is looked at."""
    failed = _run("apply", "--artifact", tmp_path / "artifact.yml", "--out", "")
    assert failed.returncode == 2
    assert "argument --out: may not be empty" in failed.stderr


def test_a_result_that_cannot_be_printed_is_one_line_and_no_traceback(project: Project) -> None:
    """A full disk behind stdout is told like any other failure."""
    command = [sys.executable, "-m", "artifactctl.cli", "validate-id", "--artifact", str(project())]
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == "validate-id failed: cannot print the result: No space left on device\n"


def test_the_command_loads_only_what_it_needs() -> None:
    """Starting up imports neither the plugin nor anything heavy."""
    code = (
        "import sys, artifactctl.cli as c\ntry: c.main(['-h'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(shown.stderr.split())
    assert "artifactctl.cli" in loaded
    assert not loaded & {"yaml", "filelock", "pydantic", "pytest", "esb_e2e_plugin", "importlib.metadata"}
