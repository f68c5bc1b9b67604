"""What IPython shows of an error instead of a traceback through this package.

IPython asks an exception that has ``_render_traceback_`` for its lines.  IPython itself is not
imported here: where it asks, it is there.
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

__all__ = ["hide_frames", "in_short", "short_interrupts"]

_OWN: Final = __name__.partition(".")[0]
_NOTEBOOK: Final = ("IPython", "ipykernel")
# These show what they are asked for, whole: ``%xmode Verbose``, ``%tb Verbose``.
_WHOLE: Final = ("Verbose", "Docs", "Doctest")

_Place = tuple[FrameType, int]


def in_short(error: BaseException, *, fault: BaseException | None = None) -> list[str]:
    """Return where the user's code met ``error``, and what it says, a line each.

    A cell that is one line is not named: it stands right above.  ``fault`` is an exception that
    nobody foresaw and that ``error`` came from: where it was raised is shown, too, or it could
    never be found.  In IPython's verbose modes everything is shown, as IPython does it; in its
    minimal one, only what ``error`` says.
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
        for place in raised:
            lines += _told(place, shell)
        lines.append("")
    calls = _calls(error.__traceback__)
    if len(calls) > 1 or not all(map(_is_one_line, calls)):
        for place in calls:
            lines += _told(place, shell)
    return [*lines, last]


def hide_frames(error: BaseException) -> None:
    """Have IPython and Python's own traceback leave out this package's frames of ``error``."""
    notes = getattr(error, "__notes__", ())
    marked: Any = error
    marked._render_traceback_ = lambda: [*in_short(error), *notes]
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
    """Put a hook before Python's own, once: it holds no error that was caught."""
    before = sys.excepthook

    def hook(kind: type[BaseException], raised: BaseException, tb: TracebackType | None) -> None:
        if _cut_frames(raised):
            tb = raised.__traceback__
        before(kind, raised, tb)

    sys.excepthook = hook


def _cut_frames(error: BaseException) -> bool:
    """Take this package's frames out of ``error``, if it is to hide them, and of what led to it.

    That is what it came from and is to hide them, and the interrupts that came before: a second
    Ctrl-C while the first one was served.  Returns whether it was ``error`` itself.
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
    """Return the part of a traceback that leads into this package."""
    if tb is None or _package((tb.tb_frame, tb.tb_lineno)) == _OWN:
        return None
    tb.tb_next = _without_own(tb.tb_next)
    return tb


def _calls(tb: TracebackType | None) -> list[_Place]:
    """Return the user's code that led into this package."""
    before = takewhile(lambda place: _package(place) != _OWN, _places(tb))
    return [place for place in before if _package(place) not in _NOTEBOOK]


def _raised_at(tb: TracebackType | None) -> list[_Place]:
    """Return the last place in this package, and the code of others that it called."""
    places = list(_places(tb))
    own = [index for index, place in enumerate(places) if _package(place) == _OWN]
    return places[own[-1] :] if own else places


def _places(tb: TracebackType | None) -> Iterator[_Place]:
    while tb is not None:
        yield tb.tb_frame, tb.tb_lineno
        tb = tb.tb_next


def _package(place: _Place) -> str:
    return str(place[0].f_globals.get("__name__", "")).partition(".")[0]


def _is_one_line(place: _Place) -> bool:
    code: CodeType = place[0].f_code
    lines = linecache.getlines(code.co_filename, place[0].f_globals)
    return sum(map(bool, map(str.strip, lines))) == 1


def _told(place: _Place, shell: Any) -> list[str]:
    frame, number = place
    code: CodeType = frame.f_code
    # IPython keeps the cells under names of its own.
    named: Any = getattr(getattr(shell, "compile", None), "format_code_name", None)
    label = named and named(code.co_filename)
    where = " ".join(label) if label else f'File "{code.co_filename}"'
    inside = "" if code.co_name == "<module>" else f", in {code.co_name}"
    source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
    return [f"{where}, line {number}{inside}", *([f"    {source}"] if source else [])]


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
