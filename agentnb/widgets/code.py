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


def code_of(kind: str) -> Path:
    """Return the file with the code that a widget of this kind needs.

    Raises:
        ImportError: see `bundle`.
    """
    return bundle("run.js" if kind == "run" else "widget.js")


@cache
def _code(path: Path) -> tuple[str, str, _Holder]:
    source = path.read_text("utf-8")
    return hashlib.sha256(source.encode()).hexdigest()[:16], source, _Holder()


def code_reference(kind: str) -> CodeReference:
    """Return where the page finds the code for widgets of a kind.

    Makes the model where there is none that is open; in a host that shares code by itself there is
    none.

    Raises:
        ImportError: the code is not built, see `bundle`.
    """
    digest, source, holder = _code(code_of(kind))
    if host_shares_code():
        return {"hash": digest, "model_id": None}
    with holder.lock:
        # Widgets can be closed all together; and a forked process has no part in its parent's.
        usable = holder.process == os.getpid() and holder.model.comm is not None
        if not usable:
            holder.model = _CodeModel(source=source)
            holder.process = os.getpid()
        return {"hash": digest, "model_id": holder.model.model_id}


def code_message(kind: str) -> CodeMessage:
    """Return the answer to a page that asks for the code."""
    digest, source, _ = _code(code_of(kind))
    return {"type": "code", "hash": digest, "source": source}
