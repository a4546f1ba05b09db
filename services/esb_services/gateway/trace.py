"""The identity of a request: its X-Ray trace header and its request id."""

import os
import re
import time
import uuid
from dataclasses import dataclass

_ROOT = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
_PARENT = re.compile(r"[0-9a-f]{16}")
_SAMPLED = re.compile(r"[01?]")


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace header in its parts; `root` is what log lines carry as `trace_id`."""

    root: str
    parent: str
    sampled: str

    @classmethod
    def accept(cls, header: str | None) -> "Trace":
        """Return the trace of a request's header, with made-up parts for those it lacks or garbles.

        The form is AWS X-Ray's: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
        """
        given = dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))
        root, parent, sampled = given.get("Root", ""), given.get("Parent", ""), given.get("Sampled", "")
        return cls(
            root if _ROOT.fullmatch(root) else f"1-{int(time.time()):08x}-{os.urandom(12).hex()}",
            parent if _PARENT.fullmatch(parent) else os.urandom(8).hex(),
            sampled if _SAMPLED.fullmatch(sampled) else "1",
        )

    @property
    def header(self) -> str:
        """The value of the `X-Amzn-Trace-Id` header."""
        return f"Root={self.root};Parent={self.parent};Sampled={self.sampled}"


def new_request_id() -> str:
    """Return a new request id, as it stands in `x-amzn-RequestId`."""
    return str(uuid.uuid4())
