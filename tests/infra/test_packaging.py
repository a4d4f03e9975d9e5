"""Assets: the same input gives the same bytes, and only what Lambda needs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import packaging
from infra.packaging import PackagingError, client_layer, document, function_code
from tests.support.synthesized import Synthesized, text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small repository."""
    files = {
        "promptlane/__init__.py": "",
        "promptlane/domain/release/route.py": "ROUTE = 1\n",
        "promptlane/cli/app.py": "import typer\n",
        "promptlane/project/load.py": "import yaml\n",
        "promptlane/fakes/stores.py": "",
        "promptlane/client/__init__.py": "",
        "promptlane/aws/routes.py": "",
        "promptlane/domain/__pycache__/route.cpython-311.pyc": "bytes",
        "functions/__init__.py": "",
        "functions/shift/handler.py": "def handle(event, context): ...\n",
        "functions/judge/handler.py": "def handle(event, context): ...\n",
    }
    for name, content in files.items():
        path = tmp_path / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "repo"


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_function_gets_the_package_and_its_own_folder(root: Path, tmp_path: Path) -> None:
    assert names(function_code("shift", root=root, build=tmp_path / "b")) == {
        "promptlane/__init__.py",
        "promptlane/domain/release/route.py",
        "promptlane/client/__init__.py",
        "promptlane/aws/routes.py",
        "functions/__init__.py",
        "functions/shift/handler.py",
    }


def test_a_teams_own_checks_go_where_they_run(root: Path, tmp_path: Path) -> None:
    (root / "promptlane_checks").mkdir()
    (root / "promptlane_checks" / "__init__.py").write_text("")
    (root / "functions" / "run_cases").mkdir()
    (root / "functions" / "run_cases" / "handler.py").write_text("")
    assert "promptlane_checks/__init__.py" in names(function_code("run_cases", root=root, build=tmp_path / "b"))
    assert "promptlane_checks/__init__.py" not in names(function_code("shift", root=root, build=tmp_path / "b"))


def test_an_application_gets_client_and_domain_only(root: Path, tmp_path: Path) -> None:
    assert names(client_layer(root=root, build=tmp_path / "b")) == {
        "python/promptlane/__init__.py",
        "python/promptlane/client/__init__.py",
        "python/promptlane/domain/release/route.py",
    }


def test_the_same_code_is_one_asset_and_changed_code_another(root: Path, tmp_path: Path) -> None:
    first = function_code("shift", root=root, build=tmp_path / "b")
    assert function_code("shift", root=root, build=tmp_path / "b") == first
    assert function_code("shift", root=root, build=tmp_path / "elsewhere").name == first.name
    (root / "promptlane/cli/app.py").write_text("import rich\n")
    assert function_code("shift", root=root, build=tmp_path / "b") == first
    (root / "promptlane/domain/release/route.py").write_text("ROUTE = 2\n")
    assert function_code("shift", root=root, build=tmp_path / "b") != first


def test_a_function_that_does_not_exist_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"functions/levitate/handler\.py"):
        function_code("levitate", root=root, build=tmp_path / "b")


def test_a_half_built_asset_is_never_seen(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(shutil, "copyfile", break_off)
    with pytest.raises(OSError, match="disk full"):
        function_code("shift", root=root, build=tmp_path / "b")
    monkeypatch.undo()
    assert list((tmp_path / "b").iterdir()) == []
    assert "functions/shift/handler.py" in names(function_code("shift", root=root, build=tmp_path / "b"))


def test_packages_that_cannot_be_installed_say_what_to_check(root: Path, tmp_path: Path) -> None:
    (root / "requirements").mkdir()
    (root / "requirements" / "layer.txt").write_text("no-such-package==1 --hash=sha256:" + "0" * 64)
    with pytest.raises(PackagingError, match="Check the package index and the pins"):
        packaging.layer("layer", target="host", root=root, build=tmp_path / "b")


def test_a_package_of_which_nobody_wrote_down_the_hash_is_not_installed(root: Path, tmp_path: Path) -> None:
    (root / "requirements").mkdir()
    (root / "requirements" / "layer.txt").write_text("jmespath==1.1.0\n")
    with pytest.raises(PackagingError, match="Hashes are required"):
        packaging.layer("layer", target="host", root=root, build=tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []


def test_the_layer_for_lambda_holds_its_platform_and_names_no_machine(config: object) -> None:
    built = packaging.layer("engine", target="aws")
    libraries = [p.name for p in built.rglob("*.so")]
    assert libraries
    assert all("x86_64" not in name for name in libraries)
    assert any("aarch64" in name for name in libraries)
    assert not [p for p in built.rglob("*") if p.name in ("RECORD", "INSTALLER", "__pycache__")]
    megabytes = sum(p.stat().st_size for p in built.rglob("*") if p.is_file()) / 1e6
    assert megabytes < 100  # Lambda allows 250 with the function; a new dependency should not pass unnoticed


def test_what_every_function_has_is_small_since_a_rollback_waits_for_it() -> None:
    built = packaging.layer("layer", target="aws")
    assert sum(p.stat().st_size for p in built.rglob("*") if p.is_file()) < 6e6


def test_what_seals_receipts_is_built_for_lambdas_processor_and_small_enough_for_a_cold_start() -> None:
    built = packaging.layer("receipts", target="aws")
    libraries = [p.name for p in built.rglob("*.so")]
    assert libraries
    assert not [name for name in libraries if "x86_64" in name]
    assert sum(p.stat().st_size for p in built.rglob("*") if p.is_file()) < 20e6


def test_a_function_has_the_packages_of_test_suites_if_it_loads_what_needs_them(synthesized: Synthesized) -> None:
    layered = [v for v in synthesized.verbs() if v not in ("gateway", "invocation_logging")]  # these have neither layer
    assert "ReceiptPackages" in text(synthesized.function("gateway")[2]["Layers"])
    script = "import sys, importlib; importlib.import_module(sys.argv[1]); print('promptlane.engine' in sys.modules)"
    for verb in layered:
        command = [sys.executable, "-c", script, f"functions.{verb}.handler"]
        loads = subprocess.run(command, cwd=packaging.ROOT, capture_output=True, text=True, check=True).stdout.strip()
        layers = text(synthesized.function(verb)[2]["Layers"])
        assert str("EnginePackages" in layers) == loads, verb


def test_a_document_is_named_by_its_content(tmp_path: Path) -> None:
    one, same, other = (document("policy.json", text, build=tmp_path) for text in (b"{}", b"{}", b"[]"))
    assert one == same != other
    assert other.read_bytes() == b"[]"
