"""Routes: path templates such as `/api/x/{id}` and `/files/{proxy+}`; the most specific one wins."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

ANY_METHOD = "ANY"


class RouteError(ValueError):
    """A path template cannot be used."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of routing.yml: requests with `method` for paths that match `path` go to `function`."""

    path: str
    method: str
    function: str


@dataclass(frozen=True, slots=True)
class Match:
    """A route that fits a request, with the decoded values of its path parameters."""

    route: Route
    parameters: dict[str, str]


class _Node:
    """One level of the tree of path segments."""

    __slots__ = ("greedy", "literals", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.greedy: _Node | None = None
        self.routes: dict[str, tuple[Route, tuple[str, ...]]] = {}


class RouteTable:
    """Finds routes: from left to right, a literal segment beats `{name}`, which beats `{name+}`."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        """Build the table.

        Raises:
            RouteError: a template is malformed.
        """
        self._root = _Node()
        for route in routes:
            self._add(route)

    def match(self, method: str, raw_path: str) -> Match | None:
        """Return the route for `method` and `raw_path` (still percent-encoded, without query), or None."""
        segments = _segments(raw_path)
        found = self._find(self._root, method, segments, 0, ())
        if found is None:
            return None
        (route, names), values = found
        return Match(route, dict(zip(names, values, strict=True)))

    def _add(self, route: Route) -> None:
        if not route.path.startswith("/"):
            raise RouteError(f"path {route.path!r} does not start with /")
        node, names = self._root, list[str]()
        segments = _segments(route.path)
        for position, segment in enumerate(segments):
            if not segment.startswith("{"):
                if "{" in segment or "}" in segment:
                    raise RouteError(
                        f"path {route.path!r}: a parameter must fill a whole segment, as in /x/{{id}}"
                    )
                node = node.literals.setdefault(unquote(segment), _Node())
                continue
            greedy = segment.endswith("+}")
            name = segment[1:-2] if greedy else segment[1:-1]
            if not segment.endswith("}") or not name or "{" in name or "}" in name:
                raise RouteError(f"path {route.path!r}: malformed parameter {segment!r}, expected {{name}}")
            if name in names:
                raise RouteError(f"path {route.path!r}: parameter {name!r} occurs twice")
            names.append(name)
            if greedy and position != len(segments) - 1:
                raise RouteError(f"path {route.path!r}: {segment} must be the last segment")
            child = (node.greedy if greedy else node.parameter) or _Node()
            if greedy:
                node.greedy = child
            else:
                node.parameter = child
            node = child
        node.routes[route.method] = (route, tuple(names))

    def _find(
        self, node: _Node, method: str, segments: list[str], position: int, values: tuple[str, ...]
    ) -> tuple[tuple[Route, tuple[str, ...]], tuple[str, ...]] | None:
        if position == len(segments):
            entry = node.routes.get(method) or node.routes.get(ANY_METHOD)
            return (entry, values) if entry else None
        segment = unquote(segments[position])
        if (literal := node.literals.get(segment)) is not None and (
            found := self._find(literal, method, segments, position + 1, values)
        ):
            return found
        if node.parameter is not None and (
            found := self._find(node.parameter, method, segments, position + 1, (*values, segment))
        ):
            return found
        if node.greedy is not None:
            rest = unquote("/".join(segments[position:]))
            return self._find(node.greedy, method, segments, len(segments), (*values, rest))
        return None


def _segments(path: str) -> list[str]:
    """Return the segments of `path`; a trailing slash and doubled slashes make no difference."""
    return [segment for segment in path.split("/") if segment]
