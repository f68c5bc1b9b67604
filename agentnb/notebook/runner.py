"""From a ``%%agent`` cell to a finished run: one path, awaited or blocking.

What shows a run is imported once the question is on its way: nobody waits for it twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from IPython.display import display  # pyright: ignore[reportUnknownVariableType]  # untyped

from agentnb._support.tracebacks import hide_frames
from agentnb.agents import Agent, agent
from agentnb.config import AgentName, suggestion
from agentnb.errors import AgentnbError, BatchError, ConfigError, NotFoundError, RequestError
from agentnb.notebook.loading import load_display
from agentnb.notebook.options import CellOptions, parse_cell_line
from agentnb.notebook.sessions import Sessions
from agentnb.notebook.template import expand
from agentnb.notebook.variables import agent_named, agent_names
from agentnb.run.agent_catalog import known_agents
from agentnb.run.run import Run
from agentnb.widgets.bounds import ERROR_TEXT, shortened

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from agentnb.notebook.chat import Chat
    from agentnb.notebook.display import Mode, RunDisplay

__all__ = ["CellRunner", "brief"]

# How often a waiting cell looks up, in seconds; text on a terminal grows at this pace.
_TICK: Final = 0.05
# How long an interrupted cell waits for its run to close, in seconds.
_STOP: Final = 2.0
_RUN_STOPPED: Final = "The run was cancelled; what arrived is kept in _."
_MAP_STOPPED: Final = "The map was interrupted; what is done is kept in _."


class _Cell(NamedTuple):
    """A cell whose question has been sent."""

    run: Run
    view: RunDisplay
    agent: Agent
    options: CellOptions


@dataclass(slots=True)
class _Table:
    """A cell whose question is asked for each row; ``made`` is what came of it."""

    agent: Agent
    asked: tuple[Any, ...]
    settings: dict[str, Any]
    made: Any = None


class CellRunner:
    """Runs ``%%agent`` cells in one shell, and remembers where each conversation stands."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        # IPython leaves the types of its namespaces open.
        self._namespace = cast("dict[str, Any]", shell.user_ns)  # pyright: ignore[reportUnknownMemberType]
        self.mode: str = "auto"
        self._sessions = Sessions()

    async def run_async(self, line: str, body: str) -> None:
        """Run a cell while the kernel's loop goes on; an interrupt cancels the run."""
        _forget_failed_display(self._shell)
        with _told_briefly():
            options = parse_cell_line(line)
            if options.over is not None:
                with self._mapping(options, body) as table:
                    table.made = await table.agent.amap(*table.asked, **table.settings)
                return
            cell = self._open(*self._sent(options, body), options)
            if options.background:
                self._in_background(cell)
                return
            with self._following(cell):
                while not cell.run.done:
                    cell.view.tick()
                    # Nothing wakes the loop when a signal arrives, so it must not sleep for long.
                    await asyncio.sleep(_TICK)

    def run_blocking(self, line: str, body: str) -> None:
        """Run a cell on the calling thread; KeyboardInterrupt cancels the run."""
        with _told_briefly():
            options = parse_cell_line(line)
            if options.over is not None:
                with self._mapping(options, body) as table:
                    table.made = table.agent.map(*table.asked, **table.settings)
                return
            run, chosen = self._sent(options, body)
            self.follow(run, chosen, options)

    def effective_mode(self) -> Mode:
        """Return how runs are shown now: as configured, or what fits the frontend."""
        from agentnb.notebook.display import choose_mode

        match self.mode:
            case "widget" | "static" | "text" as mode:
                return mode
            case _:
                return choose_mode(self._shell)

    def chat(self, options: CellOptions) -> Chat:
        """Return a chat with the agent that ``options`` name, where its conversation stands.

        The next cells of that agent go on where the chat is: in the session that it shows, or in a
        new one where it begins anew.
        """
        from agentnb.conversation import runs_in_session
        from agentnb.notebook.chat import Chat

        chosen = self.agent(options)
        session = options.session or (None if options.new else self._sessions.of(chosen))
        mode = None if self.mode == "auto" else self.effective_mode()
        earlier = runs_in_session(chosen, session)
        made = Chat(chosen, session=session, earlier=earlier, mode=mode)
        conversation = made.conversation
        conversation.subscribe(lambda change: self._sessions.follow(conversation, change))
        return made

    def follow(self, run: Run, chosen: Agent, options: CellOptions) -> None:
        """Show a run that has begun as a cell shows its own; block unless in the background."""
        cell = self._open(run, chosen, options)
        if options.background:
            self._in_background(cell)
            return
        with self._following(cell):
            while not run.done:
                cell.view.tick()
                time.sleep(_TICK)

    def agent(self, options: CellOptions) -> Agent:
        """Return the agent that ``options`` name.

        Raises:
            ConfigError: none is named so.
            RequestError: the options contradict each other.
        """
        target = options.agent
        if options.platform is not None:
            if target is None or ":" in target:
                raise RequestError("--platform goes with the bare name of an agent.")
            target = str(AgentName(options.platform, target))
        # What the notebook made and named is meant before any configured name.
        made = agent_named(target, self._shell) if target is not None else None
        if made is not None:
            return made
        try:
            return agent(target)
        except ConfigError as error:
            if target is not None and not (error.hint or "").startswith("Did you mean"):
                near = suggestion(target, agent_names(self._shell))
                error.hint = " ".join(filter(None, (near, error.hint))) or None
            raise

    def current_sessions(self) -> set[str]:
        """Return the sessions that the next cells go on in."""
        return self._sessions.ids()

    # -- steps -----------------------------------------------------------------------------------

    def _sent(self, options: CellOptions, body: str) -> tuple[Run, Agent]:
        prompt = expand(body, self._evaluate).strip()
        chosen = self.agent(options)
        output_type = self._named(options.output_type) if options.output_type else None
        run = chosen.start(
            prompt,
            session=options.session or (None if options.new else self._sessions.of(chosen)),
            output_type=output_type,
            media=options.media,
            timeout=options.timeout,
            **options.params,
        )
        return run, chosen

    def _open(self, run: Run, chosen: Agent, options: CellOptions) -> _Cell:
        """Show a run that has begun; where that fails, the run is stopped."""
        try:
            load_display()
            from agentnb.notebook.display import make_display

            self._sessions.begin(chosen, run)
            view = make_display(
                run,
                self._mode(options),
                format=options.format,
                background=options.background,
                raises=not options.background,
            )
            view.open()
        except KeyboardInterrupt:
            self._stop(run)
            self._sessions.end(chosen, run)
            self._keep(run, options)
            raise _interrupted(_RUN_STOPPED) from None
        except BaseException:
            # Nobody would ever see what it brings.
            run.cancel()
            raise
        return _Cell(run, view, chosen, options)

    def _in_background(self, cell: _Cell) -> None:
        """Let a run go on after its cell."""
        from agentnb.notebook.display import make_display
        from agentnb.notebook.live import close_at_end
        from agentnb.notebook.text import TextDisplay

        if isinstance(cell.view, TextDisplay):
            # What it prints later would land in the middle of somebody's typing.
            print(f"{cell.run.title} goes on in the background; _ holds the run.")  # noqa: T201
            cell = cell._replace(view=make_display(cell.run, "none"))
        self._keep(cell.run, cell.options)

        def close() -> None:
            self._sessions.end(cell.agent, cell.run)
            cell.view.close()

        close_at_end(cell.run, close)

    @contextmanager
    def _following(self, cell: _Cell) -> Generator[None, None, None]:
        """See a foreground run to its end, whichever it is, and raise if it did not complete."""
        run = cell.run
        try:
            yield
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._stop(run)
            raise _interrupted(_RUN_STOPPED) from None
        except BaseException:
            self._stop(run)
            raise
        finally:
            self._sessions.end(cell.agent, run)
            self._keep(run, cell.options)
            cell.view.close()
        self._advise(run)
        run.raise_for_status()

    @contextmanager
    def _mapping(self, options: CellOptions, body: str) -> Generator[_Table]:
        """See a cell with ``--over`` to its end; what it has of a table is kept and shown."""
        from agentnb.batch.mapping import last_map
        from agentnb.notebook.over import RowPrompts, table_bundle, the_data

        data = the_data(options.over or "", self._namespace)
        prompts = RowPrompts(body, data, self._namespace)
        output_type = self._named(options.output_type) if options.output_type else None
        settings = {
            **options.params,
            **options.mapping,
            "output_type": output_type,
            "media": options.media,
            "timeout": options.timeout,
            "progress": not options.quiet,
        }
        table = _Table(self.agent(options), (prompts.data, prompts), settings)
        try:
            yield table
        except BatchError as error:
            table.made = error.table
            raise
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            # Without a note it was broken off before anything was asked.
            notes: list[str] = getattr(error, "__notes__", [])
            table.made = last_map() if notes else None
            is_told = not options.quiet and self._mode(options) != "text"
            raise _interrupted(_MAP_STOPPED if is_told or not notes else notes[-1]) from None
        finally:
            if table.made is not None:
                self._keep(table.made, options)
                if not options.quiet:
                    prefix = options.mapping.get("prefix", "")
                    bundle = table_bundle(table.made, prefix=prefix, format=options.format)
                    display(bundle, raw=True)

    def _stop(self, run: Run) -> None:
        run.cancel()
        end = time.monotonic() + _STOP
        # Here blocking is right: the cell is being torn down and cannot await any more.
        while not run.done and time.monotonic() < end:
            time.sleep(_TICK / 5)

    def _advise(self, run: Run) -> None:
        """Say which name of the notebook was meant, where the platform has no such agent."""
        error = run.exception
        if not isinstance(error, NotFoundError) or error.missing != "agent":
            return
        if run.agent in self._namespace and callable(self._namespace[run.agent]):
            error.hint = (
                f"The variable '{run.agent}' of this notebook is no agent: only a function that "
                "can be called with one question is."
            )
        elif near := suggestion(run.agent, [*agent_names(self._shell), *known_agents()]):
            error.hint = near

    # -- pieces ----------------------------------------------------------------------------------

    def _mode(self, options: CellOptions) -> Mode:
        from agentnb.notebook.display import choose_mode

        if options.quiet:
            return "none"
        if options.background and choose_mode(self._shell) == "static":
            # Nobody is there to see an output grow, and a later update would be dropped.
            return "none"
        return self.effective_mode()

    def _keep(self, value: Any, options: CellOptions) -> None:
        if options.output:
            self._namespace[options.output] = value
        # `_`, `_N` and Out[N], as for the value of any other cell.
        hook: Any = self._shell.displayhook
        hook.update_user_ns(value)

    def _evaluate(self, source: str) -> Any:
        return eval(source, self._namespace)

    def _named(self, name: str) -> Any:
        try:
            return self._evaluate(name)
        except Exception as error:
            raise RequestError(f"--output-type {name}: {type(error).__name__}: {error}.") from error


