"""Whether a failed test blames the platform: it saw an error of the server's, and a log tells why. Pure."""

import re

from esb_e2e_plugin.diagnosis.diagnose import Diagnosis
from esb_e2e_plugin.failure import Kind

_SERVER_ERROR = re.compile(
    r"(?<![\w.:/])5\d\d(?![\w.])"  # a status, as in `assert 502 == 200`
    r"|FunctionError|Unhandled|ServiceException|InternalServerError|ServiceUnavailable"
    r"|Connection(Error|ResetError|RefusedError)|Connection (refused|aborted|reset)"
    r"|RemoteDisconnected|Timeout"
)


def diagnose_test(test: str, message: str, guilty: str | None, lines: tuple[str, ...] = ()) -> Diagnosis:
    """Return why a test failed.

    Args:
        test: its node id.
        message: what it failed with.
        guilty: the function or service that logged an error while it ran, or None.
        lines: the last lines of that one.
    """
    first = message.strip().splitlines()[:1]
    cause = f"{test}: {first[0] if first else 'failed'}"
    if guilty is None:
        return Diagnosis(
            Kind.TEST, test, cause, "no service logged an error meanwhile: look at the test itself"
        )
    if _SERVER_ERROR.search(message) is None:
        remedy = f"look at the test itself; {guilty} logged an error meanwhile"
        return Diagnosis(Kind.TEST, test, cause, remedy, guilty, lines)
    return Diagnosis(Kind.PLATFORM, guilty, cause, f"mend {guilty}: its last lines say why", guilty, lines)
