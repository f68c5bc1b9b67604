"""SeekrFlow, https://flow.seekr.com."""

from __future__ import annotations

from agentnb.platforms.seekr.client import DEFAULT_BASE_URL, SeekrPlatform
from agentnb.platforms.seekr.notice import PlatformDeprecationWarning

__all__ = ["DEFAULT_BASE_URL", "PlatformDeprecationWarning", "SeekrPlatform"]
