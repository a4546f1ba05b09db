"""Functions of templates, by properties that hold for any text."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl.errors import ArtifactError
from esb_producer import parameters, template
from esb_producer.scope import Scope, pseudo_parameters

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Co", "Cn"]), max_size=20)
PLAIN = TEXT.filter(lambda text: "${" not in text)
NAMES = st.from_regex(r"[A-Z][A-Za-z0-9]{0,8}", fullmatch=True)
NESTED = st.recursive(TEXT, lambda one: st.lists(one, max_size=3) | st.dictionaries(NAMES, one, max_size=3))


def resolved(value: Any, given_parameters: dict[str, str] | None = None) -> Any:
    """Return what `value` comes to in a template with these parameters."""
    own = given_parameters or {}
    document = {
        "Parameters": {name: {"Type": "String", "Default": text} for name, text in own.items()},
        "Resources": {"Bucket0": {"Type": "AWS::S3::Bucket", "Metadata": {"value": value}}},
    }
    if not own:
        del document["Parameters"]
    read = template.parse(json.dumps(document, ensure_ascii=False).encode(), Path("template.json"))
    values = {**pseudo_parameters("stack"), **parameters.values(read.parameters, {})}
    node = read.resources["Bucket0"].body.required("Metadata").required("value")
    found = Scope(read, values, lambda name: name.string()).resolve(node)
    return found.plain() if found is not None else None


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5), st.characters(categories=["P"]))
def test_split_undoes_join(parts: list[str], delimiter: str) -> None:
    """Where no part holds the delimiter."""
    clean = [part.replace(delimiter, "") for part in parts]
    joined = {"Fn::Join": [delimiter, clean]}
    assert resolved({"Fn::Split": [delimiter, joined]}) == clean


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5), st.data())
def test_select_takes_the_item_of_its_index(parts: list[str], data: st.DataObject) -> None:
    """As a number or as a text; beyond the end it is an error."""
    index = data.draw(st.integers(0, len(parts) - 1))
    for written in (index, str(index)):
        assert resolved({"Fn::Select": [written, parts]}) == parts[index]
    with pytest.raises(ArtifactError, match="expected an index"):
        resolved({"Fn::Select": [len(parts), parts]})


@settings(max_examples=50, deadline=None)
@given(PLAIN, PLAIN, TEXT)
def test_sub_puts_a_value_in_as_it_is(before: str, after: str, value: str) -> None:
    """What looks like a placeholder in a value is none, and what stands around it stays."""
    written = {"Fn::Sub": [before + "${Value}" + after, {"Value": value}]}
    assert resolved(written) == before + value + after
    assert resolved({"Fn::Sub": before + "${Param}" + after}, {"Param": value}) == before + value + after


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(NAMES, TEXT, min_size=1, max_size=4))
def test_sub_is_a_join_of_refs(values: dict[str, str]) -> None:
    """The two ways to write it come to the same."""
    own = {name: text for name, text in values.items() if name != "Bucket0"}
    refs = [{"Ref": name} for name in own]
    sub = {"Fn::Sub": "|".join(f"${{{name}}}" for name in own)}
    assert resolved(sub, own) == resolved({"Fn::Join": ["|", refs]}, own) == "|".join(own.values())


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
)
def test_what_holds_no_function_stays_as_it_is(value: Any) -> None:
    """Texts, lists and mappings of them."""
    assert resolved(value if isinstance(value, dict) else {"Only": value}) == (
        value if isinstance(value, dict) else {"Only": value}
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXT, max_size=4))
def test_no_value_is_not_there(parts: list[str]) -> None:
    """In lists and in mappings."""
    gone = {"Ref": "AWS::NoValue"}
    assert resolved([*parts, gone]) == parts
    assert resolved({"A": gone, "B": parts}) == {"B": parts}


@settings(max_examples=50, deadline=None)
@given(TEXT)
def test_any_text_in_place_of_a_template_is_one_error(text: str) -> None:
    """Nothing else than the one kind of error comes out of any input, and it names the file."""
    with pytest.raises(ArtifactError, match=r"^template\.yaml"):
        template.parse(text.encode(), Path("template.yaml"))
