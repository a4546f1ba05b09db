"""What is wrong with a compose file: by file, line and key, with the nearest valid name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esb_e2e_plugin.lifecycle import compose_mistakes, compose_variables
from esb_e2e_plugin.matrix import Entry, Gateway, load_matrix

COMPOSE = """\
x-base: &base
  image: shop:1
services:
  web:
    <<: *base
    ports: ["8080:80"]
  db:
    image: db:1
    container_name: mine
    volumes:
    - ./data:/data
    profiles: [full]
networks:
  inner: {}
"""
MATRIX = """\
suites: {all: {targets: [.]}}
matrix:
- esb_env: shop
  suites: [all]
  env_vars:
    WORKER_IMAGE: w:1
  gateway:
    service: web
    port: 80
    scheme: http
"""


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """An entry with a compose file and an env file."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "compose.yml").write_text(COMPOSE)
    (tmp_path / "shop" / ".env").write_text("# ours\nESB_PORT_GATEWAY_HTTP2=1\nSTORAGE_IMAGE=x\nLEVEL=1\n")
    (tmp_path / "test_matrix.yaml").write_text(MATRIX)
    return load_matrix(tmp_path / "test_matrix.yaml", tmp_path).entries[0]


def model(**services: dict[str, Any]) -> dict[str, Any]:
    """Return compose files as Compose reads them."""
    return {"services": services}


def test_a_container_name_is_told_by_its_line(entry: Entry) -> None:
    """A fixed name would be shared by all environments."""
    mistake = compose_mistakes.mistake(model(web={}, db={"container_name": "mine"}), entry, remote=False)
    assert mistake is not None
    assert f"{entry.compose_files[0]}:9: services.db.container_name: 'mine' would be" in str(mistake)
    assert "expected no container_name" in str(mistake)
    assert mistake.remedy == "remove it"


def test_a_key_that_a_later_file_sets_is_told_by_that_file(entry: Entry) -> None:
    """Of several compose files the last one that has the key decides."""
    more = entry.compose_files[0].with_name("more.yml")
    more.write_text("services:\n  db:\n    container_name: mine\n")
    entry = replace(entry, compose_files=(*entry.compose_files, more))
    mistake = compose_mistakes.mistake(model(web={}, db={"container_name": "mine"}), entry, remote=False)
    assert f"{more}:3: services.db.container_name" in str(mistake)


def test_a_missing_front_door_is_told_by_the_line_of_the_matrix(entry: Entry) -> None:
    """The services that there are are listed, and the nearest one is offered."""
    mistake = compose_mistakes.mistake(model(web2={}, db={}), entry, remote=False)
    assert f"{entry.source}:8: shop: gateway.service: compose.yml has no service 'web'" in str(mistake)
    assert "expected one of web2, db; did you mean 'web2'?" in str(mistake)


@pytest.mark.parametrize(
    "service",
    [{}, {"ports": [{"target": 443}, {"target": 80}]}, {"expose": ["75-85"]}, {"expose": ["80/tcp"]}],
    ids=["none declared", "published", "in a range", "with a protocol"],
)
def test_a_front_door_needs_to_declare_nothing(entry: Entry, service: dict[str, Any]) -> None:
    """A stack needs no change to be reached; what it declares may hold the port."""
    assert compose_mistakes.mistake(model(web=service), entry, remote=False) is None


def test_a_front_door_that_declares_other_ports_is_told_with_these(entry: Entry) -> None:
    """A port that nobody listens on would be found out at a deadline only."""
    web = {"ports": [{"target": 8080}], "expose": ["9000"]}
    mistake = compose_mistakes.mistake(model(web=web), entry, remote=False)
    assert f"{entry.source}:9: shop: gateway.port: service 'web' of compose.yml has no port 80" in str(
        mistake
    )
    assert "expected one of 8080, 9000" in str(mistake)


def test_a_bind_mount_is_a_mistake_for_a_remote_engine_only(entry: Entry) -> None:
    """The agent's engine socket lies on the engine's own host, and is none."""
    socket = {"type": "bind", "source": entry.engine_socket}
    folder = {"type": "bind", "source": "/here/data"}
    found = model(web={"volumes": [socket, {"type": "tmpfs"}]}, db={"volumes": [folder]})
    assert compose_mistakes.mistake(found, entry, remote=False) is None
    assert compose_mistakes.has_bind_mounts(found, entry)
    mistake = compose_mistakes.mistake(found, entry, remote=True)
    assert f"{entry.compose_files[0]}:10: services.db.volumes: /here/data" in str(mistake)
    del found["services"]["db"]
    assert compose_mistakes.mistake(found, entry, remote=True) is None
    assert not compose_mistakes.has_bind_mounts(found, entry)


