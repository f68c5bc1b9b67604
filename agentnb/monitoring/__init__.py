"""Monitoring of runs: those of this process by listening, others by polling their platforms."""

from agentnb.monitoring.watch import Watch
from agentnb.monitoring.watched_run import WatchedRun

__all__ = ["Watch", "WatchedRun"]
