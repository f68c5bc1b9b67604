"""Base classes and helpers of platforms behind HTTP: lists of runs, rows of them, and requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Protocol, TypeVar, cast

from annotated_types import Ge
from pydantic import SecretStr

from agentnb._http import ErrorDetails, ErrorParser, HttpClient
from agentnb._support.text import well_formed
from agentnb.config.environment import base_url_variable
from agentnb.config.settings import KeyUse
from agentnb.errors import ConfigError, ContentTypeError, InvalidRequestError, RequestError
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.event.types import Event
from agentnb.platforms._bodies import parse_error_body, parse_time
from agentnb.platforms._params import check_choice, check_count, check_options
from agentnb.platforms._payloads import as_list, first_value
from agentnb.platforms._wire import Number, Outbound, as_text, one_line
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.base_decoder import BaseDecoder
from agentnb.platforms.base_platform import BasePlatform
from agentnb.sse import DEFAULT_MAX_EVENT_BYTES

T = TypeVar("T")
S = TypeVar("S", bound=Outbound)

_FIRST_LIMIT: Final = 100
_LAST_LIMIT: Final = 100 * 2**10


class RunSource(Protocol):
    """The runs of a platform, newest first and by id."""

    def listed(
        self, *, agent: str | None, session_id: str | None, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield the runs that match all filters; ``end`` is the most that are needed, if known."""
        ...

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """The HTTP request that starts a run.

    ``path`` begins with a slash and is percent-encoded, see `quote_segment`; ``json`` is the body.
    """

    path: str
    json: Any = None
    method: str = "POST"
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None


class HttpOptions(Outbound):
    """Options that every platform has: ``max_event_bytes`` limits one event of a stream."""

    max_event_bytes: Annotated[int, Number, Ge(1)] = DEFAULT_MAX_EVENT_BYTES


