"""Requests → artifacts: roots, manifest, what is overridden, and what has no effect."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifactctl.apply import apply
from artifactctl.errors import ArtifactError
from artifactctl.manifest import load_manifest
from esb_producer import folder
from esb_producer.generate import Generated, Request, generate

HERE = Path(__file__).parent
TRANSFORM = "Transform: AWS::Serverless-2016-10-31\n"


def made(*templates: Path, **options: Any) -> Generated:
    """Generate for an environment `test`."""
    given: dict[str, Any] = {"env": "test", "mode": "docker", "base": HERE, **options}
    return generate(Request(templates, **given))


def text(generated: Generated, name: str) -> str:
    """Return one generated file."""
    return generated.files[name].content.decode()


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a template whose sources lie beside it."""

    def write(body: str, name: str = "template.yaml") -> Path:
        source = tmp_path / "hello"
        source.mkdir(exist_ok=True)
        (source / "app.py").write_text("def handler(event, context):\n    return event\n")
        (tmp_path / name).write_text(TRANSFORM + body)
        return tmp_path / name

    return write


FUNCTION = """
  {name}:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: hello
      Handler: app.handler
      Runtime: python3.12
"""


def test_the_same_template_gives_the_same_bytes_wherever_it_is_generated() -> None:
    """What is recorded depends on the template, its sources and the request alone."""
    template = HERE / "good/conditions/template.yaml"
    first, second = made(template), made(Path("/") / template.relative_to("/"))
    assert first == second


@pytest.mark.parametrize("name", ["globals", "image_function", "java_function", "layer", "secrets", "table"])
def test_what_is_generated_can_be_applied(tmp_path: Path, name: str) -> None:
    """The applier takes manifest, ids, digests, schemas and config without a warning, strictly."""
    folder.write(tmp_path / "artifacts", made(HERE / f"good/{name}/template.yaml").files)
    secrets = tmp_path / "secrets.env"
    secrets.write_text("DB_PASSWORD=a\nAPI_KEY=b\n")
    result = apply(tmp_path / "artifacts/artifact.yml", tmp_path / "config", secret_env=secrets, strict=True)
    assert result.warnings == ()


def test_the_manifest_says_where_an_entry_comes_from() -> None:
    """The path is relative to the base, and overridden parameters are recorded, and enter the id."""
    template = HERE / "good/parameters/template.yaml"
    document = yaml.safe_load(text(made(template, parameters={"Seconds": "08"}), "artifact.yml"))
    (entry,) = document["artifacts"]
    assert (document["env"], document["mode"], document["project"]) == ("test", "docker", "esb")
    assert entry["source_template"]["path"] == "good/parameters/template.yaml"
    assert entry["source_template"]["parameters"] == {"Seconds": "08"}
    assert "parameters:" not in text(made(template), "artifact.yml")
    assert entry["id"] not in text(made(template), "artifact.yml")


