"""Write the tables of docs/reference.md from the code; `--check` only says whether they are so."""

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import esb_e2e_plugin
from esb_e2e_plugin import environment, fixtures, hookspecs, plugin
from esb_e2e_plugin.fixtures.logs import EnvironmentLogs
from esb_e2e_plugin.options import LISTS, OPTIONS, Option

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"
BEGIN, END = "<!-- made of the code: {} -->", "<!-- until here -->"

_DEFAULT = re.compile(r" \(default: (?P<default>.*)\)")
_PATTERN = r"{begin}\n.*?{end}"


def options() -> Iterator[str]:
    """Yield the table of options, with their names in an ini file and as variables."""
    yield from _table(("option", "ini key, variable", "default", "does"), map(_option, OPTIONS))


def fixture_table() -> Iterator[str]:
    """Yield the table of fixtures, and what those give that have more than one value."""
    rows = []
    for name in fixtures.__all__:
        definition: Any = getattr(fixtures, name)
        function = definition.__wrapped__ if hasattr(definition, "__wrapped__") else definition
        marker = definition._fixture_function_marker  # noqa: SLF001  pytest tells it nowhere else
        rows.append((f"`{name}`", marker.scope, _paragraphs(function)))
    yield from _table(("fixture", "scope", "gives"), rows)
    for title, record in (
        ("`esb_environment`", environment.Environment),
        ("`esb_environment.paths`", environment.Paths),
    ):
        yield ""
        about = _attributes(record)
        fields = [field.name for field in dataclasses.fields(record)]
        yield from _table((title, "is"), [(f"`.{name}`", about[name]) for name in fields])
    yield ""
    for name in ("ports", "urls"):
        record = getattr(environment, name.capitalize())
        listed = " ".join(f"`{field.name}`" for field in dataclasses.fields(record))
        yield f"`esb_environment.{name}` has {listed}."
        yield ""
    methods = [method for method in vars(EnvironmentLogs).items() if not method[0].startswith("_")]
    yield from _table(
        ("`esb_logs`", "does"),
        [(f"`.{name}{_arguments(method)}`", _first(method.__doc__)) for name, method in methods],
    )


def markers() -> Iterator[str]:
    """Yield the table of markers."""
    rows = (text.split(": ", 1) for text in plugin.MARKERS)
    yield from _table(("marker", "says"), [(f"`{name}`", says) for name, says in rows])


def hooks() -> Iterator[str]:
    """Yield the table of hooks."""
    found = [
        (name, hook)
        for name, hook in vars(hookspecs).items()
        if name.startswith("pytest_") and inspect.isfunction(hook)
    ]
    rows = [
        (f"`{name}({', '.join(inspect.signature(hook).parameters)})`", _paragraphs(hook))
        for name, hook in found
    ]
    yield from _table(("hook", "when"), rows)


def matrix() -> Iterator[str]:
    """Yield a table of keys for each part of the matrix."""
    schema = _schema("matrix/test_matrix.schema.json")
    parts = {
        "the file": schema,
        "a suite": schema["$defs"]["SuiteShape"],
        "an entry of `matrix`": schema["$defs"]["EntryShape"],
        "its `gateway`": schema["$defs"]["GatewayShape"],
    }
    for title, part in parts.items():
        required = part.get("required", ())
        rows = [
            (f"`{key}`", "required" if key in required else _default(about), about.get("description", ""))
            for key, about in part["properties"].items()
        ]
        yield from _table((f"key of {title}", "default", "means"), rows)
        yield ""


def events() -> Iterator[str]:
    """Yield the table of events."""
    schema = _schema("events.schema.json")
    fields = {}
    for rule in schema["allOf"]:
        said, then = rule["if"]["properties"]["kind"], rule["then"]
        for kind in said.get("enum", [said.get("const")]):
            required = then.get("required", ())
            fields[kind] = " ".join(
                f"`{name}`" + ("" if name in required else "?") for name in then.get("properties", {})
            )
    from esb_e2e_plugin.events import KINDS

    kinds = sorted(KINDS, key=lambda kind: (list(fields).index(kind) if kind in fields else -1, kind))
    yield from _table(
        ("`kind`", "more fields (`?`: not always)"), [(f"`{k}`", fields.get(k, "")) for k in kinds]
    )


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "options": options,
    "fixtures": fixture_table,
    "markers": markers,
    "hooks": hooks,
    "matrix": matrix,
    "events": events,
}


def written(page: str) -> str:
    """Return a page with its tables as the code says.

    Raises:
        SystemExit: a table has no place in the page.
    """
    for name, lines in PARTS.items():
        begin = BEGIN.format(name)
        pattern = re.compile(_PATTERN.format(begin=re.escape(begin), end=re.escape(END)), re.DOTALL)
        text = "\n".join([begin, *lines()]).rstrip("\n") + f"\n{END}"
        page, count = pattern.subn(text.replace("\\", r"\\"), page)
        if count != 1:
            raise SystemExit(f"{PAGE.name}: expected one place '{begin}' … '{END}', there are {count}")
    return page


def main() -> int:
    """Write or check; the exit code says whether all is well."""
    present = PAGE.read_text(encoding="utf-8")
    expected = written(present)
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(expected, encoding="utf-8")
    elif present != expected:
        print(f"docs/{PAGE.name} is not what the code says: run `make reference`", file=sys.stderr)
        return 1
    return 0


def _option(option: Option) -> tuple[str, str, str, str]:
    text, default = option.help, option.default
    shown = "-" if default is None else f"{default:g}" if isinstance(default, float | int) else f"`{default}`"
    if option.kind == "flag":
        shown = "off"
    if (found := _DEFAULT.search(text)) is not None:
        shown, text = found["default"], _DEFAULT.sub("", text)
    if option.kind in LISTS and "repeatable" not in text:
        text += "; repeatable"
    flag = option.flag if option.metavar is None else f"{option.flag} {option.metavar}"
    return f"`{flag}`", f"`{option.dest}` `{option.variable}`", shown, text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = list(head)
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"


def _cell(text: str) -> str:
    """Return text that stays in its cell, and is shown as it is."""
    return re.sub(r"([|<])", r"\\\1", " ".join(text.split()))


def _schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((resources.files(esb_e2e_plugin) / name).read_text())
    return found


def _default(about: Mapping[str, Any]) -> str:
    default = about.get("default")
    return "-" if default in (None, {}, []) else f"`{json.dumps(default)}`"


def _first(doc: str | None) -> str:
    """Return the first paragraph of a docstring."""
    return " ".join((doc or "").strip().split("\n\n")[0].split()).rstrip(".")


def _paragraphs(function: Callable[..., Any]) -> str:
    """Return a docstring up to its arguments."""
    doc = inspect.getdoc(function) or ""
    return " ".join(re.split(r"\n(?:Args|Raises|Returns):", doc)[0].split()).rstrip(".")


def _attributes(record: type) -> dict[str, str]:
    """Return what the docstring of a class says about each attribute."""
    _, _, listed = (inspect.getdoc(record) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", listed, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def _arguments(function: Callable[..., Any]) -> str:
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    return f"({', '.join(names)})"


if __name__ == "__main__":
    sys.exit(main())
