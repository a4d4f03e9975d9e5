"""local/target: where `make deploy` goes, said before it goes."""

import json
from pathlib import Path

import pytest

from infra.config import ConfigError, settings_of
from local import target, up


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(up, "recorded", lambda home: None)
    return tmp_path


def test_an_endpoint_on_this_machine_gets_packages_for_this_machine(home: Path) -> None:
    found = target.find({"AWS_ENDPOINT_URL": "http://localhost:4999", "AWS_ACCESS_KEY_ID": "test"}, home)
    assert (found.local, found.context["promptlane:lambda_target"]) == (True, "host")
    assert "localhost:4999" in found.name


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_PROFILE": "prod", "AWS_REGION": "eu-west-1"},
        {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_ENDPOINT_URL": "https://vpce-1.example.com"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"},
    ],
)
def test_credentials_mean_aws_even_where_an_embedded_one_is_up(
    environ: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "recorded", lambda home: {"pid": 1, "port": 4566})
    found = target.find(environ, home)
    assert (found.local, dict(found.context), dict(found.variables)) == (False, {}, {})
    assert found.name.startswith("AWS, ")


def test_a_file_of_credentials_counts(home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text("[default]\n")
    assert not target.find({"HOME": str(home)}, home).local


def test_without_credentials_the_one_that_is_up_is_meant(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "recorded", lambda home: {"pid": 1, "port": 4567})
    found = target.find({"HOME": str(home)}, home)
    assert found.local
    assert found.variables["AWS_ENDPOINT_URL"] == "http://localhost:4567"


def test_nothing_at_all_is_said_with_the_remedy(home: Path) -> None:
    with pytest.raises(target.NoTarget, match="make up"):
        target.find({"HOME": str(home)}, home)


def test_the_environments_settings_reach_the_app() -> None:
    given = json.dumps({"lambda_target": "host"})
    assert settings_of({"PROMPTLANE_SETTINGS": given}) == {"promptlane:lambda_target": "host"}
    assert settings_of({}) == {}


@pytest.mark.parametrize("text", ["{", "[]", "1", '"x"'])
def test_settings_that_are_none_are_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="PROMPTLANE_SETTINGS"):
        settings_of({"PROMPTLANE_SETTINGS": text})
