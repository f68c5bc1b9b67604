"""Packages of the extra ``evaluate``, imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agentnb._support.installing import install_hint
from agentnb.errors import ConfigError


def stats() -> Any:
    """Return `scipy.stats`, or raise `ConfigError` if SciPy is not installed."""
    return _import("scipy.stats", "Confidence intervals need SciPy, which is not installed.")


def jsonschema() -> Any:
    """Return `jsonschema`, or raise `ConfigError` if it is not installed."""
    return _import("jsonschema", "JSON schemas need jsonschema, which is not installed.")


def _import(name: str, message: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ConfigError(message, hint=f"Install it: {install_hint('evaluate')}") from error
