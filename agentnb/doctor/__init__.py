"""Diagnose an installation: what is wrong with it, and how to fix it.

`examine` checks the frontend, packages, configuration, keys, network, platforms and the store.
Each check runs in its own thread with its own deadline; one that fails or hangs is reported as a
finding and stops no other.  Findings contain no keys, and their paths do not name the user.
"""

from __future__ import annotations

from agentnb.doctor.examination import examine, selected_platforms
from agentnb.doctor.frontend import Host
from agentnb.doctor.report import Finding, Level, Report, as_text

__all__ = ["Finding", "Host", "Level", "Report", "as_text", "examine", "selected_platforms"]
