"""One template → one application: everything in it resolved and checked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from artifactctl.manifest import SourceTemplate
from esb_producer import parameters, stores, subset
from esb_producer.functions import Functions, local
from esb_producer.model import Application, Layer
from esb_producer.node import MARK, Node, meant
from esb_producer.scope import Scope, pseudo_parameters
from esb_producer.template import Resource, Template


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is told beside the templates.

    Attributes:
        stack: stands for AWS::StackName.
        parameters: overrides by name.
        image_uris: references of images by function name.
        image_runtimes: languages of image functions by function name.
    """

    stack: str
    parameters: Mapping[str, str]
    image_uris: Mapping[str, str]
    image_runtimes: Mapping[str, str]


class Exports:
    """What templates export to those after them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Scope, Node]] = {}

    def add(self, scope: Scope) -> None:
        """Take the exports of one template.

        Raises:
            TemplateError: an output is wrong, or a name is exported already.
        """
        for output in scope.template.outputs.values():
            condition, export = output.get("Condition"), output.get("Export")
            if export is None or (condition is not None and not scope.holds(condition)):
                continue
            name = scope.value(export.required("Name"))
            if name.string() in self._known:
                raise name.error("another output exports this name")
            self._known[name.string()] = (scope, output.required("Value"))

    def value(self, name: Node) -> str:
        """Return the value of an export.

        Raises:
            TemplateError: no template before this one has it.
        """
        found = self._known.get(name.string())
        if found is None:
            remedy = meant(name.string(), self._known.keys()) or "give the template that does before this one"
            raise name.error("no template before this one exports this name", remedy)
        scope, node = found
        text = scope.value(node).scalar()
        if MARK in text:
            raise node.error("exports a NoEcho parameter", show=False)
        return text


def resolve(template: Template, recorded_path: str, inputs: Inputs, exports: Exports) -> Application:
    """Return what a template comes to, and add its exports to `exports`.

    Args:
        template: as it was read.
        recorded_path: how the manifest names it.
        inputs: what is told beside the templates.
        exports: of the templates before it.

    Raises:
        TemplateError: something in it is wrong or not supported.
    """
    values = parameters.values(template.parameters, inputs.parameters)
    scope = Scope(template, {**pseudo_parameters(inputs.stack), **values}, exports.value)
    active = list(scope.active())
    _check_names(active, scope)
    layers = {scope.arn_of(item): _layer(item, scope) for item in active if item.kind == subset.LAYER}
    functions = Functions(scope, layers, inputs.image_uris, inputs.image_runtimes)
    made = [functions.read(item) for item in active if item.kind in (subset.FUNCTION, subset.IMAGE_FUNCTION)]
    _check_unused(template, scope)
    exports.add(scope)
    own = {name: text for name, text in inputs.parameters.items() if name in template.parameters}
    return Application(
        source=SourceTemplate(recorded_path, hashlib.sha256(template.content).hexdigest(), own),
        functions=tuple(made),
        layers=tuple(layers.values()),
        tables=tuple(stores.table(item, scope) for item in active if item.kind == subset.TABLE),
        buckets=tuple(stores.bucket(item, scope) for item in active if item.kind == subset.BUCKET),
        secrets=tuple(sorted(functions.secrets)),
        warnings=(*template.warnings, *functions.warnings),
    )


def _check_names(resources: list[Resource], scope: Scope) -> None:
    taken: dict[tuple[str, str], str] = {}
    for resource in resources:
        kind = subset.FUNCTION if resource.kind == subset.IMAGE_FUNCTION else resource.kind
        name = scope.name_of(resource)
        first = taken.setdefault((kind, name), resource.name)
        if first != resource.name:
            raise resource.body.error(f"has the name {name}, as has {first}", show=False)


def _check_unused(template: Template, scope: Scope) -> None:
    """Look at what nothing refers to as well: a condition that is wrong is wrong wherever it is."""
    for name, node in template.conditions.items():
        scope.holds(node.with_value(name))


def _layer(resource: Resource, scope: Scope) -> Layer:
    name = scope.name_of(resource)
    content = scope.value(resource.properties.required("ContentUri"))
    recorded = {"Name": name, "ContentURI": content.value}
    for key in ("CompatibleArchitectures", "CompatibleRuntimes", "Description", "LicenseInfo"):
        node = resource.properties.get(key)
        found = scope.resolve(node) if node is not None else None
        if found is not None:
            recorded[key] = found.plain()
    return Layer(name, local(content), recorded)
