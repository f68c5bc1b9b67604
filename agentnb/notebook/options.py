"""Parsing of the line of ``%%agent``."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from agentnb.errors import RequestError
from agentnb.redaction.secrets import is_given_secret, is_secret_name, looks_like_key

__all__ = [
    "FORMATS",
    "CellOptions",
    "LineParser",
    "option_strings",
    "parse_attach_words",
    "parse_cell_line",
    "parse_chat_words",
    "usage",
]

FORMATS: Final = ("rich", "text", "json")
# Names that are not parameters, with what replaces them.
_RESERVED: Final = {
    "check": "nothing: a cell always raises",
    "deadlines": "agentnb.agent(..., deadlines=...)",
    "media": "--media",
    "output_type": "--output-type",
    "prompt": "the cell's text",
    "retries": "agentnb.agent(..., retries=...)",
    "session": "--session",
    "stream": "agent.run(..., stream=False)",
    "timeout": "--timeout",
}
# Options of --over only; each is an argument of `Agent.map`.
_MAP_OPTIONS: Final = ("concurrency", "rpm", "retries", "checkpoint", "on_error", "prefix")
# Arguments of `Agent.map`, so with --over they cannot be parameters of the platform.
_NOT_WITH_OVER: Final = frozenset({*_MAP_OPTIONS, "client", "data", "progress"})
_BINDING: Final = re.compile(r"^\s*([^\W\d]\w*)\s*<<\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOptions:
    """The options of one ``%%agent`` cell; ``mapping`` are arguments of `Agent.map`."""

    agent: str | None = None
    output: str | None = None
    session: str | None = None
    new: bool = False
    platform: str | None = None
    background: bool = False
    quiet: bool = False
    format: str = "rich"
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    output_type: str | None = None
    media: tuple[str, ...] = ()
    timeout: float | None = None
    over: str | None = None
    mapping: dict[str, Any] = field(default_factory=dict[str, Any])


class LineParser(argparse.ArgumentParser):
    """Argument parser that raises `RequestError` instead of ending the process."""

    def __init__(self, prog: str) -> None:
        #: The arguments by their names.
        self.options: dict[str, argparse.Action] = {}
        super().__init__(prog=prog, add_help=False, allow_abbrev=False)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        action = super().add_argument(*names, **settings)
        self.options |= dict.fromkeys(action.option_strings, action)
        return action

    def error(self, message: str) -> NoReturn:
        sentence = f"{self.prog}: {message}" + ("" if message.endswith(".") else ".")
        raise RequestError(sentence, hint=self._hint(message))

    def _hint(self, message: str) -> str:
        from agentnb.config import suggestion

        wrong = re.search(r"unrecognized arguments: (--?[\w-]+)", message)
        if wrong:
            meant = suggestion(wrong[1], self.options)
        elif choice := re.search(r"argument ([^:]+): invalid choice: '([^']*)'", message):
            # argparse joins the names of an option: "-f/--format".
            option = self.options.get(choice[1].split("/")[-1])
            meant = suggestion(choice[2], map(str, option.choices or ())) if option else ""
        else:
            meant = ""
        command = "%agent help" if self.prog.startswith("%%") else f"{self.prog} --help"
        return meant or f"'{command}' lists the options."


def _parser() -> LineParser:
    parser = LineParser("%%agent")
    parser.add_argument("agent", nargs="?", help="agent, platform:agent or alias; or the default")
    parser.add_argument("-o", "--output", metavar="NAME", help="bind the run to this variable")
    parser.add_argument("-s", "--session", metavar="S", help="go on in this session")
    parser.add_argument("-n", "--new", action="store_true", help="begin a new session")
    parser.add_argument("-p", "--platform", metavar="P", help="the agent's platform")
    parser.add_argument("--bg", action="store_true", help="return at once, go on in the background")
    parser.add_argument("-q", "--quiet", action="store_true", help="show nothing, only bind")
    parser.add_argument(
        "-f", "--format", choices=FORMATS, default="rich", help="how the answer is shown"
    )
    parser.add_argument(
        "--param", metavar="K=V", action="append", default=[], help="a parameter of the platform"
    )
    parser.add_argument(
        "--output-type", metavar="NAME", help="a pydantic model or JSON schema for the answer"
    )
    parser.add_argument(
        "--media", metavar="PATH", action="append", default=[], help="attach a file or an address"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, help="how long the run may take in all"
    )
    parser.add_argument(
        "--over",
        metavar="EXPR",
        help="run once for each row of this table or item of this list; {{column}} is its value",
    )
    over = parser.add_argument_group("with --over")
    over.add_argument("--concurrency", metavar="N", type=int, help="rows at once (8)")
    over.add_argument("--rpm", metavar="N", type=float, help="rows that begin in a minute")
    over.add_argument("--retries", metavar="N", type=int, help="further runs of a failed row")
    over.add_argument("--checkpoint", metavar="FILE", help="remember in it what is done; go on")
    over.add_argument(
        "--on-error", choices=("keep", "raise"), help="what a failed row does to the others"
    )
    over.add_argument("--prefix", metavar="P", help="put this before the names of new columns")
    return parser


def parse_cell_line(line: str) -> CellOptions:
    """Return the options on ``line``, which may begin with ``name <<``.

    Raises:
        RequestError: an option is unknown, lacks its value or contradicts another.
    """
    binding = _BINDING.match(line)
    rest = line[binding.end() :] if binding else line
    try:
        words = shlex.split(rest)
    except ValueError as error:
        _refuse_keys(rest.split())
        raise RequestError(f"%%agent: {error} in {rest.strip()!r}.") from error
    _refuse_keys(words)
    found = _parser().parse_args(words)
    if binding and found.output:
        raise RequestError("The run can be bound either by '<<' or by '-o', not by both.")
    if found.output and not str(found.output).isidentifier():
        raise RequestError(f"'{found.output}' is no name for a variable.")
    if found.new and found.session:
        raise RequestError("--new and --session contradict each other.")
    params = _params(found.param)
    mapping = {name: value for name in _MAP_OPTIONS if (value := getattr(found, name)) is not None}
    _check_over(found, params, mapping)
    return CellOptions(
        agent=found.agent,
        output=binding[1] if binding else found.output,
        session=found.session,
        new=found.new,
        platform=found.platform,
        background=found.bg,
        quiet=found.quiet,
        format=found.format,
        params=params,
        output_type=found.output_type,
        media=tuple(found.media),
        timeout=found.timeout,
        over=found.over,
        mapping=mapping,
    )


def parse_chat_words(words: Sequence[str]) -> CellOptions:
    """Return the options of ``%agent chat``.

    Raises:
        RequestError: an option is unknown, lacks its value or contradicts another.
    """
    parser = LineParser("%agent chat")
    parser.add_argument("agent", nargs="?")
    parser.add_argument("-s", "--session")
    parser.add_argument("-n", "--new", action="store_true")
    _refuse_keys(words)
    found = parser.parse_args(list(words))
    if found.new and found.session:
        raise RequestError("--new and --session contradict each other.")
    return CellOptions(agent=found.agent, session=found.session, new=found.new)


def parse_attach_words(words: Sequence[str]) -> tuple[str, CellOptions]:
    """Return the run id of ``%agent attach``, and its options.

    Raises:
        RequestError: the run is missing, or an option is unknown or lacks its value.
    """
    parser = LineParser("%agent attach")
    parser.add_argument("run", nargs="?")
    parser.add_argument("agent", nargs="?")
    parser.add_argument("-p", "--platform")
    parser.add_argument("-s", "--session")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--bg", action="store_true")
    _refuse_keys(words)
    found = parser.parse_args(list(words))
    if found.run is None:
        raise RequestError(
            "%agent attach needs the id of a run.",
            hint="'%agent status' and '%agent history' list runs with their ids.",
        )
    options = CellOptions(
        agent=found.agent,
        platform=found.platform,
        session=found.session,
        timeout=found.timeout,
        background=found.bg,
    )
    return found.run, options


def option_strings() -> list[str]:
    """Return every long option, for completion."""
    return [name for name in _parser().options if name.startswith("--")]


def usage() -> str:
    """Return the options with a line of help each."""
    return _parser().format_help()


def _check_over(
    found: argparse.Namespace, params: Mapping[str, Any], mapping: Mapping[str, Any]
) -> None:
    """Raise for options that need --over, or contradict it."""
    if found.over is None:
        for name in mapping:
            raise RequestError(f"--{name.replace('_', '-')} goes with --over.")
        return
    if found.session or found.new:
        raise RequestError("With --over each row begins a session of its own.")
    if found.bg:
        raise RequestError(
            "--bg and --over do not go together.",
            hint="asyncio.create_task(agent.amap(...)) goes on while other cells run.",
        )
    if found.format == "json":
        raise RequestError("--over makes a table, which is shown as rich or text, not as json.")
    for name in params:
        if name in _NOT_WITH_OVER:
            raise RequestError(
                f"With --over, {name} is no parameter.",
                hint=f"What you mean is --{name.replace('_', '-')}."
                if name in _MAP_OPTIONS
                else None,
            )


def _refuse_keys(words: Sequence[str]) -> None:
    """Raise for a key on the line of a cell, which is saved with the notebook."""
    for word in words:
        word = word.removeprefix("--param=")
        name, equals, value = word.partition("=")
        # No option of a cell has such a name.
        named = word.startswith("--") and is_secret_name(name)
        given = bool(equals) and is_given_secret(name, value)
        if named or given or any(map(looks_like_key, (word, value.strip("\"'")))):
            from agentnb.config import key_hint

            raise RequestError(
                "The line of a cell is saved with the notebook; no key can stand in it.",
                hint=key_hint(),
            )


def _params(pairs: Sequence[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise RequestError(f"--param takes NAME=VALUE, not '{pair}'.")
        if name in _RESERVED:
            raise RequestError(
                f"--param {name} is no parameter; what you mean is {_RESERVED[name]}."
            )
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params