class HttpPlatform(BasePlatform):
    """Base of platforms behind HTTP whose runs are streams of server-sent events.

    A subclass sets `decoder` and overrides `call`, or overrides `stream` itself; everything else
    that it does not override is refused.

    Raises:
        ConfigError: an option is unknown or invalid, or the platform has no address.
    """

    #: The address unless the settings have another; None: it must be configured.
    default_url: ClassVar[str | None] = None
    #: Whether an API key is "required", "optional" or "none".
    key: ClassVar[KeyUse] = "required"
    #: The platform's own settings.
    options_type: ClassVar[type[HttpOptions] | None] = None
    #: Decodes one response.
    decoder: ClassVar[type[BaseDecoder] | None] = None
    #: Whether the platform keeps its conversations; else each request has the whole one.
    remembers: ClassVar[bool] = True

    def __init__(
        self,
        settings: PlatformSettings,
        *,
        base_url: str | None = None,
        headers: Mapping[str, str | SecretStr] | None = None,
        parse_error: ErrorParser | None = None,
        max_event_bytes: int | None = None,
    ) -> None:
        super().__init__(settings.platform)
        #: The platform's own settings, validated.
        self.options = check_options(
            self.options_type or HttpOptions,
            settings.options if self.options_type else {},
            platform=settings.platform,
        )
        address = settings.base_url or base_url or self.default_url
        if address is None:
            raise ConfigError(
                f"{settings.platform} has no address.",
                hint=f"Set {base_url_variable(settings.platform)} in the environment, or base_url "
                f"under [platforms.{settings.platform}] in agentnb.toml.",
            )
        self._http = HttpClient(
            address,
            name=settings.platform,
            headers=self.headers(settings) if headers is None else headers,
            deadlines=settings.deadlines,
            retries=settings.retries,
            trust_env=settings.trust_env,
            transport=settings.transport,
            parse_error=parse_error or self.error,
            max_event_bytes=max_event_bytes or self.options.max_event_bytes,
        )

    @property
    def capabilities(self) -> Capabilities:
        """The features whose methods are overridden; a subclass adds the others by `replace`."""
        return replace(super().capabilities, remembers=self.remembers, history=not self.remembers)

    @property
    def http(self) -> HttpClient:
        """The client, with the platform's address, key, deadlines and retries."""
        return self._http

    def headers(self, settings: PlatformSettings) -> Mapping[str, str | SecretStr]:
        """Return the headers of every request; by default the key as a bearer token."""
        return key_header(settings)

    def error(self, status: int, data: Any) -> ErrorDetails:
        """Return the details of an unsuccessful response; must not raise.

        ``data`` is the JSON of the body, or of the first event where it is a stream; None without
        any.  The default reads the usual forms, see `parse_error_body`.
        """
        return parse_error_body(status, data)

    def call(self, request: RunRequest) -> HttpCall:
        """Return the HTTP request that starts a run.

        Raises:
            RequestError: the platform does not take a parameter.
        """
        raise self._refusal("start a run")

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run by `call`, and yield what `decoder` makes of the response."""
        self.check_request(request)
        call = self.call(request)
        if self.decoder is None:
            raise self._refusal("decode a stream")
        started = self._http.stream(
            call.method, call.path, json=call.json, params=call.params, headers=call.headers
        )
        async with started as response:
            decoder = self.decoder(request)
            async with aclosing(response.batches()) as batches:
                async for frames in batches:
                    if events := decoder.decode_all(frames):
                        yield events
            if events := decoder.finish():
                yield events

    async def aclose(self) -> None:
        await self._http.aclose()


class ListingPlatform(HttpPlatform):
    """Base of platforms that list their runs newest first, by ``_lookup``."""

    _lookup: RunSource

    async def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield runs, newest first; with ``order="asc"`` all are fetched first.

        ``status`` is one of agentnb or of the platform.
        """
        end = check_window(order=order, offset=offset, limit=limit, platform=self._name)
        if end == offset:
            return
        is_part = session_id is None and order == "desc"
        listed = self._lookup.listed(
            agent=agent, session_id=session_id, status=status, end=end if is_part else None
        )
        async with aclosing(listed):
            if order == "asc":
                for run in [run async for run in listed][::-1][offset:end]:
                    yield run
                return
            number = 0
            async for run in listed:
                number += 1
                if number > offset:
                    yield run
                if number == end:
                    return

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run by id; unknown ids are absent."""
        return await self._lookup.states(run_ids, agent)


# --- requests for several runs ------------------------------------------------------------------


def check_window(*, order: str, offset: int, limit: int | None, platform: str) -> int | None:
    """Validate the arguments of `Platform.runs`; return the end of the window, None for no limit.

    Raises:
        RequestError: an argument is not one of `Platform.runs`.
    """
    check_choice(order, ("asc", "desc"), name="order", platform=platform)
    check_count(offset, name="offset", platform=platform)
    if limit is None:
        return None
    return offset + check_count(limit, name="limit", platform=platform)


async def longer_lists(
    fetch: Callable[[int], Awaitable[list[T]]], *, limit: int = _FIRST_LIMIT, once: bool = False
) -> AsyncGenerator[list[T], None]:
    """Yield longer and longer lists, from ``limit`` entries on, of a call that has no pages.

    ``fetch`` takes the limit.  Ends with the whole list, or the first one with ``once``.
    """
    previous = -1
    while True:
        try:
            rows = await fetch(limit)
        except InvalidRequestError:
            # The platform's own limit is exceeded: the last list is the longest it has.
            if previous < 0:
                raise
            return
        yield rows
        if once or limit >= _LAST_LIMIT or len(rows) < limit or len(rows) <= previous:
            return
        previous, limit = len(rows), min(limit * 2, _LAST_LIMIT)


async def gather_limited(calls: Iterable[Awaitable[T]], *, at_once: int = 4) -> list[T]:
    """Await all, a few at a time, and return their results in order; the first error wins."""
    slots = asyncio.Semaphore(at_once)

    async def limited(call: Awaitable[T]) -> T:
        async with slots:
            return await call

    tasks = [asyncio.ensure_future(limited(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


# --- rows: nothing here raises ----------------------------------------------------------------

Names = Mapping[str, str]
"""The names on the wire of each field, separated by spaces, in order of preference."""


def row_text(row: Mapping[str, Any], names: str) -> str | None:
    """Return the first of these fields that is non-empty text or a number, as text."""
    for name in names.split():
        value = row.get(name)
        if isinstance(value, str) and value:
            return well_formed(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_text(value) or None
    return None


def read_rows(data: Any, names: str) -> list[dict[str, Any]]:
    """Return the entries of a list, bare or in envelopes of these names."""
    for _ in range(2):
        if isinstance(data, dict):
            outer = cast("dict[str, Any]", data)
            data = next((outer[name] for name in names.split() if name in outer), None)
    return [cast("dict[str, Any]", item) for item in as_list(data) if isinstance(item, dict)]


def read_run(
    row: Mapping[str, Any],
    names: Names,
    *,
    read_status: Callable[..., Status],
    read_time: Callable[[Any], datetime | None] = parse_time,
) -> RemoteRun | None:
    """Return one entry of a list of runs, or one run's state; None if it has no id."""
    run_id = row_text(row, names["id"])
    if run_id is None:
        return None

    def time(field: str) -> datetime | None:
        return read_time(first_value(row, *names[field].split()))

    finished = time("finished_at")
    status = read_status(row.get("status"), ended=finished is not None)
    if finished is None and status in FINAL_STATUSES:
        # A run without an end time was last changed when it finished.
        finished = time("updated_at")
    error = first_value(row, *names["error"].split())
    message = None if isinstance(error, str) else parse_error_body(0, error).message
    output = first_value(row, *names["output"].split())
    return RemoteRun(
        id=run_id,
        status=status,
        agent=row_text(row, names["agent"]),
        session_id=row_text(row, names["session_id"]),
        created_at=time("created_at"),
        started_at=time("started_at"),
        finished_at=finished,
        model=row_text(row, names["model"]),
        output=as_text(output) or None,
        error=message or (as_text(error) or None if error else None),
        raw=row,
    )


