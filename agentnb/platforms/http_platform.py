"""Base classes and helpers of platforms behind HTTP: lists of runs, rows of them, and requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar, cast

from annotated_types import Ge
from pydantic import SecretStr

from agentnb._http import ErrorDetails, ErrorParser, HttpClient
from agentnb._support.text import well_formed
from agentnb.config.environment import base_url_variable
from agentnb.config.settings import KeyUse
from agentnb.errors import ConfigError, ContentTypeError, RequestError
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.event.types import Event
from agentnb.platforms._bodies import parse_error_body, parse_time
from agentnb.platforms._params import check_options
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """The HTTP request that starts a run.

    ``path`` begins with a slash and is percent-encoded, see `quote_segment`; "" is the base address
    itself.  ``json`` is the body.
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
    that it does not override is refused.  Where it takes attachments, its `stream` first reads
    ``request.media`` in a thread, ``await asyncio.to_thread(read_media, ...)``, and passes the
    request with them to ``super().stream``.

    Raises:
        ConfigError: an option is unknown or invalid, or the platform has no address.
    """

    #: The address unless the settings have another; None: each user must configure it.
    default_url: ClassVar[str | None] = None
    #: Whether an API key is "required" (`MissingKeyError` without it), "optional" or "none".
    key: ClassVar[KeyUse] = "required"
    #: The model of the platform's own settings, which are in `options`; None: it has none.
    options_type: ClassVar[type[HttpOptions] | None] = None
    #: Decodes one response.
    decoder: ClassVar[type[BaseDecoder] | None] = None
    #: Whether the platform keeps its conversations; else agentnb does, see `RunRequest`.
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
        """The features whose methods are overridden.

        A subclass adds the others by ``replace(super().capabilities, ...)`` in its own property.
        """
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
