"""From a ``%%agent`` cell to a finished run: one path, awaited or blocking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from agentnb.agents import Agent, agent
from agentnb.config import AgentName
from agentnb.errors import AgentnbError, RequestError
from agentnb.notebook.display import Mode, RunDisplay, choose_mode, make_display
from agentnb.notebook.options import CellOptions, parse_cell_line
from agentnb.notebook.template import expand
from agentnb.run import Run

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CellRunner", "brief"]

# How often a waiting cell looks up, in seconds; text on a terminal grows at this pace.
_TICK: Final = 0.05
# How long an interrupted cell waits for its run to close, in seconds.
_STOP: Final = 2.0


class CellRunner:
    """Runs ``%%agent`` cells in one shell, and remembers where each conversation stands."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        # IPython leaves the types of its namespaces open.
        self._namespace = cast("dict[str, Any]", shell.user_ns)  # pyright: ignore[reportUnknownMemberType]
        self.mode: str = "auto"
        self.sessions: dict[str, str] = {}
        self.background: list[Run] = []

    async def run_async(self, line: str, body: str) -> None:
        """Run a cell while the kernel's loop goes on; an interrupt cancels the run."""
        try:
            run, view, options = self._start(line, body)
            if options.background:
                return
            with self._following(run, view, options):
                while not run.done:
                    view.tick()
                    # Nothing wakes the loop when a signal arrives, so it must not sleep for long.
                    await asyncio.sleep(_TICK)
        except (asyncio.CancelledError, KeyboardInterrupt):
            # ipykernel cancels a cell that awaits; a KeyboardInterrupt also stops those queued.
            raise _interrupted() from None
        except AgentnbError as error:
            raise brief(error) from error.__cause__

    def run_blocking(self, line: str, body: str) -> None:
        """Run a cell on the calling thread; KeyboardInterrupt cancels the run."""
        try:
            run, view, options = self._start(line, body)
            if options.background:
                return
            with self._following(run, view, options):
                while not run.done:
                    view.tick()
                    time.sleep(_TICK)
        except KeyboardInterrupt:
            raise _interrupted() from None
        except AgentnbError as error:
            raise brief(error) from error.__cause__

    # -- steps -----------------------------------------------------------------------------------

    def _start(self, line: str, body: str) -> tuple[Run, RunDisplay, CellOptions]:
        options = parse_cell_line(line)
        prompt = expand(body, self._evaluate).strip()
        chosen = self._agent(options)
        output_type = self._named(options.output_type) if options.output_type else None
        run = chosen.start(
            prompt,
            session=options.session or (None if options.new else self.sessions.get(chosen.name)),
            output_type=output_type,
            media=options.media,
            **options.params,
        )
        mode: Mode = "none" if options.quiet else self.effective_mode()
        if options.background and mode == "static":
            # Nobody is there to see an output grow, and a later update would be dropped.
            mode = "none"
        view = make_display(run, mode, format=options.format)
        view.open()
        if options.background:
            self._keep(run, options)
            self.background.append(run)
            self._when_done(run, chosen, view)
        return run, view, options

    @contextmanager
    def _following(
        self, run: Run, view: RunDisplay, options: CellOptions
    ) -> Generator[None, None, None]:
        """See a foreground run to its end, whichever it is, and raise if it did not complete."""
        try:
            yield
        except BaseException:
            run.cancel()
            end = time.monotonic() + _STOP
            # Here blocking is right: the cell is being torn down and cannot await any more.
            while not run.done and time.monotonic() < end:
                time.sleep(_TICK / 5)
            raise
        finally:
            self._remember_session(run)
            self._keep(run, options)
            view.close()
        run.raise_for_status()

    def _when_done(self, run: Run, chosen: Agent, view: RunDisplay) -> None:
        def finish() -> None:
            if run.done:
                unsubscribe()
                self._remember_session(run)
                view.close()

        unsubscribe = run.subscribe(finish)
        if run.done:
            finish()

    # -- pieces ----------------------------------------------------------------------------------

    def _agent(self, options: CellOptions) -> Agent:
        target = options.agent
        if options.platform is not None:
            if target is None or ":" in target:
                raise RequestError("--platform goes with the bare name of an agent.")
            target = str(AgentName(options.platform, target))
        # An Agent that the notebook made and named is meant before any configured name.
        made = self._namespace.get(target) if target is not None else None
        return made if isinstance(made, Agent) else agent(target)

    def effective_mode(self) -> Mode:
        """Return how runs are shown now: as configured, or what fits the frontend."""
        match self.mode:
            case "widget" | "static" | "text" as mode:
                return mode
            case _:
                return choose_mode(self._shell)

    def _keep(self, run: Run, options: CellOptions) -> None:
        if options.output:
            self._namespace[options.output] = run
        # `_`, `_N` and Out[N], as for the value of any other cell.
        hook: Any = self._shell.displayhook
        hook.update_user_ns(run)

    def _remember_session(self, run: Run) -> None:
        if run.session_id:
            self.sessions[str(AgentName(run.platform, run.agent))] = run.session_id

    def _evaluate(self, source: str) -> Any:
        return eval(source, self._namespace)

    def _named(self, name: str) -> Any:
        try:
            return self._evaluate(name)
        except Exception as error:
            raise RequestError(f"--output-type {name}: {type(error).__name__}: {error}.") from error


def brief(error: AgentnbError) -> AgentnbError:
    """Make IPython show ``error`` as one line instead of a traceback through this package."""
    return _in_one_line(error, f"{type(error).__name__}: {error}")


def _interrupted() -> KeyboardInterrupt:
    text = "The run was cancelled; what arrived is kept in _."
    return _in_one_line(KeyboardInterrupt(text), f"KeyboardInterrupt: {text}")


E = TypeVar("E", bound=BaseException)


def _in_one_line(error: E, line: str) -> E:
    # IPython's own protocol: a method of the exception that returns the lines to show.
    error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
    return error
