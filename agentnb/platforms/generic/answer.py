"""The answer so far, to tell what goes on from what repeats it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Answer", "Source"]

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
        self._spare: dict[Source, list[str]] = {}

    @property
    def has_text(self) -> bool:
        """Whether there is any text."""
        return bool(self._texts)

    def has_source(self, source: Source) -> bool:
        """Return whether text came in such events before."""
        return source in self._sources

    def add(self, texts: Sequence[str], source: Source | None = None) -> None:
        """Append fragments."""
        self._texts += texts
        if source is not None:
            self._sources.add(source)

    def begin_passage(self) -> None:
        """Begin another passage, after a tool call."""
        self._passage = len(self._texts)

    def repeats(self, text: str, source: Source, *, is_last: bool = False) -> bool:
        """Return whether ``text`` is the answer, or its latest passage, once more.

        What comes from a source of fragments goes on, unless it ``is_last``.
        """
        if not self._texts or (source in self._sources and not is_last):
            return False
        whole = _dense(text)
        passages = ("".join(self._texts[self._passage :]), "".join(self._texts))
        return whole != "" and whole in map(_dense, passages)

    def keep_spare(self, text: str, source: Source) -> None:
        """Keep text that may be the answer."""
        if not self._texts:
            self._spare.setdefault(source, []).append(text)

    @property
    def spare(self) -> str:
        """The text to show where no other came: the longest of one kind of event."""
        return max(("".join(texts) for texts in self._spare.values()), key=len, default="")


def _dense(text: str) -> str:
    return "".join(text.split())
