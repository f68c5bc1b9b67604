"""What may be typed next on the line of a magic."""

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
from agentnb.notebook.variables import agent_names
from agentnb.platforms import registry
from agentnb.run.agent_catalog import known_agents
from agentnb.run.run import Run
from agentnb.store.filters import STATUSES

__all__ = ["complete", "last_word"]

# What follows these nobody can know.
_FREE: Final = frozenset(
    {"-o", "--output", "--param", "--output-type", "--media", "--timeout", "--concurrency"}
    | {"--rpm", "--retries", "--checkpoint", "--prefix"}
)
_LINE: Final = re.compile(r"^\s*(%%?)agent(\s+.*)?$")
# The agent is one word that may hold a colon, which IPython's own token would cut at.
_WORD: Final = re.compile(r"[^\s]*$")


def complete(text: str) -> list[str]:
    """Return what may stand at the end of ``text``, a magic's line up to the cursor.

    Empty where the line is not one of ours.
    """
    line = _LINE.match(text)
    if line is None or line[2] is None:
        return []
    word = last_word(text)
    before = line[2].split()[: None if text.endswith((" ", "\t")) else -1]
    if line[1] == "%":
        choices = _for_command(before)
    elif before and before[-1] in ("-p", "--platform"):
        choices = config().platform_names(registry.names())
    elif before and before[-1] in ("-f", "--format"):
        choices = list(FORMATS)
    elif before and before[-1] in ("-s", "--session"):
        choices = _sessions()
    elif before and before[-1] == "--over":
        choices = _tables()
    elif before and before[-1] == "--on-error":
        choices = ["keep", "raise"]
    elif before and before[-1] in _FREE:
        return []
    elif word.startswith("-"):
        choices = option_strings()
    else:
        choices = _agents()
    return list(dict.fromkeys(c for c in choices if c.startswith(word)))


def _for_command(before: list[str]) -> list[str]:
    if not before:
        return list(COMMANDS)
    match before[0]:
        case "chat" if before[-1] in ("-s", "--session"):
            return _sessions()
        case "chat":
            return [*_agents(), "--session", "--new"]
        case "attach" if before[-1] in ("-s", "--session"):
            return _sessions()
        case "attach" if before[-1] in ("-p", "--platform"):
            return config().platform_names(registry.names())
        case "attach" if len(before) > 1:
            return [*_agents(), "--session", "--platform", "--timeout", "--bg"]
        case "use" | "alias":
            return _agents()
        case "list" | "doctor" | "login":
            return config().platform_names(registry.names())
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
        at_hand = config().infer_platform(registry.names()) == EMBEDDED
    except AgentnbError:
        return []
    return [*agent_names(current_shell()), *(sandbox.agent_names() if at_hand else []), *names]


def _tables() -> list[str]:
    """Return the variables that hold a table, or a list or a column of what can be asked."""
    shell = current_shell()
    variables: dict[str, object] = cast("Any", shell).user_ns if shell is not None else {}
    shown = {n: v for n, v in variables.items() if not n.startswith("_") and n != "In"}
    tables = [n for n, v in shown.items() if _is_of_frames(v) and hasattr(v, "columns")]
    others = [n for n, v in shown.items() if isinstance(v, list | tuple) or _is_of_frames(v)]
    return [*tables, *others]


def _is_of_frames(value: object) -> bool:
    kind = type(value)
    return kind.__name__ in ("DataFrame", "Series") and not isinstance(value, type)


def _sessions() -> list[str]:
    found = (r.transcript.session_id for r in reversed(history.recent_runs()))
    return list(dict.fromkeys(s for s in found if s))


def last_word(text: str) -> str:
    """Return the word that ``text`` ends in the middle of, "" after a space."""
    found = _WORD.search(text)
    return found[0] if found else ""
