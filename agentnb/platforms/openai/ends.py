"""`EndingDecoder`: what the decoders of both APIs have in common, above all a run's single end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentnb.event import CitationAdded, Event, RunFailed, RunStarted, UsageReported
from agentnb.plugin import (
    BaseDecoder,
    MalformedError,
    RunRequest,
    as_text,
    parse_error_body,
    read_usage,
)


class EndingDecoder(BaseDecoder):
    """Base of the decoders; `ended` is set by the event that ends the run, after which none is."""

    def __init__(self, request: RunRequest) -> None:
        super().__init__(request)
        self.started = False
        self.ended = False
        self._cited: list[CitationAdded] = []

    def start(self, data: Any) -> list[Event]:
        """Return the start of a run from the fields of its first object, once."""
        if self.started:
            return []
        self.started = True
        return [RunStarted(run_id=data.get("id") or None, model=data.get("model") or None)]

    def cited(self, annotations: Iterable[Any]) -> list[Event]:
        """Return the sources that annotations name and that were not returned before."""
        new: list[Event] = []
        for annotation in annotations:
            source = annotation.get("url_citation") or annotation
            url = as_text(source.get("url")) or None
            title = as_text(source.get("title") or source.get("filename")) or None
            citation = CitationAdded(url=url, title=title)
            if (url or title) and citation not in self._cited:
                self._cited.append(citation)
                new.append(citation)
        return new

    def end(self, *events: Event) -> Iterable[Event]:
        """Return the events that end the run, unless it has ended."""
        if self.ended:
            return ()
        self.ended = True
        return events

    def fail(self, data: Any, default: str = "The run failed.") -> Iterable[Event]:
        """Return the failure in an object with an ``error``, or in an error itself."""
        error = parse_error_body(0, data)
        return self.end(
            RunFailed(
                message=error.message or default, code=error.code, retry_after=error.retry_after
            )
        )

    def incomplete(self, reason: str) -> Iterable[Event]:
        """Return the failure of an answer that ends early, for ``length`` for example."""
        is_limit = reason in ("length", "max_output_tokens")
        return self.end(
            RunFailed(
                message=f"The answer is incomplete: {reason}.",
                code=reason,
                hint="Raise max_tokens." if is_limit else None,
            )
        )


def usage_of(data: Any) -> list[Event]:
    """Return the usage that an object with ``usage`` and ``model`` reports."""
    usage = read_usage(data.get("usage"))
    if usage is None:
        return []
    return [UsageReported(usage=usage, model=data.get("model") or None)]


def object_in(data: Any, *names: str) -> Any:
    """Return the first of these fields that is set, else an empty object."""
    found: Any = next((value for name in names if (value := data.get(name))), None)
    return {} if found is None else found


def text_in(data: Any, name: str) -> str:
    """Return a field that must be text.

    Raises:
        MalformedError: it is missing, or something else.
    """
    if not isinstance(value := data.get(name), str):
        raise MalformedError(f"{name}: must be text")
    return as_text(value)
