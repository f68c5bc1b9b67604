"""Command line: ``agentnb``, or ``python -m agentnb``."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from agentnb._support import __version__
from agentnb.errors import AgentnbError

__all__ = ["main"]

_INTERRUPTED: Final = 130
_USAGE_ERROR: Final = 2
_DAY: Final = 86_400.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status, for ``doctor`` 1 where it found a problem."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["sandbox"]:
        from agentnb.sandbox.__main__ import main as serve

        return serve(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    match options.command:
        case "doctor":
            return _doctor(options)
        case "new-platform":
            return _new_platform(options)
        case "version":
            sys.stdout.write(f"agentnb {__version__}\n")
        case _:
            parser.print_help()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentnb",
        description="Remote AI agents in a notebook; there, begin with '%load_ext agentnb'.",
    )
    parser.add_argument("--version", action="version", version=f"agentnb {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    doctor = commands.add_parser(
        "doctor",
        help="check this installation for problems, and say what to do",
        description="Check for problems: packages, configuration, keys, the connection to each "
        "configured platform, the store of runs. The exit status is 1 if there are any.",
    )
    doctor.add_argument(
        "platforms",
        nargs="*",
        metavar="PLATFORM",
        help="check these only; PLATFORM:AGENT also selects the agent for --stream",
    )
    doctor.add_argument(
        "--json", action="store_true", help="print JSON for a bug report: no keys, home as ~"
    )
    doctor.add_argument(
        "--stream",
        action="store_true",
        help="send an agent of each platform a short prompt, which costs what a prompt costs, and "
        "measure whether the answer is buffered on its way; repeat where it seems to be",
    )
    doctor.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for a response (default: %(default)g)",
    )
    new = commands.add_parser(
        "new-platform",
        help="write the package of a platform of your own, with tests",
        description="Write a package that makes a system known to agentnb as a platform: its "
        "client, its decoder, and tests with a small server.",
    )
    new.add_argument("name", metavar="NAME", help="the platform's name, as in %%%%agent NAME:agent")
    new.add_argument(
        "--folder", type=Path, help="where it is written (default: agentnb-NAME, which is new)"
    )
    commands.add_parser(
        "sandbox", help="run the local server that speaks every platform's API", add_help=False
    )
    commands.add_parser("version", help="print the version")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _DAY:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 s, and at most a day")
    return seconds


def _new_platform(options: argparse.Namespace) -> int:
    from agentnb.testing.new_platform import write_platform

    try:
        files = write_platform(options.name, options.folder or Path(f"agentnb-{options.name}"))
    except AgentnbError as error:
        sys.stderr.write(f"agentnb new-platform: {error}\n")
        return _USAGE_ERROR
    sys.stdout.write("".join(f"wrote {file}\n" for file in files))
    sys.stdout.write(
        f"Next: pip install -e '{files[0].parent}[test]' && pytest {files[0].parent}\n"
    )
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from agentnb.doctor import as_text, examine

    try:
        report = examine(options.platforms, stream=options.stream, seconds=options.timeout)
    except AgentnbError as error:
        sys.stderr.write(f"agentnb doctor: {error}\n")
        return _USAGE_ERROR
    except KeyboardInterrupt:
        return _INTERRUPTED
    if options.json:
        text = json.dumps(report.to_dict(), indent=2)
    else:
        columns = shutil.get_terminal_size().columns
        text = as_text(report, width=columns, colour=_has_colours(sys.stdout))
    # The terminal may not be able to encode an arrow.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    return int(report.has_problem)


def _has_colours(stream: TextIO) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


if __name__ == "__main__":
    sys.exit(main())
