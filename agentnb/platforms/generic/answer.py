"""The answer so far, to tell what goes on from what repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["Answer", "Source"]

# A fragment that is all that came before it, of so many fragments and characters, is no fragment.
_FEWEST: Final = 3
_SHORTEST: Final = 12

Source = tuple[str, str]
"""The name of an event, and the name under which it holds text."""


class Answer:
    """Remembers the text of one run, and which events it came in.

    Many servers stream an answer in fragments and repeat it whole in another kind of event.
    Others name their text in a way that cannot be known; `spare` keeps that for the case that no
    other text comes.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        # Where the passage since the latest tool call begins.
        self._passage = 0
        self._sources: set[Source] = set()
        # The latest fragment of each source, as long as it may be all there is so far.
        self._latest: dict[Source, str | None] = {}
        self._grows: set[Source] = set()
        #: How many characters there are since the latest tool call.
        self.size = 0
        self._spare: dict[Source, list[str]] = {}

    @property
    def has_text(self) -> bool:
        """Whether there is any text."""
        return bool(self._texts)

    def has_source(self, source: Source) -> bool:
        """Return whether text came in such events before."""
        return source in self._sources

    def is_fragments(self, source: Source) -> bool:
        """Return whether what comes in such events is known to go on from what came before."""
        return self._latest.get(source, "") is None

    def add(self, texts: Sequence[str], source: Source | None = None) -> None:
        """Append fragments."""
        self._texts += texts
        self.size += sum(map(len, texts))
        if source is not None:
            self._sources.add(source)

    def begin_passage(self) -> None:
        """Begin another passage, after a tool call."""
        self._passage = len(self._texts)
        self.size = 0

    def repeats(self, text: str, source: Source, *, is_last: bool = False) -> bool:
        """Return whether ``text`` is the answer, or its latest passage, once more.

        What comes from a source of fragments goes on, unless it ``is_last``, or is as much as many
        of them.
        """
        if not self._texts:
            return False
        if source in self._sources and not is_last:
            is_short = len(text) < _SHORTEST or 2 * len(text) < self.size
            if is_short or len(self._texts) - self._passage < _FEWEST:
                return False
        whole = _dense(text)
        passages = ("".join(self._texts[self._passage :]), "".join(self._texts))
        return whole != "" and whole in map(_dense, passages)

    def added(self, text: str, source: Source) -> str:
        """Return what of ``text`` is new: some servers send all there is so far each time."""
        latest = self._latest.get(source, "")
        if latest is None or not text:
            return text
        self._latest[source] = text
        if source in self._grows:
            return text[len(latest) :] if text.startswith(latest) else text
        if not latest:
            return text
        # The second fragment shows which it is.
        is_longer = len(text) > len(latest) and text.startswith(latest)
        if is_longer and any(map(str.isalpha, latest)) and text.replace(latest, ""):
            self._grows.add(source)
            return text[len(latest) :]
        self._latest[source] = None
        return text

    def keep_spare(self, text: str, source: Source, *, is_whole: bool = False) -> None:
        """Keep text that may be the answer; ``is_whole``: in the place of what such events held."""
        if is_whole:
            self._spare[source] = [text]
        elif not self._texts:
            self._spare.setdefault(source, []).append(text)

    @property
    def spare(self) -> str:
        """The text to show where no other came: the longest of one kind of event."""
        return max(("".join(texts) for texts in self._spare.values()), key=len, default="")


def _dense(text: str) -> str:
    return "".join(text.split())
