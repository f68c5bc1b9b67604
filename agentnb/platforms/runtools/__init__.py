"""RunTools: see `agentnb.platforms.runtools.client` for its address, key and options."""

from agentnb.platforms.runtools.client import DEFAULT_BASE_URL, RunToolsPlatform

__all__ = ["DEFAULT_BASE_URL", "RunToolsPlatform"]
