"""Usage in its spellings, and what is no figure at all."""

from __future__ import annotations

import cProfile
import json

import pytest

from agentnb.event.types import Usage
from agentnb.platforms._usage import read_count, read_usage
from agentnb.platforms.generic.decoder import GenericDecoder
from agentnb.sse import ServerSentEvent


@pytest.mark.parametrize(
    ("data", "usage"),
    [
        (
            {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3, "costUsd": 0.5},
            Usage(input_tokens=1, output_tokens=2, total_tokens=3, cost_usd=0.5),
        ),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            Usage(input_tokens=1, output_tokens=2, total_tokens=3),
        ),
        (
            {"input_tokens": 9, "cache_read_input_tokens": 4, "reasoningTokens": 0},
            Usage(input_tokens=9, cached_tokens=4, reasoning_tokens=0),
        ),
        ({"outputTokens": 7.0, "inputTokens": None}, Usage(output_tokens=7)),
        (
            {"inputTokens": 4, "outputTokens": 7, "reasoningTokens": 2},
            Usage(input_tokens=4, output_tokens=7, total_tokens=11, reasoning_tokens=2),
        ),
        (
            {"inputTokens": 0, "outputTokens": 0},
            Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        ),
        (
            {"prompt_tokens": 4, "completion_tokens": 7, "totalTokens": None},
            Usage(input_tokens=4, output_tokens=7, total_tokens=11),
        ),
        ({"totalCostUsd": 1}, Usage(cost_usd=1.0)),
        (
            {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
            Usage(input_tokens=1, output_tokens=2, total_tokens=3),
        ),
        (
            {"prompt_eval_count": 1, "eval_count": 2},
            Usage(input_tokens=1, output_tokens=2, total_tokens=3),
        ),
        (
            {
                "prompt_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3, "total_tokens": 5},
                "total_tokens": 12,
            },
            Usage(input_tokens=9, total_tokens=12, cached_tokens=4, reasoning_tokens=3),
        ),
        (
            {
                "inputTokens": 9,
                "inputTokenDetails": {"noCacheTokens": 5, "cacheReadTokens": 4},
                "outputTokens": 7,
                "outputTokenDetails": {"textTokens": 4, "reasoningTokens": 3},
                "totalTokens": 16,
            },
            Usage(
                input_tokens=9,
                output_tokens=7,
                total_tokens=16,
                cached_tokens=4,
                reasoning_tokens=3,
            ),
        ),
        ({"inputTokens": 10**400, "totalTokens": 5}, Usage(total_tokens=5)),
        ({"inputTokens": True, "outputTokens": -1, "totalTokens": "three"}, None),
        (
            {"prompt_tokens": "3", "completion_tokens": " 4.0 ", "costUsd": "1e-2"},
            Usage(input_tokens=3, output_tokens=4, total_tokens=7, cost_usd=0.01),
        ),
        ({"inputTokens": "9" * 31, "outputTokens": "-1", "costUsd": "1e999"}, None),
        ({"inputTokens": 1.5, "costUsd": float("inf")}, None),
        ({"costUsd": 10**400}, None),
        ({}, None),
        (None, None),
        ([1], None),
    ],
    ids=[
        *(
            "camel",
            "openai",
            "snake",
            "float",
            "sum",
            "zeros",
            "null",
            "cost",
            "counts",
            "evals",
            "details",
            "camel-details",
            "huge",
            "no-figures",
            "texts",
            "no-texts",
            "fractions",
        ),
        *("huge-cost", "empty", "none", "list"),
    ],
)
def test_usage_is_read(data: object, usage: Usage | None) -> None:
    assert read_usage(data) == usage


def test_a_count_is_a_whole_number_that_a_page_can_hold() -> None:
    assert [read_count(v) for v in (0, 3, 4.0, "3", 2**53 - 1)] == [0, 3, 4, 3, 2**53 - 1]
    for value in (2**53, -1, 1.5, True, "", "3.5", "٣", "0x3", None, float("nan"), float("inf")):
        assert read_count(value) is None


def test_a_summed_total_stays_the_sum_when_one_part_is_news() -> None:
    first = read_usage({"inputTokens": 4, "outputTokens": 0})
    assert first is not None
    assert first.merged(Usage(output_tokens=7)) == Usage(
        input_tokens=4, output_tokens=7, total_tokens=11
    )
    assert first.merged(Usage(output_tokens=7, total_tokens=20)).total_tokens == 20
    reported = Usage(input_tokens=4, output_tokens=7, total_tokens=20)
    assert reported.merged(Usage(output_tokens=8)).total_tokens == 20


def test_a_frame_without_usage_is_not_searched_for_it() -> None:
    decoder = GenericDecoder()
    delta = {"id": "c", "object": "chat.completion.chunk", "choices": [{"delta": {"content": "a"}}]}
    frames = [ServerSentEvent("message", json.dumps(delta), "", None)] * 100
    decoder.decode_all(frames)
    profile = cProfile.Profile()
    profile.runcall(decoder.decode_all, frames)
    calls = sum(entry.callcount for entry in profile.getstats())
    # 477; 38,000 where usage was looked for in every object under each of its names.
    assert calls / len(frames) < 1_000
