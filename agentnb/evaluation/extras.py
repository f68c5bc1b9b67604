"""What comes with the extra ``evaluate``, imported when it is first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agentnb._support.installing import install_hint
from agentnb.errors import ConfigError

__all__ = ["jsonschema", "stats"]

_INSTALL = f"Install it: {install_hint('evaluate')}"


def stats() -> Any:
    """Return `scipy.stats`.

    Raises:
        ConfigError: SciPy is not installed.
    """
    return _imported("scipy.stats", "Confidence intervals need SciPy, which is not installed.")


def jsonschema() -> Any:
    """Return `jsonschema`.

    Raises:
        ConfigError: it is not installed.
    """
    return _imported("jsonschema", "JSON schemas need jsonschema, which is not installed.")


def _imported(name: str, missing: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ConfigError(missing, hint=_INSTALL) from error
