"""What the engine's client raises, as errors that say what was going on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests
import urllib3
from docker.errors import APIError, DockerException

from esb_e2e_plugin.diagnosis.signs import ENGINE, START_ENGINE
from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle.refusals import engine_error

CONNECTION_ERRORS: Final = (
    OSError,
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
)
"""What reading a stream of the engine may raise in the middle."""


@contextmanager
def engine_errors(doing: str, component: str | None = None, kind: Kind | None = None) -> Iterator[None]:
    """Turn what docker-py raises into a `StepError` that says what was going on.

    Args:
        doing: that.
        component: what is guilty where the engine refuses, if not the engine.
        kind: the class of the failure then.
    """
    try:
        yield
    except APIError as error:
        raise StepError(
            f"{doing}: {error.explanation or error}", kind=kind or Kind.ENGINE, component=component or ENGINE
        ) from error
    except (DockerException, requests.RequestException) as error:
        reason = _reason(error)
        raise engine_error(f"{doing}: the engine does not answer: {reason}", START_ENGINE) from error


def _reason(error: BaseException) -> str:
    """Return what the operating system said, from below what was made of it, or all of it."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    return str(error)
