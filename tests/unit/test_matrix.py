"""The matrix: what a right one means, and the one line that each mistake earns."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from artifactctl.identity import entry_id
from esb_e2e_plugin import matrix as matrix_package
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.errors import EsbError, MatrixError, UserError
from esb_e2e_plugin.matrix import Matrix, check_files, json_schema, load_matrix

SUITES = "suites:\n  smoke: {targets: [scenarios/smoke/]}\n  runtime: {targets: [scenarios/runtime]}\n"

Write = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the folders that `SUITES` names, its matrix two levels down."""
    root = tmp_path / "project"
    for name in ("smoke", "runtime"):
        (root / "e2e" / "environments" / "scenarios" / name).mkdir(parents=True)
    (root / "pyproject.toml").touch()
    return root


@pytest.fixture
def write(project: Path) -> Write:
    def write(text: str) -> Path:
        path = project / "e2e" / "environments" / "test_matrix.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(write: Write) -> Callable[[str], Matrix]:
    def load(entries: str, *, suites: str = SUITES) -> Matrix:
        return load_matrix(write(f"{suites}matrix:\n{entries}"))

    return load


Load = Callable[..., Matrix]


def mistake_in(load: Load, text: str, **options: str) -> str:
    with pytest.raises(MatrixError) as raised:
        load(text, **options)
    assert "\n" not in str(raised.value)
    return re.sub(r"^.*/test_matrix\.yaml", "FILE", str(raised.value))


def write_artifact(project: Path, mode: str, name: str = "artifact.yml", root: str = "app") -> Path:
    path = project / name
    path.write_text(
        yaml.safe_dump(
            {
                "schema_version": "1",
                "project": "p",
                "env": "e",
                "mode": mode,
                "artifacts": [
                    {
                        "id": entry_id("t.yaml", {}, None),
                        "artifact_root": root,
                        "runtime_config_dir": "config",
                        "source_template": {"path": "t.yaml"},
                    }
                ],
            }
        ),
        encoding="utf-8",
    )
    return path


def test_an_entry_has_the_defaults_of_the_contract(load: Load, project: Path) -> None:
    """What an entry leaves out has its documented value."""
    (entry,) = load("- {esb_env: E2E-docker, suites: [smoke]}\n").entries
    folder = project / "e2e" / "environments"
    assert (entry.name, entry.project, entry.enabled, entry.mode) == ("E2E-docker", "esb", True, "docker")
    assert (entry.env_dir, entry.env_file, entry.compose_files) == (folder / "E2E-docker", None, ())
    assert (entry.artifact_manifest, entry.config_dir, entry.secret_env_file) == (None, None, None)
    assert (entry.strict, entry.weight, entry.docker_context) == (True, 1.0, None)
    assert (entry.bind_address, entry.engine_socket) == ("127.0.0.1", "/var/run/docker.sock")
    gateway = entry.gateway
    assert (gateway.service, gateway.port, gateway.scheme) == ("gateway", 8443, "https")
    assert gateway.health_path == "/health"


def test_a_matrix_has_a_root_a_digest_and_its_suites(load: Load, project: Path) -> None:
    """The root is the nearest marked folder above; targets are absolute; the digest is of the bytes."""
    matrix = load("- {esb_env: a, suites: [smoke]}\n")
    folder = project / "e2e" / "environments"
    assert (matrix.root, str(matrix.subnet_pool), matrix.port_base) == (project, "10.231.0.0/16", 18000)
    assert matrix.suites["smoke"].targets == (folder / "scenarios" / "smoke",)
    assert len(matrix.digest) == 64
    assert load("- {esb_env: a, suites: [smoke]}\n").digest == matrix.digest
    assert load("- {esb_env: b, suites: [smoke]}\n").digest != matrix.digest


def test_the_root_is_what_was_named_or_the_folder_of_the_matrix(tmp_path: Path) -> None:
    """A named root wins; without any mark above, the folder of the matrix is the root."""
    path = tmp_path / "m.yaml"
    path.write_text(SUITES + "matrix:\n- {esb_env: a, suites: [smoke]}\n")
    assert load_matrix(path, tmp_path.parent).root == tmp_path.parent
    marked = [folder for folder in path.parents if (folder / ".git").exists()]
    assert load_matrix(path).root == (marked[0] if marked else tmp_path)


