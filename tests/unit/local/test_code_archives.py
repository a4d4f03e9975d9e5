"""local/gaps/code_archives: unpacked once, linked into each environment, nothing outside."""

import zipfile
from pathlib import Path

import pytest

from local.gaps.code_archives import Archive


def archive(path: Path, entries: dict[str, str]) -> str:
    with zipfile.ZipFile(path, "w") as made:
        for name, text in entries.items():
            made.writestr(name, text)
    return str(path)


def test_equal_archives_are_one_copy_and_others_are_not(tmp_path: Path) -> None:
    entries = {"python/lib/a.py": "A = 1\n", "top.py": "T = 1\n"}
    for name, given in {"one": entries, "two": entries, "other": {**entries, "top.py": "T = 2\n"}}.items():
        (tmp_path / name).mkdir()
        with Archive(archive(tmp_path / f"{name}.zip", given)) as opened:
            assert opened.namelist() == ["python", "top.py"]
            opened.extractall(str(tmp_path / name))
        assert (tmp_path / name / "python/lib/a.py").read_text() == "A = 1\n"
        assert (tmp_path / name / "top.py").read_text() == given["top.py"]
    assert (tmp_path / "one/top.py").resolve() == (tmp_path / "two/top.py").resolve()
    assert (tmp_path / "one/top.py").resolve() != (tmp_path / "other/top.py").resolve()


@pytest.mark.parametrize("name", ["../out.py", "/out.py", "a/../../out.py"])
def test_an_entry_that_would_lie_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="lies outside"):
        Archive(archive(tmp_path / "bad.zip", {"good.py": "", name: ""}))


def test_what_is_no_archive_is_the_error_that_the_emulator_expects(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    with pytest.raises(zipfile.BadZipFile):
        Archive(str(tmp_path / "no.zip"))