def read_agent(row: Mapping[str, Any], names: Names) -> AgentInfo | None:
    """Return one entry of a list of agents; None if it has no id."""
    agent_id = row_text(row, names["id"])
    if agent_id is None:
        return None
    return AgentInfo(
        id=agent_id,
        name=row_text(row, names["name"]),
        description=row_text(row, "description"),
        model=row_text(row, names["model"]),
        raw=row,
    )


def unexpected_response(
    platform: str, data: Any, headers: Mapping[str, str], kind: str = "something that is no run"
) -> ContentTypeError:
    """Return the error of a response that is ``kind``."""
    return ContentTypeError(
        f"{platform} answered {kind}.",
        content_type=headers.get("content-type", ""),
        excerpt=one_line(as_text(data)),
    )


# --- requests ---------------------------------------------------------------------------------


def session_of(
    request: RunRequest, param: str | None, *, platform: str, kind: str = "session"
) -> str | None:
    """Return the session of a request, which may be in its parameter ``param``, too.

    Raises:
        RequestError: they differ.
    """
    if None not in (request.session_id, param) and request.session_id != param:
        raise RequestError(f"{platform}: the {kind} is given twice, and differently.")
    return request.session_id or param


def nested_settings(params: Outbound, field: str, model: type[S], *, platform: str) -> S | None:
    """Return the settings in a field of ``params`` and those beside it; None without any.

    Raises:
        RequestError: one is in both places.
    """
    nested: S = getattr(params, field) or model()
    top = {
        name: value for name in model.model_fields if (value := getattr(params, name)) is not None
    }
    if twice := sorted(name for name in top if getattr(nested, name) is not None):
        raise RequestError(f"{platform}: {', '.join(twice)} is given twice, beside and in {field}.")
    merged = nested.model_copy(update=top)
    return merged if merged.model_fields_set else None


def key_header(
    settings: PlatformSettings, *, name: str = "Authorization", scheme: str = "Bearer"
) -> dict[str, SecretStr]:
    """Return the header with the API key; {} where there is no key.

    With an empty ``scheme`` the value is the key alone.
    """
    if settings.api_key is None:
        return {}
    key = settings.api_key.get_secret_value().strip()
    return {name: SecretStr(f"{scheme} {key}" if scheme else key)}