def test_relative_paths_start_at_the_matrix_or_at_the_root(load: Load, project: Path) -> None:
    """Folders of environments are beside the matrix; artifacts and secrets are below the root."""
    (entry,) = load(
        "- {esb_env: a, suites: [smoke], env_dir: d, env_file: ../x.env, compose_files: [d/c.yml],\n"
        "   artifact_manifest: art/artifact.yml, config_dir: 'out/${ESB_PROJECT}-${ESB_ENV}',\n"
        "   secret_env_file: s.env, esb_project: Shop}\n"
    ).entries
    folder = project / "e2e" / "environments"
    assert (entry.env_dir, entry.env_file) == (folder / "d", project / "e2e" / "x.env")
    assert entry.compose_files == (folder / "d" / "c.yml",)
    assert entry.artifact_manifest == project / "art" / "artifact.yml"
    assert entry.secret_env_file == project / "s.env"
    assert entry.config_path(project, "a-2") == project / "out" / "shop-a-2"


@pytest.mark.parametrize(
    ("keys", "mode", "runtime"),
    [
        ("esb_env: e2e-docker", "docker", None),
        ("esb_env: e2e-local", "process", None),
        ("esb_env: e2e-containerd", "containerd", None),
        ("esb_env: E2E-Firecracker", "containerd", "aws.firecracker"),
        ("esb_env: localhost", "docker", None),
        ("esb_env: a, env_dir: x_local", "process", None),
        ("esb_env: a, env_file: containerd.env", "containerd", None),
        ("esb_env: local-firecracker", "containerd", "aws.firecracker"),
        ("esb_env: e2e-local, mode: docker", "docker", None),
    ],
)
def test_the_mode_is_told_by_whole_words(load: Load, keys: str, mode: str, runtime: str | None) -> None:
    """Words in the folder's and the env file's names tell the mode, unless it is given."""
    (entry,) = load(f"- {{{keys}, suites: [smoke]}}\n").entries
    assert (entry.mode, entry.containerd_runtime) == (mode, runtime)


def test_a_repeated_entry_adds_suites(load: Load) -> None:
    """Names are compared without case, and a suite named twice runs once."""
    matrix = load(
        "- {esb_env: a, suites: [smoke]}\n- {esb_env: b, suites: [smoke]}\n"
        "- {esb_env: A, suites: [runtime, smoke]}\n"
    )
    assert [(entry.name, entry.suites) for entry in matrix.entries] == [
        ("a", ("smoke", "runtime")),
        ("b", ("smoke",)),
    ]


def test_old_keys_are_accepted_with_their_only_values(load: Load) -> None:
    """Matrices from before may still say how artifacts are deployed."""
    text = "- {esb_env: a, suites: [smoke], deploy_driver: artifact, artifact_generate: none}\n"
    assert [entry.name for entry in load(text).entries] == ["a"]


def test_profiles_are_selected_without_case_and_once(load: Load) -> None:
    """`all` means every enabled entry; a name also selects a disabled one."""
    matrix = load(
        "- {esb_env: a, suites: [smoke]}\n- {esb_env: b, suites: [smoke], enabled: false}\n"
        "- {esb_env: c, suites: [smoke]}\n"
    )

    def names(*given: str) -> list[str]:
        return [entry.name for entry in matrix.select(given)]

    assert names("ALL") == ["a", "c"]
    assert names("B", "a", "A") == ["b", "a"]
    assert names("b", "all") == ["b", "a", "c"]
    assert names() == []


def test_an_unknown_profile_is_answered_with_the_known_ones(load: Load) -> None:
    """The error lists what there is and names the nearest."""
    matrix = load("- {esb_env: e2e-local, suites: [smoke]}\n- {esb_env: e2e-docker, suites: [smoke]}\n")
    with pytest.raises(MatrixError) as raised:
        matrix.select(["e2e-dokcer"])
    assert str(raised.value) == (
        f"{matrix.path}: --esb-profile: unknown profile 'e2e-dokcer'; "
        "expected all or one of e2e-local, e2e-docker; did you mean 'e2e-docker'?"
    )


