"""What names mean in one template: parameters, conditions, resources, and functions that refer to them."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from esb_producer import subset
from esb_producer.node import MARK, Node, meant
from esb_producer.template import Resource, Template

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
NO_VALUE: Final = "AWS::NoValue"

_NAME_PROPERTY = {
    subset.FUNCTION: "FunctionName",
    subset.IMAGE_FUNCTION: "FunctionName",
    subset.LAYER: "LayerName",
    subset.TABLE: "TableName",
    subset.BUCKET: "BucketName",
}
_PLACEHOLDER = re.compile(r"\$\{(!?)([^{}]*)\}")
_LITERAL = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")

Import = Callable[[Node], str]


def pseudo_parameters(stack: str) -> dict[str, str]:
    """Return what CloudFormation itself defines, for a stack of this name."""
    arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{stack}/{stack}"
    return {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::StackId": arn,
        "AWS::StackName": stack,
        "AWS::URLSuffix": "amazonaws.com",
    }


@dataclass(slots=True)
class Scope:
    """Resolves the functions of one template.

    Attributes:
        template: what is resolved.
        values: of parameters and pseudo parameters.
        imported: gives the value of an export of an earlier template.
    """

    template: Template
    values: Mapping[str, str | list[str]]
    imported: Import
    _pending: list[str] = field(default_factory=list)

    def resolve(self, node: Node) -> Node | None:
        """Return `node` with its functions replaced by their values; None where it is AWS::NoValue.

        Raises:
            TemplateError: a function is not supported, has wrong arguments, or names what is not there.
        """
        if isinstance(node.value, list):
            items = [self.resolve(item) for item in node.value]
            return node.with_value([item for item in items if item is not None])
        if not isinstance(node.value, dict):
            return node
        name = _function_of(node)
        if name is None:
            resolved = {key: self.resolve(value) for key, value in node.value.items()}
            return node.with_value({key: value for key, value in resolved.items() if value is not None})
        argument = node.value[name]
        match name:
            case "Ref":
                return self._ref(node, argument)
            case "Fn::If":
                condition, then, otherwise = _arguments(argument, 3, "[condition, then, else]")
                return self.resolve(then if self.holds(condition) else otherwise)
            case "Fn::Sub":
                return node.with_value(self._sub(argument))
            case "Fn::Join":
                between, parts = _arguments(argument, 2, "[delimiter, list]")
                texts = [self._text(part) for part in self.value(parts).items()]
                return node.with_value(between.scalar().join(texts))
            case "Fn::Split":
                between, whole = _arguments(argument, 2, "[delimiter, text]")
                delimiter = between.scalar()
                if not delimiter:
                    raise between.error("may not be empty")
                return node.with_value([node.with_value(t) for t in self._text(whole).split(delimiter)])
            case "Fn::Select":
                return self._select(*_arguments(argument, 2, "[index, list]"))
            case "Fn::GetAtt":
                return node.with_value(self._get_att(argument))
            case "Fn::ImportValue":
                return node.with_value(self.imported(self.value(argument)))
        raise argument.error(
            f"is not supported; supported are {', '.join(subset.VALUE_FUNCTIONS)}", "remove it", show=False
        )

    def value(self, node: Node) -> Node:
        """Return `node` resolved, where it may not be AWS::NoValue."""
        if (found := self.resolve(node)) is None:
            raise node.error("may not be AWS::NoValue here", show=False)
        return found

    def active(self) -> Iterator[Resource]:
        """Yield the resources whose conditions hold, in the order of the template."""
        for resource in self.template.resources.values():
            if self._is_active(resource):
                yield resource

    def holds(self, named: Node) -> bool:
        """Tell whether the condition that `named` names holds."""
        name = named.string()
        if name not in self.template.conditions:
            known = self.template.conditions
            raise named.error("no such condition", meant(name, known.keys()) or "add it to Conditions")
        with self._once(f"Conditions.{name}", named):
            return self._truth(self.template.conditions[name])

    def name_of(self, resource: Resource) -> str:
        """Return the name that a resource has: its own, else one made from its logical id."""
        given = resource.properties.get(_NAME_PROPERTY[resource.kind])
        resolved = None
        if given is not None:
            with self._once(resource.name, given):
                resolved = self.resolve(given)
        if resolved is not None:
            return resolved.string()
        return resource.name.lower() if resource.kind == subset.BUCKET else resource.name

    def arn_of(self, resource: Resource) -> str:
        """Return the ARN of a resource, as the services make it."""
        name = self.name_of(resource)
        match resource.kind:
            case subset.TABLE:
                return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
            case subset.BUCKET:
                return f"arn:aws:s3:::{name}"
            case subset.LAYER:
                return f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{name}:1"
            case _:
                return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"

    def _is_active(self, resource: Resource) -> bool:
        condition = resource.body.get("Condition")
        return condition is None or self.holds(condition)

    @contextmanager
    def _once(self, what: str, at: Node) -> Iterator[None]:
        if what in self._pending:
            raise at.error(f"refers to itself: {' → '.join([*self._pending, what])}", show=False)
        self._pending.append(what)
        try:
            yield
        finally:
            self._pending.pop()

    def _ref(self, node: Node, named: Node) -> Node | None:
        name = named.string()
        if name == NO_VALUE:
            return None
        found = self.values.get(name)
        if isinstance(found, list):
            return node.with_value([node.with_value(item) for item in found])
        if found is not None:
            return node.with_value(found)
        resource = self._resource(named, name)
        return node.with_value(
            self.arn_of(resource) if resource.kind == subset.LAYER else self.name_of(resource)
        )

    def _resource(self, at: Node, name: str) -> Resource:
        resource = self.template.resources.get(name)
        if resource is None:
            known = [*self.template.resources, *self.values]
            raise at.error(
                f"the template has no parameter or resource {name}",
                meant(name, known) or "add it, or correct the name",
                show=False,
            )
        if not self._is_active(resource):
            raise at.error(f"{name} is not there: its condition does not hold", show=False)
        return resource

    def _get_att(self, argument: Node) -> str:
        if isinstance(argument.value, list):
            name, attribute = (self._text(part) for part in _arguments(argument, 2, "[resource, attribute]"))
        else:
            name, _, attribute = argument.string().partition(".")
        return self._attribute(argument, name, attribute)

    def _attribute(self, at: Node, name: str, attribute: str) -> str:
        resource = self._resource(at, name)
        if attribute == "LayerVersionArn" and resource.kind == subset.LAYER:
            return self.arn_of(resource)
        if attribute != "Arn" or resource.kind == subset.LAYER:
            raise at.error(
                f"the attribute {attribute or '(none)'} of {name} ({resource.kind}) is not supported; "
                f"supported is {'LayerVersionArn' if resource.kind == subset.LAYER else 'Arn'}",
                show=False,
            )
        return self.arn_of(resource)

    def _sub(self, argument: Node) -> str:
        own: Mapping[str, Node] = {}
        template = argument
        if isinstance(argument.value, list):
            template, variables = _arguments(argument, 2, "[text, variables]")
            own = variables.mapping()

        def replaced(match: re.Match[str]) -> str:
            escaped, name = match[1], match[2].strip()
            if escaped:
                return f"${{{match[2]}}}"
            if name in own:
                return self._text(own[name])
            resource, dot, attribute = name.partition(".")
            if dot:
                return self._attribute(template, resource, attribute)
            return self._text(template.child(f"${{{name}}}", {"Ref": template.with_value(name)}))

        return _PLACEHOLDER.sub(replaced, template.scalar())

    def _select(self, index: Node, items: Node) -> Node:
        found = self.value(items).items()
        number = self.value(index).whole(0, max(len(found) - 1, 0), "an index")
        if number >= len(found):
            raise items.error("expected a list that is not empty")
        return found[number]

    def _text(self, node: Node) -> str:
        found = self.value(node)
        if isinstance(found.value, list):
            raise node.error("expected a text, found a list", "join it with Fn::Join", show=False)
        return found.scalar()

    def _truth(self, node: Node) -> bool:
        keys = list(node.mapping())
        name = keys[0] if len(keys) == 1 else ""
        if name not in subset.CONDITION_FUNCTIONS:
            rule = f"expected one of {', '.join(subset.CONDITION_FUNCTIONS)}"
            raise node.error(rule, show=False)
        argument = node.value[name]
        if name == "Condition":
            return self.holds(argument)
        if name == "Fn::Equals":
            one, other = (self._compared(part) for part in _arguments(argument, 2, "[value, value]"))
            return one == other
        if name == "Fn::Not":
            (only,) = _arguments(argument, 1, "[condition]")
            return not self._truth(only)
        parts = [self._truth(part) for part in argument.items()]
        if len(parts) < 2:
            raise argument.error("expected a list of two or more conditions")
        return all(parts) if name == "Fn::And" else any(parts)

    def _compared(self, node: Node) -> str:
        text = self._text(node)
        if MARK in text:
            raise node.error("a NoEcho parameter has no value here that could be compared", show=False)
        return text


def filled_later(node: Node) -> str | None:
    """Return the first `${NAME}` that the gateway would fill in, or None."""
    match = _LITERAL.search(node.scalar())
    return match[0] if match is not None else None


def _function_of(node: Node) -> str | None:
    keys = list(node.value)
    named = [key for key in keys if key == "Ref" or key.startswith("Fn::")]
    if not named:
        return None
    if len(keys) > 1:
        raise node.error(f"expected {named[0]} alone", show=False)
    return str(named[0])


def _arguments(node: Node, count: int, form: str) -> list[Node]:
    if not isinstance(node.value, list) or len(node.value) != count:
        raise node.error(f"expected {form}", show=False)
    return node.value
