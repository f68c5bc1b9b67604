"""What the sdist and the wheel carry."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

import agentnb

if TYPE_CHECKING:
    from .conftest import Distributions

STATIC = "agentnb/widgets/static"
BUNDLE = {f"{STATIC}/{name}" for name in ("loader.js", "run.js", "widget.js", "licenses.txt")}


@pytest.fixture(scope="module")
def wheel(distributions: Distributions) -> dict[str, bytes]:
    with zipfile.ZipFile(distributions.wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    (name,) = (name for name in wheel if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel[name].decode())


def test_the_wheel_carries_every_module(wheel: dict[str, bytes], root: Path) -> None:
    modules = {path.relative_to(root).as_posix() for path in (root / "agentnb").rglob("*.py")}

    assert modules
    assert modules <= wheel.keys()


def test_the_wheel_carries_the_bundle_and_the_type_marker(wheel: dict[str, bytes]) -> None:
    assert wheel.keys() >= {*BUNDLE, "agentnb/py.typed"}
    assert all(wheel[name].strip() for name in BUNDLE)


def test_the_wheel_carries_nothing_but_the_package(wheel: dict[str, bytes]) -> None:
    information = f"jupyter_agentnb-{agentnb.__version__}.dist-info"

    assert {PurePosixPath(name).parts[0] for name in wheel} == {"agentnb", information}
    assert not [name for name in wheel if PurePosixPath(name).suffix in {".ts", ".mjs", ".map"}]
    assert not [name for name in wheel if "__pycache__" in name]
    # `agentnb.testing` is for tests of others.
    tests = [name for name in wheel if "test" in name.lower()]
    assert not [name for name in tests if not name.startswith("agentnb/testing/")]


def test_the_wheel_is_pure(distributions: Distributions) -> None:
    assert distributions.wheel.name == f"jupyter_agentnb-{agentnb.__version__}-py3-none-any.whl"


def test_the_sdist_carries_the_built_files_and_no_sources_of_theirs(
    distributions: Distributions,
) -> None:
    source = distributions.source

    assert {path.name for path in source.iterdir()} == {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "agentnb",
        "hatch_build.py",
        "pyproject.toml",
    }
    assert all((source / name).is_file() for name in BUNDLE)


def test_metadata(metadata: Message, wheel: dict[str, bytes]) -> None:
    assert metadata["Name"] == "jupyter-agentnb"
    assert metadata["Version"] == agentnb.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    extras = [
        *("charts", "dask", "duckdb", "evaluate", "fast", "keyring", "parquet", "postgresql"),
        "websocket",
    ]
    assert sorted(metadata.get_all("Provides-Extra") or []) == extras
    labels = {url.split(",")[0] for url in metadata.get_all("Project-URL") or []}
    assert labels == {"Changelog", "Documentation", "Issues", "Source"}
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert [name for name in wheel if name.endswith("/licenses/LICENSE")]


def test_a_build_without_bundle_and_sources_ends_with_one_clear_line(
    distributions: Distributions, tmp_path: Path
) -> None:
    for name in ("LICENSE", "README.md", "hatch_build.py", "pyproject.toml"):
        (tmp_path / name).write_bytes((distributions.source / name).read_bytes())
    module = tmp_path / "agentnb" / "_support" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text('__version__ = "0"\n')

    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert done.stderr.splitlines() == [
        "agentnb: the widget's bundle can't be built: js/src/widget.ts does not exist"
    ]
    assert not list(tmp_path.rglob("*.whl"))