def test_all_with_nothing_enabled_is_an_error(load: Load) -> None:
    """A run of nothing would look like a success."""
    matrix = load("- {esb_env: a, suites: [smoke], enabled: false}\n")
    with pytest.raises(MatrixError, match="all selects nothing; expected an entry with enabled: true"):
        matrix.select(["all"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "esb_evn: a\n  suites: [smoke]",
            "FILE:5: matrix[0].esb_evn: unknown key; expected one of artifact_generate, ",
        ),
        (
            "suites: [smoke]",
            "FILE:5: matrix[0].esb_env: is missing; expected the key 'esb_env' in this place",
        ),
        ("esb_env: a", "FILE:5: matrix[0].suites: is missing"),
        ("esb_env: a\n  suites: []", "FILE:6: matrix[0].suites: is empty; expected at least one"),
        ("esb_env: a\n  suites: smoke", "FILE:6: matrix[0].suites: found a text; expected a list"),
        (
            "esb_env: a\n  suites:\n  - smoke\n  - runtimes",
            "FILE:8: matrix[0].suites[1]: unknown suite 'runtimes'; expected one of smoke, runtime; did",
        ),
        ("esb_env: a.b\n  suites: [smoke]", "FILE:5: matrix[0].esb_env: 'a.b' is no name; expected a letter"),
        ("esb_env: 'a\n\n    '\n  suites: [smoke]", r"FILE:5: matrix[0].esb_env: 'a\n' is no name"),
        (
            f"esb_env: {'a' * 26}\n  suites: [smoke]",
            "is no name; expected a letter or digit, then at most",
        ),
        ("esb_env: All\n  suites: [smoke]", "'all' stands for every enabled entry"),
        ("esb_env: 7\n  suites: [smoke]", "found a number; expected a text (put it in quotes)"),
        (
            "esb_env: a\n  suites: [smoke]\n  enabled: 'yes'",
            "FILE:7: matrix[0].enabled: found a text; expected true or false",
        ),
        (
            "esb_env: a\n  suites: [smoke]\n  mode: dokcer",
            "FILE:7: matrix[0].mode: found 'dokcer'; expected docker or containerd or process; did you mean",
        ),
        (
            "esb_env: a\n  suites: [smoke]\n  env_vars:\n    A: b\n    TOKEN: 12345",
            "FILE:9: matrix[0].env_vars.TOKEN: found a number; expected a text (put it in quotes)",
        ),
        ("esb_env: a\n  suites: [smoke]\n  env_vars: {a-b: c}", "'a-b' is no name of a variable"),
        (
            "esb_env: a\n  suites: [smoke]\n  gateway:\n    prot: 1",
            "prot: unknown key; expected one of health_path, port, scheme, service; did you mean 'port'?",
        ),
        (
            "esb_env: a\n  suites: [smoke]\n  gateway: {port: 70000}",
            "matrix[0].gateway.port: found 70000; expected a number of at most 65535",
        ),
        ("esb_env: a\n  suites: [smoke]\n  gateway: {health_path: x}", "'x' is not absolute"),
        ("esb_env: a\n  suites: [smoke]\n  weight: 0", "found 0; expected a number greater than 0"),
        ("esb_env: a\n  suites: [smoke]\n  weight: .inf", "matrix[0].weight: "),
        ("esb_env: a\n  suites: [smoke]\n  bind_address: here", "'here' is no IP address"),
        ("esb_env: a\n  suites: [smoke]\n  env_dir: ~/x", "'~/x' is not expanded"),
        ("esb_env: a\n  suites: [smoke]\n  env_dir: ''", "'' is no path"),
        ("esb_env: a\n  suites: [smoke]\n  deploy_driver: sam", "found 'sam'; expected artifact"),
        (
            "esb_env: a\n  suites: [smoke]\n  image_runtime_overrides: {f: perl}",
            "found 'perl'",
        ),
        ("esb_env: local\n  suites: [smoke]\n  compose_files: [c.yml]", "process mode has no compose files"),
        (
            "esb_env: a\n  suites: [smoke]\n  artifact_manifest: m.yml",
            "FILE:7: matrix[0].artifact_manifest: config_dir is missing; expected both of them, or none",
        ),
        (
            "esb_env: a\n  suites: [smoke]\n  config_dir: x",
            "FILE:7: matrix[0].config_dir: artifact_manifest is missing",
        ),
        (
            "esb_env: a\n  suites: [smoke]\n- esb_env: A\n  suites: [smoke]\n  weight: 2",
            "FILE:9: matrix[1].weight: A stands on line 5 already; expected only esb_env and suites",
        ),
        (
            "{esb_env: b-c, suites: [smoke]}\n- {esb_env: c, esb_project: esb-b, suites: [smoke]}",
            "FILE:6: matrix[1].esb_env: its resources would be named 'esb-b-c' like those of b-c",
        ),
        ("esb_env: a\n  esb_env: b\n  suites: [smoke]", "FILE:6: 'esb_env': duplicate key, first on line 5"),
        ("esb_env: a\n  1: x\n  suites: [smoke]", "FILE:6: matrix[0]"),
        ("esb_env: a\n  suites: [smoke\n", "is not valid YAML"),
    ],
)
def test_a_mistake_in_an_entry_is_one_line_with_its_place(load: Load, entry: str, message: str) -> None:
    """File, line, key, what was expected, and the nearest valid name."""
    suites = "suites:\n  smoke: {targets: [scenarios/smoke/]}\n  runtime: {targets: [scenarios/runtime]}\n"
    assert message in mistake_in(load, f"- {entry}\n", suites=suites)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "FILE:1: expected a mapping, found nothing"),
        ("- a\n", "FILE:1: expected a mapping at the top"),
        ("suites: {}\nmatrix: []\n", "FILE:1: suites: is empty"),
        ("suites: {a: {targets: []}}\nmatrix: []\n", "FILE:1: suites.a.targets: is empty"),
        ("suites: {a: {targets: [x]}}\n", "FILE:1: matrix: is missing"),
        (
            "suites:\n  a:\n    targets: [x.py::test]\nmatrix:\n",
            "FILE:3: suites.a.targets[0]: 'x.py::test' is a node id; expected a file or a folder",
        ),
        (SUITES + "matrix:\n", "FILE:4: matrix: found nothing; expected a list"),
        (SUITES + "matrix: [7]\n", "FILE:4: matrix[0]: found a number; expected a mapping"),
        (SUITES + "matirx: []\n", "did you mean 'matrix'?"),
        ("subnet_pool: 10.0.0.0/24\n" + SUITES + "matrix: []\n", "FILE:1: subnet_pool: '10.0.0.0/24' is too"),
        ("subnet_pool: 10.0.0.1/16\n" + SUITES + "matrix: []\n", "'10.0.0.1/16' is no network"),
        ("port_base: 80\n" + SUITES + "matrix: []\n", "FILE:1: port_base: found 80; expected a number of at"),
        ("port_base: 2000.5\n" + SUITES + "matrix: []\n", "found a number; expected a whole number"),
    ],
)
def test_a_mistake_around_the_entries_is_one_line_with_its_place(
    write: Write, text: str, message: str
) -> None:
    """Suites, top-level keys and the file as a whole are checked alike."""
    with pytest.raises(MatrixError) as raised:
        load_matrix(write(text))
    assert message in re.sub(r"^.*/test_matrix\.yaml", "FILE", str(raised.value))


