"""Operativus: see `agentnb.platforms.operativus.client` for its address, key and options."""

from agentnb.platforms.operativus.client import DEFAULT_BASE_URL, OperativusPlatform
from agentnb.platforms.operativus.responses import PendingApproval

__all__ = ["DEFAULT_BASE_URL", "OperativusPlatform", "PendingApproval"]
