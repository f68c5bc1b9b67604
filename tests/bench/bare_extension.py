"""An extension of IPython that does nothing but what every one does that brings a cell magic."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class


@magics_class
class Bare(Magics):
    @cell_magic
    def bare(self, line: str, cell: str) -> None:
        pass


def load_ipython_extension(shell: InteractiveShell) -> None:
    shell.register_magics(Bare)
