"""Watching runs: what is listened to here, and what a platform is asked for now and then."""

from agentnb.monitoring.rows import WatchedRun
from agentnb.monitoring.watch import Watch

__all__ = ["Watch", "WatchedRun"]
