"""`Agent`: starts runs of an agent on a platform, with defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Never, NoReturn

from pydantic import SecretStr

from agentnb._http import RequestOptions
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.batch.mixin import MapMixin
from agentnb.batch.rows import Recipe
from agentnb.cassettes import platform_or_playback
from agentnb.config import AgentName, config, reject_key_as_name
from agentnb.errors import ConfigError
from agentnb.platforms._validation import joined
from agentnb.platforms.base import Message, Platform, RunRequest
from agentnb.platforms.media import MediaLike
from agentnb.run.agent_catalog import AgentCatalog
from agentnb.run.clients import address_of, connect, resolve_agent
from agentnb.run.executor import register_shutdown
from agentnb.run.kept_conversation import send
from agentnb.run.output import OutputType
from agentnb.run.request import (
    build_request,
    options_for,
    unsupported,
)
from agentnb.run.rounds import with_rounds
from agentnb.run.run import Run
from agentnb.run.stream import RunStream
from agentnb.run.tools import as_tools
from agentnb.store import recent as runs_so_far

__all__ = ["Agent", "agent", "attach"]


class Agent(MapMixin, AgentCatalog):
    """An agent on a platform, with defaults for its runs.

    Created by `agentnb.agent`.  ``deadlines`` and ``retries`` are those of its runs.  It keeps no
    conversation: each run starts a new session unless ``session`` names the one to continue.
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
        """The client of the platform, or the playback of a recording while one is active."""
        return platform_or_playback(self._platform)

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
        tools: Sequence[Any] = (),
        stream: bool = True,
        timeout: float | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        **params: Any,
    ) -> Run:
        """Send ``prompt`` and return the live run at once.

        ``session`` is the id of a session to continue, or a run of it.  ``output_type``, a pydantic
        model or a JSON schema, requests structured output, see `Run.parsed`.  ``media`` are
        attachments, one or several: paths, addresses, bytes, `Media` or ``{"type", "data"}``; with
        them ``prompt`` may be empty where the platform supports that, see `MediaSupport`.
        ``history`` are the first messages of a new session, oldest first, each ``{"role": "user" |
        "assistant" | "system", "content": "..."}``.  ``followups`` requests suggestions for further
        prompts, where the platform supports it.  ``tools`` are functions of this process that the
        agent may call, where the platform supports that; each call waits for a decision, unless the
        tool is trusted, see `agentnb.tool`.  ``stream=False`` requests the answer in one piece.
        ``params`` are specific to the platform and override the agent's defaults.

        ``timeout`` is how many seconds the run may take, with all its requests and delays; then it
        fails, its partial answer is kept, and it is cancelled on the platform.  ``deadlines`` and
        ``retries`` override those of the agent; a Python function has only a total time.

        Raises:
            RequestError: the platform does not support an argument.  Errors found while sending
                make the run fail instead.
        """
        run = self.prepare(
            prompt,
            session=session,
            output_type=output_type,
            media=media,
            history=history,
            followups=followups,
            tools=tools,
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
            RunError: the run did not complete, and ``check`` is true; `RunError.run` holds the
                partial answer.
        """
        run = self.start(prompt, **options)
        try:
            return run.wait(check=check)
        except BaseException:
            run.cancel()
            raise

    async def arun(self, prompt: str, *, check: bool = True, **options: Any) -> Run:
        """Send ``prompt`` and wait for the complete answer, like `run`, in async code.

        Cancelling the awaiting task cancels the run.
        """
        run = self.start(prompt, **options)
        try:
            return await run.wait_async(check=check)
        except BaseException:
            run.cancel()
            raise

    def stream(self, prompt: str, *, check: bool = True, **options: Any) -> RunStream:
        """Return the events as they arrive, for ``async for``; starting the loop sends ``prompt``.

        Only additions of a platform, usage for example, follow the terminal event.  Leaving the
        loop early cancels the run.  A slow consumer applies backpressure instead of filling memory.
        If the run did not complete and ``check`` is true, `RunError` follows the last event.
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
        """Attach to a run that is in progress on the platform; return it live.

        ``session`` is by default the one recorded in the history.  The other arguments are those of
        `start`; when the time is up the run is detached, not cancelled.

        Raises:
            UnsupportedError: the platform does not support it.
        """
        if not (abilities := (platform := self.platform).capabilities).attach:
            follow = "agentnb.monitor and agentnb.wait follow it." if abilities.run_status else None
            raise unsupported(platform.name, "requests to attach to a run", hint=follow)
        from agentnb.store.lookup import session_of

        session = session or session_of(platform.name, run_id)
        run = Run(
            lambda: joined(platform, run_id, agent=self.id, session_id=session),
            platform=platform,
            request=RunRequest(agent=self.id, prompt="", session_id=session),
            title=self.title,
            via="attach",
            request_options=options_for(self, deadlines, retries, timeout),
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
        tools: Sequence[Any] = (),
        stream: bool = True,
        timeout: float | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        change_options: Callable[[RequestOptions], RequestOptions] | None = None,
        **params: Any,
    ) -> Run:
        """Return the run that `start` would send, unsent; arguments and errors are the same.

        ``change_options`` may change its request options.
        """
        params = {**self.params, **params}
        functions, others = as_tools(tools or params.pop("tools", None) or ())
        if others:
            # Tools of the server, in the platform's own form.
            params["tools"] = others
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
            tools=bool(functions),
            params=params,
        )
        platform = with_rounds(platform, functions)
        request_options = options_for(self, deadlines, retries, timeout)
        if change_options and request_options:
            request_options = change_options(request_options)
        return Run(
            lambda: send(platform, request, stream=stream),
            platform=platform,
            request=request,
            title=self.title,
            via="stream" if stream else "invoke",
            output_type=output_type,
            request_options=request_options,
            notice=self.notice,
        )

    def again(self) -> tuple[Recipe, Callable[[Recipe], Agent]]:
        """Return a recipe without the key, and the function that rebuilds the agent from it."""
        recipe = replace(
            self._recipe or Recipe(name=self.name),
            params=dict(self.params),
            deadlines=self.deadlines,
            retries=self.retries,
        )
        return recipe, rebuild


