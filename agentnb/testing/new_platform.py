"""Write the package of a new platform, with a server and tests that pass as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agentnb._support import DISTRIBUTION
from agentnb.errors import ConfigError
from agentnb.platforms import registry

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")

_PYPROJECT: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "agentnb-{name}"
version = "0.1.0"
description = "{title} as a platform of agentnb"
requires-python = ">=3.11"
dependencies = ["{distribution}"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."agentnb.platforms"]
{name} = "agentnb_{name}:{title}Platform"

[tool.hatch.build.targets.wheel]
packages = ["agentnb_{name}"]
"""

_PLATFORM: Final = '''\
"""{title}: agents behind ``POST /agents/ID/runs`` that stream server-sent events.

The address is `DEFAULT_URL` unless ``base_url`` or {variable}_BASE_URL sets another; the key
({variable}_API_KEY) is sent as a bearer token.  Parameters of a run: ``temperature``.
"""

from __future__ import annotations

from typing import Any

from agentnb.event import (
    Event,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    UsageReported,
)
from agentnb.plugin import (
    BaseDecoder,
    HttpCall,
    HttpPlatform,
    Outbound,
    RunRequest,
    as_text,
    check_params,
    quote_segment,
    read_usage,
    to_wire,
)

DEFAULT_URL = "https://api.{name}.example"


class Params(Outbound):
    """Parameters of a run."""

    temperature: float | None = None


class Decoder(BaseDecoder):
    """Decodes a stream; each frame has its name in ``type``."""

    ignored = frozenset({{"ping"}})

    def on(self, name: str, data: Any) -> list[Event] | None:
        match name:
            case "start":
                return [RunStarted(run_id=data["run_id"], session_id=data.get("session_id"))]
            case "text":
                return [TextDelta(data["text"])]
            case "reasoning":
                return [ReasoningDelta(data["text"])]
            case "tool_call":
                arguments = as_text(data["arguments"])
                name = as_text(data["name"])
                return [ToolCallStarted(call_id=data["id"], name=name, arguments=arguments)]
            case "tool_result":
                return [ToolCallFinished(call_id=data["id"], result=as_text(data["result"]))]
            case "usage":
                usage = read_usage(data)
                return [] if usage is None else [UsageReported(usage=usage)]
            case "error":
                return [RunFailed(message=as_text(data["message"]))]
            case "end":
                return [RunFinished()]
            case _:
                return None  # kept as a RawEvent


class {title}Platform(HttpPlatform):
    """One {title} account."""

    default_url = DEFAULT_URL
    decoder = Decoder

    def call(self, request: RunRequest) -> HttpCall:
        params = check_params(Params, request.params, platform=self.name)
        body = {{"prompt": request.prompt, "session_id": request.session_id, **to_wire(params)}}
        return HttpCall(path=f"/agents/{{quote_segment(request.agent)}}/runs", json=body)
'''

_TESTS: Final = '''\
"""{title} against a server of its own, by agentnb's contract for platforms."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from agentnb_{name} import Decoder

import agentnb
from agentnb.testing import PlatformContract, fuzz_decoder


def frames(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the server sends for a request."""
    session_id = body.get("session_id") or str(uuid.uuid4())
    yield {{"type": "start", "run_id": str(uuid.uuid4()), "session_id": session_id}}
    yield {{"type": "reasoning", "text": "A greeting."}}
    yield {{"type": "tool_call", "id": "1", "name": "clock", "arguments": {{"zone": "UTC"}}}}
    yield {{"type": "tool_result", "id": "1", "result": "12:00"}}
    for _ in range(200 if body["prompt"] == "long" else 1):
        yield {{"type": "text", "text": f"You wrote {{body['prompt']!r}}. "}}
        if body["prompt"] == "long":
            time.sleep(0.02)
    yield {{"type": "usage", "input_tokens": 3, "output_tokens": 4}}
    yield {{"type": "end"}}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for frame in frames(body):
            self.wfile.write(f"data: {{json.dumps(frame)}}\\n\\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{{server.server_port}}"
    server.shutdown()


class TestContract(PlatformContract):
    long_prompt = "long"

    @pytest.fixture
    def agent(self, url: str) -> agentnb.Agent:
        return agentnb.agent("{name}:helper", base_url=url, api_key="a-key-for-tests")


def test_the_decoder_survives_anything() -> None:
    recorded = "".join(f"data: {{json.dumps(f)}}\\n\\n" for f in frames({{"prompt": "hello"}}))
    fuzz_decoder(Decoder, recorded.encode())
'''

_README: Final = """\
# agentnb-{name}

{title} as a platform of [agentnb](https://pypi.org/project/{distribution}/): after

    pip install -e '.[test]'

`%%agent {name}:helper` sends a prompt to it. `pytest` runs the contract of agentnb's platforms and
the decoder fuzzer against the server in `tests`; put your system's recorded streams there.
"""

_FILES: Final = {
    "pyproject.toml": _PYPROJECT,
    "README.md": _README,
    "agentnb_{name}/__init__.py": _PLATFORM,
    "tests/test_{name}.py": _TESTS,
}


def write_platform(name: str, folder: Path) -> list[Path]:
    """Write the package of a platform ``name`` into a new folder; return its files.

    Raises:
        ConfigError: the name cannot be one, is taken, or the folder exists.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a platform.",
            hint="Use up to 31 small letters, digits and underscores, beginning with a letter.",
        )
    if name in registry.names():
        raise ConfigError(f"There is a platform '{name}' already.")
    if folder.exists():
        raise ConfigError(f"{folder} exists already.", hint="Name another folder with --folder.")
    title = "".join(part.title() for part in name.split("_"))
    values = {
        "name": name,
        "title": title,
        "variable": name.upper(),
        "distribution": DISTRIBUTION,
    }
    written: list[Path] = []
    for path, template in _FILES.items():
        file = folder / path.format(**values)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(template.format(**values), encoding="utf-8", newline="\n")
        written.append(file)
    return written
