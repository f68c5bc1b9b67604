"""A run as text on standard output, growing as it arrives."""

from __future__ import annotations

import math
import sys
from typing import Final

from agentnb.event.transcript import MediaPart, Part, Passage, Step, ToolCall
from agentnb.recording.recording import Waiting
from agentnb.render import summary
from agentnb.render.view import media_words
from agentnb.render.visible import StreamCleaner, one_line, visible
from agentnb.run.run import Run

_MAX_LENGTH: Final = 200
_MARKS: Final = {"text": "", "reasoning": "… ", "refusal": "refused: "}


class RunDisplay:
    """A display of one run; this one displays nothing."""

    #: Whether a user can decide here on approvals that the run waits for.
    takes_decisions = False

    def open(self) -> None:
        """Display the start of the run."""

    def follow(self, successor: Run) -> None:
        """Display the run that continues this one after a decision."""

    def tick(self) -> None:
        """Display new events; called about twenty times a second by the waiting thread."""

    def close(self) -> None:
        """Display the final output."""


class TextDisplay(RunDisplay):
    """Prints the answer while it streams; reasoning and tool calls are marked lines.

    Prints in the waiting thread, in `tick`, so that a slow terminal never delays the stream.
    ``raises``: the caller raises the error of the run, which is then not printed.
    """

    def __init__(self, run: Run, *, raises: bool = False) -> None:
        self._run = run
        self._raises = raises
        self._index = 0
        self._offset = 0
        self._printed: dict[int, int] = {}
        self._cleaner = StreamCleaner()
        self._reported: Waiting | None = None
        self._at_line_start = True

    def tick(self) -> None:
        """Print what is new."""
        with self._run.lock:
            text = self._new_text(self._run.transcript.parts, self._run.done)
            waiting, now = self._run.waiting, self._run.elapsed
        # Without the lock, because a terminal may block.
        self._write(text)
        if waiting is not None and waiting != self._reported:
            self._write(self._break() + _waiting_line(waiting, now) + "\n")
        self._reported = waiting

    def close(self) -> None:
        """Print the rest, and a summary of the run."""
        self.tick()
        self._write(self._cleaner.flush())
        self._write(self._late())
        with self._run.lock:
            footer = summary(self._run.view())
        self._write(self._break() + footer + "\n")
        if self._run.error and not (self._raises and self._run.parse_error is None):
            self._write(one_line(self._run.error, 500) + "\n")

    def _new_text(self, parts: list[Part], ended: bool) -> str:
        text = ""
        while self._index < len(parts):
            part = parts[self._index]
            if isinstance(part, ToolCall):
                # A call is one line, printed once it has ended.
                if part.status == "running" and not ended:
                    return text
                text += self._tool_line(part, text)
            elif isinstance(part, Step):
                name = one_line(part.name, _MAX_LENGTH) or "Step"
                text += self._lead(text, "▸ ") + name + "\n"
            elif isinstance(part, MediaPart):
                text += self._lead(text, "▣ ") + media_words(part.media) + "\n"
            else:
                new = part.text.since(self._offset)
                if new and not self._offset:
                    text += self._lead(text, _MARKS[part.kind])
                self._offset += len(new)
                self._printed[self._index] = self._offset
                text += self._cleaner.feed(new)
                if self._index == len(parts) - 1 and not ended:
                    return text
                text += self._cleaner.flush()
            self._index += 1
            self._offset = 0
        return text

    def _late(self) -> str:
        """Return text that was added to passages after they were printed."""
        text = ""
        with self._run.lock:
            for index, part in enumerate(self._run.transcript.parts):
                if isinstance(part, Passage):
                    new = visible(part.text.since(self._printed.get(index, 0)))
                    text += self._lead(text, "") + new if new else ""
        return text

    def _tool_line(self, call: ToolCall, before: str) -> str:
        outcome = call.error if call.error is not None else str(call.result_text)
        return (
            self._lead(before, "→ ")
            + f"{one_line(call.name)}({one_line(str(call.arguments_text), _MAX_LENGTH)})"
            + (f" = {one_line(outcome, _MAX_LENGTH)}" if outcome else "")
            + "\n"
        )

    def _lead(self, before: str, mark: str) -> str:
        fresh = before.endswith("\n") if before else self._at_line_start
        return ("" if fresh else "\n") + mark

    def _break(self) -> str:
        return "" if self._at_line_start else "\n"

    def _write(self, text: str) -> None:
        if text:
            self._at_line_start = text.endswith("\n")
            sys.stdout.write(text)
            sys.stdout.flush()


def _waiting_line(waiting: Waiting, now: float) -> str:
    # Imported only here, to keep the import of this module light.
    from agentnb.monitoring.watched_run import waiting_words

    left = math.ceil(waiting.until - now)
    when = f", in {left} s" if left > 0 else ""
    return f"⟳ {waiting_words(waiting)}{when}: {one_line(waiting.reason, _MAX_LENGTH)}"
