"""A template as it stands in its file: its sections, with nothing resolved yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactctl import regular_file, yaml_source
from artifactctl.yaml_source import Document
from esb_producer import subset
from esb_producer.errors import TemplateError
from esb_producer.node import Node, meant, section

LIMIT_BYTES: Final = 1024 * 1024
"""As CloudFormation has it for templates."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    Attributes:
        body: all of it; `properties` of it are empty where it has none.
    """

    name: str
    kind: str
    body: Node
    properties: Node


@dataclass(frozen=True, slots=True)
class Template:
    """One template.

    Attributes:
        path: its file.
        content: the bytes of the file.
        parameters, conditions, resources, outputs: by name, in the order of the file.
        global_properties: `Globals.Function`, or None.
        warnings: located lines about what has no effect.
    """

    path: Path
    content: bytes
    parameters: Mapping[str, Node]
    conditions: Mapping[str, Node]
    resources: Mapping[str, Resource]
    outputs: Mapping[str, Node]
    global_properties: Node | None
    warnings: tuple[str, ...]


def load(path: Path) -> Template:
    """Read the template at `path`, YAML or JSON.

    Raises:
        ArtifactError: it cannot be read, is no template, or has parts that are not supported.
    """
    content = regular_file.read(path, LIMIT_BYTES)
    return parse(content, path)


def parse(content: bytes, path: Path) -> Template:
    """Read `content`, which stands in the file at `path`.

    Raises:
        ArtifactError: as for `load`.
    """
    document = yaml_source.loads(content, path, subset.TAGS)
    for key in document.data:
        if key not in subset.SECTIONS:
            raise TemplateError(
                f"the section is not supported; supported are {', '.join(subset.SECTIONS)}",
                path=path,
                line=document.key_line((key,)),
                owner=str(key),
                remedy=meant(str(key), subset.SECTIONS) or "remove it",
            )
    warnings: list[str] = []
    resources = {name: _resource(name, body, warnings) for name, body in _entries(document, "Resources")}
    if not resources:
        line = document.key_line(("Resources",))
        raise TemplateError("expected at least one resource", path=path, line=line, owner="Resources")
    _check_transform(document, resources)
    return Template(
        path=path,
        content=content,
        parameters=dict(_entries(document, "Parameters")),
        conditions=dict(_entries(document, "Conditions")),
        resources=resources,
        outputs=dict(_entries(document, "Outputs")),
        global_properties=_globals(document, warnings),
        warnings=tuple(warnings),
    )


def _entries(document: Document, name: str) -> list[tuple[str, Node]]:
    return list(section(document, name)) if name in document.data else []


def _resource(name: str, body: Node, warnings: list[str]) -> Resource:
    kind = body.required("Type")
    if kind.string() not in subset.RESOURCES:
        known = sorted(subset.RESOURCES)
        raise kind.error(
            f"is not supported; supported are {', '.join(known)}", meant(kind.string(), known) or "remove it"
        )
    for key, node in body.mapping().items():
        if key not in subset.ATTRIBUTES:
            known = sorted(subset.ATTRIBUTES)
            raise node.error(
                f"is not supported; supported are {', '.join(known)}",
                meant(key, known) or "remove it",
                show=False,
            )
        if key in ("DeletionPolicy", "UpdateReplacePolicy"):
            warnings.append(node.told("has no effect here"))
    properties = body.get("Properties") or body.child("Properties", {})
    if kind.value == subset.IMAGE_FUNCTION and properties.mapping().get("PackageType", kind).value in (
        kind.value,
        "Zip",
    ):
        raise kind.error("expected PackageType: Image", f"use {subset.FUNCTION} for a function of sources")
    warnings += subset.RESOURCES[kind.string()].check(properties)
    return Resource(name, kind.string(), body, properties)


def _globals(document: Document, warnings: list[str]) -> Node | None:
    found: Node | None = None
    for name, node in _entries(document, "Globals"):
        if name != "Function":
            raise node.error("is not supported; supported is Function", meant(name, ["Function"]), show=False)
        warnings += subset.GLOBALS.check(node)
        found = node
    return found


def _check_transform(document: Document, resources: Mapping[str, Resource]) -> None:
    given = document.data.get("Transform")
    names = given if isinstance(given, list) else [given]
    line = document.key_line(("Transform",))
    for name in names:
        if name not in (None, subset.TRANSFORM):
            raise TemplateError(
                f"expected {subset.TRANSFORM}", path=document.path, line=line, field="Transform", value=name
            )
    first = next((resource for resource in resources.values() if "Serverless" in resource.kind), None)
    if first is not None and names == [None]:
        raise first.body.required("Type").error(
            "is a type of SAM, and the template has no Transform", f"add Transform: {subset.TRANSFORM}"
        )
