"""Telling the plans of an agent from its answer.

A planning agent sends its plan as a text part of its own: a JSON object with ``steps``, at its top
level or under a key that calls it a plan.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PlanSplitter", "split_plan"]

# An object whose first characters name no steps is taken to be the answer (characters).
_LOOK_AHEAD: Final = 4_000
# The same of a text that is there as a whole.
_LOOK_AT: Final = 200_000
_LONGEST_KEY: Final = 100
# Under these an object holds what it is about.
_WRAPPERS: Final = frozenset({"data", "result", "output", "payload", "content", "response"})


class PlanSplitter:
    """Splits one text part into plans and the answer while it streams.

    Text that begins with neither a brace nor a fence of code is the answer at once.  An object,
    with its fence, is held back until it has a list or an object of ``steps``, at its top level or
    in what is called a plan there, which makes it a plan, or has ended, or has gone on for long
    without; ``is_whole`` says that no more is to come, so that it may go on for longer.  After the
    end of a plan another one may follow, or the answer.

    ``holds_space`` says whether white space that the part begins with is held back, too.
    """

    def __init__(self, *, holds_space: bool = True, is_whole: bool = False) -> None:
        #: Whether all that follows is the answer.
        self.is_answer = False
        self._holds_space = holds_space
        self._most = _LOOK_AT if is_whole else _LOOK_AHEAD
        self._held = ""
        self._begin()

    def _begin(self) -> None:
        """Expect a plan or the answer."""
        self._is_plan = self._is_over = False
        self._depth = 0
        self._quote = self._string = ""
        self._escaped = False
        self._key: str | None = None
        # The keys that lead to where the scan is, as long as they call that a plan.
        self._path: list[str] = []
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
            if not self._is_plan and position > self._most:
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
            elif not self._is_plan and len(self._string) < _LONGEST_KEY:
                self._string += char
        elif self._depth == 0:
            return self._scan_after(char) if self._is_plan else self._scan_before(char)
        elif char in "\"'":
            self._quote, self._string = char, ""
        elif char in "{[":
            self._depth += 1
            if self._depth == len(self._path) + 2 and self._key is not None:
                self._is_plan = self._is_plan or self._key == "steps"
                if char == "{" and _names_plan(self._key):
                    self._path.append(self._key)
                    self._key = None
        elif char in "}]":
            self._depth -= 1
            if self._depth <= len(self._path) and self._path:
                self._path.pop()
                self._key = ""
            if self._depth == 0:
                self._is_over = self._is_plan and not self._fence
                self.is_answer = not self._is_plan
        elif self._depth == len(self._path) + 1:
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
        """Read what stands between the members of the object, or of the plan in it."""
        if char == ":":
            self._key = self._string
        elif char == ",":
            self._key = None
        elif self._key is None and not char.isspace():
            self.is_answer = True  # a brace, but no JSON


def _names_plan(key: str) -> bool:
    return "plan" in key.lower() or key in _WRAPPERS


def split_plan(text: str) -> list[tuple[bool, str]]:
    """Return a whole text part as pairs of (whether it is a plan, text)."""
    splitter = PlanSplitter(is_whole=True)
    return [*splitter.feed(text), *splitter.finish()]
