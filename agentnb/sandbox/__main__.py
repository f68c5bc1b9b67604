"""``python -m agentnb.sandbox``: a sandbox on its own, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from pydantic import SecretStr

from agentnb.errors import ConfigError
from agentnb.sandbox.server import DEFAULT_ZONE, Sandbox

_KEY_VARIABLE = "AGENTNB_SANDBOX_KEY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; return the exit status."""
    options = _parser().parse_args(arguments)
    key = options.key or os.environ.get(_KEY_VARIABLE, "").strip()
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    try:
        sandbox = Sandbox(
            port=options.port,
            api_key=SecretStr(key) if key else None,
            pace=options.pace,
            keep=options.keep,
            operativus=options.operativus,
            time_zone=options.time_zone,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        sandbox.faults(options.fault)
        sandbox.start()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with sandbox:
        # A key chosen by the user is not printed: the output may be logged.
        placeholder = "THE_KEY_YOU_GAVE" if options.key else f"${_KEY_VARIABLE}"
        sys.stdout.write(
            _usage(sandbox, placeholder if key else sandbox.api_key.get_secret_value())
        )
        sys.stdout.flush()
        # With a timeout, because Windows delivers no signals during an endless wait.
        while not ended.wait(0.5):
            pass
    sys.stdout.write("Stopped.\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agentnb.sandbox",
        description="A local server that speaks the APIs of four agent platforms.",
    )
    parser.add_argument("--port", type=int, default=0, help="where to listen (default: a free one)")
    parser.add_argument(
        "--key",
        help=f"the API key to require (default: {_KEY_VARIABLE} or a random one); other users of "
        "this machine can read command lines, so prefer the variable",
    )
    parser.add_argument(
        "--pace", type=float, default=1.0, help="1: a language model's; 0: as fast as it can"
    )
    parser.add_argument(
        "--fault",
        metavar="SCRIPT",
        help="misbehave, for example 'drop after=2000 times=2'; pydoc agentnb.sandbox has them all",
    )
    parser.add_argument(
        "--keep",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="how long a run goes on after its client left (default: it ends)",
    )
    parser.add_argument(
        "--operativus",
        choices=("page", "real"),
        default="page",
        help="speak OperativusAI's API as its page has it, or as its real server does",
    )
    parser.add_argument(
        "--time-zone",
        metavar="ZONE",
        default=DEFAULT_ZONE,
        help=f"the zone of that real server's times, as Europe/Berlin (default: {DEFAULT_ZONE})",
    )
    return parser


def _usage(sandbox: Sandbox, key: str) -> str:
    operativus = sandbox.base_url("operativus")
    return f"""\
The agentnb sandbox listens on {sandbox.url} (this machine only).

Each platform is under its own name: /seekr, /runagent, /operativus, /runtools.
For example, in another terminal:

  export OPERATIVUS_BASE_URL={operativus}
  export OPERATIVUS_API_KEY={key}

and then in a notebook:

  %load_ext agentnb
  %%agent operativus:finance_agent
  What is the current NVDA stock price, and why?

or without one:

  curl -N {operativus}/api/agents/finance_agent/runs/stream \\
    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
    -d '{{"message": "What is the current NVDA stock price?"}}'

Ctrl-C stops it.
"""


if __name__ == "__main__":
    sys.exit(main())
