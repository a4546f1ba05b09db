"""What the engine's client raises, as errors that say what was going on."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker.errors import APIError, DockerException

from esb_e2e_plugin.failure import StepError

NOT_ANSWERING = "start it (make engine), or name another one with docker_context or DOCKER_HOST"


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what docker-py raises into a `StepError` that says what was going on."""
    try:
        yield
    except APIError as error:
        raise StepError(f"{doing}: {error.explanation or error}") from error
    except (DockerException, requests.RequestException) as error:
        reason = _reason(error)
        raise StepError(f"{doing}: the engine does not answer: {reason}", remedy=NOT_ANSWERING) from error


def _reason(error: BaseException) -> str:
    """Return what the operating system said, from below what was made of it, or all of it."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    return str(error)
