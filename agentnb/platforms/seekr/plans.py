"""Separate an agent's plans from its answer.

A planning agent sends its plan as a text part: a JSON object with ``steps``, at its top level or
under a key that names a plan.
"""

from __future__ import annotations

from typing import Final

# Characters of an object without steps after which it is taken for the answer: while streaming, and
# for a whole text.
_LOOK_AHEAD: Final = 4_000
_WHOLE_LOOK_AHEAD: Final = 200_000
_MAX_KEY_LENGTH: Final = 100
# Keys that may wrap a plan, besides those with "plan" in them.
_WRAPPERS: Final = frozenset({"data", "result", "output", "payload", "content", "response"})


class PlanSplitter:
    """Splits one streamed text part into plans and the answer.

    Text that begins with neither a brace nor a code fence is the answer at once.  An object, with
    its fence, is held back until it is a plan (a list or object of ``steps`` was found), has ended,
    or exceeds the look-ahead; ``is_whole`` extends that for complete texts.  A plan may be followed
    by another one, or by the answer.

    ``holds_space``: hold back leading white space, too.
    """

    def __init__(self, *, holds_space: bool = True, is_whole: bool = False) -> None:
        #: Whether all further text is the answer.
        self.is_answer = False
        self._holds_space = holds_space
        self._look_ahead = _WHOLE_LOOK_AHEAD if is_whole else _LOOK_AHEAD
        self._held = ""
        self._reset()

    def _reset(self) -> None:
        """Expect another plan or the answer."""
        self._is_plan = self._is_over = False
        self._depth = 0
        self._quote = self._string = ""
        self._escaped = False
        self._key: str | None = None
        # Keys from the top level to the current object, while each may name a plan.
        self._path: list[str] = []
        # The characters of the code fence, and the state of its opening and closing lines.
        self._fence = ""
        self._in_fence_line = self._is_opening = self._is_closed = False

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Return the text that is decided, as pairs of (whether it is a plan, text)."""
        if self.is_answer or not text:
            return [(False, text)] if text else []
        released: list[tuple[bool, str]] = []
        position = len(self._held)
        self._held += text
        while position < len(self._held):
            # The character after an unclosed fence belongs to what follows.
            position += self._scan(self._held[position])
            if not self._is_plan and position > self._look_ahead:
                self.is_answer = True
            if self.is_answer:
                return [*released, *self._release(position if self._is_plan else 0)]
            if self._is_over:
                released.append((True, self._held[:position]))
                self._held = self._held[position:]
                self._reset()
                position = 0
        if self._is_plan:
            released += self._release(len(self._held))
        elif not (self._depth or self._fence or self._holds_space):
            released += self._release(0)
        return [pair for pair in released if pair[1]]

    def finish(self) -> list[tuple[bool, str]]:
        """Return the held-back text at the end of the part."""
        return self._release(len(self._held) if self._is_plan else 0)

    def _release(self, plan_end: int) -> list[tuple[bool, str]]:
        held, self._held = self._held, ""
        pieces = ((True, held[:plan_end]), (False, held[plan_end:]))
        return [piece for piece in pieces if piece[1]]

    def _scan(self, char: str) -> int:
        """Process a character; return how many were consumed: 0 or 1."""
        if self._escaped:
            self._escaped = False
        elif self._quote:
            if char == "\\":
                self._escaped = True
            elif char == self._quote:
                self._quote = ""
            elif not self._is_plan and len(self._string) < _MAX_KEY_LENGTH:
                self._string += char
        elif self._depth == 0:
            return self._scan_after(char) if self._is_plan else self._scan_before(char)
        elif char in "\"'":
            self._quote, self._string = char, ""
        elif char in "{[":
            self._depth += 1
            if self._depth == len(self._path) + 2 and self._key is not None:
                self._is_plan = self._is_plan or self._key == "steps"
                if char == "{" and ("plan" in self._key.lower() or self._key in _WRAPPERS):
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
        """Process what precedes an object: white space, and the line that opens a fence."""
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
        """Process what follows a plan in a fence, up to the line that closes it."""
        if char == self._fence[0]:
            self._is_closed = True
        elif char == "\n" and self._is_closed:
            self._is_over = True
        elif not char.isspace():
            self._is_over = True
            return 0
        return 1

    def _scan_member(self, char: str) -> None:
        """Process what separates the members of an object that may hold a plan."""
        if char == ":":
            self._key = self._string
        elif char == ",":
            self._key = None
        elif self._key is None and not char.isspace():
            self.is_answer = True  # a brace, but not JSON


def split_plan(text: str) -> list[tuple[bool, str]]:
    """Return a whole text part as pairs of (whether it is a plan, text)."""
    splitter = PlanSplitter(is_whole=True)
    return [*splitter.feed(text), *splitter.finish()]
