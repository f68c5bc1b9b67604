"""Telling the plans of an agent from its answer.

A planning agent sends its plan as a text part of its own: a JSON object with ``steps``.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PlanSplitter", "split_plan"]

# An object whose first characters name no steps is taken to be the answer (characters).
_LOOK_AHEAD: Final = 1000


class PlanSplitter:
    """Splits one text part into plan and answer while it streams.

    Text that does not begin with a brace is the answer at once.  An object is held back until it
    has a list or an object of ``steps`` at its top level, which makes it a plan, or has ended, or
    has gone on for long without.  What follows the end of a plan is the answer again.

    ``holds_space`` says whether white space that the part begins with is held back, too.
    """

    def __init__(self, *, holds_space: bool = True) -> None:
        #: Whether all that follows is the answer.
        self.is_answer = False
        self._holds_space = holds_space
        self._is_plan = False
        self._held = ""
        self._depth = 0
        self._quote = ""
        self._escaped = False
        self._string = ""
        self._key: str | None = None

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Return what of the part can be shown now: pairs of (whether it is a plan, text)."""
        if self.is_answer or not text:
            return [(False, text)] if text else []
        begin = len(self._held)
        self._held += text
        for position in range(begin, len(self._held)):
            self._scan(self._held[position])
            if self.is_answer:
                # The scanned object was no plan, or was one and ends here.
                end = position + 1 if self._is_plan else 0
                return self._released(end)
            if position >= _LOOK_AHEAD and not self._is_plan:
                self.is_answer = True
                return self._released(0)
        if self._is_plan:
            return self._released(len(self._held))
        return [] if self._depth or self._holds_space else self._released(0)

    def finish(self) -> list[tuple[bool, str]]:
        """Return what was held back when the part ended."""
        return self._released(len(self._held) if self._is_plan else 0)

    def _released(self, end: int) -> list[tuple[bool, str]]:
        held, self._held = self._held, ""
        return [
            (is_plan, text) for is_plan, text in ((True, held[:end]), (False, held[end:])) if text
        ]

    def _scan(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._quote:
            if char == "\\":
                self._escaped = True
            elif char == self._quote:
                self._quote = ""
            elif not self._is_plan:
                self._string += char
        elif self._depth == 0:
            if char == "{":
                self._depth = 1
            elif not char.isspace():
                self.is_answer = True
        elif char in "\"'":
            self._quote, self._string = char, ""
        elif char in "{[":
            self._depth += 1
            if self._depth == 2 and self._key == "steps":
                self._is_plan = True
        elif char in "}]":
            self._depth -= 1
            self.is_answer = self._depth == 0
        elif self._depth == 1:
            self._scan_member(char)

    def _scan_member(self, char: str) -> None:
        """Read what stands between the members of the outermost object."""
        if char == ":":
            self._key = self._string
        elif char == ",":
            self._key = None
        elif self._key is None and not char.isspace():
            self.is_answer = True  # a brace, but no JSON


def split_plan(text: str) -> list[tuple[bool, str]]:
    """Return a whole text part as pairs of (whether it is a plan, text)."""
    splitter = PlanSplitter()
    return [*splitter.feed(text), *splitter.finish()]
