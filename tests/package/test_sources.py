"""Habits of the house that no linter knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import stages

LONGEST = 400


@pytest.mark.parametrize("pattern", ["agentnb/**/*.py", "js/src/**/*.ts", "tests/**/*.py"])
def test_modules_stay_short_enough_to_be_read(root: Path, pattern: str) -> None:
    lengths = {
        path.relative_to(root).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in root.glob(pattern)
    }

    assert lengths
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.parametrize("pattern", ["agentnb/**/*.py", "notebooks/*.ipynb", "*.md"])
def test_hints_name_the_distribution_that_is_ours(root: Path, pattern: str) -> None:
    """Check that no text has users install ``agentnb``, which on PyPI is another project."""
    other = re.compile(r"(?<![-\w.])agentnb\[[a-z,]+\]|pip install (-\S+ )*'?agentnb\b")
    texts = {path: path.read_text("utf-8") for path in root.glob(pattern)}

    assert texts
    assert {
        path.name: found[0] for path, text in texts.items() if (found := other.search(text))
    } == {}


@pytest.mark.parametrize("stage", [stages.FAST, stages.WHOLE], ids=["check", "test"])
def test_stages_name_tests_that_exist(root: Path, stage: stages.Stage) -> None:
    """pytest's processes report a path that does not exist only as an absence of tests."""
    paths = [str(part) for part in stage.command if str(part).startswith("tests")]

    assert paths
    assert [path for path in paths if not (root / path).exists()] == []
