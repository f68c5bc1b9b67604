"""Watching runs: what is listened to here, and what a platform is asked for now and then."""

from agentnb.watching.rows import WatchedRun
from agentnb.watching.watch import Watch

__all__ = ["Watch", "WatchedRun"]
