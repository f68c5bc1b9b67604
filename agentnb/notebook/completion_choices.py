"""Choices for completion on the line of a magic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from agentnb import history, sandbox
from agentnb.config import EMBEDDED, config
from agentnb.errors import AgentnbError
from agentnb.notebook.commands import COMMANDS
from agentnb.notebook.display import current_shell
from agentnb.notebook.history import HISTORY_ACTIONS, history_parser
from agentnb.notebook.options import LineParser, cell_parser, usage_parser
from agentnb.notebook.variables import agent_variables
from agentnb.platforms import registry
from agentnb.run.agent_catalog import known_agents
from agentnb.run.run import Run
from agentnb.store.filters import STATUSES

_LINE: Final = re.compile(r"^\s*(%%?)agent(\s+.*)?$")
# An agent may contain a colon, at which IPython's own token ends.
_LAST_WORD: Final = re.compile(r"[^\s]*$")


def complete(text: str) -> list[str]:
    """Return completions of ``text``, a magic's line up to the cursor."""
    line = _LINE.match(text)
    if line is None or line[2] is None:
        return []
    word = last_word(text)
    before = line[2].split()[: None if text.endswith((" ", "\t")) else -1]
    if line[1] == "%%":
        choices = _choices(cell_parser(), before)
    elif not before:
        choices = COMMANDS
    elif before[0] == "history":
        actions = HISTORY_ACTIONS if len(before) == 1 else ()
        action, *rest = before[1:] or [""]
        words = rest if action in HISTORY_ACTIONS else before[1:]
        choices = [*actions, *_choices(history_parser(action), words)]
    elif before[0] in COMMANDS:
        choices = _choices(usage_parser(before[0], COMMANDS[before[0]][0]), before[1:])
    else:
        choices = ()
    return list(dict.fromkeys(c for c in choices if c.startswith(word)))


def _choices(parser: LineParser, before: list[str]) -> list[str]:
    """Return the values of the option that ``before`` ends with, or those of the next word."""
    words = 0
    takes_value = None
    for each in before:
        option = parser.options.get(each)
        words += takes_value is None and option is None
        takes_value = option if option is not None and option.nargs != 0 else None
    if takes_value is not None:
        return [*_values(takes_value)]
    options = [name for name in parser.options if name.startswith("--")]
    # Only the last word can be repeated.
    left = parser.words[words:] or [each for each in parser.words[-1:] if each.nargs == "*"]
    return [*(_values(left[0]) if left else ()), *options]


def _values(action: Any) -> Iterable[str]:
    return action.choices or _VALUES.get(action.metavar or action.dest.upper(), list)()


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


def _active_runs() -> list[str]:
    return [r.id for r in history.recent_runs() if isinstance(r, Run) and not r.done]


def _sessions() -> list[str]:
    ids = (r.transcript.session_id for r in reversed(history.recent_runs()))
    return list(dict.fromkeys(s for s in ids if s))


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


# Name of an argument's value in the usage -> its choices.
_VALUES: Final[dict[str, Callable[[], Iterable[str]]]] = {
    "AGENT": _agents,
    "COMMAND": lambda: COMMANDS,
    "EXPR": _tables,
    "P": _platforms,
    "PLATFORM": _platforms,
    "RUN": _active_runs,
    "S": _sessions,
    "STATUS": lambda: STATUSES,
}


def last_word(text: str) -> str:
    """Return the unfinished word at the end of ``text``, "" after a space."""
    found = _LAST_WORD.search(text)
    return found[0] if found else ""
