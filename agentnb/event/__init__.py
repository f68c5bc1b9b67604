"""The events of a run: the `Event` union, defined in `agentnb.event.types`."""

from agentnb.event import types
from agentnb.event.types import *  # noqa: F403

__all__: list[str] = []
__all__ += types.__all__
