"""The distribution's name on PyPI, which is not that of the package, and how to install it."""

from __future__ import annotations

from typing import Final

__all__ = ["DISTRIBUTION", "install_hint", "upgrade_hint"]

#: ``agentnb`` on PyPI is another project.
DISTRIBUTION: Final = "jupyter-agentnb"


def install_hint(*extras: str) -> str:
    """Return the command that installs the package with ``extras``."""
    if not extras:
        return f"pip install {DISTRIBUTION}"
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def upgrade_hint(*extras: str) -> str:
    """Return the command that upgrades the package and what ``extras`` need."""
    return install_hint(*extras).replace("install", "install -U", 1)