def brief(error: AgentnbError) -> AgentnbError:
    """Make IPython show ``error`` as one line instead of a traceback through this package.

    A notebook saves that line, so a very long message is cut; a run has its own whole.
    """
    error.message = shortened(error.message, ERROR_TEXT)
    return _in_one_line(error, f"{type(error).__name__}: {error}")


def _forget_failed_display(shell: InteractiveShell) -> None:
    """Keep ipykernel 7.4 from calling this cell failed because showing an earlier value failed.

    It notes that, and forgets it only before cells that await nothing.
    """
    if hasattr(shell, "_last_traceback_during_displayhook"):
        setattr(shell, "_last_traceback_during_displayhook", False)  # noqa: B010 - not its type


@contextmanager
def _told_briefly() -> Generator[None, None, None]:
    try:
        yield
    except AgentnbError as error:
        raise brief(error) from error.__cause__


def _interrupted(text: str) -> KeyboardInterrupt:
    # ipykernel cancels a cell that awaits; a KeyboardInterrupt also stops the cells in the queue.
    error = KeyboardInterrupt(text)
    # A script that calls the magic shows it by Python's own means.
    hide_frames(error)
    return _in_one_line(error, f"KeyboardInterrupt: {text}")


E = TypeVar("E", bound=BaseException)


def _in_one_line(error: E, line: str) -> E:
    # IPython's own protocol: a method of the exception that returns the lines to show.
    error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
    return error
