"""A team's own CDK app: the built wheel, in an environment that knows nothing of this repository."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = """\
import sys
from aws_cdk import App, Stack
from promptlane.cdk import Platform, PromptRelease

app = App(outdir=sys.argv[1])
stack = Stack(app, "SupportTeam")
PromptRelease(stack, "Support", directory="prompts/ours", deployment=Platform(resolution_seconds=10, time_scale=0.01,
    trail_late_seconds=1, budget_usd_per_prompt=100))
app.synth()
"""


@dataclass(frozen=True)
class ForeignApp:
    """`folder` holds app.py and prompts/ours/; `python` is of the environment with the installed wheel."""

    folder: Path
    python: Path

    def synth(self) -> subprocess.CompletedProcess[str]:
        """Into `assembly`."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [str(self.python), "app.py", str(self.assembly)],
            cwd=self.folder,
            env={**kept, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def assembly(self) -> Path:
        return self.folder / "cdk.out"


def make(folder: Path, prompt: Path) -> ForeignApp:
    """Builds the wheel offline, installs it in an environment of its own beside the packages of others, and writes the
    app with a copy of the prompt's folder."""
    clone, wheels, env = folder / "clone", folder / "wheels", folder / "env"
    shutil.copytree(ROOT / "promptlane", clone / "promptlane", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"):
        shutil.copy(ROOT / name, clone)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels), str(clone)], check=True
    )
    venv.create(env, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(env), "platbase": str(env)}))
    # Third-party packages alone: what a .pth of theirs names, as an editable install has one, is not followed.
    (packages / "third-party.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    (wheel,) = wheels.glob("promptlane-*.whl")
    subprocess.run([*pip, "install", *offline, "--target", str(packages), str(wheel)], check=True)
    app = folder / "app"
    shutil.copytree(prompt, app / "prompts" / "ours")
    (app / "app.py").write_text(APP)
    return ForeignApp(app, env / "bin" / "python")
