"""How a store that cannot be used is warned of."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

from agentnb.errors import HistoryWarning
from agentnb.store.failures import warn


def test_it_is_shown_as_one_line() -> None:
    code = "from agentnb.store.failures import warn\nfor _ in range(2): warn('It is damaged.')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "<agentnb>:1: HistoryWarning: It is damaged.\n" * 2


def test_filters_apply_to_it() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=HistoryWarning, module=r"agentnb\.history")
        warn("nothing")
    with pytest.raises(HistoryWarning, match="as an error"):
        warn("as an error")
