"""Parts that every layer uses; here the distribution's version, PyPI name and install commands."""

from __future__ import annotations

from typing import Final

__version__ = "0.1.0"

#: ``agentnb`` on PyPI is another project.
DISTRIBUTION: Final = "jupyter-agentnb"


def install_hint(*extras: str) -> str:
    """Return the command that installs the package with ``extras``."""
    if not extras:
        return f"pip install {DISTRIBUTION}"
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def upgrade_hint(*extras: str) -> str:
    """Return the command that upgrades the package with ``extras``."""
    return install_hint(*extras).replace("install", "install -U", 1)
