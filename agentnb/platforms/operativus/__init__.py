"""Operativus: see `agentnb.platforms.operativus.client` for its address, key and options."""

from agentnb.platforms.operativus.answers import PendingApproval
from agentnb.platforms.operativus.client import DEFAULT_BASE_URL, OperativusPlatform

__all__ = ["DEFAULT_BASE_URL", "OperativusPlatform", "PendingApproval"]
