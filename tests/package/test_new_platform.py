"""``agentnb new-platform``: the package it writes passes its own tests, and is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bootstrap
import pytest

from agentnb.__main__ import main


def installed(folder: Path, name: str) -> None:
    """Do as an editable installation does: metadata with the entry point, on the path."""
    metadata = folder / f"agentnb_{name}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: agentnb-{name}\nVersion: 0\n")
    title = "".join(part.title() for part in name.split("_"))
    entry = f"[agentnb.platforms]\n{name} = agentnb_{name}:{title}Platform\n"
    (metadata / "entry_points.txt").write_text(entry)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["acme", "my_agents"])
def test_a_new_platform_passes_the_contract(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / f"agentnb-{name}"
    assert main(["new-platform", name, "--folder", str(folder)]) == 0
    assert f"pytest {folder}" in capsys.readouterr().out
    installed(folder, name)
    path = os.pathsep.join([str(folder), str(bootstrap.ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "tests")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "AGENTNB_HISTORY": "off"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 passed" in done.stdout
    lines = (folder / f"agentnb_{name}" / "__init__.py").read_text().splitlines()
    assert len(lines) < 100


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Acme", "cannot name a platform"),
        ("a-b", "cannot name a platform"),
        ("../x", "cannot name a platform"),
        ("seekr", "There is a platform 'seekr' already"),
        ("openai", "There is a platform 'openai' already"),
    ],
)
def test_a_name_that_cannot_be(
    name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert main(["new-platform", name, "--folder", str(folder)]) == 2
    assert says in capsys.readouterr().err
    assert not folder.exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["new-platform", "acme", "--folder", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
