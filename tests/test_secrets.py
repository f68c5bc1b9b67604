"""Keys taken out of text, wherever and however they stand in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agentnb.redaction import secrets
from agentnb.redaction.secrets import (
    has_secret,
    is_secret_name,
    mask,
    mask_pieces,
    mask_value,
    may_begin_secret,
    remember_secret,
)

KEY = "sk-canary-0123"
QUOTED = 'pass"word\\é'


@pytest.fixture(autouse=True, scope="module")
def known() -> Iterator[None]:
    """Two secrets, and none of other tests."""
    kept = secrets._known  # pyright: ignore[reportPrivateUsage]
    secrets._known = secrets._Known()  # pyright: ignore[reportPrivateUsage]
    remember_secret(SecretStr(f"Bearer {KEY}"))
    remember_secret(QUOTED)
    yield
    secrets._known = kept  # pyright: ignore[reportPrivateUsage]


def test_a_key_is_masked_with_and_without_its_scheme() -> None:
    assert mask(f"a {KEY} b Bearer {KEY}.") == "a *** b ***."


@pytest.mark.parametrize("ascii_only", [True, False])
def test_it_is_found_in_json_and_in_json_within_json(ascii_only: bool) -> None:
    text = QUOTED
    for _ in range(3):
        text = json.dumps({"says": text}, ensure_ascii=ascii_only)
        assert "word" not in mask(text)
        assert has_secret(text)


def test_short_values_are_no_secrets() -> None:
    remember_secret("test")
    assert mask("a test") == "a test"


def test_values_are_masked_in_their_depth_and_not_changed_themselves() -> None:
    value: dict[str, Any] = {"a": [KEY, 1, None], KEY: {"b": (f"x{KEY}",)}, "api_key": "short"}
    before = json.dumps(value)
    assert mask_value(value) == {"a": ["***", 1, None], "***": {"b": ["x***"]}, "api_key": "short"}
    assert mask_value(value, names=True)["api_key"] == "***"
    assert json.dumps(value) == before


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True),
        ("Api-Key", True),
        ("apiKey", True),
        ("X-Auth-Token", True),
        ("password", True),
        ("max_tokens", False),
        ("keyboard", False),
        ("", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


@given(st.lists(st.sampled_from([KEY, "ab", "sk-", "***"]), max_size=5), st.data())
def test_a_key_in_pieces_is_masked_as_the_whole_is(words: list[str], data: st.DataObject) -> None:
    whole = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    edges = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(edges)]
    masked = mask_pieces(pieces)
    if KEY in whole:
        assert masked is not None
        assert len(masked) == len(pieces)
        assert "".join(masked) == mask(whole)
        assert KEY not in "".join(masked)
    else:
        assert masked is None


def test_what_may_become_a_key() -> None:
    assert may_begin_secret("so: sk-can")
    assert may_begin_secret("s")
    assert not may_begin_secret("sk-can't")
    # One that is whole begins no other.
    assert not may_begin_secret(KEY)
    assert not may_begin_secret("")


def test_they_are_not_shown() -> None:
    known = secrets._known  # pyright: ignore[reportPrivateUsage]
    assert KEY not in repr(known)
