"""Tool calls without ids: matched by id, then by name, then by order."""

from __future__ import annotations

from agentnb.platforms._tool_calls import OpenCalls


def test_calls_without_ids_get_one_each() -> None:
    calls = OpenCalls()
    assert [calls.start("a"), calls.start("a"), calls.start("b")] == ["call-1", "call-2", "call-3"]


def test_an_end_without_an_id_means_the_oldest_open_call_of_its_name() -> None:
    calls = OpenCalls()
    first, second, other = calls.start("a"), calls.start("a"), calls.start("b")
    assert calls.finish("b") == other
    assert calls.finish("a") == first
    assert calls.finish("a") == second


def test_an_end_that_names_nothing_means_the_oldest_open_call() -> None:
    calls = OpenCalls()
    first, second = calls.start("a"), calls.start("b")
    assert calls.find() == first
    assert calls.finish() == first
    assert calls.finish() == second


def test_an_end_of_a_call_never_seen_is_a_call_of_its_own() -> None:
    calls = OpenCalls()
    opened = calls.start("a")
    assert calls.finish("b") not in (opened, "")
    assert calls.finish("a", "tc_9") == opened
    assert calls.finish("a", "tc_9") == "tc_9"


def test_the_wires_ids_are_kept_and_never_given_again() -> None:
    calls = OpenCalls()
    assert calls.start("a", "call-1") == "call-1"
    assert calls.start("a", "call-1") == "call-1"
    assert calls.start("a") == "call-2"
    assert calls.finish("a", "call-1") == "call-1"
    assert not calls.is_open("call-1")
    assert calls.is_open_name("a")


def test_an_id_that_is_known_is_not_matched_by_name() -> None:
    calls = OpenCalls()
    calls.start("a", "x")
    assert calls.finish("a", "y") == "y"
    assert calls.find("a") == "x"


def test_an_end_told_twice_means_the_same_call() -> None:
    calls = OpenCalls()
    first = calls.start("a")
    assert calls.finish("a", again=True) == first
    assert calls.finish("a", again=True) == first
    assert calls.finish(again=True) == first
    assert calls.finish("b", again=True) != first
