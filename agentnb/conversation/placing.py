"""Where a question goes: on in a session, or into a new one."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentnb.conversation.turns import Earlier, Strand, Turn, told_before
from agentnb.platforms.base import Message, Platform

__all__ = ["Place", "began_note", "goes_on_in", "place"]


@dataclass(frozen=True, slots=True)
class Place:
    """The session of a question, what a new one is told first, and a note for the reader."""

    strand: Strand
    told: list[Message] = field(default_factory=list[Message])
    note: str | None = None


def goes_on_in(before: Turn | None, root: Strand) -> Strand | None:
    """Return the session that a question after ``before`` goes on in, None for a new one.

    ``root`` is the session of a first question.
    """
    anchor = _anchor(before)
    strand = root if anchor is None else anchor.strand
    goes_on = not strand.gone and strand.tip is anchor and (strand.id or anchor is None)
    return strand if goes_on else None


def place(before: Turn | None, root: Strand, platform: Platform, *, unseen: bool) -> Place:
    """Return where a question after ``before`` goes.

    ``root`` is the session of a first question; ``unseen`` says that there is more in it than the
    conversation shows.
    """
    if (on := goes_on_in(before, root)) is not None:
        return Place(on)
    anchor = _anchor(before)
    strand = root if anchor is None else anchor.strand
    earlier = told_before(anchor)
    told = [*root.told, *earlier.messages]
    if anchor is None and not told and not unseen:
        # A first question, before which nothing was said.
        return Place(Strand())
    if not platform.capabilities.history:
        return Place(Strand(), note=_lost_note(platform.name, strand))
    if not told:
        return Place(Strand(), note=_untold_note(platform.name, strand, unseen=unseen))
    note = _told_note(platform.name, strand, _missing(earlier, unseen=unseen))
    if note is None and anchor is None:
        note = began_note(len(told))
    return Place(Strand(), told, note)


def began_note(count: int) -> str:
    """Return the note of a first question whose session began with ``count`` earlier messages."""
    messages = "message, which is" if count == 1 else "messages, which are"
    return f"The session began with {count:,} earlier {messages} not shown here."


def _anchor(turn: Turn | None) -> Turn | None:
    # What never reached the platform is no turn of its session.
    while turn is not None and not turn.reached:
        turn = turn.before
    return turn


def _missing(earlier: Earlier, *, unseen: bool) -> str:
    missing = [
        *(["their attachments"] if earlier.attachments else []),
        *(["answers without text"] if earlier.silent else []),
        *(["those that are not known here"] if unseen else []),
    ]
    return f", but not {' and not '.join(missing)}" if missing else ""


def _told_note(platform: str, strand: Strand, missing: str) -> str | None:
    if strand.gone:
        return (
            f"New session: {platform} does not know the one before any more. "
            f"It begins with the messages before this one{missing}."
        )
    if not missing:
        return None
    return f"New session: the agent was told the messages before this one{missing}."


def _untold_note(platform: str, strand: Strand, *, unseen: bool) -> str:
    if strand.gone:
        return _lost_note(platform, strand)
    why = "they are not known here" if unseen else "no answer among them has text"
    return f"New session: the agent does not know the messages before this one, for {why}."


def _lost_note(platform: str, strand: Strand) -> str:
    if strand.gone:
        why = f"{platform} does not know the one before any more"
    elif strand.id is None:
        why = f"{platform} gave none to go on in"
    else:
        why = f"{platform} cannot branch one"
    return f"New session: {why}, so the agent does not know the messages before this one."
