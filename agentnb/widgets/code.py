"""JavaScript of the views, sent to the page once per kernel instead of with each widget.

Most notebooks need only that of a run's view, which is sent without the others until one of those
is displayed.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final

import ipywidgets  # pyright: ignore[reportMissingTypeStubs]
import traitlets

_STATIC: Final = Path(__file__).parent / "static"


def bundle(name: str, *, directory: Path = _STATIC) -> Path:
    """Return the path of a built file.

    Raises:
        ImportError: it is missing; a checkout has to be built before it can display widgets.
    """
    path = directory / name
    if not path.is_file():
        raise ImportError(
            f"agentnb's live view is not built: {path} is missing. In a checkout, "
            "`npm ci && npm run build` in js/ makes it; an installed package brings it along."
        )
    return path


def host_shares_code() -> bool:
    """Return whether the notebook itself sends the same ``_esm`` of several widgets only once.

    marimo does.  It also closes a widget along with the cell that created it, and delivers messages
    only between cells, so that a code model of our own would not work there.
    """
    marimo: Any = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


class _CodeModel(ipywidgets.Widget):
    """Model without a view that holds the code, and which every widget manager supports."""

    source: traitlets.Unicode[str, str | bytes] = traitlets.Unicode().tag(sync=True)


class _ModelSlot:
    """This kernel's model of one bundle, and the process that created it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.model: Any = None
        self.process = 0

    @property
    def is_usable(self) -> bool:
        """Whether there is an open model, which is not that of a parent process."""
        return self.process == os.getpid() and self.model.comm is not None


_RUN: Final = "run.js"
_ALL: Final = "widget.js"
_slots: Final = {_RUN: _ModelSlot(), _ALL: _ModelSlot()}


def code_of(kind: str) -> str:
    """Return the name of the bundle for a kind of widget.

    The bundle of all views includes that of a run, and is used if the page has it already.
    """
    return _RUN if kind == "run" and not _slots[_ALL].is_usable else _ALL


@cache
def _code(name: str) -> tuple[str, str]:
    source = bundle(name).read_text("utf-8")
    return hashlib.sha256(source.encode()).hexdigest()[:16], source


def code_reference(kind: str) -> dict[str, Any]:
    """Return the trait ``_code`` for a kind of widget: hash of the bundle, id of its model.

    Creates the model if necessary; in a host that shares code itself there is none.

    Raises:
        ImportError: the code is not built, see `bundle`.
    """
    name = code_of(kind)
    digest, source = _code(name)
    if host_shares_code():
        return {"hash": digest, "model_id": None}
    slot = _slots[name]
    with slot.lock:
        if not slot.is_usable:
            slot.model = _CodeModel(source=source)
            slot.process = os.getpid()
        return {"hash": digest, "model_id": slot.model.model_id}


def code_message(digest: str) -> dict[str, str] | None:
    """Return the message with the bundle of this hash, for a page without the model; or None."""
    for known, source in map(_code, _slots):
        if known == digest:
            return {"type": "code", "hash": digest, "source": source}
    return None
