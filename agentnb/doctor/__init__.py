"""What is wrong with this installation, and what to do about it.

`examine` looks at everything that a question passes on its way: the frontend, the packages, the
configuration, the keys, the network, the platforms, the store.  Each check stands alone, in a
thread of its own with a deadline of its own: one that fails or hangs is a finding like any other
and stops no other.  No finding holds a key, and paths do not name the user.
"""

from __future__ import annotations

from agentnb.doctor.examining import chosen_platforms, examine
from agentnb.doctor.findings import Finding, Level, Report
from agentnb.doctor.host import Host
from agentnb.doctor.text import as_text

__all__ = ["Finding", "Host", "Level", "Report", "as_text", "chosen_platforms", "examine"]
