"""Assets: the same input gives the same bytes, and only what Lambda needs."""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Stack

from infra import bytecode, packaging
from infra.bytecode import MAGIC, compiler
from infra.config import DeploymentConfig
from infra.constructs import packages
from infra.packaging import PackagingError, client_layer, function_code, node_code
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
    """Of its sources; byte code is asked for apart."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"}


def test_a_node_function_is_one_file_that_needs_nothing_beside_it(tmp_path: Path) -> None:
    """Bundled from the client's sources; asked for what it refuses before it calls AWS."""
    folder = node_code("stream", files={"applications.json": '{"checkout": ["greeter"]}'})
    assert names(folder) == {"handler.js", "applications.json"}
    shutil.copytree(folder, tmp_path / "code")
    program = """
        globalThis.awslambda = { streamifyResponse: (handler) => handler,
            HttpResponseStream: { from: (stream, { statusCode }) => Object.assign(stream, { statusCode }) } };
        const { handle } = require("./code/handler.js");
        const out = new (require("stream").PassThrough)();
        const requestContext = { http: { method: "POST" } };
        const event = { rawPath: "/prompts/p/stream", requestContext, body: '{"unit": "u"}' };
        handle(event, out, { invokedFunctionArn: process.argv[1] }).then(() => console.log(out.statusCode));
    """
    for alias, status in ((":checkout", "403"), (":gone", "403")):
        arn = f"arn:aws:lambda:eu-west-1:111122223333:function:stream{alias}"
        env = {"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": str(tmp_path / "code"), "ROUTE_TABLE": "routes"}
        env |= {"AWS_REGION": "eu-west-1", "RECEIPT_KEY_ID": "k", "AWS_LAMBDA_FUNCTION_NAME": "stream"}
        done = subprocess.run(
            ["node", "-e", program, arn], capture_output=True, text=True, check=False, cwd=tmp_path, env=env, timeout=60
        )
        assert done.stdout.strip() == status, done.stderr


def test_a_bundle_that_cannot_be_made_says_why_and_what_to_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"expected functions/shift/handler\.mjs"):
        node_code("shift", files={}, root=root, build=tmp_path)
    (root / "functions/shift/handler.mjs").touch()
    with pytest.raises(PackagingError, match="run `make setup`"):
        node_code("shift", files={}, root=root, build=tmp_path)


def test_a_function_gets_the_package_and_its_own_folder(root: Path, tmp_path: Path) -> None:
    assert names(function_code("shift", target="host", root=root, build=tmp_path / "b")) == {
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
    assert "promptlane_checks/__init__.py" in names(
        function_code("run_cases", target="host", root=root, build=tmp_path / "b")
    )
    assert "promptlane_checks/__init__.py" not in names(
        function_code("shift", target="host", root=root, build=tmp_path / "b")
    )


def test_an_application_gets_client_and_domain_only(root: Path, tmp_path: Path) -> None:
    assert names(client_layer(root=root, build=tmp_path / "b")) == {
        "python/promptlane/__init__.py",
        "python/promptlane/client/__init__.py",
        "python/promptlane/domain/release/route.py",
    }


def test_the_same_code_is_one_asset_and_changed_code_another(root: Path, tmp_path: Path) -> None:
    first = function_code("shift", target="host", root=root, build=tmp_path / "b")
    assert function_code("shift", target="host", root=root, build=tmp_path / "b") == first
    assert function_code("shift", target="host", root=root, build=tmp_path / "elsewhere").name == first.name
    (root / "promptlane/cli/app.py").write_text("import rich\n")
    assert function_code("shift", target="host", root=root, build=tmp_path / "b") == first
    (root / "promptlane/domain/release/route.py").write_text("ROUTE = 2\n")
    assert function_code("shift", target="host", root=root, build=tmp_path / "b") != first


def test_a_function_that_does_not_exist_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"functions/levitate/handler\.py"):
        function_code("levitate", target="host", root=root, build=tmp_path / "b")


