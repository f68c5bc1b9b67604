"""Which process runs which tests where there are several."""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadFileScheduling  # pyright: ignore[reportMissingTypeStubs]
from xdist.workermanage import WorkerController  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["LANES", "FewBrowsers"]

UI: Final = "tests/ui/"
#: How many processes drive browsers, each with a server of its own.
LANES: Final = 3
#: What takes longest; begun late, it would run alone at the end.
LONG: Final = ("notebooks/", "tests/history/test_processes.py", "tests/doctor/test_command.py")


class FewBrowsers(LoadFileScheduling):
    """Keeps the tests of a module in one process, and those of browsers in a few processes.

    These run the browser tests first, the others when all else is done: each process that drives a
    browser starts a server and loads the frontends once.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        drives_browsers = self.nodes.index(node) < LANES

        def order(module: str) -> tuple[bool, bool]:
            return module.startswith(UI) != drives_browsers, not module.startswith(LONG)

        # Of those that are equal, the first has the most tests.
        self.workqueue.move_to_end(min(self.workqueue, key=order), last=False)
        super()._assign_work_unit(node)
