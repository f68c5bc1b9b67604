"""The wheel, installed where nothing else is: no checkout, no Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Distributions

pytestmark = pytest.mark.slow

EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, sys.argv[2])
"""

INSPECT = """
import json, shutil
from importlib.resources import files
import agentnb
static = files("agentnb.widgets") / "static"
print(json.dumps({
    "package": agentnb.__file__,
    "node": shutil.which("node"),
    "loader": len((static / "loader.js").read_text("utf-8")),
    "code": len((static / "widget.js").read_text("utf-8")),
}))
"""


@pytest.fixture(scope="module")
def empty(
    distributions: Distributions, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A virtual environment with the wheel and what any notebook needs: a kernel and a client."""
    venv = tmp_path_factory.mktemp("empty") / "venv"
    tool = (sys.executable, "-m")
    python = venv / "bin" / "python"
    subprocess.run([*tool, "uv", "venv", "-q", "-p", sys.executable, venv], check=True)
    what = ("--constraint", root / "constraints.txt", distributions.wheel, "ipykernel", "nbclient")
    uv = [*tool, "uv", "pip", "install", "-q", "--python", python, *what]
    if subprocess.run(uv, check=False).returncode:
        # As in the project's set-up: an index that only pip's own configuration names.
        subprocess.run([*tool, "pip", "--python", python, "install", "-q", *what], check=True)
    return venv


def run(venv: Path, *arguments: str | Path, cwd: Path) -> str:
    """Run the environment's Python; PATH holds the environment alone."""
    env = {**os.environ, "PATH": str(venv / "bin"), "VIRTUAL_ENV": str(venv)}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [venv / "bin" / "python", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_package_is_the_installed_one_and_brings_its_bundle(
    empty: Path, tmp_path: Path
) -> None:
    found = json.loads(run(empty, "-c", INSPECT, cwd=tmp_path))

    assert Path(found["package"]).is_relative_to(empty)
    assert found["node"] is None
    assert found["loader"] > 0
    assert found["code"] > 0


def test_the_quickstart_runs(empty: Path, root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "notebooks" / "quickstart.ipynb", tmp_path)

    run(empty, "-c", EXECUTE, "quickstart.ipynb", "executed.ipynb", cwd=tmp_path)

    cells = json.loads((tmp_path / "executed.ipynb").read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = ["".join(output.get("data", {}).get("text/plain", [])) for output in outputs]
    assert any("NVDA" in text for text in texts)


def test_a_checkout_installs_where_there_is_no_node(root: Path, tmp_path: Path) -> None:
    """Build from the files that git knows; Node comes from PyPI for the time of the build."""
    source, programs = tmp_path / "source", tmp_path / "programs"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith("tests/") and (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, source / name)
    programs.mkdir()
    # What npm's own scripts need, and no Node.
    for program in ("sh", "env", "uname", "dirname", "sed"):
        if (path := shutil.which(program)) is not None:
            (programs / program).symlink_to(path)

    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, source],
        env={**os.environ, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "agentnb/widgets/static/widget.js" in archive.namelist()
