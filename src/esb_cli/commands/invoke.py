"""`esb invoke`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(
    cls=Command,
    example="""esb invoke --env dev-feature-x lambda-echo '{"message": "hello"}'
esb invoke --env dev-feature-x lambda-echo @event.json
echo '{"message": "hello"}' | esb invoke --env dev-feature-x lambda-echo -""",
)
@click.option("--async", "asynchronous", is_flag=True, help="Queue the event, and do not wait for a result.")
@click.option(
    "--timeout",
    metavar="S",
    type=click.FloatRange(0, min_open=True),
    default=900.0,
    show_default=True,
    help="Longest wait for the result, in seconds.",
)
@click.argument("function")
@click.argument("payload", default="{}")
@environment_options
@json_option
@pass_output
@click.pass_context
def command(
    context: click.Context,
    output: Output,
    choice: Choice,
    function: str,
    payload: str,
    *,
    asynchronous: bool,
    timeout: float,
) -> None:
    """Call a function by the Lambda API and print its result.

    PAYLOAD is JSON, @FILE, or - for stdin; by default {}. The trace id, on stderr, finds the call in the
    logs. A result that is a function's error makes the exit code 1.
    """
    from esb_cli.invoking import invoke, read_payload

    event = read_payload(payload)
    answer = invoke(choice.target(), function, event, asynchronous=asynchronous, timeout=timeout)
    if not output.as_json:
        output.note(f"trace {answer.trace_id}")
    said = {"function_error": answer.error, "trace_id": answer.trace_id, "status": answer.status}
    output.result({**said, "result": answer.result}, answer.text or None)
    if answer.error is not None:
        output.note(f"esb invoke: {function} failed ({answer.error}): see esb logs --trace {answer.trace_id}")
        context.exit(1)
