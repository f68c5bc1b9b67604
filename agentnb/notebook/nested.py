"""Running `asyncio.run` inside a cell, for those who ask for it."""

from __future__ import annotations

__all__ = ["allow_nested_loops"]


def allow_nested_loops() -> None:
    """Let `asyncio.run` and ``loop.run_until_complete`` be called inside a cell.

    A kernel already runs an event loop, and asyncio refuses a second one.  This patches asyncio for
    the whole process by nest-asyncio2 (the maintained successor of nest-asyncio, which loses queued
    cells on ipykernel 7.1 and later).  agentnb itself never needs it: write ``await`` instead where
    you can.
    """
    from importlib import import_module

    # Imported by name: it carries no types.
    import_module("nest_asyncio2").apply()
