"""Entry ids: the table of the contract, and what they depend on."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl.identity import clean_path, entry_id

_ORDERS = {"Region": "eu-1", "Tier": "gold"}
_ORDERS_SHA = "1c168adb00d208e42f93314529f1fa9c0427eb63233ceda95a5db52b7012a719"
_TEMPLATE_SHA = "6a6b873fc6f14e8e2d81093b2c1dd5d9210099ee8f15d4fc684606c05217cd47"

_texts = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("path", "parameters", "sha256", "expected"),
    [
        ("e2e/fixtures/template.e2e.yaml", None, _TEMPLATE_SHA, "template-e2e-92eecc19"),
        ("apps/orders/stack.main.yml", _ORDERS, _ORDERS_SHA, "stack-main-86173fe2"),
        ("./apps//billing/../orders/stack.main.yml", _ORDERS, _ORDERS_SHA, "stack-main-86173fe2"),
        ("apps/audit/Audit Log.yaml", None, None, "audit-log-847b10d2"),
        ("C:\\work\\sam\\template.yaml", None, None, "template-8f404a86"),
    ],
)
def test_ids_match_the_table_of_the_contract(
    path: str, parameters: dict[str, str] | None, sha256: str | None, expected: str
) -> None:
    """The published examples are what every producer and applier must agree on."""
    assert entry_id(path, parameters, sha256) == expected


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("", "."),
        (" a/./b ", "a/b"),
        ("a/..", "."),
        ("../../x", "../../x"),
        ("a/../../x", "../x"),
        ("/../x", "/x"),
        ("//srv//x/", "/srv/x"),
        ("Case/Kept", "Case/Kept"),
    ],
)
def test_paths_are_cleaned_without_looking_at_the_file_system(path: str, cleaned: str) -> None:
    """Spellings of one path become one reference."""
    assert clean_path(path) == cleaned


@pytest.mark.parametrize("path", ["", "..", "/", ".yaml", "---.yml", "日本.yaml"])
def test_a_path_without_usable_name_gets_the_slug_template(path: str) -> None:
    """An id always starts with a readable slug."""
    assert entry_id(path).startswith("template-")


@settings(deadline=None)
@given(_texts, st.dictionaries(_texts, _texts), _texts)
def test_ids_have_one_form_and_depend_only_on_their_inputs(
    path: str, parameters: dict[str, str], sha256: str
) -> None:
    """Any input gives a well-formed id, whatever the order of parameters and the space around."""
    identifier = entry_id(path, parameters, sha256)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{8}", identifier)
    reordered = dict(reversed(parameters.items()))
    assert entry_id(f" {path}\n", reordered, f" {sha256} ") == identifier


@settings(deadline=None)
@given(_texts, st.dictionaries(_texts, _texts), _texts)
def test_another_parameter_or_hash_gives_another_id(
    path: str, parameters: dict[str, str], sha256: str
) -> None:
    """Each input enters the digest."""
    identifier = entry_id(path, parameters, sha256)
    assert entry_id(path, {**parameters, "\0new": "x"}, sha256) != identifier
    assert entry_id(path, parameters, f"{sha256.strip()}0") != identifier
    assert entry_id(f"x{sha256}") != entry_id(f"y{sha256}")