def test_secrets_are_names_and_never_values() -> None:
    """A NoEcho parameter is required of the environment; its default stands nowhere."""
    generated = made(HERE / "good/secrets/template.yaml")
    assert text(generated, "compose.secrets.env.example").splitlines()[1:] == ["API_KEY=", "DB_PASSWORD="]
    (entry,) = yaml.safe_load(text(generated, "artifact.yml"))["artifacts"]
    assert entry["required_secret_env"] == ["API_KEY", "DB_PASSWORD"]
    assert not any(b"never-written" in file.content for file in generated.files.values())
    with pytest.raises(ArtifactError, match="DB_PASSWORD=… into the file of secrets") as raised:
        made(HERE / "good/secrets/template.yaml", parameters={"DbPassword": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_layers_lie_in_the_order_in_which_they_are_laid() -> None:
    """The last one is copied last; packages of one Python version lie where every version finds them."""
    generated = made(HERE / "good/globals/template.yaml")
    own = "template/functions/Own"
    assert text(generated, f"{own}/Dockerfile") == (
        "FROM esb-lambda-base:latest\n"
        "COPY layers/1-Common/ /opt/\n"
        "COPY layers/2-Extra/ /opt/\n"
        "COPY src/ /var/task/\n"
        'CMD ["app.handler"]\n'
    )
    assert f"{own}/layers/1-Common/python/greeting.py" in generated.files
    assert text(generated, f"{own}/layers/2-Extra/python/extra.py") == "NUMBER = 1\n"


def test_a_java_function_is_compiled_in_its_image_from_the_java_base() -> None:
    """Its module lies in src; the root has Java's hooks, which one of Python functions does without."""
    generated = made(HERE / "good/java_function/template.yaml")
    dockerfile = text(generated, "template/functions/Pay/Dockerfile")
    assert dockerfile.startswith("FROM esb-lambda-java-base:latest AS build\nCOPY src/ /module/\n")
    assert dockerfile.endswith('CMD ["shop.Handler::handleRequest"]\n')
    assert "template/functions/Pay/src/src/main/java/shop/Handler.java" in generated.files
    java = "template/runtime-base/runtime-hooks/java/docker/Dockerfile"
    assert java in generated.files
    assert java not in made(HERE / "good/layer/template.yaml").files


def test_inline_code_is_the_module_index() -> None:
    """As in AWS."""
    generated = made(HERE / "good/inline_code/template.yaml")
    inline = text(generated, "template/functions/Inline/src/index.py")
    assert inline == "def handler(event, context):\n    return event\n"


def test_a_zip_file_is_unpacked(tmp_path: Path, write: Any) -> None:
    """Programs stay programs; one that would leave its folder is refused."""
    template = write("Resources:" + FUNCTION.format(name="A").replace("hello", "code.zip"))
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        info = zipfile.ZipInfo("bin/run")
        info.external_attr = 0o100755 << 16
        archive.writestr(info, "#!/bin/sh\n")
        archive.writestr("app.py", "handler = print\n")
    files = made(template).files
    assert files["template/functions/A/src/bin/run"].program
    assert not files["template/functions/A/src/app.py"].program
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("../app.py", "")
    with pytest.raises(
        ArtifactError, match=r"template\.yaml:3: A: .*code\.zip: holds '\.\./app\.py', which leaves"
    ):
        made(template)
    (tmp_path / "code.zip").write_text("no zip")
    with pytest.raises(ArtifactError, match=r"A: .*expected a folder or a zip file"):
        made(template)


def test_caches_links_out_and_empty_folders_are_no_sources(tmp_path: Path, write: Any) -> None:
    """Caches are left out; the rest is an error that names the function."""
    template = write("Resources:" + FUNCTION.format(name="A"))
    (tmp_path / "hello/__pycache__").mkdir()
    (tmp_path / "hello/__pycache__/app.pyc").write_bytes(b"")
    assert not [name for name in made(template).files if "pyc" in name]
    (tmp_path / "hello/out").symlink_to("/etc/hostname")
    with pytest.raises(ArtifactError, match=r"template\.yaml:3: A: .*hello/out: is a link that leaves"):
        made(template)
    (tmp_path / "hello/out").unlink()
    (tmp_path / "hello/app.py").unlink()
    with pytest.raises(ArtifactError, match=r"template\.yaml:3: A: .*hello: holds no file"):
        made(template)


def test_a_later_template_imports_what_an_earlier_one_exports(write: Any) -> None:
    """In the order of the request; the other way round it is an error."""
    outputs = "\nOutputs:\n  B: {Value: !Ref Shared, Export: {Name: !Sub '${AWS::StackName}-bucket'}}\n"
    first = write("Resources:\n  Shared: {Type: AWS::S3::Bucket}" + outputs, "first.yaml")
    variables = "      Environment: {Variables: {B: !ImportValue esb-test-bucket}}\n"
    second = write("Resources:" + FUNCTION.format(name="A") + variables, "second.yaml")
    generated = made(first, second)
    functions = yaml.safe_load(text(generated, "second/config/functions.yml"))["functions"]
    assert functions["A"]["environment"] == {"B": "shared"}
    roots = [entry["artifact_root"] for entry in yaml.safe_load(text(generated, "artifact.yml"))["artifacts"]]
    assert roots == ["first", "second"]
    with pytest.raises(ArtifactError, match=r"A: .*no template before this one exports this name"):
        made(second, first)


def test_templates_of_one_name_get_roots_of_their_own(tmp_path: Path, write: Any) -> None:
    """The second one is called like its entry, and a function of both is one warning."""
    first = write("Resources:" + FUNCTION.format(name="A"))
    (tmp_path / "more/hello").mkdir(parents=True)
    (tmp_path / "more/hello/app.py").write_text("handler = print\n")
    second = tmp_path / "more/template.yaml"
    second.write_text(first.read_text())
    generated = made(first, second)
    entries = yaml.safe_load(text(generated, "artifact.yml"))["artifacts"]
    assert [entry["artifact_root"] for entry in entries] == ["template", entries[1]["id"]]
    assert [line for line in generated.warnings if "replaces A of" in line] == list(generated.warnings)


def test_images_and_their_languages_are_overridden_by_function(write: Any) -> None:
    """As the matrix does it; an override that no function takes is an error."""
    template = HERE / "good/image_function/template.yaml"
    generated = made(template, image_uris={"Ocr": "ocr:${TAG}"}, image_runtimes={"Ocr": "java21"})
    functions = yaml.safe_load(text(generated, "template/config/functions.yml"))["functions"]
    assert (functions["Ocr"]["image"], functions["Ocr"]["runtime"]) == ("ocr:${TAG}", "java")
    for option in ({"image_uris": {"Ocrs": "a:1"}}, {"image_runtimes": {"Ocrs": "python"}}):
        with pytest.raises(
            ArtifactError, match=r"--image-.* = 'Ocrs': no template has this function; did you mean Ocr\?"
        ):
            made(template, **option)
    with pytest.raises(ArtifactError, match="expected the name of an image"):
        made(template, image_uris={"Ocr": "Not Valid"})
    with pytest.raises(
        ArtifactError, match=r"Ocr.*--image-runtime Ocr: expected one of python, java17, java21"
    ):
        made(template, image_runtimes={"Ocr": "ruby"})
    zipped = write("Resources:" + FUNCTION.format(name="A"))
    with pytest.raises(
        ArtifactError, match=r"template\.yaml:3: A: --image-uri A: is no function of PackageType Image"
    ):
        made(zipped, image_uris={"A": "a:1"})


def test_what_has_no_effect_is_a_warning_in_its_place() -> None:
    """Nothing is left out in silence."""
    template = HERE / "good/without_effect/template.yaml"
    assert [line.removeprefix(f"{template}:") for line in made(template).warnings] == [
        "11: Hello: Properties.Architectures: has no effect here",
        "12: Hello: Properties.Policies: has no effect here",
        "14: Hello: Properties.Tracing: has no effect here",
        "15: Hello: Properties.Tags: has no effect here",
        "18: Uploads: DeletionPolicy: has no effect here",
        "19: Uploads: UpdateReplacePolicy: has no effect here",
        "21: Uploads: Properties.PublicAccessBlockConfiguration: has no effect here",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "dokcer"}, r"mode = 'dokcer': expected one of .*; did you mean docker\?"),
        ({"env": " "}, "env = ' ': expected a name"),
        ({"parameters": {"Sekonds": "1"}}, r"--parameter = 'Sekonds': .*; did you mean Seconds\?"),
        (
            {"parameters": {"Seconds": "901"}},
            r"template\.yaml:3: Parameters\.Seconds: '901': expected at most 900",
        ),
        ({"parameters": {"Name": "A"}}, r"template\.yaml:4: Parameters\.Name: 'A': expected \[a-z-\]\+"),
    ],
    ids=["mode", "env", "unknown parameter", "parameter too large", "parameter of another pattern"],
)
def test_a_wrong_request_is_one_error(options: dict[str, Any], message: str) -> None:
    """What, where, and what was expected."""
    with pytest.raises(ArtifactError, match=message):
        made(HERE / "good/parameters/template.yaml", **options)


