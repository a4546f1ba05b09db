"""The route table: which template a path belongs to."""

import pytest
from esb_services.gateway.routing import Route, RouteError, RouteTable

TABLE = RouteTable(
    Route(path, method, f"{method} {path}")
    for method, path in [
        ("GET", "/"),
        ("GET", "/users"),
        ("GET", "/users/me"),
        ("GET", "/users/{id}"),
        ("POST", "/users/{name}"),
        ("GET", "/users/{id}/posts"),
        ("GET", "/users/{rest+}"),
        ("ANY", "/files/{path+}"),
        ("GET", "/files/index"),
        ("GET", "/a/{x}/c"),
        ("GET", "/{a}/b/d"),
        ("GET", "/caf%C3%A9"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "/", "GET /", {}),
        ("GET", "/users", "GET /users", {}),
        ("GET", "/users/", "GET /users", {}),
        ("GET", "/users/me", "GET /users/me", {}),
        ("GET", "/users/7", "GET /users/{id}", {"id": "7"}),
        ("POST", "/users/me", "POST /users/{name}", {"name": "me"}),
        ("GET", "/users/me/posts", "GET /users/{id}/posts", {"id": "me"}),
        ("GET", "/users/7/likes/2", "GET /users/{rest+}", {"rest": "7/likes/2"}),
        ("GET", "/users/a%2Fb", "GET /users/{id}", {"id": "a/b"}),
        ("GET", "/files/index", "GET /files/index", {}),
        ("PUT", "/files/index", "ANY /files/{path+}", {"path": "index"}),
        ("GET", "/files/a/b%20c", "ANY /files/{path+}", {"path": "a/b c"}),
        ("GET", "/a/b/c", "GET /a/{x}/c", {"x": "b"}),
        ("GET", "/a/b/d", "GET /{a}/b/d", {"a": "a"}),
        ("GET", "/caf%c3%a9", "GET /caf%C3%A9", {}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, route: str, parameters: dict[str, str]) -> None:
    """Literal before parameter before greedy, with a way back where the first choice leads nowhere."""
    match = TABLE.match(method, path)
    assert match is not None
    assert (match.route.function, match.parameters) == (route, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("PUT", "/users"), ("GET", "/files"), ("GET", "/a/b"), ("POST", "/users/1/posts")],
)
def test_what_no_route_fits_has_none(method: str, path: str) -> None:
    """Another method, a missing segment or an unknown literal."""
    assert TABLE.match(method, path) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("users", "does not start with /"),
        ("/x/{id", "malformed parameter '{id'"),
        ("/x/{}", "malformed parameter '{}'"),
        ("/x/{+}", "malformed parameter '{+}'"),
        ("/x/v{id}", "a parameter must fill a whole segment"),
        ("/x/{rest+}/y", "{rest+} must be the last segment"),
        ("/x/{id}/{id}", "parameter 'id' occurs twice"),
    ],
)
def test_a_malformed_template_is_refused_with_the_reason(path: str, reason: str) -> None:
    """The message shows the template."""
    with pytest.raises(RouteError) as raised:
        RouteTable([Route(path, "GET", "f")])
    assert repr(path) in str(raised.value)
    assert reason in str(raised.value)
