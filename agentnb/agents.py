"""`Agent`: a platform, an agent's id and defaults; the way to start runs from code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never, NoReturn

from pydantic import SecretStr

from agentnb._http import Terms
from agentnb._http.deadlines import Deadlines
from agentnb._http.retries import Retries
from agentnb.batch.mixin import Maps
from agentnb.batch.recipe import Recipe
from agentnb.cassettes import stand_in
from agentnb.config import AgentName, config, refuse_key_as_name
from agentnb.errors import ConfigError
from agentnb.platforms._validation import joined
from agentnb.platforms.base import Message, Platform, RunRequest
from agentnb.platforms.media import MediaLike
from agentnb.run.agent_catalog import Listings
from agentnb.run.clients import address_of, connect, resolve_agent
from agentnb.run.executor import register_shutdown
from agentnb.run.output import OutputType
from agentnb.run.request import (
    build_request,
    invoked,
    terms_for,
    unsupported,
)
from agentnb.run.run import Run
from agentnb.run.stream import RunStream
from agentnb.store import recent as runs_so_far

if TYPE_CHECKING:
    pass

__all__ = ["Agent", "agent", "attach"]


class Agent(Maps, Listings):
    """An agent on a platform, with defaults for its runs.

    Made by `agentnb.agent`.  ``deadlines`` and ``retries`` are those of its runs.  It holds no
    conversation: each run begins a new session unless ``session`` says which one to go on in.
    """

    def __init__(
        self,
        platform: Platform,
        agent_id: str,
        *,
        title: str | None = None,
        params: Mapping[str, Any] | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        recipe: Recipe | None = None,
        notice: str | None = None,
    ) -> None:
        self._platform = platform
        #: One line that views display with the agent's runs; None for none.
        self.notice = notice
        self._recipe = recipe
        self.id = agent_id
        self.title = title or agent_id
        self.deadlines = deadlines
        self.retries = retries
        self.params = dict(params or {})

    def __reduce__(self) -> NoReturn:
        raise TypeError("An Agent holds a key and connections and cannot be pickled; make another.")

    @property
    def platform(self) -> Platform:
        """The client of the platform; while a recording is played back, what answers for it."""
        return stand_in(self._platform)

    @property
    def name(self) -> str:
        """The full name, ``platform:agent``."""
        return str(AgentName(self._platform.name, self.id))

    def start(
        self,
        prompt: str,
        *,
        session: str | Run | None = None,
        output_type: OutputType | None = None,
        media: MediaLike | Sequence[MediaLike] = (),
        history: Sequence[Message] = (),
        followups: bool = False,
        stream: bool = True,
        timeout: float | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        **params: Any,
    ) -> Run:
        """Send ``prompt`` and return the live run at once.

        ``session`` is the id of a session to go on in, or a run of it.  ``output_type``, a
        pydantic model or a JSON schema, asks for structured output, see `Run.parsed`.  ``media``
        are attachments, one or several: paths, addresses, bytes, `Media` or ``{"type", "data"}``;
        with them ``prompt`` may be empty where the platform takes that, see `MediaSupport`.
        ``history`` are the messages that a new session begins with, oldest first, each ``{"role":
        "user" | "assistant" | "system", "content": "..."}``.  ``followups`` asks for questions to
        ask next, where the platform suggests them.  ``stream=False`` asks for the answer in one
        piece.  ``params`` are the platform's own and win over the agent's defaults.

        ``timeout`` is how many seconds the run may take, with all its requests and pauses; then it
        fails, what arrived is kept, and the platform is told to stop it.  ``deadlines`` and
        ``retries`` take the place of the agent's; a Python function heeds only the total time.

        Raises:
            RequestError: the platform cannot take what was given.  What only the sending shows
                makes the run fail instead.
        """
        run = self.prepare(
            prompt,
            session=session,
            output_type=output_type,
            media=media,
            history=history,
            followups=followups,
            stream=stream,
            timeout=timeout,
            deadlines=deadlines,
            retries=retries,
            **params,
        )
        runs_so_far.remember(run)
        return run.start()

    def run(self, prompt: str, *, check: bool = True, **options: Any) -> Run:
        """Send ``prompt``, block until the answer is complete and return the run.

        ``options`` are those of `start`.  Ctrl-C (or interrupting the kernel) cancels the run.

        Raises:
            RunError: the run did not complete, and ``check`` is true; `RunError.run` holds what
                arrived.
        """
        run = self.start(prompt, **options)
        try:
            return run.wait(check=check)
        except BaseException:
            run.cancel()
            raise

    async def arun(self, prompt: str, *, check: bool = True, **options: Any) -> Run:
        """Send ``prompt`` and wait for the whole answer; as `run`, for async code.

        Cancelling the awaiting task cancels the run.
        """
        run = self.start(prompt, **options)
        try:
            return await run.wait_async(check=check)
        except BaseException:
            run.cancel()
            raise

    def stream(self, prompt: str, *, check: bool = True, **options: Any) -> RunStream:
        """Return the events as they arrive, for ``async for``; the first one sends ``prompt``.

        A terminal event is the last but for what a platform adds to it, usage for example.  Leaving
        the loop early cancels the run.  A slow consumer slows the platform down rather than filling
        memory.  After the last event, where the run did not complete and ``check`` is true, it
        raises the `RunError`.
        """
        return RunStream(lambda: self.start(prompt, **options), check=check)

    def attach(
        self,
        run_id: str,
        *,
        session: str | None = None,
        timeout: float | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
    ) -> Run:
        """Join a run that is still going on the platform; return it live.

        ``session`` is by default the one that the history knows of the run.  The terms are those
        of `start`; when time is up the run is left, not stopped.

        Raises:
            UnsupportedError: the platform cannot do that.
        """
        if not (abilities := (platform := self.platform).capabilities).attach:
            follow = "agentnb.monitor and agentnb.wait follow it." if abilities.run_status else None
            raise unsupported(platform.name, "requests to join a run again", hint=follow)
        session = session or runs_so_far.session_of(platform.name, run_id)
        run = Run(
            lambda: joined(platform, run_id, agent=self.id, session_id=session),
            platform=platform,
            request=RunRequest(agent=self.id, prompt="", session_id=session),
            title=self.title,
            via="attach",
            terms=terms_for(self, deadlines, retries, timeout),
            notice=self.notice,
        )
        run.transcript.run_id = run_id
        runs_so_far.remember(run)
        return run.start()

    def __repr__(self) -> str:
        return f"<Agent {self.name}>"

    def prepare(
        self,
        prompt: str,
        *,
        session: str | Run | None = None,
        output_type: OutputType | None = None,
        media: MediaLike | Sequence[MediaLike] = (),
        history: Sequence[Message] = (),
        followups: bool = False,
        stream: bool = True,
        timeout: float | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        with_terms: Callable[[Terms], Terms] | None = None,
        **params: Any,
    ) -> Run:
        """Return the run that `start` would send, unsent; options and errors are those of it.

        ``with_terms`` changes the terms on which its requests are made.
        """
        platform = self.platform
        request = build_request(
            platform,
            self.id,
            prompt,
            session=session,
            output_type=output_type,
            media=media,
            history=history,
            followups=followups,
            params={**self.params, **params},
        )
        source = (
            (lambda: platform.stream(request)) if stream else (lambda: invoked(platform, request))
        )
        terms = terms_for(self, deadlines, retries, timeout)
        return Run(
            source,
            platform=platform,
            request=request,
            title=self.title,
            via="stream" if stream else "invoke",
            output_type=output_type,
            terms=with_terms(terms) if with_terms and terms else terms,
            notice=self.notice,
        )

    def again(self) -> tuple[Recipe, Callable[[Recipe], Agent]]:
        """Return how it is made again in another process, without its key, and by what."""
        own = {"params": dict(self.params), "deadlines": self.deadlines, "retries": self.retries}
        return replace(self._recipe or Recipe(name=self.name), **own), rebuilt


def agent(
    target: str | Callable[..., Any] | None = None,
    *misplaced: Never,
    base_url: str | None = None,
    api_key: str | SecretStr | None = None,
    deadlines: Deadlines | None = None,
    retries: Retries | None = None,
    options: Mapping[str, Any] | None = None,
    **params: Any,
) -> Agent:
    """Return the agent that ``target`` names.

    ``target`` is ``platform:agent``, an alias, an agent of the default platform, or None for the
    default agent; where no platform is configured, the embedded sandbox answers.  A Python function
    or generator, sync or async, that takes the prompt and gives text or events is an agent too.  A
    plain one has a thread of its own.  An async one shares agentnb's event loop with all other runs
    and must not block it: nothing streams, and nothing can be stopped, until it awaits.  Within one
    write ``await asyncio.to_thread(...)`` for what blocks.

    ``base_url`` and ``api_key`` come from the configuration by default (environment, then keyring,
    then a prompt for the key); ``base_url="sandbox"`` makes the embedded sandbox, whose runs all
    platforms share, speak its API.  ``options`` are its settings, ``params`` a run's defaults;
    ``deadlines`` and ``retries`` take the place of what is configured.  Of a function's runs only
    the total time is limited.

    Raises:
        ConfigError: the name, the address or the key is missing or wrong.
    """
    # At once, so that a traceback that shows local variables does not show it.
    api_key = SecretStr(api_key.strip()) if isinstance(api_key, str) else api_key
    refuse_key_as_name(target, *misplaced)
    if isinstance(target, Agent):
        raise ConfigError(f"{target!r} is an agent already.")
    if callable(target):
        if not (base_url is None and api_key is None and retries is None and options is None):
            raise ConfigError("A function needs no base_url, api_key, retries or options.")
        from agentnb.platforms.local import FunctionPlatform

        platform = FunctionPlatform(target)
        name = AgentName(platform.name, platform.agent_id)
        recipe = Recipe(name=str(name), function=target)
        return Agent(platform, name.agent, params=params, deadlines=deadlines, recipe=recipe)
    # Callers without types are told, too.
    if not isinstance(target, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"{target!r} names no agent.",
            hint="Give 'platform:agent', or a function that takes it.",
        )
    name = resolve_agent(target)
    deadlines = deadlines or config().deadlines(name.platform)
    retries = retries or config().retries(name.platform)
    client = connect(
        name.platform,
        base_url=base_url,
        api_key=api_key,
        deadlines=deadlines,
        retries=retries,
        options=options,
    )
    recipe = Recipe(
        name=str(name),
        base_url=address_of(client),
        options=dict(options or {}),
        has_own_key=api_key is not None,
    )
    return Agent(
        client,
        name.agent,
        params=params,
        deadlines=deadlines,
        retries=retries,
        recipe=recipe,
        notice=name.notice,
    )


def rebuilt(recipe: Recipe) -> Agent:
    """Return the agent of ``recipe``, with the key that this process finds for it."""
    return agent(
        recipe.function or recipe.name,
        base_url=recipe.base_url,
        options=dict(recipe.options) or None,
        deadlines=recipe.deadlines,
        retries=recipe.retries,
        **recipe.params,
    )


def attach(
    target: str,
    run_id: str,
    *,
    session: str | None = None,
    timeout: float | None = None,
    base_url: str | None = None,
    api_key: str | SecretStr | None = None,
    deadlines: Deadlines | None = None,
    retries: Retries | None = None,
    options: Mapping[str, Any] | None = None,
) -> Run:
    """Join the run ``run_id`` of the agent ``target``, which is still going; return it live.

    See `Agent.attach`; the others are those of `agent`.

    Raises:
        UnsupportedError: the platform cannot do that.
    """
    api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
    found = agent(
        target,
        base_url=base_url,
        api_key=api_key,
        deadlines=deadlines,
        retries=retries,
        options=options,
    )
    return found.attach(run_id, session=session, timeout=timeout)


register_shutdown()
