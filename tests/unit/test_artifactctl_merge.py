"""Merging runtime config: the contract's example, and what holds for any configs."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl import merge, runtime_config
from artifactctl.errors import ArtifactError
from artifactctl.runtime_config import RuntimeConfig


def _config(folder: Path, functions: Any = None, routing: Any = None, resources: Any = None) -> RuntimeConfig:
    """Write one artifact's runtime config and read it back; texts are written as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("functions.yml", functions or {"functions": {}}),
        ("routing.yml", routing or {"routes": []}),
        ("resources.yml", resources or {"resources": {}}),
    ):
        text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return runtime_config.read(folder, folder)


def _merged(*configs: RuntimeConfig) -> dict[str, Any]:
    merged = merge.combine(configs)
    merge.check_references(merged)
    return {name: yaml.safe_load(content) for name, content in merge.render(merged).items()}


def test_the_example_of_the_contract(tmp_path: Path) -> None:
    """Functions and routes: the last entry wins; defaults: the first; places in lists are kept."""
    first = _config(
        tmp_path / "1",
        "functions: {pay: {image: v1}}\ndefaults: {environment: {LOG_LEVEL: INFO}}\n",
        "routes: [{path: /pay, method: GET, function: pay}]\n",
        "resources: {s3: [{BucketName: a}]}\n",
    )
    second = _config(
        tmp_path / "2",
        "functions: {pay: {image: v2}, ship: {image: s}}\n"
        "defaults: {environment: {LOG_LEVEL: DEBUG, TRACE: '1'}}\n",
        "routes: [{path: /pay, function: ship}]\n",
        "resources: {s3: [{BucketName: a, LifecycleConfiguration: {Rules: []}}, {BucketName: b}]}\n",
    )
    assert _merged(first, second) == {
        "functions.yml": {
            "defaults": {"environment": {"LOG_LEVEL": "INFO", "TRACE": "1"}},
            "functions": {"pay": {"image": "v2"}, "ship": {"image": "s"}},
        },
        "routing.yml": {"routes": [{"path": "/pay", "function": "ship"}]},
        "resources.yml": {
            "resources": {
                "s3": [{"BucketName": "a", "LifecycleConfiguration": {"Rules": []}}, {"BucketName": "b"}]
            }
        },
    }


def test_methods_make_routes_different_and_a_replaced_one_keeps_its_place(tmp_path: Path) -> None:
    """The key of a route is its path and its method in upper case."""
    functions = "functions: {f: {image: i}, g: {image: i}}"
    first = _config(
        tmp_path / "1",
        functions,
        "routes: [{path: /a, function: f}, {path: /a, method: post, function: f}, {path: /b, function: f}]",
    )
    second = _config(
        tmp_path / "2", functions, "routes: [{path: /c, function: g}, {path: /a, method: Get, function: g}]"
    )
    assert _merged(first, second)["routing.yml"]["routes"] == [
        {"path": "/a", "method": "GET", "function": "g"},
        {"path": "/a", "method": "POST", "function": "f"},
        {"path": "/b", "function": "f"},
        {"path": "/c", "function": "g"},
    ]


def test_a_route_without_a_path_is_dropped_with_a_warning(tmp_path: Path) -> None:
    """What is left out is told with its line."""
    config = _config(tmp_path, None, "routes:\n- path: ''\n  function: f\n- method: GET\n")
    assert _merged(config)["routing.yml"] == {"routes": []}
    assert config.warnings == (
        f"{tmp_path}/routing.yml:2: routes[0]: has no path and is dropped",
        f"{tmp_path}/routing.yml:4: routes[1]: has no path and is dropped",
    )


def test_scaling_defaults_and_other_defaults_come_from_the_first_writer(tmp_path: Path) -> None:
    """Scaling is merged per key, any other default as a whole; null counts as absent."""
    first = _config(
        tmp_path / "1",
        "functions: {}\ndefaults: {scaling: {max_capacity: 2}, timeout: null, runtime: python}",
    )
    second = _config(
        tmp_path / "2",
        "functions: {}\ndefaults: {scaling: {max_capacity: 9, min_capacity: 1}, timeout: 5, runtime: java21}",
    )
    assert _merged(first, second)["functions.yml"]["defaults"] == {
        "runtime": "python",
        "scaling": {"max_capacity": 2, "min_capacity": 1},
        "timeout": 5,
    }


def test_what_this_version_does_not_know_is_carried_along(tmp_path: Path) -> None:
    """Keys and kinds of a newer producer reach the services; the last writer wins."""
    first = _config(tmp_path / "1", resources="resources: {sqs: [{QueueName: a}]}\nnote: one\n")
    second = _config(tmp_path / "2", resources="resources: {sqs: [{QueueName: b}]}\n")
    assert _merged(first, second)["resources.yml"] == {
        "note": "one",
        "resources": {"sqs": [{"QueueName": "b"}]},
    }


