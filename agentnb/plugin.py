"""Everything that a platform of your own needs: base classes, values, helpers.

A platform is a subclass of `HttpPlatform` with a subclass of `BaseDecoder`::

    from agentnb.event import Event, RunFinished, TextDelta
    from agentnb.plugin import BaseDecoder, HttpCall, HttpPlatform, RunRequest


    class Decoder(BaseDecoder):
        ignored = {"ping"}

        def on(self, name: str, data: Any) -> list[Event] | None:
            match name:
                case "delta":
                    return [TextDelta(data["text"])]
                case "done":
                    return [RunFinished()]
            return None


    class AcmePlatform(HttpPlatform):
        default_url = "https://api.acme.example"
        decoder = Decoder

        def call(self, request: RunRequest) -> HttpCall:
            return HttpCall(path=f"/agents/{request.agent}/runs", json={"prompt": request.prompt})

An entry point makes it known, so that ``%%agent acme:helper`` finds it::

    [project.entry-points."agentnb.platforms"]
    acme = "acme_agentnb:AcmePlatform"

The events are in `agentnb.event`, and the errors in `agentnb.errors`.
"""

from __future__ import annotations

from agentnb._http import ErrorDetails, HttpClient, quote_segment
from agentnb.config.settings import KeyUse
from agentnb.event.approvals import Decision
from agentnb.platforms._bodies import parse_error_body, parse_seconds, parse_time
from agentnb.platforms._params import check_options, check_params
from agentnb.platforms._payloads import infer_schema, read_status
from agentnb.platforms._steps import Steps
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import (
    Inbound,
    Lenient,
    MalformedError,
    Number,
    Outbound,
    Text,
    as_text,
    to_wire,
    validated,
)
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    ClientToolCall,
    Media,
    MediaSupport,
    Message,
    Platform,
    PlatformSettings,
    RemoteRun,
    Resumes,
    RunRequest,
    ToolRound,
    ToolSpec,
)
from agentnb.platforms.base_decoder import BaseDecoder
from agentnb.platforms.base_platform import BasePlatform, Recent
from agentnb.platforms.http_platform import HttpCall, HttpOptions, HttpPlatform, key_header
from agentnb.platforms.media import read_media
from agentnb.sse import ServerSentEvent

__all__ = [
    "AgentInfo",
    "BaseDecoder",
    "BasePlatform",
    "Capabilities",
    "ClientToolCall",
    "Decision",
    "ErrorDetails",
    "HttpCall",
    "HttpClient",
    "HttpOptions",
    "HttpPlatform",
    "Inbound",
    "KeyUse",
    "Lenient",
    "MalformedError",
    "Media",
    "MediaSupport",
    "Message",
    "Number",
    "Outbound",
    "Platform",
    "PlatformSettings",
    "Recent",
    "RemoteRun",
    "Resumes",
    "RunRequest",
    "ServerSentEvent",
    "Steps",
    "Text",
    "ToolRound",
    "ToolSpec",
    "as_text",
    "check_options",
    "check_params",
    "infer_schema",
    "key_header",
    "parse_error_body",
    "parse_seconds",
    "parse_time",
    "quote_segment",
    "read_media",
    "read_status",
    "read_usage",
    "to_wire",
    "validated",
]