def test_a_half_built_asset_is_never_seen(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(shutil, "copyfile", break_off)
    with pytest.raises(OSError, match="disk full"):
        function_code("shift", target="host", root=root, build=tmp_path / "b")
    monkeypatch.undo()
    assert list((tmp_path / "b").iterdir()) == []
    assert "functions/shift/handler.py" in names(function_code("shift", target="host", root=root, build=tmp_path / "b"))


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
    assert not [p for p in built.rglob("*") if p.name in ("RECORD", "INSTALLER")]
    assert bool([*built.rglob("*.pyc")]) == bool(compiler("aws").python)
    megabytes = sum(p.stat().st_size for p in built.rglob("*") if p.is_file()) / 1e6
    assert megabytes < 100  # Lambda allows 250 with the function; a new dependency should not pass unnoticed


def test_what_every_function_has_is_small_since_a_rollback_waits_for_it() -> None:
    for holds, megabytes in (("layer", 10), ("sdk", 14)):
        built = packaging.layer(holds, target="aws")  # type: ignore[arg-type]
        assert sum(p.stat().st_size for p in built.rglob("*") if p.is_file()) < megabytes * 1e6


def test_every_client_that_the_code_makes_is_in_our_sdk_and_no_others_are(synthesized: Synthesized) -> None:
    """By its literal name, wherever the house makes one that a function may use."""
    root = packaging.ROOT / "promptlane"
    sources = [path for part in ("aws", "client") for path in (root / part).rglob("*.py")]
    made = r"\b(?:clients|found|self\._aws|self)\.(?:client|resource)\(\s*\"([a-z0-9-]+)\""
    asked = {name for path in sources for name in re.findall(made, path.read_text())}
    assert len(asked) > 10
    data = packaging.layer("sdk", target="host") / "python" / "botocore" / "data"
    there = {folder.name for folder in data.iterdir() if folder.is_dir()}
    assert asked <= there == {*packaging.SDK_SERVICES}
    # What only an operator's commands ask for, and what credentials may need.
    assert there - asked <= {"sts"}


def test_our_sdk_makes_each_of_its_clients_and_signs_a_call() -> None:
    sdk = packaging.layer("sdk", target="host") / "python"
    program = (
        "import boto3, sys\n"
        "assert boto3.__file__.startswith(sys.argv[1]), boto3.__file__\n"
        "for name in sys.argv[2:]: boto3.client(name)\n"
        "table = boto3.resource('dynamodb').Table('t')\n"
        "print(boto3.client('s3').generate_presigned_url('get_object', Params={'Bucket': 'reports', 'Key': 'k'}))\n"
    )
    key = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-central-1"}
    command = [sys.executable, "-S", "-c", program, str(sdk), *packaging.SDK_SERVICES]
    done = subprocess.run(command, env={"PYTHONPATH": str(sdk), **key}, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("https://reports.s3."), done.stderr


def test_every_function_has_our_sdk(synthesized: Synthesized) -> None:
    for verb in synthesized.verbs():
        assert any("Sdk" in layer["Ref"] for layer in synthesized.function(verb)[2]["Layers"]), verb


def test_byte_code_is_taken_whatever_the_times_of_the_files(root: Path, tmp_path: Path) -> None:
    """CDK's assets hold no times: of the usual kind of byte code Lambda would take none."""
    built = function_code("shift", target="host", root=root, build=tmp_path / "b")
    source = built / "promptlane/domain/release/route.py"
    compiled = Path(importlib.util.cache_from_source(str(source)))
    assert compiled.read_bytes()[:8] == importlib.util.MAGIC_NUMBER + b"\x01\x00\x00\x00"  # by hash, unchecked
    assert not (built / "promptlane/domain/__pycache__").exists()  # what lay beside the sources stays there
    os.utime(source, (315_532_800, 315_532_800))
    source.write_text("ROUTE = 'read from the source'\n")
    program = "import runpy, promptlane.domain.release.route as r; print(r.ROUTE)"
    done = subprocess.run([sys.executable, "-c", program], cwd=built, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_byte_code_is_the_same_on_every_run(root: Path, tmp_path: Path) -> None:
    (root / "promptlane/aws/routes.py").write_text("def f(x):\n    return x in {'a', 'b', 'c', 'd', 'e'}\n")
    one, two = (function_code("shift", target="host", root=root, build=tmp_path / b) for b in "ab")
    compiled = [path.relative_to(one) for path in one.rglob("*.pyc")]
    assert len(compiled) == len(names(one))
    assert [(one / path).read_bytes() for path in compiled] == [(two / path).read_bytes() for path in compiled]


def test_lambdas_python_is_found_behind_a_shim_that_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, does in (("shim", "exit 127"), ("older", "echo cb0d0d0a"), ("right", f"echo {MAGIC.hex()}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python3.13").write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name / "python3.13").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"another")

    def found(*folders: str) -> Path | None:
        monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / folder) for folder in folders))
        looked_up: Path | None = inspect.unwrap(bytecode._lambdas_python)()  # past its cache
        return looked_up

    assert found("shim", "older", "right") == tmp_path / "right" / "python3.13"
    assert found("shim", "older") is None


def test_without_lambdas_python_sources_go_alone_and_synth_says_so(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bytecode, "_lambdas_python", lambda: None)
    built = function_code("shift", target="aws", root=root, build=tmp_path / "b")
    assert names(built)
    assert not [*built.rglob("*.pyc")]
    monkeypatch.setattr(packages, "packages", lambda *given, **more: None)
    stack = Stack(App(), "s")
    packages.sdk(stack, config=DeploymentConfig())
    (said,) = [entry.data for entry in stack.node.metadata if entry.type == "aws:cdk:warning"]
    assert "uv python install 3.13" in said


def test_what_seals_receipts_is_built_for_lambdas_processor_and_small_enough_for_a_cold_start() -> None:
    built = packaging.layer("receipts", target="aws")
    libraries = [p.name for p in built.rglob("*.so")]
    assert libraries
    assert not [name for name in libraries if "x86_64" in name]
    assert sum(p.stat().st_size for p in built.rglob("*") if p.is_file()) < 20e6


def test_a_function_has_the_packages_of_test_suites_if_it_loads_what_needs_them(synthesized: Synthesized) -> None:
    layered = [
        v for v in synthesized.verbs() if v not in ("gateway", "invocation_logging", "record_renders")
    ]  # these have neither layer
    assert "ReceiptPackages" in text(synthesized.function("gateway")[2]["Layers"])
    alone = {"promptlane.engine", "promptlane.engine.prices"}  # prices need no package
    script = "import sys, importlib; importlib.import_module(sys.argv[1]); "
    script += f"print(any(name.startswith('promptlane.engine') and name not in {alone} for name in sys.modules))"
    for verb in layered:
        command = [sys.executable, "-c", script, f"functions.{verb}.handler"]
        loads = subprocess.run(command, cwd=packaging.ROOT, capture_output=True, text=True, check=True).stdout.strip()
        layers = text(synthesized.function(verb)[2]["Layers"])
        assert str("EnginePackages" in layers) == loads, verb
