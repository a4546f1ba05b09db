"""The compose phase: services come up on ports that nobody else has."""

from concurrent.futures import Future, ThreadPoolExecutor

from esb_e2e_plugin import secret_values
from esb_e2e_plugin.context import RunContext, build_context
from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.environment import Environment, Ports
from esb_e2e_plugin.failure import PortTakenError, StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.ports import PortBlock

_MOST_MOVES = 20


def compose(holding: Holding, deadline: Deadline) -> RunContext:
    """Bring the services of an environment up; on another block of ports where one of the first is taken.

    Raises:
        StepError: they do not come up.
    """
    credentials = Credentials.random()
    taken: set[int] = set()
    with ThreadPoolExecutor(1, "esb-certificates") as beside:
        certificates: Future[None] | None = None
        for _ in range(_MOST_MOVES):
            context = _context(holding, _lease(holding, taken), credentials)
            holding.environment = _environment(context, holding.scenario.entry.docker_context)
            holding.journal.redact.add(vars(context.credentials).values())
            holding.state.write_credentials(vars(context.credentials))
            certificates = certificates or beside.submit(_write_certificates, holding, context)
            try:
                holding.driver.up(context, certificates.result, deadline)
            except PortTakenError as error:
                left = holding.driver.down(deadline.remaining())
                if left:
                    raise StepError(f"{error.message}, and its services stay: {', '.join(left)}") from error
                taken.add(context.ports.base)
                _moved(holding, context.ports.base, error.message)
                continue
            return context
    raise StepError(f"{_MOST_MOVES} blocks of ports in a row were taken between lease and start")


def context_of(holding: Holding, environment: Environment) -> RunContext:
    """Return the context of an environment that an earlier run has brought up."""
    ports = PortBlock(environment.ports.gateway_https, holding.scenario.entry.bind_address)
    return _context(holding, ports, environment.credentials, environment.run_id)


def _write_certificates(holding: Holding, context: RunContext) -> None:
    # Loading cryptography costs more than a run that reuses its environment has to spare.
    from esb_e2e_plugin.lifecycle.certificates import write_certificates

    folder = holding.paths.certificates
    elsewhere = () if holding.engine_host is None else (holding.engine_host,)
    hosts = ("localhost", "127.0.0.1", "::1", context.ports.bind_address, *elsewhere)
    write_certificates(folder, context.project, hosts)
    holding.journal.redact.add(secret_values.of_folder(folder))


def _context(
    holding: Holding, ports: PortBlock, credentials: Credentials, run_id: str | None = None
) -> RunContext:
    entry, run = holding.scenario.entry, holding.run
    return build_context(
        holding.scenario,
        root=run.root,
        run_id=run_id or run.run_id,
        ports=ports,
        host_env=run.environ,
        env_file_values=read_env_file(entry.env_file) if entry.env_file is not None else {},
        credentials=credentials,
        git_sha=run.commit,
        ci=run.ci,
        engine_host=holding.engine_host,
    )


def _environment(context: RunContext, docker_context: str | None) -> Environment:
    return Environment(
        name=context.name,
        profile=context.profile,
        mode=context.mode,
        project=context.project,
        run_id=context.run_id,
        ports=Ports(**context.ports.as_mapping()),
        urls=context.urls,
        paths=context.paths,
        credentials=context.credentials,
        docker_context=docker_context,
    )


def _lease(holding: Holding, taken: set[int]) -> PortBlock:
    return holding.ledger.lease(
        holding.key,
        environment=holding.scenario.name,
        port_base=holding.run.port_base,
        bind_address=holding.scenario.entry.bind_address,
        here=holding.engine_host is None,
        avoid=taken,
        on_move=lambda base, port, reason: (
            None if base in taken else _moved(holding, base, f"port {port} {reason}")
        ),
    )


def _moved(holding: Holding, base: int, reason: str) -> None:
    holding.journal.event("lease.moved", base=base, reason=reason)
    holding.journal.say(f"compose: {reason}: the block of ports at {base} is passed over")
