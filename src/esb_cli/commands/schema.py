"""`esb schema`."""

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import click

from esb_cli.command import Command
from esb_cli.output import Output, json_option, pass_output
from esb_e2e_plugin.errors import UserError, nearest

_SUFFIX = ".schema.json"
_PACKAGES = ("esb_e2e_plugin", "artifactctl")


@click.command(
    cls=Command,
    example="esb schema test_matrix > test_matrix.schema.json",
)
@click.argument("name", required=False)
@json_option
@pass_output
def command(output: Output, name: str | None) -> None:
    """Print the JSON Schema of a file that the package reads or writes; without a NAME, list them."""
    known = schemas()
    if name is None:
        described = {key: _read(file).get("title", "") for key, file in sorted(known.items())}
        output.result({"schemas": described}, "\n".join(described))
        return
    if name not in known:
        near = nearest(name, known)
        raise UserError(
            f"there is no schema {name!r}; known: {', '.join(sorted(known))}",
            None if near is None else f"did you mean {near!r}?",
        )
    document = _read(known[name])
    if output.as_json:
        output.result({"name": name, "schema": document})
    else:
        click.echo(json.dumps(document, indent=2))


def schemas() -> Mapping[str, Traversable]:
    """Return the files of all schemas, by name."""
    files = (file for package in _PACKAGES for file in _below(resources.files(package)))
    return {file.name.removesuffix(_SUFFIX): file for file in files if file.name.endswith(_SUFFIX)}


def _below(folder: Traversable) -> Iterator[Traversable]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _below(item)
        else:
            yield item


def _read(file: Traversable) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document
