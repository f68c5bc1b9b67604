"""Any endpoint that streams: see `agentnb.platforms.sse.client` for its address and options."""

from agentnb.platforms.sse.client import SSEPlatform

__all__ = ["SSEPlatform"]
