"""Build the request of a run and the options of its HTTP requests; make blocking calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from agentnb._http import RequestOptions
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines, is_seconds
from agentnb._loop import wait
from agentnb.config import config
from agentnb.errors import AgentnbError, AuthenticationError, RequestError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms._validation import as_messages, check_history
from agentnb.platforms.base import Message, Platform, RemoteRun, RunRequest
from agentnb.platforms.base_platform import OfflinePlatform
from agentnb.platforms.media import MediaLike, as_media, check_prompt, media_items, media_refusal
from agentnb.run.hints import add_address_hint
from agentnb.run.output import OutputType, output_schema

T = TypeVar("T")


class HasSession(Protocol):
    """A run whose session can be continued."""

    @property
    def session_id(self) -> str | None: ...


class HasDefaults(Protocol):
    """An agent with default options; None: those of its platform."""

    deadlines: Deadlines | None
    retries: Retries | None

    @property
    def platform(self) -> Platform: ...


def build_request(
    platform: Platform,
    agent: str,
    prompt: str,
    *,
    session: str | HasSession | None,
    output_type: OutputType | None,
    media: MediaLike | Sequence[MediaLike],
    history: Sequence[Message],
    followups: bool,
    tools: bool,
    params: Mapping[str, Any],
) -> RunRequest:
    """Return the request for the arguments of `Agent.start`; ``tools``: it has some of the client.

    Raises:
        RequestError: an argument is invalid.
        UnsupportedError: the platform does not support one.
    """
    media = media_items(media)
    check_prompt(prompt, media, platform)
    if session is not None and not isinstance(session, str):
        session = session.session_id
        if session is None:
            raise RequestError(
                "That run has no session to continue.",
                hint="It failed before it had one, or its platform has none.",
            )
    abilities = platform.capabilities
    if output_type is not None and not abilities.output_schema:
        raise unsupported(
            platform.name,
            "structured output",
            hint="Request JSON in the prompt, and read run.text.",
        )
    if tools and not abilities.client_tools:
        raise unsupported(
            platform.name,
            "tools of the client",
            hint="An agent of openai: or agui: takes them, and a Python function calls others "
            "itself.",
        )
    if media and (reason := media_refusal(platform)) is not None:
        raise UnsupportedError(reason)
    request = RunRequest(
        agent=agent,
        prompt=prompt,
        session_id=session,
        history=as_messages(history),
        params=params,
        output_schema=None if output_type is None else output_schema(output_type),
        media=tuple(as_media(item) for item in media),
        followups=followups,
    )
    check_history(request, platform=platform.name, supported=abilities.history)
    return request


def options_for(
    agent: HasDefaults,
    deadlines: Deadlines | None,
    retries: Retries | None,
    timeout: float | None,
) -> RequestOptions | None:
    """Return the request options of a run: those given, else the agent's.

    ``timeout`` seconds replace the ``total`` of the deadlines.

    Raises:
        RequestError: ``timeout`` is no number of seconds.
    """
    deadlines, retries = deadlines or agent.deadlines, retries or agent.retries
    if timeout is not None:
        if not is_seconds(timeout):
            raise RequestError(f"A timeout is a number of seconds above 0, not {timeout!r}.")
        deadlines = replace(deadlines or Deadlines(), total=float(timeout))
    if isinstance(agent.platform, OfflinePlatform):
        # A played run takes its recorded time.
        return None
    return RequestOptions(deadlines=deadlines, retries=retries, by_timeout=timeout is not None)


async def invoked(platform: Platform, request: RunRequest) -> AsyncGenerator[list[Event], None]:
    """Yield the events of a run without streaming as one batch."""
    yield await platform.invoke(request)


def call_sync(platform: Platform, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``work``, a call of ``platform`` (blocks)."""
    try:
        return wait(work)
    except AgentnbError as error:
        forget_refused_key(platform, error)
        add_address_hint(platform.name, error)
        raise


async def collect_runs(runs: AsyncIterator[RemoteRun]) -> list[RemoteRun]:
    """Return the runs that a platform lists as a list."""
    return [run async for run in runs]


def forget_refused_key(platform: Platform, error: BaseException) -> None:
    """Drop a key that the platform refused, so that the next run prompts for it again."""
    if isinstance(error, AuthenticationError) and not isinstance(platform, OfflinePlatform):
        config().forget_key(platform.name)


def unsupported(platform: str, what: str, *, hint: str | None = None) -> UnsupportedError:
    """Return the error of a platform that does not support ``what``."""
    return UnsupportedError(f"{platform} does not take {what}.", hint=hint)
