"""SeekrFlow, https://flow.seekr.com."""

from __future__ import annotations

from agentnb.platforms.seekr.api import PlatformDeprecationWarning
from agentnb.platforms.seekr.client import DEFAULT_BASE_URL, SeekrPlatform

__all__ = ["DEFAULT_BASE_URL", "PlatformDeprecationWarning", "SeekrPlatform"]
