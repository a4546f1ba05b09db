"""Which engine an environment runs on, and on which machine that is."""

import pytest

from esb_e2e_plugin.lifecycle.docker_variables import for_commands, for_no_engine
from esb_e2e_plugin.lifecycle.endpoint import find

VARIABLES = {"PATH": "/bin", "DOCKER_HOST": "tcp://build-box:2376", "DOCKER_TLS_VERIFY": "1"}


@pytest.mark.parametrize(
    ("docker_host", "remote", "host"),
    [
        ("", False, None),
        ("unix:///run/user/1000/docker.sock", False, None),
        ("tcp://127.0.0.1:2375", True, None),
        ("tcp://localhost:2375", True, None),
        ("tcp://[::1]:2375", True, None),
        ("tcp://192.0.2.7:2375", True, "192.0.2.7"),
        ("build-box:2375", True, "build-box"),
    ],
)
def test_an_engine_by_the_network_is_remote_and_may_be_on_this_machine(
    docker_host: str, remote: bool, host: str | None
) -> None:
    """Files are not shared with what is reached by the network; ports are where it is on this machine."""
    endpoint = find({"PATH": "/bin", "DOCKER_CONTEXT": "default", "DOCKER_HOST": docker_host}, None)
    assert (endpoint.remote, endpoint.host) == (remote, host)


def test_commands_follow_the_context_of_the_matrix() -> None:
    """A context wins over every variable that names an engine."""
    assert for_commands(VARIABLES, "there") == {"PATH": "/bin", "DOCKER_CONTEXT": "there"}
    assert for_commands(VARIABLES, None) == VARIABLES


def test_a_command_that_needs_no_engine_minds_none() -> None:
    """A context that is not there does not stop what only reads files."""
    assert for_no_engine(VARIABLES) == {"PATH": "/bin", "DOCKER_CONTEXT": "default"}