def test_the_first_mistake_by_line_is_reported(load: Load) -> None:
    """Kinds of mistakes do not matter: a missing partner key above wins over a wrong type below."""
    text = "- {esb_env: a, suites: [smoke], config_dir: x}\n- {esb_env: b, suites: [smoke], weight: true}\n"
    assert mistake_in(load, text).startswith("FILE:5: matrix[0].config_dir: artifact_manifest is missing")


@pytest.mark.parametrize(
    "config_dir",
    [".", "..", "../out", "e2e", "e2e/environments", "art", "/", "link/out", "${ESB_ENV}/../art", "/x"],
)
def test_a_config_dir_may_not_swallow_anything(load: Load, project: Path, config_dir: str) -> None:
    """It lies inside the root and holds neither root, matrix nor manifest, whatever links say."""
    (project / "link").symlink_to(project.parent)
    message = mistake_in(
        load,
        "- esb_env: a\n  suites: [smoke]\n  artifact_manifest: art/artifact.yml\n"
        f"  config_dir: {config_dir}\n",
    )
    assert message.startswith("FILE:8: matrix[0].config_dir: ")
    assert f"expected a folder inside {project}" in message


def test_a_config_dir_may_not_be_shared(load: Load) -> None:
    """Two environments that apply to one folder would overwrite each other."""
    text = "- {{esb_env: {}, suites: [smoke], artifact_manifest: m.yml, config_dir: {}}}\n"
    message = mistake_in(load, text.format("a", "out") + text.format("b", "out/b"))
    assert "FILE:6: matrix[1].config_dir: a applies to " in message


