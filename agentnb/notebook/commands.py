"""The commands of ``%agent``: list, use, alias, status, history, sessions, stop, config, ..."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final

from agentnb import history
from agentnb._support import __version__
from agentnb.config import config, suggestion, url_from_environment, user_config_path
from agentnb.config.names import OPEN_PROTOCOLS, quoted
from agentnb.doctor.report import redact_url
from agentnb.errors import AgentnbError, HistoryError, RequestError
from agentnb.notebook.attach import attach
from agentnb.notebook.display import current_shell
from agentnb.notebook.doctor import DOCTOR_USAGE, doctor
from agentnb.notebook.history import (
    HISTORY_ACTIONS,
    HISTORY_TABLES,
    HISTORY_USAGE,
    active_runs,
    history_help,
    session_table,
    stop_error,
)
from agentnb.notebook.history import history as show_history
from agentnb.notebook.login import LOGIN_USAGE, login
from agentnb.notebook.options import ATTACH_USAGE, CHAT_USAGE, parse_chat_words, usage
from agentnb.notebook.runner import CellRunner
from agentnb.notebook.tables import table
from agentnb.notebook.variables import agent_variable
from agentnb.platforms import registry
from agentnb.run.agent_catalog import list_agents
from agentnb.run.run import Run


class Commands:
    """The commands of ``%agent``; each method's docstring is its help."""

    def __init__(self, runner: CellRunner) -> None:
        self._runner = runner

    def run(self, line: str) -> Any:
        """Execute one ``%agent`` line; return the value of the cell.

        Raises:
            RequestError: there is no such command.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise RequestError(f"%agent: {error} in {line.strip()!r}.") from error
        if not words:
            return self.help()
        name, arguments = words[0], words[1:]
        if name not in COMMANDS:
            raise _no_command(name)
        takes, command = COMMANDS[name]
        if "--help" in arguments or "-h" in arguments:
            return self._help_of(name, arguments)
        if "-" not in takes and (options := [word for word in arguments if word[0:1] == "-"]):
            raise RequestError(
                f"%agent {name} has no option {quoted(options[0])}.",
                hint=suggestion(options[0], ["--help"]) or f"It takes {takes or 'no arguments'}.",
            )
        # "[NAME AGENT]" are two optional words.
        if len(arguments) > (most := len(takes.split())):
            raise RequestError(
                f"%agent {name} takes {takes or 'no arguments'}; "
                f"{quoted(' '.join(arguments[most:]))} is too much."
            )
        return command(self, *arguments)

    def chat(self, *words: str) -> Any:
        """Open a chat that continues the conversation with an agent."""
        return self._runner.chat(parse_chat_words(words))

    def list(self, platform: str | None = None) -> Any:
        """List the agents of a platform, or of every configured one."""
        current = config()
        names = registry.names()
        wanted = (
            [platform]
            if platform
            else current.configured_platforms(names) or [current.infer_platform(names)]
        )
        rows: list[dict[str, Any]] = []
        problems: list[str] = []
        for name in wanted:
            try:
                agents = list_agents(name)
            except AgentnbError as error:
                if platform:
                    raise
                problems.append(f"{name}: {error}")
                continue
            rows += [
                {"agent": f"{name}:{a.id}", "name": a.name or "", "about": a.description or ""}
                for a in agents
            ]
        rows += [
            {"agent": alias, "name": "", "about": f"alias of {target}"}
            for alias, target in current.all_aliases().items()
        ]
        return table(rows, empty="No agents.", notes=problems)

    def use(self, target: str | None = None) -> Any:
        """Make an agent the default of this session."""
        current = config()
        if target is not None:
            _refuse_variable(target)
            current.default_agent = str(current.resolve(target, registry.names()))
        name = current.resolve(None, registry.names())
        return table([{"default agent": str(name)}])

    def alias(self, name: str | None = None, target: str | None = None) -> Any:
        """Give an agent a short name for this session, or show them."""
        current = config()
        if name is not None and target is None:
            name, equals, target = name.partition("=")
            if not equals or not target:
                raise RequestError(
                    "An alias needs a name and an agent.",
                    hint="Write '%agent alias NAME PLATFORM:AGENT'.",
                )
        if name is not None and target is not None:
            if not name.replace("-", "_").isidentifier():
                raise RequestError(f"'{name}' is no name: letters, digits, '-' and '_' make one.")
            _refuse_variable(target)
            resolved = str(current.resolve(target, registry.names()))
            current.aliases[name] = resolved
        rows = [{"alias": a, "agent": t} for a, t in current.all_aliases().items()]
        return table(rows, empty="No aliases.")

    def status(self, run_id: str | None = None) -> Any:
        """Show the active runs, here and elsewhere, or one run."""
        return active_runs(run_id, _runs())

    def history(self, *words: str) -> Any:
        """Show the latest runs, to search, sort and open them, or query them in SQL."""
        return show_history(words, mode=self._runner.effective_mode())

    def sessions(self) -> Any:
        """Show the latest conversations, and the current one of each agent."""
        return session_table(self._runner.current_sessions())

    def attach(self, *words: str) -> Any:
        """Attach to an active run, here or on its platform, and show it live as a cell does."""
        attach(self._runner, words)

    def stop(self, run_id: str | None = None) -> Any:
        """Stop the active runs, or one of them."""
        active = [r for r in _runs() if not r.done and run_id in (None, r.id, r.local_id)]
        if run_id and not active:
            raise stop_error(run_id, _runs())
        for run in active:
            run.cancel()
        rows = [{"stopped": r.id, "agent": r.title} for r in active]
        return table(rows, empty="No run is going on.")

    def login(self, *words: str) -> Any:
        """Prompt for the key of a platform and keep it in the keyring; or forget it."""
        return login(words)

    def config(self) -> Any:
        """Show the configuration and its sources, without keys."""
        current = config(reload=True)
        rows: list[dict[str, Any]] = []
        for name in current.platform_names(registry.names()):
            section = current.file.platforms.get(name)
            if name in OPEN_PROTOCOLS and section is None:
                continue
            rows.append(
                {
                    "platform": name,
                    "type": current.platform_type(name),
                    "address": _address(name, section.base_url if section else None),
                    "configured": "yes" if current.is_configured(name) else "",
                    "key": current.key_source(name) or "",
                }
            )
        files = (
            ", ".join(str(p) for p in current.paths) or f"none ({user_config_path()} could be one)"
        )
        return table(
            rows,
            notes=[
                f"Files: {files}",
                f"Default agent: {_default_agent()}",
                f"History: {_history_place()}",
            ],
        )

    def doctor(self, *words: str) -> Any:
        """Check everything from the display to the platforms, and say what to do."""
        mode = self._runner.effective_mode()
        return doctor(words, shell=current_shell(), display=mode)

    def version(self) -> Any:
        """Show the version."""
        return table([{"agentnb": __version__}])

    def help(self, name: str | None = None, *words: str) -> Any:
        """Show this help, or that of one command."""
        if name is not None:
            if name not in COMMANDS:
                raise _no_command(name)
            return self._help_of(name, words)
        rows = [
            {"command": f"%agent {name} {words}".rstrip(), "what it does": command.__doc__ or ""}
            for name, (words, command) in COMMANDS.items()
        ]
        at = [*COMMANDS].index("history") + 1
        rows[at:at] = [
            {"command": f"%agent history {name} {words}".rstrip(), "what it does": does}
            for name, (words, does) in HISTORY_ACTIONS.items()
        ]
        return table(rows, notes=[HISTORY_TABLES], preformatted=usage())

    def _help_of(self, name: str, words: Sequence[str]) -> Any:
        takes, command = COMMANDS[name]
        if name == "history":
            return history_help(words)
        line = f"%agent {name} {takes}".rstrip()
        does = command.__doc__ or ""
        return table([{"command": line, "what it does": does}])


#: Name -> usage and method.
COMMANDS: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    "chat": (CHAT_USAGE, Commands.chat),
    "list": ("[PLATFORM]", Commands.list),
    "use": ("[AGENT]", Commands.use),
    "alias": ("[NAME AGENT]", Commands.alias),
    "status": ("[RUN]", Commands.status),
    "history": (HISTORY_USAGE, Commands.history),
    "sessions": ("", Commands.sessions),
    "attach": (ATTACH_USAGE, Commands.attach),
    "stop": ("[RUN]", Commands.stop),
    "login": (LOGIN_USAGE, Commands.login),
    "config": ("", Commands.config),
    "doctor": (DOCTOR_USAGE, Commands.doctor),
    "version": ("", Commands.version),
    "help": ("[COMMAND ACTION]", Commands.help),
}


def _no_command(name: str) -> RequestError:
    return RequestError(
        f"%agent has no command {quoted(name)}.",
        hint=suggestion(name, COMMANDS)
        or f"It has: {', '.join(COMMANDS)}; to ask an agent, write %%agent.",
    )


def _refuse_variable(target: str) -> None:
    """Raise if ``target`` is a function of the notebook rather than an agent of a platform."""
    found = None if target in config().all_aliases() else agent_variable(target, current_shell())
    if found is not None and found.platform.name == "local":
        raise RequestError(
            f"'{target}' is a variable of this notebook, not the name of a platform's agent.",
            hint=f"Write '%%agent {target}' to ask it, or platform:agent here.",
        )


def _runs() -> list[Run]:
    return [r for r in history.recent_runs() if isinstance(r, Run)]


def _address(name: str, configured: str | None) -> str:
    address = url_from_environment(name) or configured
    if address is None:
        return "the platform's own"
    return redact_url(address)


def _history_place() -> str:
    from agentnb.store.location import shown
    from agentnb.store.store import current_location

    try:
        where = current_location()
    except HistoryError as error:
        return f"unusable. {error}"
    place = "off: runs are not kept" if where.is_off else str(shown(where))
    return f"{place} (by {where.named_by})"


def _default_agent() -> str:
    try:
        return str(config().resolve(None, registry.names()))
    except AgentnbError:
        pass
    try:
        return f"none; a bare name is one of {config().infer_platform(registry.names())}"
    except AgentnbError:
        return "none"
