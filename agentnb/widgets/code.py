"""The code of the views: sent to the page once per kernel, not with every widget.

That of a run's view is all that most notebooks need, and is sent without the others' until one of
those is shown.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final, TypedDict

import ipywidgets  # pyright: ignore[reportMissingTypeStubs]
import traitlets

__all__ = [
    "CodeMessage",
    "CodeReference",
    "bundle",
    "code_message",
    "code_of",
    "code_reference",
    "host_shares_code",
]

_STATIC: Final = Path(__file__).parent / "static"


class CodeReference(TypedDict):
    """What a widget's trait ``_code`` tells the loader: which code, and which model has it."""

    hash: str
    model_id: str | None


class CodeMessage(TypedDict):
    """The code itself, for a page that has not found the model."""

    type: str
    hash: str
    source: str


def bundle(name: str, *, directory: Path = _STATIC) -> Path:
    """Return the path of a built file.

    Raises:
        ImportError: it is not there; a checkout has to be built before it can show widgets.
    """
    path = directory / name
    if not path.is_file():
        raise ImportError(
            f"agentnb's live view is not built: {path} is missing. In a checkout, "
            "`npm ci && npm run build` in js/ makes it; an installed package brings it along."
        )
    return path


def host_shares_code() -> bool:
    """Tell whether the notebook itself sends the same ``_esm`` of many widgets only once.

    marimo does.  It also closes a widget with the cell that made it, and delivers what a page asks
    only between cells: a model of our own would be of no use there.
    """
    marimo: Any = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


class _CodeModel(ipywidgets.Widget):
    """A plain model without a view, which every widget manager knows: it only holds the code."""

    source: traitlets.Unicode[str, str | bytes] = traitlets.Unicode().tag(sync=True)


class _Holder:
    """This kernel's model of one code, and whose it is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.model: Any = None
        self.process = 0

    @property
    def is_usable(self) -> bool:
        """Whether there is a model.

        Widgets can be closed all together; and a forked process has no part in its parent's.
        """
        return self.process == os.getpid() and self.model.comm is not None


_RUN: Final = "run.js"
_ALL: Final = "widget.js"
_holders: Final = {_RUN: _Holder(), _ALL: _Holder()}


def code_of(kind: str) -> str:
    """Return the name of the code that a widget of this kind is given.

    That of all views does for a run's, too, and where the page has it anyway there is no other.
    """
    return _RUN if kind == "run" and not _holders[_ALL].is_usable else _ALL


@cache
def _code(name: str) -> tuple[str, str]:
    source = bundle(name).read_text("utf-8")
    return hashlib.sha256(source.encode()).hexdigest()[:16], source


def code_reference(kind: str) -> CodeReference:
    """Return where the page finds the code for widgets of a kind.

    Makes the model where there is none that is open; in a host that shares code by itself there is
    none.

    Raises:
        ImportError: the code is not built, see `bundle`.
    """
    name = code_of(kind)
    digest, source = _code(name)
    if host_shares_code():
        return {"hash": digest, "model_id": None}
    holder = _holders[name]
    with holder.lock:
        if not holder.is_usable:
            holder.model = _CodeModel(source=source)
            holder.process = os.getpid()
        return {"hash": digest, "model_id": holder.model.model_id}


def code_message(digest: str) -> CodeMessage | None:
    """Return the answer to a page that asks for the code of this hash; None where there is none."""
    for known, source in map(_code, _holders):
        if known == digest:
            return {"type": "code", "hash": digest, "source": source}
    return None
