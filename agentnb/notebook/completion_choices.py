"""Choices for completion on the line of a magic."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from agentnb import history, sandbox
from agentnb.config import EMBEDDED, config
from agentnb.errors import AgentnbError
from agentnb.notebook.commands import COMMANDS
from agentnb.notebook.display import current_shell
from agentnb.notebook.history import HISTORY_ACTIONS, HISTORY_OPTIONS
from agentnb.notebook.options import FORMATS, option_strings
from agentnb.notebook.variables import agent_variables
from agentnb.platforms import registry
from agentnb.run.agent_catalog import known_agents
from agentnb.run.run import Run
from agentnb.store.filters import STATUSES

__all__ = ["complete", "last_word"]

# Options with a free value.
_FREE: Final = frozenset(
    {"-o", "--output", "--param", "--output-type", "--media", "--timeout", "--concurrency"}
    | {"--rpm", "--retries", "--checkpoint", "--prefix"}
)
_LINE: Final = re.compile(r"^\s*(%%?)agent(\s+.*)?$")
# An agent may contain a colon, at which IPython's own token ends.
_WORD: Final = re.compile(r"[^\s]*$")


def complete(text: str) -> list[str]:
    """Return completions of ``text``, a magic's line up to the cursor."""
    line = _LINE.match(text)
    if line is None or line[2] is None:
        return []
    word = last_word(text)
    before = line[2].split()[: None if text.endswith((" ", "\t")) else -1]
    if line[1] == "%":
        choices = _for_command(before)
    else:
        choices = _for_cell(before[-1] if before else "", word)
    return list(dict.fromkeys(c for c in choices if c.startswith(word)))


def _for_cell(last: str, word: str) -> list[str]:
    match last:
        case "-p" | "--platform":
            return _platforms()
        case "-f" | "--format":
            return list(FORMATS)
        case "-s" | "--session":
            return _sessions()
        case "--over":
            return _tables()
        case "--on-error":
            return ["keep", "raise"]
        case _ if last in _FREE:
            return []
        case _:
            return option_strings() if word.startswith("-") else _agents()


def _for_command(before: list[str]) -> list[str]:
    if not before:
        return list(COMMANDS)
    match before[0]:
        case "chat" | "attach" if before[-1] in ("-s", "--session"):
            return _sessions()
        case "chat":
            return [*_agents(), "--session", "--new"]
        case "attach" if before[-1] in ("-p", "--platform"):
            return _platforms()
        case "attach" if len(before) > 1:
            return [*_agents(), "--session", "--platform", "--timeout", "--bg"]
        case "use" | "alias":
            return _agents()
        case "list" | "doctor" | "login":
            return _platforms()
        case "history":
            return _for_history(before[1:])
        case "stop" | "status" | "attach":
            return [r.id for r in history.recent_runs() if isinstance(r, Run) and not r.done]
        case _:
            return []


def _for_history(before: list[str]) -> list[str]:
    match before[-1:]:
        case ["--agent"]:
            return known_agents()
        case ["--status"]:
            return list(STATUSES)
        case ["--text" | "--since" | "--sql"]:
            return []
        case _ if before[:1] == ["prune"]:
            return ["--older-than", "--keep", "--max-bytes", "--dry-run"]
        case []:
            return [*HISTORY_ACTIONS, *HISTORY_OPTIONS]
        case _:
            return list(HISTORY_OPTIONS)


def _agents() -> list[str]:
    try:
        names = known_agents()
        is_embedded = config().infer_platform(registry.names()) == EMBEDDED
    except AgentnbError:
        return []
    return [
        *agent_variables(current_shell()),
        *(sandbox.agent_names() if is_embedded else []),
        *names,
    ]


def _platforms() -> list[str]:
    return config().platform_names(registry.names())


def _tables() -> list[str]:
    """Return the variables that hold a table, then those that hold a list or a column."""
    shell = current_shell()
    variables: dict[str, object] = cast("Any", shell).user_ns if shell is not None else {}
    public = {n: v for n, v in variables.items() if not n.startswith("_") and n != "In"}
    tables = [n for n, v in public.items() if _is_frame(v) and hasattr(v, "columns")]
    others = [n for n, v in public.items() if isinstance(v, list | tuple) or _is_frame(v)]
    return [*tables, *others]


def _is_frame(value: object) -> bool:
    kind = type(value)
    return kind.__name__ in ("DataFrame", "Series") and not isinstance(value, type)


def _sessions() -> list[str]:
    ids = (r.transcript.session_id for r in reversed(history.recent_runs()))
    return list(dict.fromkeys(s for s in ids if s))


def last_word(text: str) -> str:
    """Return the unfinished word at the end of ``text``, "" after a space."""
    found = _WORD.search(text)
    return found[0] if found else ""
