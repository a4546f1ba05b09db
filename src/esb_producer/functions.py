"""Functions of SAM and CloudFormation, merged with Globals, as the model has them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from artifactctl import image_reference
from esb_producer import events, subset
from esb_producer.model import Code, Function, Layer
from esb_producer.node import MARK, Node, meant
from esb_producer.scope import Scope, filled_later
from esb_producer.template import Resource

DEFAULT_TIMEOUT: Final = 3
DEFAULT_MEMORY_SIZE: Final = 128
LONGEST_TIMEOUT: Final = 900
MOST_LAYERS: Final = 5

_NAME = re.compile("[A-Za-z0-9_-]{1,64}")
_PYTHON = re.compile(r"python3\.[0-9]+")
_JAVA = ("java17", "java21")
_VARIABLE = re.compile("[A-Za-z][A-Za-z0-9_]*")
_SECRET = re.compile(f"{MARK}([^{MARK}]+){MARK}")
_BUILD_KEYS = ("BuildMethod", "BuildProperties")


class Functions:
    """Makes functions of one template's resources.

    Args:
        scope: of the template.
        layers: its layers, by ARN.
        image_uris: references of images by function name, over what the template says.
        image_runtimes: languages of image functions, by function name.
    """

    def __init__(
        self,
        scope: Scope,
        layers: Mapping[str, Layer],
        image_uris: Mapping[str, str],
        image_runtimes: Mapping[str, str],
    ) -> None:
        self._scope = scope
        self._layers = layers
        self._image_uris = image_uris
        self._image_runtimes = image_runtimes
        self.warnings: list[str] = []
        self.secrets: set[str] = set()

    def read(self, resource: Resource) -> Function:
        """Return one function.

        Raises:
            TemplateError: it is wrong, or asks for something that is not supported.
        """
        name = self._scope.name_of(resource)
        if not _NAME.fullmatch(name):
            place = resource.properties.get("FunctionName") or resource.body
            raise place.with_value(name).error("a function's name has 1 to 64 letters, digits, - and _")
        properties = self._properties(resource)
        package = properties.get("PackageType")
        kinds = ("Image",) if resource.kind == subset.IMAGE_FUNCTION else ("Image", "Zip")
        is_image = package is not None and package.one_of(kinds) == "Image"
        code, image, handler, language = (
            self._image(resource, properties, name) if is_image else self._zip(resource, properties, name)
        )
        routes, schedules, warnings = events.read(resource.properties.get("Events"), name, self._scope)
        self.warnings += warnings
        return Function(
            name=name,
            where=f"{resource.body.path}:{resource.body.line}: {resource.name}",
            language=language,
            code=code,
            image=image,
            handler=handler,
            timeout=_whole(properties, "Timeout", DEFAULT_TIMEOUT, LONGEST_TIMEOUT, "seconds"),
            memory_size=_whole(properties, "MemorySize", DEFAULT_MEMORY_SIZE, 32768, "MiB"),
            environment=self._environment(properties),
            scaling=self._scaling(resource, properties),
            schedules=tuple(schedules),
            routes=tuple(routes),
        )

    def _properties(self, resource: Resource) -> Node:
        """Return the properties that have an effect, merged with those of Globals, resolved."""
        own = _used(resource.properties, subset.RESOURCES[resource.kind].used - {"Events", "FunctionName"})
        shared = self._scope.template.global_properties
        if shared is not None and resource.kind == subset.FUNCTION:
            own = merged(_used(shared, subset.GLOBALS.used), own)
        found = self._scope.resolve(own)
        return found if found is not None else own

    def _image(
        self, resource: Resource, properties: Node, name: str
    ) -> tuple[Code | None, str | None, str | None, str]:
        for key in ("Handler", "Runtime", "Layers", "CodeUri", "InlineCode"):
            if (found := properties.get(key)) is not None and found.value != []:
                raise found.error(
                    "a function of PackageType Image has none",
                    "remove it, also from Globals" if found.owner == "Globals.Function" else "remove it",
                    show=False,
                )
        holder = properties
        if resource.kind == subset.IMAGE_FUNCTION:
            holder = properties.required("Code")
            _check_keys(holder, ("ImageUri",))
        uri = holder.get("ImageUri")
        given = self._image_uris.get(name)
        if given is None and uri is None:
            raise resource.properties.error(
                "has no ImageUri; images that SAM would build are not supported",
                f"add ImageUri, or give --image-uri {name}=REFERENCE",
                show=False,
            )
        reference = given or (uri.string() if uri is not None else "")
        filled = re.sub(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", "x", reference)
        if not image_reference.is_valid(filled):
            place = (uri or resource.properties).with_value(reference)
            raise place.error("expected the name of an image: [host/]name[:tag], in lower case")
        return None, reference, self._command(properties), self._image_language(resource, name)

    def _command(self, properties: Node) -> str | None:
        config = properties.get("ImageConfig")
        if config is None:
            return None
        _check_keys(config, ("Command",))
        words = config.required("Command").items()
        if len(words) != 1:
            raise config.required("Command").error("expected one word, the handler")
        return words[0].string()

    def _image_language(self, resource: Resource, name: str) -> str:
        given = self._image_runtimes.get(name, "python")
        language = given.rstrip("0123456789.")
        if language not in ("python", "java"):
            known = ["python", *_JAVA]
            raise resource.body.with_value(given).error(
                f"--image-runtime {name}: expected one of {', '.join(known)}", meant(given, known)
            )
        return language

    def _zip(
        self, resource: Resource, properties: Node, name: str
    ) -> tuple[Code | None, str | None, str | None, str]:
        for key in ("ImageUri", "ImageConfig"):
            if (found := properties.get(key)) is not None:
                raise found.error("only a function of PackageType Image has one", "add PackageType: Image")
        for option, given in (("--image-uri", self._image_uris), ("--image-runtime", self._image_runtimes)):
            if name in given:
                raise resource.body.error(f"{option} {name}: is no function of PackageType Image", show=False)
        self._check_build(resource)
        runtime = properties.required("Runtime")
        language = "java" if runtime.string() in _JAVA else "python"
        if language == "python" and not _PYTHON.fullmatch(runtime.string()):
            known = ["python3.11", "python3.12", "python3.13", "python3.14", *_JAVA]
            raise runtime.error("expected python3.* or java17 or java21", meant(runtime.string(), known))
        handler = properties.required("Handler")
        source, inline = self._source(properties, language)
        layers = self._layers_of(properties, language)
        code = Code(handler.string(), source, inline, layers)
        return code, None, handler.string(), language

    def _check_build(self, resource: Resource) -> None:
        metadata = resource.body.get("Metadata")
        for key in _BUILD_KEYS if metadata is not None else ():
            found = metadata.get(key) if metadata is not None else None
            if found is not None and not (
                isinstance(found.value, str) and found.value.startswith(("python", "java"))
            ):
                raise found.error("is not supported: sources are taken as they are", "remove it")

    def _source(self, properties: Node, language: str) -> tuple[Any, str | None]:
        uri, inline = properties.get("CodeUri"), properties.get("InlineCode")
        if inline is not None:
            if language != "python":
                raise inline.error("is for Python functions only", "use CodeUri", show=False)
            # As in AWS: a text of its own counts more than a CodeUri of Globals.
            if uri is not None and uri.owner == inline.owner:
                raise inline.error("expected CodeUri or InlineCode, not both", show=False)
            return None, inline.string()
        return local(properties.required("CodeUri")), None

    def _layers_of(self, properties: Node, language: str) -> tuple[Layer, ...]:
        given = properties.get("Layers")
        items = given.items() if given is not None else []
        if given is not None and items and language != "python":
            raise given.error("layers are for Python functions only", "remove it", show=False)
        if given is not None and len(items) > MOST_LAYERS:
            raise given.error(f"expected at most {MOST_LAYERS} layers")
        found = []
        for item in items:
            layer = self._layers.get(item.string())
            if layer is None:
                known = ", ".join(layer.name for layer in self._layers.values()) or "none"
                raise item.error(f"expected a layer of this template, by Ref; it has {known}")
            found.append(layer)
        return tuple(found)

    def _environment(self, properties: Node) -> dict[str, str]:
        environment = properties.get("Environment")
        if environment is None:
            return {}
        _check_keys(environment, ("Variables",))
        variables = environment.get("Variables")
        found = {}
        for name, node in variables.mapping().items() if variables is not None else ():
            if not _VARIABLE.fullmatch(name):
                raise node.error(
                    "a variable's name has letters, digits and _, and starts with a letter", show=False
                )
            if (later := filled_later(node)) is not None:
                raise node.error(
                    f"the gateway would fill in {later}, which AWS takes literally",
                    "use Fn::Sub without !, or a NoEcho parameter for what the environment sets",
                )
            text = node.scalar()
            if isinstance(node.value, bool):
                text = text.lower()
            self.secrets |= set(_SECRET.findall(text))
            found[name] = _SECRET.sub(r"${\1}", text)
        return found

    def _scaling(self, resource: Resource, properties: Node) -> dict[str, int | float]:
        found: dict[str, int | float] = {}
        reserved = properties.get("ReservedConcurrentExecutions")
        if reserved is not None:
            found["max_capacity"] = reserved.whole(1, 1000)
        metadata = resource.body.get("Metadata")
        own = metadata.get("Esb") if metadata is not None else None
        if own is None:
            return found
        _check_keys(own, ("Scaling",))
        scaling = self._scope.value(own.required("Scaling"))
        for key, node in scaling.mapping().items():
            if key not in subset.SCALING:
                known = sorted(subset.SCALING)
                raise node.error(f"expected one of {', '.join(known)}", meant(key, known), show=False)
            capacity = key in ("MaxCapacity", "MinCapacity")
            least = 1 if key == "MaxCapacity" else 0
            found[subset.SCALING[key]] = (
                node.whole(least, 1000) if capacity else node.number(0, what="seconds")
            )
        if found.get("min_capacity", 0) > found.get("max_capacity", 1000):
            raise scaling.error("MinCapacity is more than MaxCapacity", show=False)
        return found


def merged(shared: Node, own: Node) -> Node:
    """Return Globals and a resource in one: mappings by key, lists one after the other, else the own value.

    Source: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
    """
    if _is_plain_mapping(shared) and _is_plain_mapping(own):
        both = dict(shared.value)
        for key, node in own.value.items():
            both[key] = merged(both[key], node) if key in both else node
        return own.with_value(both)
    if isinstance(shared.value, list) and isinstance(own.value, list):
        return own.with_value([*shared.value, *own.value])
    return own


def local(uri: Node) -> Any:
    """Return the folder or zip file that `uri` names, beside the template.

    Raises:
        TemplateError: it names something elsewhere, or nothing.
    """
    if isinstance(uri.value, dict):
        raise uri.error("objects of S3 are not supported", "name a folder or zip file beside the template")
    text = uri.string()
    if "://" in text:
        raise uri.error("expected a folder or zip file beside the template")
    path = uri.path.parent / text
    if not path.exists():
        raise uri.error("no such folder or file", f"looked for {path}")
    return path


def _is_plain_mapping(node: Node) -> bool:
    return isinstance(node.value, dict) and not any(
        key == "Ref" or key.startswith("Fn::") for key in node.value
    )


def _used(properties: Node, used: frozenset[str]) -> Node:
    return properties.with_value({k: v for k, v in properties.mapping().items() if k in used})


def _check_keys(node: Node, known: tuple[str, ...]) -> None:
    for key, value in node.mapping().items():
        if key not in known:
            rule = f"is not supported; supported are {', '.join(known)}"
            raise value.error(rule, meant(key, known) or "remove it", show=False)


def _whole(properties: Node, key: str, default: int, most: int, unit: str) -> int:
    found = properties.get(key)
    return found.whole(1, most, unit) if found is not None else default