def test_placeholders_of_a_config_dir_are_known_ones(load: Load) -> None:
    """A misspelled placeholder is told, with the nearest."""
    message = mistake_in(
        load, "- {esb_env: a, suites: [smoke], artifact_manifest: m.yml, config_dir: 'x/${ESB_EVN}'}\n"
    )
    assert "'${ESB_EVN}' is no placeholder; expected ${ESB_PROJECT} or ${ESB_ENV}; did you mean" in message


@pytest.mark.parametrize("kind", ["absent", "folder", "binary", "fifo", "endless name"])
def test_a_matrix_that_cannot_be_read_is_one_error(tmp_path: Path, kind: str) -> None:
    """Whatever lies at the path, the answer is one line about it."""
    path = tmp_path / "m.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "endless name":
        path = tmp_path / ("x" * 300)
    elif kind == "binary":
        path.write_bytes(b"\xff\x00")
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(MatrixError) as raised:
        load_matrix(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{esb_env: a-local, suites: [gone]}", "FILE:3: suites.gone.targets[0]: "),
        (f"{{esb_env: a-local, suites: [smoke], env_file: {'x' * 300}}}", "a-local: env_file: "),
        ("{esb_env: a-local, suites: [partly]}", "FILE:4: suites.partly.exclude[0]: "),
        ("{esb_env: a, suites: [smoke]}", "FILE:6: a: env_dir: "),
        (
            "{esb_env: a, suites: [smoke], env_dir: scenarios}",
            "holds no compose file; expected one of",
        ),
        ("{esb_env: a, suites: [smoke], env_dir: scenarios, compose_files: [c.yml]}", "a: compose_files: "),
        ("{esb_env: a-local, suites: [smoke], env_file: x.env}", "FILE:6: a-local: env_file: "),
        ("{esb_env: a-local, suites: [smoke], secret_env_file: x.env}", "a-local: secret_env_file: "),
        (
            "{esb_env: a-local, suites: [smoke], artifact_manifest: no.yml, config_dir: out}",
            "a-local: artifact_manifest: ",
        ),
        (
            "{esb_env: a-local, suites: [smoke], artifact_manifest: docker.yml, config_dir: out}",
            "was made for mode docker; expected mode process",
        ),
        (
            "{esb_env: a-local, suites: [smoke], artifact_manifest: broken.yml, config_dir: out}",
            "broken.yml:1: ",
        ),
        (
            "{esb_env: a-local, suites: [smoke], artifact_manifest: process.yml, config_dir: app}",
            "a-local: config_dir: ",
        ),
    ],
)
def test_a_file_that_does_not_exist_or_fit_is_one_error(
    load: Load, project: Path, entry: str, message: str
) -> None:
    """Enabled and named entries are checked against the disk before anything starts."""
    suites = (
        "suites:\n  smoke: {targets: [scenarios/smoke]}\n  gone: {targets: [scenarios/gone]}\n"
        "  partly: {targets: [scenarios], exclude: [scenarios/gone]}\n"
    )
    write_artifact(project, "docker", "docker.yml")
    write_artifact(project, "process", "process.yml", root="app/root")
    (project / "broken.yml").write_text("schema_version: 2\n")
    matrix = load(f"- {entry}\n", suites=suites)
    with pytest.raises(MatrixError) as raised:
        check_files(matrix, [])
    assert message in re.sub(r"[^ ]*/test_matrix\.yaml", "FILE", str(raised.value))
    assert "\n" not in str(raised.value)


