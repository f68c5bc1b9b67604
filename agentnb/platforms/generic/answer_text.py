"""The answer so far, to distinguish text that continues it from text that repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["AnswerText", "Source"]

# A fragment that equals all text before it, of this many fragments and characters, is a repeat.
_MIN_FRAGMENTS: Final = 3
_MIN_CHARACTERS: Final = 12

Source = tuple[str, str]
"""The name of an event, and the name of its field with text."""


class AnswerText:
    """The text of one run, and the events it came in.

    Many servers stream an answer in fragments and repeat it whole in another kind of event.
    Others have the text under a name of their own; `fallback` keeps such text in case there is no
    other.
    """

    def __init__(self) -> None:
        #: How many characters came since the latest tool call.
        self.size = 0
        self._texts: list[str] = []
        # Index of the first text after the latest tool call.
        self._passage = 0
        self._sources: set[Source] = set()
        # The latest text of each source that may be cumulative; None for one of fragments.
        self._latest: dict[Source, str | None] = {}
        self._cumulative: set[Source] = set()
        self._fallbacks: dict[Source, list[str]] = {}

    @property
    def has_text(self) -> bool:
        return bool(self._texts)

    def has_source(self, source: Source) -> bool:
        return source in self._sources

    def is_fragments(self, source: Source) -> bool:
        """Return whether the text of such events is known to continue the text before it."""
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
        """Return whether ``text`` repeats the answer, or its latest passage.

        From a source of fragments, only text that ``is_last`` or as long as many of them can.
        """
        if not self._texts:
            return False
        if source in self._sources and not is_last:
            is_short = len(text) < _MIN_CHARACTERS or 2 * len(text) < self.size
            if is_short or len(self._texts) - self._passage < _MIN_FRAGMENTS:
                return False
        whole = _without_space(text)
        passages = ("".join(self._texts[self._passage :]), "".join(self._texts))
        return whole != "" and whole in map(_without_space, passages)

    def new_part(self, text: str, source: Source) -> str:
        """Return the new part of ``text``: some servers send all text so far each time."""
        latest = self._latest.get(source, "")
        if latest is None or not text:
            return text
        self._latest[source] = text
        if source in self._cumulative:
            return text[len(latest) :] if text.startswith(latest) else text
        if not latest:
            return text
        # The second text shows whether the source is cumulative.
        is_longer = len(text) > len(latest) and text.startswith(latest)
        if is_longer and any(map(str.isalpha, latest)) and text.replace(latest, ""):
            self._cumulative.add(source)
            return text[len(latest) :]
        self._latest[source] = None
        return text

    def keep_fallback(self, text: str, source: Source, *, is_whole: bool = False) -> None:
        """Keep text that may be the answer; ``is_whole``: it replaces that of the same source."""
        if is_whole:
            self._fallbacks[source] = [text]
        elif not self._texts:
            self._fallbacks.setdefault(source, []).append(text)

    @property
    def fallback(self) -> str:
        """The text to use if there is no other: the longest of one source."""
        return max(("".join(texts) for texts in self._fallbacks.values()), key=len, default="")


def _without_space(text: str) -> str:
    return "".join(text.split())
