"""Commands that make images, ended with the phase or the run that they belong to."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from artifactctl.commands import Commands
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.supervisor import POLL_SECONDS
from esb_e2e_plugin.processes import MARK


@contextmanager
def image_commands(
    environment: Mapping[str, str],
    *,
    mark: str,
    cancelled: threading.Event,
    journal: Journal,
    deadline: Deadline,
) -> Iterator[Commands]:
    """Give out a runner of image commands.

    Args:
        environment: their variables.
        mark: what each of their processes carries, see `processes.MARK`.
        cancelled: set when the run ends early; ends what is running then.
        journal: where their output goes.
        deadline: how long they may take together.

    Raises:
        CancelledError: the run ends.
        StepError: the time is up.
    """
    commands = Commands(
        {**environment, MARK: mark}, lambda line: journal.line("images", line), deadline.remaining()
    )
    done = threading.Event()

    def stop_with_the_run() -> None:
        while not done.wait(POLL_SECONDS):
            if cancelled.is_set():
                commands.stop()
                return

    threading.Thread(target=stop_with_the_run, name="esb-images", daemon=True).start()
    try:
        yield commands
    except (ArtifactError, StepError):
        deadline.check("images to be built")  # what was stopped says so, and not that a build failed
        raise
    finally:
        done.set()
        commands.stop()