def test_resources_are_optional_and_the_other_files_are_not(tmp_path: Path) -> None:
    """An artifact without resources is complete; one without functions or routes is not."""
    _config(tmp_path)
    (tmp_path / "resources.yml").unlink()
    assert _merged(runtime_config.read(tmp_path, tmp_path))["resources.yml"] == {"resources": {}}
    (tmp_path / "routing.yml").unlink()
    with pytest.raises(ArtifactError, match=r"routing.yml: file not found; generate the artifact again"):
        runtime_config.read(tmp_path, tmp_path)


def test_a_file_behind_a_link_that_leaves_the_root_is_not_read(tmp_path: Path) -> None:
    """An artifact cannot make the applier publish a file of the host."""
    _config(tmp_path / "root/config")
    (tmp_path / "host.yml").write_text("resources: {s3: []}")
    (tmp_path / "root/config/resources.yml").unlink()
    (tmp_path / "root/config/resources.yml").symlink_to("../../host.yml")
    with pytest.raises(ArtifactError, match=r"resources.yml: is a link that leaves its artifact root"):
        runtime_config.read(tmp_path / "root/config", tmp_path / "root")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("functions.yml", "functions: [", "functions.yml:1: is not valid YAML"),
        ("functions.yml", "functons: {}", "functions.yml:1: functions: is required"),
        ("functions.yml", "functions:\n- f", "functions.yml:1: functions = a list: expected a mapping"),
        ("functions.yml", "functions:\n  f:", "functions.yml:2: functions.f = null: expected a mapping"),
        (
            "functions.yml",
            "functions:\n  1: {}",
            "functions.yml:2: functions[1] = 1: expected a string as key",
        ),
        (
            "functions.yml",
            "functions:\n  a.b: {}",
            "functions.yml:2: functions['a.b'] = a mapping: a function",
        ),
        ("functions.yml", "functions:\n  f: {}", "functions.yml:2: functions.f.image: is required"),
        ("functions.yml", "functions: {f: {timeout: '3'}}", "functions.f.timeout = '3': expected seconds"),
        ("functions.yml", "functions: {f: {timeout: .inf}}", "functions.f.timeout = inf: expected seconds"),
        ("functions.yml", "functions: {f: {memory_size: 1.5}}", "memory_size = 1.5: expected a whole number"),
        (
            "functions.yml",
            "functions: {f: {environment: {A: [1]}}}",
            "environment.A = a list: expected a scal",
        ),
        ("functions.yml", "functions: {f: {environment: {A=B: 1}}}", "environment['A=B'] = 1: a variable's"),
        (
            "functions.yml",
            "functions: {f: {scaling: {max_capacity: 0}}}",
            "max_capacity = 0: expected a whole",
        ),
        (
            "functions.yml",
            "functions: {f: {image: i, scaling: {min_capacity: 3}}}\ndefaults: {scaling: {max_capacity: 2}}",
            "functions.f.scaling.min_capacity = 3: min_capacity 3 is more than max_capacity 2",
        ),
        ("functions.yml", "functions: {f: {events: [{}]}}", "functions.f.events[0].schedule: is required"),
        (
            "functions.yml",
            "functions: {f: {events: [{schedule: {rate: rate(1 minutes)}}]}}",
            "events[0].schedule.rate = 'rate(1 minutes)': expected rate(1 minute)",
        ),
        (
            "functions.yml",
            "functions: {f: {events: [{schedule: {rate: rate(1 day), input: '{'}}]}}",
            "schedule.input = '{': expected JSON",
        ),
        ("routing.yml", "routes: {}", "routing.yml:1: routes = a mapping: expected a list"),
        (
            "routing.yml",
            "routes:\n- path: a\n  function: f",
            "routing.yml:2: routes[0].path = 'a': expected a pa",
        ),
        ("routing.yml", "routes:\n- path: /a", "routing.yml:2: routes[0].function: is required"),
        (
            "routing.yml",
            "routes: [{path: /a, method: GOT, function: f}]",
            "method = 'GOT': expected one of ANY,",
        ),
        (
            "routing.yml",
            "routes:\n- path: /a\n  function: f",
            "routing.yml:3: routes[0].function = 'f': no artifact has a function of that name",
        ),
        (
            "resources.yml",
            "resources: {s3: {}}",
            "resources.yml:1: resources.s3 = a mapping: expected a list",
        ),
        (
            "resources.yml",
            "resources:\n  dynamodb:\n  - {TableName: t}\n  - {TableName: t}",
            "resources.yml:4: resources.dynamodb[1].TableName = 't': the same name twice; remove one",
        ),
        ("resources.yml", "resources: {dynamodb: [{}]}", "resources.dynamodb[0].TableName: is required"),
    ],
)
def test_a_wrong_shape_is_told_with_file_and_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    """A mistake in the runtime config is found before any service reads it."""
    _config(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(ArtifactError) as caught:
        _merged(runtime_config.read(tmp_path, tmp_path))
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / name}:")


