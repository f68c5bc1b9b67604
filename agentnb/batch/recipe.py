"""How an agent is made again in another process: all of it but its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentnb._http.deadlines import Deadlines
from agentnb._http.retries import Retries

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What `agentnb.agent` was given, as far as it may travel.

    ``name`` is the full name, ``platform:agent``.  ``base_url`` is the platform's address, None for
    its own default, ``sandbox`` where the embedded sandbox answers.  ``function`` is the agent
    itself where it is a Python function.  ``has_own_key``: its key was given in code, and is known
    to this process only.
    """

    name: str
    base_url: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    deadlines: Deadlines | None = None
    retries: Retries | None = None
    function: Callable[..., Any] | None = None
    has_own_key: bool = False