def test_files_of_disabled_entries_matter_only_when_they_are_named(load: Load, project: Path) -> None:
    """An entry whose artifacts do not exist yet disturbs nobody."""
    write_artifact(project, "process")
    matrix = load(
        "- {esb_env: local, suites: [smoke], artifact_manifest: artifact.yml, config_dir: out}\n"
        "- {esb_env: later, suites: [smoke], enabled: false}\n"
    )
    check_files(matrix, matrix.select(["local"]))
    with pytest.raises(MatrixError, match="later: env_dir: "):
        check_files(matrix, matrix.select(["later"]))


def test_usual_files_of_an_environment_are_found(load: Load, project: Path) -> None:
    """A compose file and an env file with the usual names need not be named."""
    folder = project / "e2e" / "environments" / "a"
    folder.mkdir()
    (folder / "docker-compose.yml").touch()
    (folder / ".env").touch()
    matrix = load("- {esb_env: a, suites: [smoke]}\n")
    assert matrix.entries[0].compose_files == (folder / "docker-compose.yml",)
    assert matrix.entries[0].env_file == folder / ".env"
    check_files(matrix, [])


def test_the_shipped_matrix_is_right() -> None:
    """The repository's own matrix loads, and the files of its enabled entries exist."""
    path = Path(__file__).parents[2] / "e2e" / "environments" / "test_matrix.yaml"
    matrix = load_matrix(path)
    check_files(matrix, [])
    names = ["e2e-local", "e2e-docker", "e2e-containerd", "e2e-firecracker"]
    assert [entry.name for entry in matrix.entries] == names


def test_the_schema_that_ships_is_that_of_the_model() -> None:
    """Editors check a matrix against the same rules as the plugin."""
    shipped = Path(str(matrix_package.__file__)).with_name("test_matrix.schema.json")
    assert json.loads(shipped.read_text(encoding="utf-8")) == json_schema()


KEYS = st.sampled_from(
    ["suites", "matrix", "esb_env", "targets", "smoke", "gateway", "env_vars", "port", "x"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.dictionaries(KEYS, VALUES, max_size=4))
def test_no_matrix_causes_anything_but_a_matrix_error(write: Write, data: dict[str, Any]) -> None:
    """Whatever a file holds, it is a matrix or the user is told why not."""
    path = write(yaml.safe_dump(data, allow_unicode=True))
    with contextlib.suppress(MatrixError):
        assert load_matrix(path).entries


def test_env_files_are_read_as_people_write_them(tmp_path: Path) -> None:
    """Comments, `export`, quotes and `=` in values are understood; the later of two lines wins."""
    path = tmp_path / ".env"
    path.write_text(
        "\ufeff# comment\n\nA=1\nexport B = two words \nC='a # b'\nD=\"x=y\" # why\n"
        'E=a#b # c\nF=\nG= # none\nA=2\nH="x" # say "y"\nI="{"a":"b"}"\n'
    )
    assert read_env_file(path) == {
        "A": "2",
        "B": "two words",
        "C": "a # b",
        "D": "x=y",
        "E": "a#b",
        "F": "",
        "G": "",
        "H": "x",
        "I": '{"a":"b"}',
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A=1\nhunter2\n", ":2: is no variable; expected KEY=value"),
        (b"1A=hunter2\n", ":1: is no variable"),
        (b"A='hunter2\n", ":1: A: its quotes are not closed"),
        (b"A=\xffhunter2\n", ": is not UTF-8"),
        (b"A=\x00hunter2\n", ":1: is no variable"),
    ],
)
def test_a_mistake_in_an_env_file_names_its_line_and_no_value(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """Values may be secrets: the line is named, not shown."""
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_env_file(path)
    assert f"{path}{message}" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_env_file_that_is_gone_is_one_error(tmp_path: Path) -> None:
    """A file that vanished between check and use is named."""
    with pytest.raises(EsbError, match=r"\.env: cannot be read: No such file"):
        read_env_file(tmp_path / ".env")