@pytest.mark.parametrize("part", ["configs", "secrets"])
def test_a_file_that_is_mounted_as_config_or_secret_is_a_bind_mount(entry: Entry, part: str) -> None:
    """A remote engine does not see it either; what has its content from elsewhere needs no file."""
    found = model(web={part: [{"source": "inner", "target": "/inner"}]})
    found[part] = {"inner": {"name": "shop_inner", "environment": "LEVEL"}}
    assert compose_mistakes.mistake(found, entry, remote=True) is None
    found[part]["inner"] = {"name": "shop_inner", "file": "/here/inner"}
    assert compose_mistakes.has_bind_mounts(found, entry)
    assert f"services.web.{part}: /here/inner is on this machine" in str(
        compose_mistakes.mistake(found, entry, remote=True)
    )


@pytest.mark.parametrize(
    ("said", "line", "shown"),
    [
        ("services.db Additional property imagine is not allowed", 7, "did you mean 'image'?"),
        ("(root) Additional property service is not allowed", 0, "did you mean 'services'?"),
        ("services.db.image must be a string", 8, "services.db.image must be a string"),
        ("services.web.image must be a string", 2, "services.web.image must be a string"),
        (
            'service "db" refers to undefined network iner: invalid compose project',
            7,
            "did you mean 'inner'?",
        ),
        ('service "web" depends on undefined service "dv": invalid compose project', 4, "did you mean 'db'?"),
        (
            "error while interpolating services.db.image: required variable DB_IMGE is missing a value: it",
            8,
            "did you mean 'DB_IMAGE'?",
        ),
        ("error decoding 'services[db].volumes': bad", 10, "bad"),
    ],
    ids=[
        "unknown key",
        "unknown part",
        "type",
        "merged key",
        "unknown network",
        "unknown service",
        "variable without value",
        "in brackets",
    ],
)
def test_what_compose_says_gets_file_line_and_nearest_name(
    entry: Entry, said: str, line: int, shown: str
) -> None:
    """Compose names a path at best; the reader is led to the line."""
    noise = 'time="2026-01-01" level=warning msg="The \\"X\\" variable is not set."\n'
    path = entry.compose_files[0]
    mistake = compose_mistakes.rejected(f"{noise}validating {path}: {said}\n", entry, ["DB_IMAGE", "LEVEL"])
    place = f"{path}:{line}" if line else str(path)
    assert str(mistake).startswith(f"{place}: ")
    assert shown in str(mistake)
    assert "level=warning" not in str(mistake)


def test_what_is_no_yaml_is_told_by_the_file_and_the_line(entry: Entry) -> None:
    """Compose says the line only, of whichever file."""
    broken = entry.compose_files[0].with_name("more.yml")
    broken.write_text("services:\n  web: [\n")
    entry = replace(entry, compose_files=(*entry.compose_files, broken))
    mistake = compose_mistakes.rejected("yaml: line 2: did not find expected node content\n", entry, ())
    assert str(mistake) == f"{broken}:2: did not find expected node content"


def test_variables_that_no_service_reads_are_warned_of_by_their_line(entry: Entry) -> None:
    """Port and image of a service that is not there; any other variable may be for the services."""
    env_file = entry.env_file
    warnings = compose_variables.unused(entry, model(web={}))
    assert warnings == [
        f"{env_file}:2: ESB_PORT_GATEWAY_HTTP2: no service reads it; did you mean 'ESB_PORT_GATEWAY_HTTP'?",
        f"{env_file}:3: STORAGE_IMAGE: no service reads it",
        f"{entry.source}:6: env_vars.WORKER_IMAGE: no service reads it",
    ]


@pytest.mark.parametrize(
    "line",
    ["    image: ${STORAGE_IMAGE}-${WORKER_IMAGE}-$ESB_PORT_GATEWAY_HTTP2", "    env_file: .env"],
    ids=["used", "handed on whole"],
)
def test_variables_that_a_service_may_read_are_not_warned_of(entry: Entry, line: str) -> None:
    """A name that stands in the compose file, or may stand in one that it includes, is the project's own."""
    entry.compose_files[0].write_text(COMPOSE + f"\nx-more:\n{line}\n")
    assert compose_variables.unused(entry, model(web={})) == []


def test_a_profile_that_no_service_has_is_warned_of(entry: Entry) -> None:
    """A misspelt profile would start less than was meant."""
    assert entry.env_file is not None
    entry.env_file.write_text("COMPOSE_PROFILES=full, ful\n")
    entry = replace(entry, env_vars={})
    assert compose_variables.unused(entry, model(web={}, db={"profiles": ["full"]})) == [
        f"{entry.env_file}:1: COMPOSE_PROFILES: no service has profile 'ful'; did you mean 'full'?"
    ]


def test_a_front_door_with_the_usual_name_is_told_by_its_entry(entry: Entry) -> None:
    """Where the matrix says nothing of it, the entry's line is the place to say it."""
    lines = {key: line for key, line in entry.lines.items() if not key.startswith("gateway")}
    entry = replace(entry, gateway=Gateway(), lines=lines)
    mistake = compose_mistakes.mistake(model(web={}), entry, remote=False)
    assert f"{entry.source}:3: shop: gateway.service: compose.yml has no service 'gateway'" in str(mistake)
