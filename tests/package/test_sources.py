"""Habits of the house that no linter knows."""

from __future__ import annotations

from pathlib import Path

import pytest

LONGEST = 400


@pytest.mark.parametrize("pattern", ["agentnb/**/*.py", "js/src/**/*.ts", "tests/**/*.py"])
def test_modules_stay_short_enough_to_be_read(root: Path, pattern: str) -> None:
    lengths = {
        path.relative_to(root).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in root.glob(pattern)
    }

    assert lengths
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
