"""One version everywhere, and pins that name neither places nor unchecked files."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import agentnb


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def lock(root: Path) -> dict[str, Any]:
    return json.loads((root / "js" / "package-lock.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    """Each package of constraints.txt with everything that is said of it."""
    text = (root / "constraints.txt").read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for block in blocks:
        if name := re.match(r"[a-z0-9][a-z0-9._-]*", block):
            found[name.group()] = found.get(name.group(), "") + block
    return found


def test_the_version_is_the_same_everywhere(root: Path, lock: dict[str, Any]) -> None:
    package = json.loads((root / "js" / "package.json").read_text("utf-8"))
    changes = (root / "CHANGELOG.md").read_text("utf-8")

    assert version("jupyter-agentnb") == agentnb.__version__
    assert package["version"] == agentnb.__version__
    assert lock["version"] == agentnb.__version__
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == agentnb.__version__


def test_every_dependency_is_pinned(project: dict[str, Any], pins: dict[str, str]) -> None:
    optional: dict[str, list[str]] = project["project"]["optional-dependencies"]
    groups: dict[str, list[str]] = project["dependency-groups"]
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(line for lines in optional.values() for line in lines),
        *(line for lines in groups.values() for line in lines),
    ]
    names = {match.group().lower() for line in wanted if (match := re.match(r"[\w.-]+", line))}

    assert names
    assert names <= pins.keys()


def test_every_pin_has_hashes_and_no_place(root: Path, pins: dict[str, str]) -> None:
    text = (root / "constraints.txt").read_text("utf-8")

    assert not [name for name, block in pins.items() if "==" not in block or "sha256" not in block]
    assert not re.findall(r"^ *-(?!-hash=).*", text, re.MULTILINE)
    assert "://" not in text
    assert " @ " not in text


@pytest.mark.parametrize("folder", ["js", "tests/bench/page"])
def test_a_javascript_lock_has_checksums_and_no_places(root: Path, folder: str) -> None:
    lock: dict[str, Any] = json.loads((root / folder / "package-lock.json").read_text("utf-8"))
    packages: dict[str, dict[str, Any]] = lock["packages"]
    installed = {name: entry for name, entry in packages.items() if name}

    assert installed
    assert not [name for name, entry in installed.items() if "integrity" not in entry]
    assert not [name for name, entry in installed.items() if "resolved" in entry]


def test_the_javascript_lock_is_complete(lock: dict[str, Any]) -> None:
    # npm writes no entry for an optional package that it could not find, and `npm ci` then
    # fails on every machine.
    packages: dict[str, dict[str, Any]] = lock["packages"]
    known = {name.rpartition("node_modules/")[2] for name in packages}
    optional = {
        name for entry in packages.values() for name in entry.get("optionalDependencies", {})
    }

    assert optional
    assert optional <= known
