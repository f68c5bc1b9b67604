"""Rewriting of ``%%agent`` cells to an ``await``.

IPython does not await an async cell magic, and a blocking magic keeps the kernel from receiving
the interrupt of the Stop button.  Where top-level await is off, the blocking magic of the same name
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_MAGIC: Final = "%%agent"
# Through the shell, because '%reset' deletes names of the user's namespace.
_CALL: Final = "await get_ipython().magics_manager.registry['AgentMagics'].ask({!r}, {!r})\n"


class AwaitTransformer:
    """An entry of IPython's ``input_transformers_cleanup``.

    Only in a kernel: in a terminal Ctrl-C interrupts the blocking magic.
    """

    # So that IPython skips it when it checks whether a cell is complete: a rewritten line always
    # is, and a console could not go on to the next line.
    has_side_effects = True

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._depth = 0
        self._in_kernel = getattr(shell, "kernel", None) is not None

    def install(self) -> None:
        self._shell.input_transformers_cleanup.append(self)
        self._shell.events.register("pre_execute", self._enter)
        self._shell.events.register("post_execute", self._leave)

    def remove(self) -> None:
        self._shell.input_transformers_cleanup.remove(self)
        self._shell.events.unregister("pre_execute", self._enter)
        self._shell.events.unregister("post_execute", self._leave)

    def _enter(self) -> None:
        self._depth += 1

    def _leave(self) -> None:
        # The cell that installs this ends without `_enter`.
        self._depth = max(0, self._depth - 1)

    def __call__(self, lines: list[str]) -> list[str]:
        """Return ``lines`` rewritten where they are a ``%%agent`` cell, else as they are."""
        start = next((i for i, line in enumerate(lines) if line.strip()), None)
        # A cell inside a cell (%%time, %run of a notebook, run_cell) is not awaited.
        if start is None or self._depth or not self._shell.autoawait or not self._in_kernel:
            return lines
        head = lines[start]
        rest = head.removeprefix(_MAGIC)
        # "%%agents" is another magic, "%%agent?" shows the help.
        if rest == head or (rest.strip() and not rest[0].isspace()) or rest.rstrip().endswith("?"):
            return lines
        return [_CALL.format(rest.strip(), "".join(lines[start + 1 :]))]
