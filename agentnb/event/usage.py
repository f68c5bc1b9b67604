"""Tokens and cost of a run, and the names under which platforms and vendors report them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Final, cast

from agentnb.event.validation import EventField, Validated

#: Field of `Usage` -> the keys under which platforms and vendors report it.
TOKEN_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "input_tokens": (
        *("inputTokens", "input_tokens", "promptTokens", "prompt_tokens", "promptTokenCount"),
        *("inputTokenCount", "prompt_token_count", "input_token_count", "prompt_eval_count"),
    ),
    "output_tokens": (
        *("outputTokens", "output_tokens", "completionTokens", "completion_tokens"),
        *("candidatesTokenCount", "outputTokenCount", "candidates_token_count"),
        *("output_token_count", "eval_count"),
    ),
    "total_tokens": ("totalTokens", "total_tokens", "totalTokenCount", "total_token_count"),
    "cached_tokens": (
        *("cachedTokens", "cached_tokens", "cachedInputTokens", "cacheReadTokens"),
        *("cacheReadInputTokens", "cache_read_input_tokens", "cachedContentTokenCount"),
    ),
    "reasoning_tokens": ("reasoningTokens", "reasoning_tokens", "thoughtsTokenCount"),
}
#: The keys under which a cost in US dollars is reported.
COST_KEYS: Final = ("costUsd", "cost_usd", "totalCostUsd", "total_cost_usd")
#: The objects in which some vendors report parts of a count.
DETAIL_KEYS: Final = (
    *("prompt_tokens_details", "completion_tokens_details"),
    *("input_tokens_details", "output_tokens_details"),
    *("input_token_details", "output_token_details"),
    *("inputTokenDetails", "outputTokenDetails"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Validated):
    """Tokens of one run, and its cost where the platform reports one.

    ``cached_tokens`` are part of ``input_tokens`` and ``reasoning_tokens`` part of
    ``output_tokens``; neither is ever added to the totals.  None means "not reported", never zero.
    ``cost_usd`` is the platform's figure in US dollars, never computed here.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures that are reported."""
        return {f.name: n for f in fields(self) if (n := getattr(self, f.name)) is not None}

    def merged(self, later: Usage) -> Usage:
        """Return this usage with every field that ``later`` reports replaced by it.

        Platforms report running totals, so the later figure replaces the earlier one.  A total
        that was the sum of input and output stays their sum where only one of them is reported.
        """
        merged = {**self.to_dict(), **later.to_dict()}
        if (
            later.total_tokens is None
            and None not in (self.input_tokens, self.output_tokens)
            and self.total_tokens == (self.input_tokens or 0) + (self.output_tokens or 0)
        ):
            merged["total_tokens"] = merged["input_tokens"] + merged["output_tokens"]
        return Usage(**merged)

    def plus(self, other: Usage) -> Usage:
        """Return the sum; a figure that only one of both reports counts as it is."""
        sums = self.to_dict()
        for name, figure in other.to_dict().items():
            sums[name] = sums.get(name, 0) + figure
        return Usage(**sums)


def usage_fields(value: Any, target: EventField) -> dict[str, Any]:
    """Return the arguments of `Usage` for a usage as vendors spell it, not yet validated.

    ``value`` is a mapping, a pydantic model or a dataclass.  Unknown keys are left out.
    """
    expected = "a Usage, or a dict of counts"
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        value = dump()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if not isinstance(value, Mapping):
        raise target.wrong_type(expected, cast("object", value))
    given = cast("Mapping[Any, Any]", value)
    flat = dict(given)
    for name in DETAIL_KEYS:
        if isinstance(inner := given.get(name), Mapping):
            for key, item in cast("Mapping[Any, Any]", inner).items():
                flat.setdefault(key, item)
    spelled = {**TOKEN_KEYS, "cost_usd": COST_KEYS}
    if given and not any(key in flat for keys in spelled.values() for key in keys):
        some = ", ".join(repr(key) for key in list(given)[:5])
        raise target.wrong_value(
            f"{expected} such as 'input_tokens' and 'output_tokens'", f"one of {some}"
        )
    return {
        name: next((flat[key] for key in keys if flat.get(key) is not None), None)
        for name, keys in spelled.items()
    }
