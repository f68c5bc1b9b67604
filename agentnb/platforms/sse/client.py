"""``sse:``, for an endpoint of no known protocol: an address and a template of its JSON body.

A name in ``agentnb.toml`` stands for one endpoint::

    [platforms.support]
    type = "sse"
    base_url = "https://agents.example.com/support"
    body = { question = "{prompt}", thread = "{session_id}" }

Then ``%%agent support:helpdesk`` sends ``{"question": ..., "thread": ...}`` there.  Server-sent
events in any of the usual shapes, plain text and JSON are decoded; what is unknown is kept as a
`RawEvent`.

Options:

- ``path``: the part of the address after ``base_url`` (none).  ``{agent}`` stands for the agent.
- ``method``: the HTTP method (POST).
- ``body``: the JSON body, a table or JSON text (``{"prompt": "{prompt}"}``).  In its strings
  ``{prompt}``, ``{agent}`` and ``{session_id}`` are replaced; a string that is only
  ``{messages}`` becomes the list of messages, each with ``role`` and ``content``, of which the
  last one is the prompt.  A field that is only ``{session_id}`` is left out in a new session.
- ``params``: a table of the parameters that a run may have, with their defaults; they are
  added to the body.
- ``key_header``, ``key_scheme``: where an API key goes (``Authorization``, ``Bearer``).
- ``max_event_bytes``: limits one event (16 MiB).

With ``{messages}`` agentnb keeps the conversation and sends all of it; with ``{session_id}`` the
endpoint keeps it; with neither, each run stands alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, Literal, cast

from pydantic import Field, SecretStr, field_validator

from agentnb.errors import RequestError
from agentnb.event.types import Event, RunFinished
from agentnb.platforms._params import did_you_mean
from agentnb.platforms.generic.decoder import GenericDecoder
from agentnb.plugin import (
    Capabilities,
    HttpCall,
    HttpOptions,
    HttpPlatform,
    PlatformSettings,
    RunRequest,
    ServerSentEvent,
    key_header,
    quote_segment,
)

_FIELD: Final = re.compile(r"\{(prompt|agent|session_id)\}")
_MESSAGES: Final = "{messages}"
_SESSION: Final = "{session_id}"


class SSEOptions(HttpOptions):
    """The platform's settings."""

    path: str = ""
    method: Literal["POST", "PUT", "GET"] = "POST"
    body: dict[str, Any] = Field(default={"prompt": "{prompt}"})
    params: dict[str, Any] = Field(default={})
    key_header: str = "Authorization"
    key_scheme: str = "Bearer"

    @field_validator("body", "params", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        # An option in the environment is text.
        return json.loads(value) if isinstance(value, str) else value


class SSEPlatform(HttpPlatform):
    """One endpoint.

    Raises:
        ConfigError: an option is unknown or invalid, or the platform has no address.
    """

    key = "optional"
    options_type = SSEOptions
    options: SSEOptions

    def headers(self, settings: PlatformSettings) -> Mapping[str, str | SecretStr]:
        return key_header(settings, name=self.options.key_header, scheme=self.options.key_scheme)

    @property
    def capabilities(self) -> Capabilities:
        body = json.dumps(self.options.body)
        keeps = _MESSAGES in body
        return replace(
            super().capabilities,
            sessions=keeps or _SESSION in body,
            remembers=not keeps,
            history=keeps,
        )

    def call(self, request: RunRequest) -> HttpCall:
        """Return the request with the body that the template gives."""
        unknown = [name for name in request.params if name not in self.options.params]
        if unknown:
            raise RequestError(
                f"{self.name}: no parameter {unknown[0]!r}.",
                hint=did_you_mean(unknown[0], self.options.params)
                or f"List it under params of [platforms.{self.name}].",
            )
        body = {**_filled(self.options.body, request), **self.options.params, **request.params}
        path = self.options.path.replace("{agent}", quote_segment(request.agent))
        if self.options.method == "GET":
            return HttpCall(path=path, method="GET", params=body)
        return HttpCall(path=path, method=self.options.method, json=body)

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events; a JSON response is decoded as the whole run."""
        self.check_request(request)
        call = self.call(request)
        started = self.http.stream(call.method, call.path, json=call.json, params=call.params)
        async with started as response:
            decoder = GenericDecoder(session_id=request.session_id)
            if not response.is_event_stream:
                data = json.dumps(await response.json())
                whole = ServerSentEvent(event="message", data=data, id="", retry=None)
                events = [*decoder.decode(whole), *decoder.close()]
                # A response in one piece is complete, whether it says so or not.
                yield events if decoder.ended else [*events, RunFinished()]
                return
            async with aclosing(response.batches()) as batches:
                async for frames in batches:
                    if events := decoder.decode_all(frames):
                        yield events
            if events := decoder.close():
                yield events


def _filled(template: Any, request: RunRequest) -> Any:
    """Return a template with the fields of a request in place of their names."""
    if isinstance(template, dict):
        fields = cast("dict[str, Any]", template).items()
        is_new = request.session_id is None
        return {
            name: _filled(value, request)
            for name, value in fields
            if not (is_new and value == _SESSION)
        }
    if isinstance(template, list):
        return [_filled(value, request) for value in cast("list[Any]", template)]
    if not isinstance(template, str):
        return template
    if template == _MESSAGES:
        return [*request.history, {"role": "user", "content": request.prompt}]
    values = {
        "prompt": request.prompt,
        "agent": request.agent,
        "session_id": request.session_id or "",
    }
    return _FIELD.sub(lambda match: values[match[1]], template)
