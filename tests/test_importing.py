"""Importing without the garbage collector, which is left as it was."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from threading import Event, Thread

import pytest

import agentnb.event
from agentnb._support.imports import imported, without_collections
from tests.children import python


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()


def collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def make(count: int) -> list[list[int]]:
    return [[number] for number in range(count)]


def test_nothing_is_collected_within_nor_for_it_afterwards() -> None:
    # The collector looks at what is young as soon as there is so much of it.
    enough = 10 * gc.get_threshold()[0]
    before = collections()
    assert make(enough)
    assert collections() > before
    with without_collections():
        before = collections()
        kept = make(enough)
    few = make(50)
    assert collections() == before
    assert len(kept) == enough
    assert len(few) == 50
    assert gc.isenabled()


def test_what_is_imported_already_is_left_to_the_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise AssertionError("objects were taken for old")

    monkeypatch.setattr(gc, "freeze", refuse)
    assert imported("agentnb.event") is agentnb.event
    monkeypatch.delitem(sys.modules, "agentnb._support.imports")
    with pytest.raises(AssertionError, match="taken for old"):
        imported("agentnb._support.imports")


def test_what_is_garbage_is_found_later() -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            gone.append(1)

    gone: list[int] = []
    with without_collections():
        Node()
    gc.collect()
    assert gone == [1]


def test_it_is_on_again_after_an_error() -> None:
    with pytest.raises(ImportError), without_collections():
        raise ImportError
    assert gc.isenabled()


def test_where_it_was_off_it_stays_off() -> None:
    gc.disable()
    with without_collections():
        pass
    assert not gc.isenabled()


def test_of_two_threads_neither_leaves_it_off() -> None:
    inside, go_on = Event(), Event()

    def other() -> None:
        with without_collections():
            inside.set()
            go_on.wait(30)

    thread = Thread(target=other)
    with without_collections():
        thread.start()
        assert inside.wait(30)
    go_on.set()
    thread.join(30)
    assert gc.isenabled()


def test_what_somebody_froze_stays_frozen() -> None:
    python(
        """
        import gc
        from agentnb._support.imports import without_collections

        gc.freeze()
        frozen = gc.get_freeze_count()
        assert frozen
        with without_collections():
            kept = [[number] for number in range(1000)]
        # A few of them are gone; none was thawed, and none added.
        assert frozen - 100 < gc.get_freeze_count() <= frozen
        """
    )
