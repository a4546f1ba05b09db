"""What AWS clients of an environment are made from, and when."""

from __future__ import annotations

import pytest

from tests.plugin.esb_project import Project, output


def test_the_callers_proxies_and_profile_are_not_asked_for_what_is_inside(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gateway and stores are on this machine, whatever leads out of it, and have credentials of their own."""
    monkeypatch.setenv("AWS_PROFILE", "of-somebody")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    shop.write(
        "e2e/scenarios/test_stores.py",
        "def test_stores(esb_s3, esb_dynamodb, esb_lambda):\n"
        "    assert esb_s3.list_buckets()['Buckets'] == []\n"
        "    assert esb_dynamodb.list_tables()['TableNames'] == []\n"
        "    assert esb_lambda.invoke(FunctionName='echo')['StatusCode'] == 200\n",
    )
    result = shop.run("--esb-profile", "one-local")
    result.assert_outcomes(passed=2)


def test_what_clients_are_made_from_is_loaded_while_their_environment_comes_up(shop: Project) -> None:
    """The environment is not ready before: its hook waits for the import of a library of clients."""
    shop.write(
        "conftest.py",
        "import sys, threading\n"
        "loaded = threading.Event()\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'boto3': loaded.set()\n"
        "sys.meta_path.insert(0, Finder())\n"
        "def pytest_esb_deploy(environment, log):\n"
        "    assert loaded.wait(60), 'nothing was loaded'\n",
    )
    shop.write("e2e/scenarios/test_s3.py", "def test_s3(esb_s3): assert esb_s3.list_buckets()\n")
    result = shop.run("-n", "0", "--esb-profile", "one-local")
    result.assert_outcomes(passed=2)


def test_a_broken_file_of_aws_fails_the_tests_that_need_a_client_alone(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading clients ahead must not take the environment from tests that ask for none."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(shop.write("aws-config", "no section\n")))
    shop.write("e2e/scenarios/test_s3.py", "def test_s3(esb_s3): assert esb_s3.list_buckets()\n")
    result = shop.run("-n", "0", "--esb-profile", "one-local")
    result.assert_outcomes(passed=1, errors=1)
    assert "Unable to parse config file" in output(result)
