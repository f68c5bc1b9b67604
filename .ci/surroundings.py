"""Surroundings in which the user's own set-up can't change what happens.

Keys and addresses of platforms are taken out of the environment, so that nothing leaves the
machine; Jupyter, IPython and agentnb read and write below `build/` instead of the home folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOREIGN = ("AGENTNB_", "IPYTHON", "JUPYTER", "OPERATIVUS_", "RUNAGENT_", "RUNTOOLS_", "SEEKR_")
KEPT = ("AGENTNB_CHROMIUM", "AGENTNB_POSTGRESQL")
HOME = Path(__file__).resolve().parent.parent / "build" / "home"


def clean(environment: Mapping[str, str], *, home: Path = HOME) -> dict[str, str]:
    """A copy of `environment` without what is foreign, its folders moved below `home`."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in KEPT or not name.startswith(FOREIGN)
    }
    folders = {
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_CONFIG_DIR": home / "jupyter" / "config",
        "JUPYTER_DATA_DIR": home / "jupyter" / "data",
        "JUPYTER_RUNTIME_DIR": home / "jupyter" / "runtime",
        "XDG_CONFIG_HOME": home / "config",
        "XDG_DATA_HOME": home / "data",
        "XDG_STATE_HOME": home / "state",
    }
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    # The kernel's warnings about a missing debugger are noise in a log.
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    # A test must neither read nor change the user's keyring.
    keyring = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    return {**kept, **{name: str(path) for name, path in folders.items()}, **quiet, **keyring}
