"""`Watch`: what becomes of some runs, wherever they go on."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from agentnb._loop import background_loop
from agentnb._support.fork import keep_forever, renew_after_fork
from agentnb.agents import Agent
from agentnb.errors import AgentnbError, RequestError, UnsupportedError
from agentnb.monitoring.clock import PollingClock
from agentnb.monitoring.items import Item, LocalItem, RemoteItem
from agentnb.monitoring.polling import Pace, Poller
from agentnb.monitoring.rows import WatchedRun
from agentnb.monitoring.targets import Targets, find_sessions, listed, resolve
from agentnb.platforms.base import Platform
from agentnb.run.run import Run

__all__ = ["Watch"]

_log = logging.getLogger(__name__)

# How often listeners are told of a local run's progress, in seconds; its status they hear at once.
_PROGRESS: Final = 0.2
# How often a waiting loop looks up, in seconds: Ctrl-C does not wake it everywhere.
_TICK: Final = 0.1
# How long a call that cancels a run may take, in seconds.
_CANCEL_CALL: Final = 10.0


class Watch:
    """Follows runs until all have ended.

    ``targets`` are runs (of this process: they are listened to), ``(platform client or agent, run
    id or ids[, agent[, session]])``, run ids and `RemoteRun` with ``agent`` (``platform:agent`` or
    an `Agent`) or without where they are known here or in the history, a table as `agentnb.runs`
    gives it, an `Agent` for its newest runs, or any nesting of these.  A platform is asked every
    ``interval`` seconds, for up to 100 runs in a request where it can tell of many at once; the
    pause grows up to ``max_interval`` while nothing changes.  A platform that must be asked for
    each run by itself is asked as often, and so tells of each run less often.

    It stops by itself; a run that waits for a decision is not over.  One that nobody holds any
    more ends too.

    Raises:
        RequestError: a target names no run, or nobody knows whose it is.
    """

    def __init__(
        self,
        targets: Any,
        *,
        agent: str | Agent | None = None,
        interval: float = 3.0,
        max_interval: float = 30.0,
        clock: PollingClock | None = None,
    ) -> None:
        if not interval > 0:
            raise RequestError("The interval must be more than 0 seconds.")
        self._listeners: dict[object, Callable[[], None]] = {}
        self._engine = _Engine(
            resolve(targets, within=agent),
            interval=interval,
            max_interval=max_interval,
            clock=clock or PollingClock(),
        )
        # The loop holds the engine, and the engine must not hold this.
        self._engine.told = _forward(weakref.ref(self))
        weakref.finalize(self, self._engine.stop).atexit = False

    def __repr__(self) -> str:
        rows = self.rows()
        return f"<Watch {sum(row.final for row in rows)} of {len(rows)} runs are over>"

    def rows(self) -> list[WatchedRun]:
        """Return every run as it is now, in the order they were given."""
        return [item.row() for item in self._engine.items]

    def results(self) -> list[Run | WatchedRun]:
        """Return every run in the same order, those of this process as they are."""
        return [
            item.newest if isinstance(item, LocalItem) else item.row()
            for item in self._engine.items
        ]

    @property
    def listed(self) -> bool:
        """Whether it is known which runs an agent has; True where no agent was given."""
        return self._engine.listed

    @property
    def requests(self) -> int:
        """How many times a platform was asked."""
        return self._engine.requests

    @property
    def problem(self) -> str | None:
        """Why an agent's runs could not be listed, or watching broke off; else None."""
        return self._engine.problem

    @property
    def done(self) -> bool:
        """Whether every run is final, or `stop` was called."""
        return self._engine.over

    def start(self) -> Watch:
        """Begin to watch; a second call changes nothing."""
        self._engine.start()
        return self

    def stop(self) -> None:
        """Watch no more; the runs go on."""
        self._engine.stop()

    async def wait(self) -> list[WatchedRun]:
        """Wait, on any event loop, until every run is final or `stop` was called."""
        self.start()
        future = asyncio.wrap_future(self._engine.ended)
        try:
            while not future.done():
                # A loop that sleeps in select() does not see a signal whose handler is in Python.
                await asyncio.wait({future}, timeout=_TICK)
        finally:
            future.cancel()
        return self.rows()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` at every change and at the end; return what undoes it.

        It is called on the background loop and must not block.
        """
        key = object()
        self._listeners[key] = callback
        return lambda: self._listeners.pop(key, None) and None

    def cancel(self, key: str) -> None:
        """Ask for the end of the run ``key``; returns at once, from any thread.

        What goes wrong stands in the row's ``error``.

        Raises:
            KeyError: no such run is watched.
        """
        self._engine.cancel(key)

    def _tell(self) -> None:
        for callback in tuple(self._listeners.values()):
            try:
                callback()
            except Exception:
                _log.exception("A listener of a watch raised")


def _forward(watch: weakref.ref[Watch]) -> Callable[[], None]:
    def told() -> None:
        if (alive := watch()) is not None:
            alive._tell()  # pyright: ignore[reportPrivateUsage]

    return told


class _Engine:
    """What works on the background loop for one `Watch`."""

    def __init__(
        self, targets: Targets, *, interval: float, max_interval: float, clock: PollingClock
    ) -> None:
        self.items: tuple[Item, ...] = tuple(targets.items)
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()
        self.over = False
        self.problem: str | None = None
        self.told: Callable[[], None] = lambda: None
        self._agents = targets.agents
        self.listed = not targets.agents
        self._interval, self._max_interval = interval, max_interval
        self._clock = clock
        self._pollers: list[Poller] = []
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: list[Callable[[], None]] = []
        self._statuses: dict[str, Any] = {}
        self._due: asyncio.TimerHandle | None = None
        self._local_news: asyncio.Event | None = None
        self._pending: set[asyncio.Future[None]] = set()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew when it is next started: the parent's task does not run in a forked child."""
        keep_forever(self._task, self._due, *self._unsubscribe, *self._pending)
        self._loop = self._task = self._due = self._local_news = None
        self._pollers, self._unsubscribe, self._pending = [], [], set()
        self.ended = Future()
        self.ended.set_running_or_notify_cancel()
        if self.over:
            self.ended.set_result(None)

    @property
    def requests(self) -> int:
        return sum(poller.requests for poller in self._pollers)

    def start(self) -> None:
        if self._loop is None:
            self._loop = background_loop()
            self._loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        if self._loop is None:
            self._end()
            return
        with suppress(RuntimeError):  # the loop is closed, and everything on it has ended
            self._loop.call_soon_threadsafe(self._stop)

    def cancel(self, key: str) -> None:
        item = next((item for item in self.items if item.key == key), None)
        if item is None:
            raise KeyError(key)
        if isinstance(item, LocalItem):
            item.newest.cancel()
            return
        if not item.final:
            background_loop().call_soon_threadsafe(self._cancel_later, item)

    # -- on the loop -----------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._task is None and not self.over:
            self._task = asyncio.create_task(self._work())
            # Not in the work's own `finally`: one cancelled before its first step has none.
            self._task.add_done_callback(self._worked)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._end()

    async def _work(self) -> None:
        self._local_news = asyncio.Event()
        for item in self.items:
            self._listen(item)
        await self._list_agents()
        clients: dict[int, list[RemoteItem]] = {}
        for item in self.items:
            if isinstance(item, RemoteItem):
                clients.setdefault(id(item.client), []).append(item)
        for items in clients.values():
            await find_sessions(items)
        self._pollers = [self._poller(items[0].client, items) for items in clients.values()]
        async with asyncio.TaskGroup() as works:
            for work in (self._local(), *(poller.follow() for poller in self._pollers)):
                works.create_task(work)

    def _worked(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.problem = f"Watching broke off: {type(error).__name__}: {error}"
            _log.error("Watching runs broke off", exc_info=error)
        self._end()

    def _poller(self, client: Platform, items: list[RemoteItem]) -> Poller:
        pace = Pace(self._interval, self._max_interval)
        return Poller(client, items, pace=pace, clock=self._clock, news=self._news)

    async def _list_agents(self) -> None:
        for of in self._agents:
            try:
                found = await listed(of)
            except AgentnbError as error:
                self.problem = str(error)
                continue
            except Exception as error:
                # A platform of somebody else's; it must not end the watching of the others.
                _log.info("An agent's runs are not to be had", exc_info=error)
                self.problem = f"{of.name}: {type(error).__name__}: {error}"
                continue
            known = {item.key for item in self.items}
            fresh = [item for item in found if item.key not in known]
            for item in fresh:
                self._listen(item)
            self.items = (*self.items, *fresh)
        if not self.listed:
            self.listed = True
            self._news()

    def _end(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self.over:
            self.over = True
            # Those who listen hear of it before those who wait go on.
            self.told()
            self.ended.set_result(None)

    def _news(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self.told()

    # -- runs of this process --------------------------------------------------------------------

    def _listen(self, item: Item) -> None:
        if isinstance(item, LocalItem):
            heard = item.newest

            def changed() -> None:
                nonlocal heard
                if item.newest is not heard:
                    heard = item.newest
                    self._unsubscribe.append(heard.subscribe(changed))
                self._heard(item)

            self._statuses[item.key] = None
            self._unsubscribe.append(heard.subscribe(changed))

    def _heard(self, item: LocalItem) -> None:
        now = (item.newest.status, item.final)
        if now != self._statuses.get(item.key):
            self._statuses[item.key] = now
            self._news()
            if self._local_news is not None:
                self._local_news.set()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(_PROGRESS, self._news)

    async def _local(self) -> None:
        """Wait until every run of this process is final."""
        own = [item for item in self.items if isinstance(item, LocalItem)]
        news = self._local_news
        while news is not None and not all(item.final for item in own):
            news.clear()
            await news.wait()

    # -- cancelling ------------------------------------------------------------------------------

    def _cancel_later(self, item: RemoteItem) -> None:
        task = asyncio.ensure_future(self._cancel(item))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _cancel(self, item: RemoteItem) -> None:
        client = item.client
        try:
            if not client.capabilities.cancel:
                raise UnsupportedError(
                    f"{client.name} has no call that cancels a run.",
                    hint="Only closing its stream stops it.",
                )
            async with asyncio.timeout(_CANCEL_CALL):
                await client.cancel(item.run_id, agent=item.agent, session_id=item.session_id)
            item.problem = None
        except TimeoutError:
            item.problem = f"{client.name} did not answer when it was asked to cancel the run."
        except AgentnbError as error:
            item.problem = str(error)
        except Exception as error:
            item.problem = f"{type(error).__name__}: {error}"
        for poller in self._pollers:
            if poller.client is client:
                poller.wake.set()
        self._news()
