"""The distribution, and a bare environment into which its wheel is installed: nothing of the repository is there."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HIDING = """
import importlib.machinery, os, sys
hidden = set(os.environ.get("HIDDEN", "").split(","))
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in hidden else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
"""
"""Modules that `HIDDEN` names are not there."""


def build(out: Path) -> tuple[Path, Path]:
    """Wheel and sdist, built into a folder."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", out], cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


class Bare:
    """An environment with the wheel, and what it depends on as far as that is not hidden."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        venv.create(folder / "env", symlinks=True)
        self.folder, self.programs = folder, folder / "env" / "bin"
        python = self.programs / "python"
        install = ["pip", "--python", python, "install", "-q", "--no-deps", "--no-index", "--no-compile", wheel]
        subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True)
        (site,) = (folder / "env").glob("lib/*/site-packages")
        (site / "hiding.py").write_text(HIDING)
        (site / "shared.pth").write_text(f"import hiding\n{sysconfig.get_path('purelib')}\n")

    def run(
        self, program: str, *arguments: str, hidden: str = "", where: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command that the wheel brings, or python, in its folder or another one, where nothing of the repository is."""
        kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        environment = kept | {
            "HIDDEN": hidden,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",
        }
        command = [self.programs / program, *arguments]
        return subprocess.run(
            command,
            cwd=where or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    def refusal(self, program: str, *arguments: str, hidden: str) -> str:
        """The one line of a command that needs what is hidden."""
        done = self.run(program, *arguments, hidden=hidden)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        return line
