"""Which process runs which tests where there are several."""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadFileScheduling  # pyright: ignore[reportMissingTypeStubs]
from xdist.workermanage import WorkerController  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["LANES", "FewBrowsers"]

UI: Final = "tests/ui/"
#: How many processes drive browsers, each with a server of its own.
LANES: Final = 3
#: Modules that take longest; started late, one would run alone at the end.
LONG: Final = (
    "notebooks/",
    *("tests/charts/test_every_chart.py", "tests/charts/test_tooltips.py"),
    *("tests/doctor/test_command.py", "tests/history/test_import_bombs.py"),
    *("tests/faults/test_fork_requests.py", "tests/faults/test_rendering_bounds.py"),
    *("tests/faults/test_rendering_exports.py", "tests/faults/test_resuming.py"),
    *("tests/faults/test_transport_bounds.py", "tests/history/test_leaving_store.py"),
    *("tests/history/test_processes.py", "tests/history/test_transfer.py"),
    *("tests/notebook/test_playback.py", "tests/package/test_install.py"),
    *("tests/platforms/runagent/test_served", "tests/render/test_parse_budget.py"),
)


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
