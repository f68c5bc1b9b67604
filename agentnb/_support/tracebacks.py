"""Short tracebacks in IPython, without this package's frames.

IPython calls an exception's ``_render_traceback_`` for its lines.  This module does not import
IPython; IPython is imported when it calls.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import takewhile
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

_OWN: Final = __name__.partition(".")[0]
_NOTEBOOK: Final = ("IPython", "ipykernel")
# Modes that display the whole traceback: ``%xmode Verbose``, ``%tb Verbose``.
_WHOLE: Final = ("Verbose", "Docs", "Doctest")

_Location = tuple[FrameType, int]


def short_traceback(error: BaseException, *, fault: BaseException | None = None) -> list[str]:
    """Return the lines of the user's code that led to ``error``, and its message.

    A cell of one line is omitted, because it is displayed right above.  ``fault`` is the unexpected
    exception that caused ``error``; its location is included.  IPython's verbose modes display the
    whole traceback, its minimal mode only the message.
    """
    shell = _shell()
    traceback: Any = getattr(shell, "InteractiveTB", None)
    if getattr(traceback, "mode", None) in _WHOLE:
        return traceback.structured_traceback(type(error), error, error.__traceback__)
    last = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if getattr(traceback, "mode", None) == "Minimal":
        return [last]
    lines: list[str] = []
    if fault is not None and (raised := _raised_at(fault.__traceback__)):
        for location in raised:
            lines += _format(location, shell)
        lines.append("")
    calls = _calls(error.__traceback__)
    if len(calls) > 1 or not all(map(_is_one_line, calls)):
        for location in calls:
            lines += _format(location, shell)
    return [*lines, last]


def hide_frames(error: BaseException) -> None:
    """Omit this package's frames of ``error`` in the tracebacks of IPython and Python."""
    notes = getattr(error, "__notes__", ())
    marked: Any = error
    marked._render_traceback_ = lambda: [*short_traceback(error), *notes]
    marked.hides_agentnb_frames = True
    _install_hook()


@contextmanager
def short_interrupts() -> Generator[None]:
    """Hide this package's frames of a Ctrl-C in the block."""
    try:
        yield
    except KeyboardInterrupt as error:
        hide_frames(error)
        raise


@cache
def _install_hook() -> None:
    """Install the exception hook, once."""
    before = sys.excepthook

    def hook(kind: type[BaseException], raised: BaseException, tb: TracebackType | None) -> None:
        if _cut_frames(raised):
            tb = raised.__traceback__
        before(kind, raised, tb)

    sys.excepthook = hook


def _cut_frames(error: BaseException) -> bool:
    """Remove this package's frames from ``error`` and its contexts if they are marked to hide them.

    Earlier interrupts (a second Ctrl-C during the first) are cut, too.  Return whether ``error``
    itself is marked.
    """
    is_hiding = is_first = getattr(error, "hides_agentnb_frames", False)
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        is_interrupt = is_first and isinstance(found, KeyboardInterrupt)
        if is_hiding or is_interrupt:
            found.__traceback__ = _without_own(found.__traceback__)
        found = found.__context__
        is_hiding = getattr(found, "hides_agentnb_frames", False)
    return is_first


def _without_own(tb: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback before this package."""
    if tb is None or _package((tb.tb_frame, tb.tb_lineno)) == _OWN:
        return None
    tb.tb_next = _without_own(tb.tb_next)
    return tb


def _calls(tb: TracebackType | None) -> list[_Location]:
    """Return the locations in the user's code before this package."""
    before = takewhile(lambda location: _package(location) != _OWN, _locations(tb))
    return [location for location in before if _package(location) not in _NOTEBOOK]


def _raised_at(tb: TracebackType | None) -> list[_Location]:
    """Return the last location in this package, and those in other code that it called."""
    locations = list(_locations(tb))
    own = [index for index, location in enumerate(locations) if _package(location) == _OWN]
    return locations[own[-1] :] if own else locations


def _locations(tb: TracebackType | None) -> Iterator[_Location]:
    while tb is not None:
        yield tb.tb_frame, tb.tb_lineno
        tb = tb.tb_next


def _package(location: _Location) -> str:
    return str(location[0].f_globals.get("__name__", "")).partition(".")[0]


def _is_one_line(location: _Location) -> bool:
    code: CodeType = location[0].f_code
    lines = linecache.getlines(code.co_filename, location[0].f_globals)
    return sum(map(bool, map(str.strip, lines))) == 1


def _format(location: _Location, shell: Any) -> list[str]:
    frame, number = location
    code: CodeType = frame.f_code
    # IPython has its own names for cells.
    named: Any = getattr(getattr(shell, "compile", None), "format_code_name", None)
    label = named and named(code.co_filename)
    where = " ".join(label) if label else f'File "{code.co_filename}"'
    inside = "" if code.co_name == "<module>" else f", in {code.co_name}"
    source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
    return [f"{where}, line {number}{inside}", *([f"    {source}"] if source else [])]


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
