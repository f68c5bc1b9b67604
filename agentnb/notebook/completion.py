"""Tab completion on the lines of ``%%agent`` and ``%agent``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,  # pyright: ignore[reportUnknownVariableType]  # untyped in IPython
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["install", "remove"]

_LINE: Final = re.compile(r"^\s*%%?agent\s")


@context_matcher()  # pyright: ignore[reportUntypedFunctionDecorator]
def _matcher(context: CompletionContext) -> SimpleMatcherResult:
    # Only the first line of a cell is the line of a magic.
    line = context.line_with_cursor[: context.cursor_position]
    if context.cursor_line != 0 or _LINE.match(line) is None:
        return {"completions": []}
    from agentnb.notebook.completion_choices import complete, last_word

    choices = complete(line)
    # IPython replaces only its token, which may begin after a colon or a dash.
    skipped = len(last_word(line)) - len(context.token)
    return {
        "completions": [SimpleCompletion(text=c[max(0, skipped) :], type="agent") for c in choices],
        "suppress": bool(choices),
    }


def install(shell: InteractiveShell) -> None:
    """Add the completion to ``shell``."""
    matchers = _matchers(shell)
    if _matcher not in matchers:
        matchers.append(_matcher)


def remove(shell: InteractiveShell) -> None:
    """Remove the completion from ``shell``."""
    matchers = _matchers(shell)
    if _matcher in matchers:
        matchers.remove(_matcher)


def _matchers(shell: InteractiveShell) -> list[Any]:
    completer: Any = shell.Completer
    return completer.custom_matchers
