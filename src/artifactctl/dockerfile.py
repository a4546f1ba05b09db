"""What a Dockerfile starts from, and the same Dockerfile starting from something else."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

SCRATCH: Final = "scratch"

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)
_FROM = re.compile(r"((?:--\S+\s+)*)(\S+)(?:\s+[Aa][Ss]\s+(\S+))?\s*")
_ARGUMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:=(.*))?", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\}|([A-Za-z_]\w*))")
_HEREDOC = re.compile(r"(?:^|\s)[0-9]*<<-?([\"']?)([A-Za-z_]\w*)\1")


class DockerfileError(ValueError):
    """A Dockerfile cannot be understood.

    Attributes:
        line: 1-based.
    """

    def __init__(self, rule: str, line: int) -> None:
        self.line = line
        super().__init__(rule)


@dataclass(frozen=True, slots=True)
class _Instruction:
    """An instruction with the lines it stands on: 0-based, the second one exclusive."""

    name: str
    text: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class _Start:
    """One `FROM`: the image with its variables filled in, and where it stands."""

    reference: str
    flags: str
    stage: str | None
    instruction: _Instruction


def bases(text: str, arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the images that `text` starts from, in order, without earlier stages and `scratch`.

    Args:
        text: the Dockerfile.
        arguments: build arguments, which win over the defaults of `ARG`.

    Raises:
        DockerfileError: it has no `FROM`, or one that cannot be understood.
    """
    return tuple(dict.fromkeys(start.reference for start in _external_starts(text, arguments)))


def rewritten(text: str, arguments: Mapping[str, str], replacements: Mapping[str, str]) -> str:
    """Return `text` with each `FROM <image>` in `replacements` starting from its replacement.

    Args:
        text: the Dockerfile.
        arguments: build arguments, as for `bases`.
        replacements: the new image by the image as `bases` returns it.

    Raises:
        DockerfileError: see `bases`.
    """
    lines = text.split("\n")
    # From the end, so that line numbers stay true.
    for start in reversed(_external_starts(text, arguments)):
        new = replacements.get(start.reference)
        if new is not None:
            name = f" AS {start.stage}" if start.stage else ""
            lines[start.instruction.first : start.instruction.end] = [f"FROM {start.flags}{new}{name}"]
    return "\n".join(lines)


def _external_starts(text: str, arguments: Mapping[str, str]) -> list[_Start]:
    variables: dict[str, str] = {}
    stages: set[str] = set()
    starts: list[_Start] = []
    started = False
    for instruction in _instructions(text):
        if instruction.name == "ARG" and not started:
            variables |= _declared(instruction, arguments, variables)
        elif instruction.name == "FROM":
            started = True
            start = _start(instruction, variables)
            if start.reference.lower() not in stages and start.reference != SCRATCH:
                starts.append(start)
            if start.stage is not None:
                stages.add(start.stage.lower())
    if not started:
        raise DockerfileError("has no FROM", 1)
    return starts


def _start(instruction: _Instruction, variables: Mapping[str, str]) -> _Start:
    line = instruction.first + 1
    parsed = _FROM.fullmatch(instruction.text)
    if parsed is None:
        raise DockerfileError("expected FROM <image> [AS <name>]", line)
    reference = _filled(parsed[2].strip("\"'"), variables)
    if not reference:
        raise DockerfileError(f"FROM {parsed[2]} names no image; give its ARG a default", line)
    return _Start(reference, parsed[1], parsed[3], instruction)


def _declared(
    instruction: _Instruction, arguments: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, str]:
    declared: dict[str, str] = {}
    for word in instruction.text.split():
        if (parsed := _ARGUMENT.fullmatch(word)) is not None:
            default = _filled((parsed[2] or "").strip("\"'"), {**variables, **declared})
            declared[parsed[1]] = arguments.get(parsed[1], default)
    return declared


def _filled(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = variables.get(match[1] or match[4], "")
        if match[2] == "-":
            return found or match[3]
        if match[2] == "+":
            return match[3] if found else ""
        return found

    return _VARIABLE.sub(value, text)


def _instructions(text: str) -> Iterator[_Instruction]:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        first = number
        parts: list[str] = []
        while number < len(lines):
            line = lines[number]
            number += 1
            if line.lstrip().startswith("#") or (parts and not line.strip()):
                continue
            parts.append(line.rstrip().removesuffix("\\"))
            if not line.rstrip().endswith("\\"):
                break
        parsed = _INSTRUCTION.fullmatch(" ".join(parts))
        if parsed is None:
            continue
        name = parsed[1].upper()
        if name in ("RUN", "COPY", "ADD"):
            for _, terminator in _HEREDOC.findall(parsed[2]):
                while number < len(lines) and lines[number].lstrip("\t") != terminator:
                    number += 1
                number += 1
        yield _Instruction(name, parsed[2].strip(), _skip_comments(lines, first), number)


def _skip_comments(lines: list[str], first: int) -> int:
    while not lines[first].strip() or lines[first].lstrip().startswith("#"):
        first += 1
    return first
