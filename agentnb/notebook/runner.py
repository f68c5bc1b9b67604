"""Execution of ``%%agent`` cells, awaited or blocking.

The display is imported while the first request is under way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from agentnb._support.text import shortened
from agentnb._support.tracebacks import hide_frames
from agentnb.agents import Agent, agent
from agentnb.config import AgentName, suggestion
from agentnb.errors import AgentnbError, BatchError, ConfigError, NotFoundError, RequestError
from agentnb.notebook.options import CellOptions, parse_cell_line
from agentnb.notebook.sessions import Sessions
from agentnb.notebook.template import expand
from agentnb.notebook.variables import agent_variable, agent_variables
from agentnb.run.agent_catalog import known_agents
from agentnb.run.run import Run
from agentnb.widgets.bounds import ERROR_TEXT

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from agentnb.notebook.chat import Chat
    from agentnb.notebook.display import Mode
    from agentnb.notebook.text import RunDisplay

# Seconds between two updates of a waiting cell.
_TICK: Final = 0.05
# Seconds that an interrupted cell waits for its run to end.
_STOP_TIMEOUT: Final = 2.0
_RUN_STOPPED: Final = "The run was cancelled; what arrived is kept in _."
_MAP_STOPPED: Final = "The map was interrupted; what is done is kept in _."


class _Cell(NamedTuple):
    """A cell whose request has been sent."""

    run: Run
    view: RunDisplay
    agent: Agent
    options: CellOptions


@dataclass(slots=True)
class _MapCell:
    """A cell with ``--over``: arguments and result of `Agent.map`."""

    agent: Agent
    arguments: tuple[Any, ...]
    settings: dict[str, Any]
    result: Any = None


class CellRunner:
    """Runs ``%%agent`` cells in one shell, and keeps the session of each agent."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        # IPython leaves the types of its namespaces open.
        self._namespace = cast("dict[str, Any]", shell.user_ns)  # pyright: ignore[reportUnknownMemberType]
        self.mode: str = "auto"
        self._sessions = Sessions()

    async def run_async(self, line: str, body: str) -> None:
        """Run a cell on the kernel's loop; an interrupt cancels the run."""
        # ipykernel 7.4 resets the failure of an earlier display only before cells without await,
        # and would report this cell as failed.
        self._shell.run_cell("", store_history=False, silent=True)  # pyright: ignore[reportUnknownMemberType]
        with _brief_errors():
            options = parse_cell_line(line)
            if options.over is not None:
                with self._mapping(options, body) as mapped:
                    mapped.result = await mapped.agent.amap(*mapped.arguments, **mapped.settings)
                return
            cell = self._open(*self._send(options, body), options)
            if options.background:
                self._in_background(cell)
                return
            with self._following(cell):
                await self._until_final(cell)

    async def _until_final(self, cell: _Cell) -> None:
        """Wait for a run, and for the decisions that a user takes in its view."""
        from agentnb.notebook.display import choose_mode

        # With the display set to widgets, an unattended kernel has views, too.
        is_attended = choose_mode(self._shell) == "widget"
        can_decide = is_attended and cell.view.takes_decisions
        run = cell.run
        while True:
            if run.successor is not None:
                run = run.successor
                self._sessions.begin(cell.agent, run)
                cell.view.follow(run)
            elif run.done and not (can_decide and run.status == "paused"):
                return
            cell.view.tick()
            # Short, because a signal does not wake the loop.
            await asyncio.sleep(_TICK)

    def run_blocking(self, line: str, body: str) -> None:
        """Run a cell on the calling thread; KeyboardInterrupt cancels the run."""
        with _brief_errors():
            options = parse_cell_line(line)
            if options.over is not None:
                with self._mapping(options, body) as mapped:
                    mapped.result = mapped.agent.map(*mapped.arguments, **mapped.settings)
                return
            run, chosen = self._send(options, body)
            self.follow(run, chosen, options)

    def effective_mode(self) -> Mode:
        """Return the configured display mode, or the one for the frontend."""
        from agentnb.notebook.display import choose_mode

        match self.mode:
            case "widget" | "static" | "text" as mode:
                return mode
            case _:
                return choose_mode(self._shell)

    def chat(self, options: CellOptions) -> Chat:
        """Return a chat that continues the current session of an agent.

        The next cells of that agent continue the session of the chat.
        """
        from agentnb.conversation import runs_in_session
        from agentnb.notebook.chat import Chat

        chosen = self.agent(options)
        session = options.session or (None if options.new else self._sessions.of(chosen))
        mode = None if self.mode == "auto" else self.effective_mode()
        earlier = runs_in_session(chosen, session)
        opened = Chat(chosen, session=session, earlier=earlier, mode=mode)
        conversation = opened.conversation
        conversation.subscribe(lambda change: self._sessions.follow(conversation, change))
        return opened

    def follow(self, run: Run, chosen: Agent, options: CellOptions) -> None:
        """Display a started run as a cell does; block unless in the background."""
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
            ConfigError: it is unknown.
            RequestError: the options contradict each other.
        """
        target = options.agent
        if options.platform is not None:
            if target is None or ":" in target:
                raise RequestError("--platform goes with the bare name of an agent.")
            target = str(AgentName(options.platform, target))
        # Variables of the notebook take precedence over configured names.
        variable = agent_variable(target, self._shell) if target is not None else None
        if variable is not None:
            return variable
        try:
            return agent(target)
        except ConfigError as error:
            if target is not None and not (error.hint or "").startswith("Did you mean"):
                near = suggestion(target, agent_variables(self._shell))
                error.hint = " ".join(filter(None, (near, error.hint))) or None
            raise

    def current_sessions(self) -> set[str]:
        return self._sessions.ids()

    # -- steps -----------------------------------------------------------------------------------

    def _send(self, options: CellOptions, body: str) -> tuple[Run, Agent]:
        prompt = expand(body, self._evaluate).strip()
        chosen = self.agent(options)
        run = chosen.start(
            prompt,
            session=options.session or (None if options.new else self._sessions.of(chosen)),
            output_type=self._output_type(options),
            tools=[self._named("--tool", name) for name in options.tools],
            media=options.media,
            timeout=options.timeout,
            **options.params,
        )
        return run, chosen

    def _open(self, run: Run, chosen: Agent, options: CellOptions) -> _Cell:
        """Display a started run; cancel it if that fails."""
        try:
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
            run.cancel()
            raise
        return _Cell(run, view, chosen, options)

    def _in_background(self, cell: _Cell) -> None:
        """Let a run continue after its cell."""
        from agentnb.notebook.display import close_at_end, make_display
        from agentnb.notebook.text import TextDisplay

        if isinstance(cell.view, TextDisplay):
            # Later output would interfere with typing in a terminal.
            print(f"{cell.run.title} goes on in the background; _ holds the run.")  # noqa: T201
            cell = cell._replace(view=make_display(cell.run, "none"))
        self._keep(cell.run, cell.options)

        def close() -> None:
            self._sessions.end(cell.agent, cell.run)
            cell.view.close()

        close_at_end(cell.run, close)

    @contextmanager
    def _following(self, cell: _Cell) -> Generator[None, None, None]:
        """Wait for a foreground run; raise if it did not complete."""
        try:
            yield
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._stop(cell.run)
            raise _interrupted(_RUN_STOPPED) from None
        except BaseException:
            self._stop(cell.run)
            raise
        finally:
            run = cell.run.latest()
            self._sessions.end(cell.agent, run)
            self._keep(run, cell.options)
            cell.view.close()
        self._advise(run)
        run.raise_for_status()

    @contextmanager
    def _mapping(self, options: CellOptions, body: str) -> Generator[_MapCell]:
        """Prepare a cell with ``--over``, and keep and display its table, even if incomplete."""
        from agentnb.batch.mapping import last_map
        from agentnb.notebook.display import display
        from agentnb.notebook.map_cell import PromptTemplate, evaluate_data, table_bundle

        data = evaluate_data(options.over or "", self._namespace)
        prompts = PromptTemplate(body, data, self._namespace)
        settings = {
            **options.params,
            **options.mapping,
            "output_type": self._output_type(options),
            "media": options.media,
            "timeout": options.timeout,
            "progress": not options.quiet,
        }
        cell = _MapCell(self.agent(options), (prompts.data, prompts), settings)
        try:
            yield cell
        except BatchError as error:
            cell.result = error.table
            raise
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            # Without a note it was interrupted before the first request.
            notes: list[str] = getattr(error, "__notes__", [])
            cell.result = last_map() if notes else None
            has_progress = not options.quiet and self._mode(options) != "text"
            raise _interrupted(_MAP_STOPPED if has_progress or not notes else notes[-1]) from None
        finally:
            if cell.result is not None:
                self._keep(cell.result, options)
                if not options.quiet:
                    prefix = options.mapping.get("prefix", "")
                    bundle = table_bundle(cell.result, prefix=prefix, format=options.format)
                    display(bundle, raw=True)

    def _stop(self, run: Run) -> None:
        run = run.latest()
        run.cancel()
        end = time.monotonic() + _STOP_TIMEOUT
        # Blocking, because the cell is being torn down and cannot await.
        while not run.done and time.monotonic() < end:
            time.sleep(_TICK / 5)

    def _advise(self, run: Run) -> None:
        """Add a hint at the name that was meant, if the platform has no such agent."""
        error = run.exception
        if not isinstance(error, NotFoundError) or error.missing != "agent":
            return
        if run.agent in self._namespace and callable(self._namespace[run.agent]):
            error.hint = (
                f"The variable '{run.agent}' of this notebook is no agent: only a function that "
                "can be called with one question is."
            )
        elif near := suggestion(run.agent, [*agent_variables(self._shell), *known_agents()]):
            error.hint = near

    # -- pieces ----------------------------------------------------------------------------------

    def _mode(self, options: CellOptions) -> Mode:
        from agentnb.notebook.display import choose_mode

        if options.quiet:
            return "none"
        if options.background and choose_mode(self._shell) == "static":
            # An unattended client drops later updates.
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

    def _output_type(self, options: CellOptions) -> Any:
        return options.output_type and self._named("--output-type", options.output_type)

    def _named(self, option: str, name: str) -> Any:
        try:
            return self._evaluate(name)
        except Exception as error:
            raise RequestError(f"{option} {name}: {type(error).__name__}: {error}.") from error


def show_as_one_line(error: AgentnbError) -> AgentnbError:
    """Make IPython show ``error`` as one line, shortened, instead of a traceback."""
    error.message = shortened(error.message, ERROR_TEXT)
    return _with_traceback_line(error, f"{type(error).__name__}: {error}")


@contextmanager
def _brief_errors() -> Generator[None, None, None]:
    try:
        yield
    except AgentnbError as error:
        raise show_as_one_line(error) from error.__cause__


def _interrupted(text: str) -> KeyboardInterrupt:
    # Unlike CancelledError, a KeyboardInterrupt also stops the queued cells.
    error = KeyboardInterrupt(text)
    # For scripts that call the magic, where Python prints the traceback.
    hide_frames(error)
    return _with_traceback_line(error, f"KeyboardInterrupt: {text}")


E = TypeVar("E", bound=BaseException)


def _with_traceback_line(error: E, line: str) -> E:
    # IPython's protocol for the lines of a traceback.
    error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
    return error