def agent(
    target: str | Callable[..., Any] | None = None,
    *positional: Never,
    base_url: str | None = None,
    api_key: str | SecretStr | None = None,
    deadlines: Deadlines | None = None,
    retries: Retries | None = None,
    options: Mapping[str, Any] | None = None,
    **params: Any,
) -> Agent:
    """Return the agent that ``target`` names.

    ``target`` is ``platform:agent``, an alias, an agent of the default platform, or None for the
    default agent; without a configured platform, the embedded sandbox is used.  A Python function
    or generator, sync or async, that takes the prompt and returns or yields text or events is an
    agent, too.  A sync one runs in its own thread.  An async one shares agentnb's event loop with
    all other runs and must not block it: use ``await asyncio.to_thread(...)`` for blocking calls.

    ``base_url`` and ``api_key`` come from the configuration by default (environment, then keyring,
    then a prompt for the key); with ``base_url="sandbox"`` the embedded sandbox, whose runs all
    platforms share, serves the platform's API.  ``options`` are the platform's settings, ``params``
    the defaults of runs; ``deadlines`` and ``retries`` override the configured ones.  The runs of a
    function have only a total time.

    Raises:
        ConfigError: the name, the address or the key is missing or wrong.
    """
    # First, as tracebacks may print local variables.
    api_key = SecretStr(api_key.strip()) if isinstance(api_key, str) else api_key
    reject_key_as_name(target, *positional)
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
    # For callers without a type checker.
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


def rebuild(recipe: Recipe) -> Agent:
    """Return the agent of ``recipe``, with this process's key for it."""
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
    """Attach to the run ``run_id`` of the agent ``target``, which is in progress; return it live.

    See `Agent.attach`; the other arguments are those of `agent`.

    Raises:
        UnsupportedError: the platform does not support it.
    """
    api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
    return agent(
        target,
        base_url=base_url,
        api_key=api_key,
        deadlines=deadlines,
        retries=retries,
        options=options,
    ).attach(run_id, session=session, timeout=timeout)


register_shutdown()
