"""Telling the plans of an agent from its answer.

A planning agent sends its plan as a text part of its own: a JSON object with ``steps``.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PlanSplitter", "split_plan"]

# An object whose first characters name no steps is taken to be the answer (characters).
_LOOK_AHEAD: Final = 1000


class PlanSplitter:
    """Splits one text part into plans and the answer while it streams.

    Text that begins with neither a brace nor a fence of code is the answer at once.  An object,
    with its fence, is held back until it has a list or an object of ``steps`` at its top level,
    which makes it a plan, or has ended, or has gone on for long without.  After the end of a plan
    another one may follow, or the answer.

    ``holds_space`` says whether white space that the part begins with is held back, too.
    """

    def __init__(self, *, holds_space: bool = True) -> None:
        #: Whether all that follows is the answer.
        self.is_answer = False
        self._holds_space = holds_space
        self._held = ""
        self._begin()

    def _begin(self) -> None:
        """Expect a plan or the answer."""
        self._is_plan = self._is_over = False
        self._depth = 0
        self._quote = self._string = ""
        self._escaped = False
        self._key: str | None = None
        # The marks of the fence around the object, and whether its line goes on.
        self._fence = ""
        self._in_fence_line = self._is_opening = self._is_closed = False

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Return what of the part can be shown now: pairs of (whether it is a plan, text)."""
        if self.is_answer or not text:
            return [(False, text)] if text else []
        released: list[tuple[bool, str]] = []
        position = len(self._held)
        self._held += text
        while position < len(self._held):
            # The character after a fence that is not closed belongs to what follows.
            used = self._scan(self._held[position])
            position += used
            if not self._is_plan and position > _LOOK_AHEAD:
                self.is_answer = True
            if self.is_answer:
                return [*released, *self._released(position if self._is_plan else 0)]
            if self._is_over:
                released.append((True, self._held[:position]))
                self._held = self._held[position:]
                self._begin()
                position = 0
        if self._is_plan:
            released += self._released(len(self._held))
        elif not (self._depth or self._fence or self._holds_space):
            released += self._released(0)
        return [pair for pair in released if pair[1]]

    def finish(self) -> list[tuple[bool, str]]:
        """Return what was held back when the part ended."""
        return self._released(len(self._held) if self._is_plan else 0)

    def _released(self, end: int) -> list[tuple[bool, str]]:
        held, self._held = self._held, ""
        return [
            (is_plan, text) for is_plan, text in ((True, held[:end]), (False, held[end:])) if text
        ]

    def _scan(self, char: str) -> int:
        """Read a character; return how many of it were used: 0 or 1."""
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
            return self._scan_after(char) if self._is_plan else self._scan_before(char)
        elif char in "\"'":
            self._quote, self._string = char, ""
        elif char in "{[":
            self._depth += 1
            if self._depth == 2 and self._key == "steps":
                self._is_plan = True
        elif char in "}]":
            self._depth -= 1
            if self._depth == 0:
                self._is_over = self._is_plan and not self._fence
                self.is_answer = not self._is_plan
        elif self._depth == 1:
            self._scan_member(char)
        return 1

    def _scan_before(self, char: str) -> int:
        """Read what stands before an object: white space, and the line that opens a fence."""
        if self._in_fence_line:
            if char == "\n":
                self._in_fence_line = False
            elif len(self._fence) < 3 or (char == self._fence[0] and self._is_opening):
                self._fence += char
            self._is_opening = self._is_opening and char == self._fence[0]
            self.is_answer = len(set(self._fence)) > 1 or (len(self._fence) < 3 and char == "\n")
        elif char == "{":
            self._depth = 1
        elif char in "`~" and not self._fence:
            self._fence, self._in_fence_line, self._is_opening = char, True, True
        elif not (char.isspace() or char == "\ufeff"):
            self.is_answer = True
        return 1

    def _scan_after(self, char: str) -> int:
        """Read what stands after a plan in a fence, to the line that closes it."""
        if char == self._fence[0]:
            self._is_closed = True
        elif char == "\n" and self._is_closed:
            self._is_over = True
        elif not char.isspace():
            self._is_over = True
            return 0
        return 1

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
