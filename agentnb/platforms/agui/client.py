"""`AGUIPlatform`: sends the conversation as ``RunAgentInput``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from agentnb.event import Event, StateSnapshot
from agentnb.platforms.agui.decoder import Decoder
from agentnb.platforms.agui.wire import (
    MAX_MEDIA_BYTES,
    AGUIOptions,
    AGUIParams,
    inline_media,
    request_body,
)
from agentnb.plugin import (
    Capabilities,
    HttpCall,
    HttpPlatform,
    MediaSupport,
    RunRequest,
    check_params,
    quote_segment,
)


class AGUIPlatform(HttpPlatform):
    """One AG-UI endpoint.

    Raises:
        ConfigError: an option is unknown or invalid, or the platform has no address.
    """

    key = "optional"
    options_type = AGUIOptions
    options: AGUIOptions
    decoder = Decoder
    remembers = False

    @property
    def capabilities(self) -> Capabilities:
        media = MediaSupport(max_bytes=MAX_MEDIA_BYTES, max_count=20)
        return replace(
            super().capabilities, media=media, client_tools=True, decides_by_request=True
        )

    def call(self, request: RunRequest) -> HttpCall:
        """Return the request with the whole conversation.

        Raises:
            RequestError: a parameter is unknown or invalid.
        """
        params = check_params(AGUIParams, request.params, platform=self.name)
        body = request_body(request, params, version=self.options.protocol_version)
        path = self.options.path.replace("{agent}", quote_segment(request.agent))
        return HttpCall(path=path, json=body)

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events.

        Raises:
            RequestError: a parameter or an attachment cannot be sent.
        """
        media = await asyncio.to_thread(inline_media, request.media, platform=self.name)
        if (state := request.params.get("state")) is not None and not request.tool_rounds:
            # What the agent changes is this state.  An invalid one is refused first.
            self.call(request)
            yield [StateSnapshot(state=state)]
        async with aclosing(super().stream(replace(request, media=media))) as batches:
            async for batch in batches:
                yield batch
