"""What only the side of the notebook can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where the code runs.

    ``display`` is how runs are shown there, ``frontend`` who asked, as far as its messages say.
    ``subshells`` tells whether the kernel has threads that hear a button while a cell runs, None
    outside a kernel.  ``loop`` is the kind of the event loop that the cells run in.
    """

    kind: Literal["kernel", "ipython", "python"] = "python"
    display: str | None = None
    frontend: str | None = None
    subshells: bool | None = None
    loop: str | None = None
