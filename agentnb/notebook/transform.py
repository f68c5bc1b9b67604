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
    """An entry of IPython's ``input_transformers_cleanup``.

    Only in a kernel: a terminal has no Stop button, and the blocking magic hears its Ctrl-C.
    """

    # IPython leaves such a transformer out when it only asks whether a cell is complete; the
    # rewritten line always is, and ``%%agent`` could never be typed in a console.
    has_side_effects = True

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._depth = 0
        self._in_kernel = getattr(shell, "kernel", None) is not None

    def install(self) -> None:
        """Take part in the shell's reading of cells."""
        self._shell.input_transformers_cleanup.append(self)
        self._shell.events.register("pre_execute", self._enter)
        self._shell.events.register("post_execute", self._leave)

    def remove(self) -> None:
        """Take no part any more."""
        self._shell.input_transformers_cleanup.remove(self)
        self._shell.events.unregister("pre_execute", self._enter)
        self._shell.events.unregister("post_execute", self._leave)

    def _enter(self) -> None:
        self._depth += 1

    def _leave(self) -> None:
        # The cell that installs this ends without having begun.
        self._depth = max(0, self._depth - 1)

    def __call__(self, lines: list[str]) -> list[str]:
        """Return ``lines`` rewritten where they are a ``%%agent`` cell, else as they are."""
        start = next((i for i, line in enumerate(lines) if line.strip()), None)
        # A cell inside a cell (%%time, %run of a notebook, run_cell) is not awaited by anybody; the
        # blocking magic serves it.
        if start is None or self._depth or not self._shell.autoawait or not self._in_kernel:
            return lines
        head = lines[start]
        rest = head.removeprefix(_MAGIC)
        # "%%agents" is another magic, "%%agent?" asks for help.
        if rest == head or (rest.strip() and not rest[0].isspace()) or rest.rstrip().endswith("?"):
            return lines
        return [_CALL.format(rest.strip(), "".join(lines[start + 1 :]))]
