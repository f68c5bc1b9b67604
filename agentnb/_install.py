"""How to install what is missing."""

from __future__ import annotations

from typing import Final

__all__ = ["install_hint"]

_DISTRIBUTION: Final = "jupyter-agentnb"


def install_hint(extra: str) -> str:
    """Return the command that installs an extra of this package."""
    return f"pip install '{_DISTRIBUTION}[{extra}]'"
