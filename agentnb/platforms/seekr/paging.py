"""Walking a list page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, Protocol, TypeVar

from agentnb.errors import InvalidRequestError

__all__ = ["PageSizes", "walk_pages"]

# Sizes to request in turn where a server refuses a larger one; the last is the platform's default.
_SMALLER: Final = (100, 20)


class Listed(Protocol):
    """An entry of a list."""

    @property
    def id(self) -> str | None: ...


T = TypeVar("T", bound=Listed)


class PageSizes:
    """What a client has learnt of the pages of a server."""

    def __init__(self) -> None:
        # The largest page that was asked for and came whole.
        self._whole = 0
        self._most: int | None = None

    def allowed(self, size: int) -> int:
        """Return how many entries to ask for: ``size``, or as many as the server agrees to."""
        return size if self._most is None else min(size, self._most)

    def refuse(self, size: int) -> bool:
        """Note that the server refused this size; return whether there is a smaller one to try."""
        # Without one, it was refused for another reason.
        self._most = next((each for each in _SMALLER if each < size), None)
        return self._most is not None

    def is_last(self, count: int, limit: int) -> bool:
        """Return whether a page of ``count`` entries, requested with ``limit``, ends a list.

        A server may send fewer entries than requested without saying so, and not always as many.
        A shorter page is therefore the last one only where the server has sent ``limit`` entries
        before; otherwise only an empty page ends a list.
        """
        if count >= limit:
            self._whole = max(self._whole, limit)
            return False
        return count == 0 or limit <= self._whole


async def walk_pages(
    fetch: Callable[[int, int], Awaitable[list[T]]],
    *,
    size: int,
    sizes: PageSizes,
    offset: int = 0,
    limit: int | None = None,
) -> AsyncGenerator[list[T], None]:
    """Yield the new entries of one page after the other, in the server's order.

    ``fetch`` takes a limit and an offset.  ``size`` is how many entries to ask for at a time and
    ``limit`` how many are needed at most.  It ends with the list, and with a page that brings
    nothing new, as from a server that ignores the offset.
    """
    seen: set[str] = set()
    left = limit
    while left is None or left > 0:
        ask = sizes.allowed(size if left is None else min(size, left))
        try:
            page = await fetch(ask, offset)
        except InvalidRequestError:
            if not sizes.refuse(ask):
                raise
            continue
        new: list[T] = []
        for entry in page:
            key = entry.id or repr(entry)
            if key not in seen:
                seen.add(key)
                new.append(entry)
        if not new:
            return
        yield new
        if sizes.is_last(len(page), ask):
            return
        offset += len(page)
        left = None if left is None else left - len(new)
