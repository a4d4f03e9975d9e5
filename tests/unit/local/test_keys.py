"""The secret of an instance: made once, for its owner's eyes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local import keys


def test_it_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    made = keys.token(home)
    assert (len(made) >= 43, keys.token(home)) == (True, made)
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    assert keys.token(tmp_path / "other") != made


def test_a_file_that_was_left_empty_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    assert keys.token(tmp_path) == keys.token(tmp_path) == (tmp_path / "key").read_text()


@pytest.mark.parametrize(("account", "key"), [(None, "test"), ("123456789012", "123456789012")])
def test_it_is_the_session_token_of_every_key_that_is_handed_out(tmp_path: Path, account: str | None, key: str) -> None:
    assert keys.credentials(tmp_path, account) == {
        "aws_access_key_id": key,
        "aws_secret_access_key": "test",
        "aws_session_token": keys.token(tmp_path),
    }
    assert keys.bearer(tmp_path) == {"Authorization": f"Bearer {keys.token(tmp_path)}"}