def test_a_template_given_twice_or_not_there_is_an_error(tmp_path: Path) -> None:
    """Also by another name."""
    template = HERE / "good/layer/template.yaml"
    with pytest.raises(ArtifactError, match="is given twice"):
        made(template, HERE / "good/../good/layer/template.yaml")
    with pytest.raises(ArtifactError, match="file not found"):
        made(tmp_path / "none.yaml")
    with pytest.raises(ArtifactError, match="at least one template"):
        made()


def test_functions_whose_images_would_have_one_name_are_refused(write: Any) -> None:
    """Names of images have no capitals."""
    template = write("Resources:" + FUNCTION.format(name="Pay") + FUNCTION.format(name="PAY"))
    with pytest.raises(
        ArtifactError, match=r"template\.yaml:\d+: PAY: its image would have the name of that of Pay"
    ):
        made(template)


def test_the_bundle_lists_every_file_of_its_root(tmp_path: Path) -> None:
    """With the digest that it has on disk."""
    folder.write(tmp_path / "out", made(HERE / "good/layer/template.yaml").files)
    (entry,) = load_manifest(tmp_path / "out/artifact.yml").artifacts
    assert entry.bundle_manifest is not None
    listed = json.loads(entry.bundle_manifest.read_text())["files"]
    root = entry.artifact_root
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert listed.keys() == found - {"bundle/manifest.json"}
