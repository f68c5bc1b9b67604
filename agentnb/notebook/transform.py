"""``%%agent`` made awaitable.

IPython does not await an async cell magic, and a magic that blocks keeps the kernel from hearing
the Stop button.  A cell that begins with ``%%agent`` is therefore rewritten to an ``await`` before
IPython sees it; where top-level await is off, the blocking magic of the same name serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["AwaitTransformer"]

_MAGIC: Final = "%%agent"
# By way of the shell and not of a name in the user's namespace, which '%reset' would delete.
_CALL: Final = "await get_ipython().magics_manager.registry['AgentMagics'].ask({!r}, {!r})\n"


class AwaitTransformer:
    """An entry of IPython's ``input_transformers_cleanup``."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def __call__(self, lines: list[str]) -> list[str]:
        """Return ``lines`` rewritten where they are a ``%%agent`` cell, else as they are."""
        start = next((i for i, line in enumerate(lines) if line.strip()), None)
        if start is None or not self._shell.autoawait:
            return lines
        head = lines[start]
        rest = head.removeprefix(_MAGIC)
        # "%%agents" is another magic, "%%agent?" asks for help.
        if rest == head or (rest.strip() and not rest[0].isspace()) or rest.rstrip().endswith("?"):
            return lines
        return [_CALL.format(rest.strip(), "".join(lines[start + 1 :]))]
