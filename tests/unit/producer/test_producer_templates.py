"""What templates come to: results written by hand from the specifications, and mistakes with their places."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifactctl.errors import ArtifactError
from esb_producer import subset
from esb_producer.generate import Generated, Request, generate

HERE = Path(__file__).parent
GOOD = sorted((HERE / "good").iterdir())
BAD = sorted((HERE / "bad").glob("*.yaml"))
CONFIG = ("functions.yml", "routing.yml", "resources.yml")


def made(*templates: Path, **options: Any) -> Generated:
    """Generate for an environment `test`."""
    return generate(Request(templates, "test", "docker", base=HERE, **options))


def config(generated: Generated, root: str = "template") -> Mapping[str, Any]:
    """Return the runtime config of an artifact root, by file."""
    names = {name: f"{root}/config/{name}" for name in CONFIG}
    return {
        name: yaml.safe_load(generated.files[path].content)
        for name, path in names.items()
        if path in generated.files
    }


@pytest.mark.parametrize("folder", GOOD, ids=lambda path: path.name)
def test_a_template_comes_to_what_the_specification_says(folder: Path) -> None:
    """Functions, routes and resources are those that were written by hand beside the template."""
    expected = {
        name: yaml.safe_load((folder / name).read_text()) for name in CONFIG if (folder / name).exists()
    }
    assert config(made(folder / "template.yaml")) == expected


@pytest.mark.parametrize("template", BAD, ids=lambda path: path.stem)
def test_a_mistake_names_logical_id_and_line(template: Path) -> None:
    """What is wrong or not supported is one error in its place, and never left out in silence."""
    expected = template.read_text().partition("\n")[0].removeprefix("# expected: ")
    with pytest.raises(ArtifactError) as raised:
        made(template)
    assert str(raised.value).startswith(f"{template}:{expected}")


def test_the_page_lists_what_the_code_understands() -> None:
    """Types, properties, events and functions are those of the one table in the code."""
    page = (HERE.parents[2] / "docs/artifacts.md").read_text()

    def told(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in sorted(names))

    for kind, properties in subset.RESOURCES.items():
        assert f"| `{kind}` | {told(properties.used)} | {told(properties.inert)} |" in page
    assert len(re.findall(r"^\| `AWS::", page, re.MULTILINE)) == len(subset.RESOURCES)
    for kind, properties in subset.EVENTS.items():
        assert f"`{kind}` with {told(properties.used)}" in page
    names = (subset.SECTIONS, subset.VALUE_FUNCTIONS, subset.CONDITION_FUNCTIONS, subset.PARAMETER_TYPES)
    assert [known for known in names if told(known) not in page] == []


def test_every_construct_has_a_template() -> None:
    """The templates with results written by hand use each type, event and function there is."""
    texts = [(folder / "template.yaml").read_text() for folder in GOOD]
    used = [*subset.RESOURCES, *subset.EVENTS, *subset.SCALING]
    assert [name for name in used if name not in "\n".join(texts)] == []
    functions = [*subset.VALUE_FUNCTIONS, *subset.CONDITION_FUNCTIONS]
    short = {name: f"!{name.removeprefix('Fn::')} " for name in functions}
    absent = [
        name for name in functions if not any(short[name] in text or f"{name}:" in text for text in texts)
    ]
    assert absent == ["Fn::ImportValue"]  # which needs a second template, see test_producer_generate
    assert len(GOOD) >= 20
    assert len(BAD) >= 20