_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_names = st.sampled_from(["pay", "ship", "a-b", "C_d"])
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)
_environments = st.dictionaries(st.sampled_from(["A", "B", "é"]), _scalars, max_size=2)
_functions = st.fixed_dictionaries(
    {"image": st.sampled_from(["v1", "v2"])}, optional={"environment": _environments, "x": _anything}
)
_defaults = st.fixed_dictionaries(
    {},
    optional={
        "environment": _environments,
        "scaling": st.fixed_dictionaries({}, optional={"max_capacity": st.integers(1, 3)}),
        "timeout": st.none() | st.integers(1, 9),
        "other": _anything,
    },
)
_routes = st.fixed_dictionaries(
    {"path": st.sampled_from(["/a", "/b", "/c"]), "function": st.just("pay")},
    optional={"method": st.sampled_from(["get", "GET", "POST"])},
)
_buckets = st.fixed_dictionaries({"BucketName": st.sampled_from(["a", "b"])}, optional={"x": _anything})
_artifacts = st.tuples(
    st.fixed_dictionaries(
        {"functions": st.dictionaries(_names, _functions, max_size=3)},
        optional={"defaults": _defaults, "other": _anything},
    ),
    st.fixed_dictionaries({"routes": st.lists(_routes, max_size=4)}),
    st.fixed_dictionaries(
        {
            "resources": st.fixed_dictionaries(
                {},
                optional={
                    "s3": st.lists(_buckets, max_size=3, unique_by=lambda bucket: str(bucket["BucketName"])),
                    "sqs": _anything,
                },
            )
        }
    ),
)


@settings(deadline=None)
@given(st.tuples(_artifacts, _artifacts, _artifacts))
def test_merging_is_deterministic_associative_and_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, artifacts: tuple[Any, Any, Any]
) -> None:
    """However entries are grouped, and whether read from artifacts or from output, the bytes are equal."""
    folder = tmp_path_factory.getbasetemp() / "merged-artifacts"
    a, b, c = (_config(folder / str(i), *artifact) for i, artifact in enumerate(artifacts))
    expected = merge.render(merge.combine([a, b, c]))
    assert merge.render(merge.combine([merge.combine([a, b]), c])) == expected
    assert merge.render(merge.combine([a, merge.combine([b, c])])) == expected
    output = folder / "output"
    output.mkdir(exist_ok=True)
    for name, content in expected.items():
        (output / name).write_bytes(content)
    again = runtime_config.read(output, output)
    assert merge.render(again) == expected


_VALID: dict[str, Any] = {
    "functions.yml": {
        "defaults": {"environment": {"A": "1"}, "scaling": {"max_capacity": 2}, "timeout": 3},
        "functions": {
            "f": {
                "image": "i",
                "memory_size": 128,
                "environment": {"B": "2"},
                "scaling": {"min_capacity": 1},
                "events": [{"schedule": {"rate": "rate(1 minute)", "input": {"x": 1}}}],
            }
        },
    },
    "routing.yml": {"routes": [{"path": "/a", "method": "GET", "function": "f"}]},
    "resources.yml": {"resources": {"dynamodb": [{"TableName": "t"}], "s3": [{"BucketName": "b"}]}},
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


_wild_keys = _texts | st.integers() | st.booleans() | st.none()
_wild = st.recursive(
    _scalars | st.just(float("nan")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_wild_keys, inner, max_size=2),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.sampled_from([place for place in _places(_VALID) if len(place) > 1]), _wild)
def test_no_value_at_any_place_of_the_runtime_config_causes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: object
) -> None:
    """A runtime config with one value replaced is merged, or one line says what is wrong."""
    data = copy.deepcopy(_VALID)
    parent: Any = data
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    folder = tmp_path_factory.getbasetemp() / "fuzzed-config"
    told = ""
    try:
        config = _config(folder, *data.values())
        merge.check_references(config)
        assert set(merge.render(config)) == set(_VALID)
    except ArtifactError as error:
        told = str(error)
    assert told == "" or told.startswith(f"{folder}/")
    assert told.isprintable()
