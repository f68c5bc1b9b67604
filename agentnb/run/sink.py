"""Redact a run's events before they are recorded: the one place where that happens."""

from __future__ import annotations

from collections.abc import Sequence

from agentnb.event.types import Event, RunFailed, RunFinished, TextDelta
from agentnb.recording.recording import Recording
from agentnb.redaction.events import StreamMask, masked_event
from agentnb.redaction.secrets import MASK
from agentnb.run.outcome import incomplete_end, is_last_passage


class EventSink:
    """Removes the keys that a server may repeat from the events of one run, and ends it."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._mask = StreamMask()
        # Events that the mask withheld until the end.
        self._withheld: list[Event] = []

    def redact(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return redacted events; text that may begin a key is withheld until the next ones."""
        return self._mask.feed(events)

    def close(self, end: Event | None) -> None:
        """Record the withheld events, and ``end`` where no terminal event was received."""
        self._withheld += self._mask.flush()
        events = self._withheld
        if end is not None and not self._recording.transcript.is_final:
            redacted = self._mask.feed([end])
            rest = None
            if isinstance(redacted[0], RunFinished):
                rest = self._rest_of(redacted[0].output)
            events = [*(events if rest is None else rest), *redacted]
        if events:
            self._recording.add(events)

    def lacks_rest_of_answer(self, end: Event) -> bool:
        """Return whether ``end`` completes the run without the rest of its answer."""
        if not isinstance(end, RunFinished):
            return False
        return end.output is None or not end.output.startswith(self._recording.transcript.text)

    def incomplete_end(self, end: Event, error: Exception | None) -> RunFailed | None:
        """Return the end of a run whose received answer may be a part of the one in ``end``.

        None where ``end`` completes it.  ``error`` is the one that the stream broke off by, None
        where it ended.
        """
        if not isinstance(end, RunFinished):
            return None
        redacted = masked_event(end)
        output = redacted.output if isinstance(redacted, RunFinished) else None
        self._withheld += self._mask.flush()
        if self._rest_of(output) is not None:
            return None
        if error is None and is_last_passage(output, of=self._recording.transcript.text):
            return None
        return incomplete_end(error, output)

    def _rest_of(self, output: str | None) -> list[Event] | None:
        """Return the events that complete the answer to ``output``, which is redacted.

        None where ``output`` is unknown or does not continue the received text.
        """
        received = self._recording.transcript.text
        if output is None or not output.startswith(received):
            return None
        rest = output[len(received) :]
        withheld = "".join(event.text for event in self._withheld if isinstance(event, TextDelta))
        # Half of a key was withheld, and ``output`` has the mask of all of it.
        is_half = rest != "" and (withheld == MASK or rest.startswith(MASK))
        if not (rest.startswith(withheld) or is_half):
            return None
        others: list[Event] = [
            event for event in self._withheld if not isinstance(event, TextDelta)
        ]
        # Without any text the end itself has the answer.
        return [*others, TextDelta(rest)] if rest and received else others
