"""Parsing of the line of ``%%agent``."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, NoReturn

from agentnb.errors import RequestError
from agentnb.redaction.secrets import is_given_secret, is_secret_name, looks_like_key

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
#: Usage of commands whose options are those of a cell, see `usage_parser`.
CHAT_USAGE: Final = "[AGENT] [--session S] [--new]"
ATTACH_USAGE: Final = "RUN [AGENT] [--platform P] [--session S] [--timeout SECONDS] [--bg]"
_OPTION: Final = re.compile(r"\[(--[a-z-]+)(?: ([A-Z]+))?\]")
_WORD: Final = re.compile(r"([A-Z]+)( \.\.\.)?")
_SHORT: Final = {"--session": ("-s",), "--new": ("-n",), "--platform": ("-p",)}
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
    tools: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    timeout: float | None = None
    over: str | None = None
    mapping: dict[str, Any] = field(default_factory=dict[str, Any])


class LineParser(argparse.ArgumentParser):
    """Argument parser that raises `RequestError` instead of ending the process."""

    def __init__(self, prog: str) -> None:
        #: The options by their names, and the other arguments in order.
        self.options: dict[str, argparse.Action] = {}
        self.words: list[argparse.Action] = []
        super().__init__(prog=prog, add_help=False, allow_abbrev=False)

    def add_argument(self, *names: Any, group: Any = None, **settings: Any) -> argparse.Action:
        add = super().add_argument if group is None else group.add_argument
        action: argparse.Action = add(*names, **settings)
        self.options |= dict.fromkeys(action.option_strings, action)
        if not action.option_strings:
            self.words.append(action)
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


def usage_parser(command: str, usage: str) -> LineParser:
    """Return the parser of ``%agent command``, as ``usage`` has it; all its words are optional.

    >>> usage_parser("chat", "[AGENT] [--session S] [--new]").parse_args(["--new"])
    Namespace(session=None, new=True, agent=None)
    """
    parser = LineParser(f"%agent {command}")
    for option, metavar in _OPTION.findall(usage):
        names = [*_SHORT.get(option, ()), option]
        if metavar:
            kind = float if metavar == "SECONDS" else str
            parser.add_argument(*names, metavar=metavar, type=kind)
        else:
            dest = "background" if option == "--bg" else option.removeprefix("--")
            parser.add_argument(*names, action="store_true", dest=dest)
    for word, repeated in _WORD.findall(_OPTION.sub("", usage)):
        parser.add_argument(word.lower(), metavar=word, nargs="*" if repeated else "?")
    return parser


def cell_parser() -> LineParser:
    """Return the parser of the line of ``%%agent``."""
    parser = LineParser("%%agent")
    add = parser.add_argument
    add("agent", nargs="?", help="agent, platform:agent or alias; or the default")
    add("-o", "--output", metavar="NAME", help="bind the run to this variable")
    add("-s", "--session", metavar="S", help="go on in this session")
    add("-n", "--new", action="store_true", help="begin a new session")
    add("-p", "--platform", metavar="P", help="the agent's platform")
    add(
        "--bg",
        action="store_true",
        dest="background",
        help="return at once, go on in the background",
    )
    add("-q", "--quiet", action="store_true", help="show nothing, only bind")
    add("-f", "--format", choices=FORMATS, default="rich", help="how the answer is shown")
    add("--param", metavar="K=V", action="append", default=[], help="a parameter of the platform")
    add("--output-type", metavar="NAME", help="a pydantic model or JSON schema for the answer")
    add(
        "--tool",
        metavar="NAME",
        action="append",
        dest="tools",
        default=[],
        help="a function of the notebook that the agent may call",
    )
    add("--media", metavar="PATH", action="append", default=[], help="attach a file or an address")
    add("--timeout", metavar="SECONDS", type=float, help="how long the run may take in all")
    add(
        "--over",
        metavar="EXPR",
        help="run once for each row of this table or item of this list; {{column}} is its value",
    )
    over = parser.add_argument_group("with --over")
    add("--concurrency", group=over, metavar="N", type=int, help="rows at once (8)")
    add("--rpm", group=over, metavar="N", type=float, help="rows that begin in a minute")
    add("--retries", group=over, metavar="N", type=int, help="further runs of a failed row")
    add("--checkpoint", group=over, metavar="FILE", help="remember in it what is done; go on")
    add(
        "--on-error",
        group=over,
        choices=("keep", "raise"),
        help="what a failed row does to the others",
    )
    add("--prefix", group=over, metavar="PREFIX", help="put this before the names of new columns")
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
    found = _parse(cell_parser(), words)
    if binding and found.output:
        raise RequestError("The run can be bound either by '<<' or by '-o', not by both.")
    if found.output and not str(found.output).isidentifier():
        raise RequestError(f"'{found.output}' is no name for a variable.")
    if binding:
        found.output = binding[1]
    found.params = _params(found.param)
    found.media, found.tools = tuple(found.media), tuple(found.tools)
    names = [name for name in _MAP_OPTIONS if getattr(found, name) is not None]
    found.mapping = {name: getattr(found, name) for name in names}
    _check_over(found)
    return _cell_options(found)


def parse_chat_words(words: Sequence[str]) -> CellOptions:
    """Return the options of ``%agent chat``.

    Raises:
        RequestError: an option is unknown, lacks its value or contradicts another.
    """
    return _cell_options(_parse(usage_parser("chat", CHAT_USAGE), words))


def parse_attach_words(words: Sequence[str]) -> tuple[str, CellOptions]:
    """Return the run id of ``%agent attach``, and its options.

    Raises:
        RequestError: the run is missing, or an option is unknown or lacks its value.
    """
    found = _parse(usage_parser("attach", ATTACH_USAGE), words)
    if found.run is None:
        raise RequestError(
            "%agent attach needs the id of a run.",
            hint="'%agent status' and '%agent history' list runs with their ids.",
        )
    return found.run, _cell_options(found)


def usage() -> str:
    """Return the options of ``%%agent`` with a line of help each."""
    return cell_parser().format_help()


def _parse(parser: LineParser, words: Sequence[str]) -> argparse.Namespace:
    _refuse_keys(words)
    return parser.parse_args(list(words))


def _cell_options(found: argparse.Namespace) -> CellOptions:
    if getattr(found, "new", False) and found.session:
        raise RequestError("--new and --session contradict each other.")
    names = {each.name for each in fields(CellOptions)}
    return CellOptions(**{name: value for name, value in vars(found).items() if name in names})


def _check_over(found: argparse.Namespace) -> None:
    if found.over is None:
        for name in found.mapping:
            raise RequestError(f"--{name.replace('_', '-')} goes with --over.")
        return
    if found.session or found.new:
        raise RequestError("With --over each row begins a session of its own.")
    if found.tools:
        raise RequestError("--tool and --over do not go together: no one decides on the calls.")
    if found.background:
        raise RequestError(
            "--bg and --over do not go together.",
            hint="asyncio.create_task(agent.amap(...)) goes on while other cells run.",
        )
    if found.format == "json":
        raise RequestError("--over makes a table, which is shown as rich or text, not as json.")
    for name in found.params:
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
