"""Compose files, read by Compose itself while the session begins, and what is wrong with them."""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from esb_e2e_plugin.errors import MatrixError
from esb_e2e_plugin.lifecycle import compose_mistakes
from esb_e2e_plugin.lifecycle.compose import is_missing
from esb_e2e_plugin.lifecycle.compose_reading import question
from esb_e2e_plugin.lifecycle.run import ComposeAnswer
from esb_e2e_plugin.planner import Plan, Scenario

_SECONDS = 20.0


@dataclass(frozen=True)
class _Reading:
    scenario: Scenario
    variables: Mapping[str, str]
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    errors: IO[bytes]
    asked: int


class ComposePreflight:
    """Has Compose read the files of every environment at once, beside what else a session begins with.

    Compose is the judge of its files; its answer is awaited before an environment can be asked for.

    Attributes:
        models: what it has answered, by profile, as far as it was checked.
    """

    def __init__(self, plan: Plan, environ: Mapping[str, str]) -> None:
        """Start to read.

        Args:
            plan: the selected environments.
            environ: the caller's environment variables.

        Raises:
            UserError: a variable that the user set cannot be used.
        """
        self._environ = environ
        self.models: dict[str, ComposeAnswer] = {}
        self._open = ExitStack()
        try:
            self._readings = [
                reading
                for scenario in plan.scenarios
                if scenario.entry.mode != "process" and (reading := self._begin(scenario, plan)) is not None
            ]
        except BaseException:
            self._open.close()
            raise

    def check(self) -> None:
        """Wait for the answers, and raise the first mistake.

        Raises:
            UserError: names file, line and key.
        """
        for reading in self._readings:
            mistake = self._mistake(reading)
            if mistake is not None:
                raise mistake

    def close(self) -> None:
        """End what still reads."""
        self._open.close()

    def _begin(self, scenario: Scenario, plan: Plan) -> _Reading | None:
        asked = question(scenario, plan.root, plan.port_base, plan.subnet_pool, self._environ)
        # Files, not pipes: nobody reads while Compose writes.
        output, errors = (self._open.enter_context(tempfile.TemporaryFile()) for _ in range(2))  # noqa: SIM115
        now = time.time_ns()
        try:
            process = asked.begin(output, errors)
        except FileNotFoundError:
            return None  # no docker command: the environment fails by that
        self._open.callback(_end, process)
        return _Reading(scenario, asked.variables, process, output, errors, now)

    def _mistake(self, reading: _Reading) -> MatrixError | None:
        entry = reading.scenario.entry
        try:
            status = reading.process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            return None  # the environment fails by it, and says so
        if status != 0:
            reading.errors.seek(0)
            said = reading.errors.read().decode(errors="replace")
            if is_missing(status, said):
                return None  # the environment fails by that
            return compose_mistakes.rejected(said, entry, reading.variables)
        reading.output.seek(0)
        answer = ComposeAnswer(reading.output.read(), reading.asked)
        self.models[entry.name] = answer
        model = json.loads(answer.text)
        remote = compose_mistakes.has_bind_mounts(model, entry) and self._is_remote(reading)
        return compose_mistakes.mistake(model, entry, remote=remote)

    def _is_remote(self, reading: _Reading) -> bool:
        from docker.errors import DockerException

        from esb_e2e_plugin.failure import StepError
        from esb_e2e_plugin.lifecycle import endpoint

        try:
            return endpoint.find(reading.variables, reading.scenario.entry.docker_context).remote
        except (DockerException, StepError):
            return False  # the environment fails by that, and says how


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
