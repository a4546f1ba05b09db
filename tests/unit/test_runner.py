"""How an environment's run is told."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.lifecycle.runner import EnvironmentRunner


def test_a_secret_in_the_lines_of_a_failed_command_is_hidden(tmp_path: Path) -> None:
    """Whoever has failed: no line of it reaches the summary as it is."""
    journal = Journal("tiny", "run", tmp_path / "log", tmp_path / "events", lambda *_: None)
    journal.redact.add(["hunter2hunter2"])
    nothing: Any = SimpleNamespace(failed=lambda *_: None, observed=lambda: None, diagnose=lambda: None)
    holding = SimpleNamespace(
        journal=journal,
        scenario=SimpleNamespace(name="tiny"),
        run=SimpleNamespace(
            hooks=nothing, settings=SimpleNamespace(timeout_deploy=60), cancelled=threading.Event()
        ),
        driver=nothing,
        phase="compose",
        attached=True,
        finish_phase=lambda _: None,
    )
    error = StepError("no", service="images", lines=("token hunter2hunter2 refused",))
    failure = EnvironmentRunner(cast(Holding, holding)).fail(error)
    journal.close()
    (line,) = failure.service_lines
    assert line.startswith("token ")
    assert "hunter2hunter2" not in line
