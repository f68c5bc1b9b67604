"""Names of agents as users type them, and what was probably meant by a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["EMBEDDED", "AgentName", "quoted", "suggestion"]

#: The platform, and the base address, that mean agentnb's own local server.
EMBEDDED: Final = "sandbox"

# A longer name is compared by its beginning, since comparing takes the product of the lengths.
_LONGEST: Final = 200
# So much of a name is enough to mean it.
_BEGINNING: Final = 3


@dataclass(frozen=True, slots=True)
class AgentName:
    """An agent's full name: ``platform:agent``.

    ``notice`` is one line for the user where the file of a folder decided what the name stands for.
    """

    platform: str
    agent: str
    notice: str | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.platform}:{self.agent}"


def quoted(text: str, *, longest: int = 80) -> str:
    """Return ``text`` in quotes for a message of one line.

    It is cut after ``longest`` characters, and characters that cannot be printed are escaped.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return f"'{''.join(shown)}'"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` for the nearest of ``known``, or "" where none is near.

    The only one that begins with ``wrong`` is the nearest.
    """
    # Only here: what is spelt right does not need it.
    import difflib

    names = list(known)
    near = [name for name in names if len(wrong) >= _BEGINNING and name.startswith(wrong)]
    if len(near) != 1:
        near = difflib.get_close_matches(wrong[:_LONGEST], names, n=1, cutoff=0.6)
    return f"Did you mean {quoted(near[0])}?" if near else ""
