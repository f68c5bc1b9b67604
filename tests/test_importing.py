"""Imports that a fork waits for."""

from __future__ import annotations

import sys

import pytest

import agentnb.event
from agentnb._support.fork import imported


def test_a_module_is_imported_once() -> None:
    assert imported("agentnb.event") is agentnb.event


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError):
        imported("agentnb.missing")
    assert "agentnb.missing" not in sys.modules
