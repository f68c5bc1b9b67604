"""`Watch`: follows the state of runs, local or remote."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from agentnb._loop import background_loop
from agentnb._support.fork import keep_forever, renew_after_fork
from agentnb.agents import Agent
from agentnb.errors import AgentnbError, RequestError, UnsupportedError
from agentnb.monitoring.polling import Poller, PollingClock, PollingInterval
from agentnb.monitoring.targets import Targets, find_sessions, list_agent_runs, resolve
from agentnb.monitoring.watched_run import Item, LocalItem, RemoteItem, WatchedRun
from agentnb.run.run import Run

_log = logging.getLogger(__name__)

# Seconds between two notifications of a local run's progress; changes of status are immediate.
_PROGRESS_INTERVAL: Final = 0.2
# Seconds between two wake-ups of a waiting loop, because Ctrl-C does not wake every loop.
_TICK: Final = 0.1
_CANCEL_TIMEOUT: Final = 10.0


class Watch:
    """Follows runs until all have ended.

    ``targets`` are runs of this process, ``(platform client or agent, run id or ids[, agent[,
    session]])``, run ids and `RemoteRun`, of ``agent`` (``platform:agent`` or an `Agent`) or known
    here or in the history, a table as of `agentnb.runs`, an `Agent` for its newest runs, or any
    nesting of these.  A platform is polled every ``interval`` seconds, for up to 100 runs in a
    request where it supports that; the interval grows up to ``max_interval`` while nothing changes.
    A platform that takes one run per request gets as many requests, so that each run is polled
    less often.

    It stops when all runs have ended, which a paused one has not, or when it is garbage-collected.

    Raises:
        RequestError: a target is not a run, or an id is unknown.
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
        # The loop holds the worker, which must not hold this object.
        watch = weakref.ref(self)

        def notify() -> None:
            if (alive := watch()) is not None:
                alive._notify()

        self._worker = _Worker(
            resolve(targets, within=agent),
            interval=interval,
            max_interval=max_interval,
            clock=clock or PollingClock(),
            notify=notify,
        )
        weakref.finalize(self, self._worker.stop).atexit = False

    def __repr__(self) -> str:
        rows = self.rows()
        return f"<Watch {sum(row.final for row in rows)} of {len(rows)} runs are over>"

    def rows(self) -> list[WatchedRun]:
        """Return the state of every run, in the order of the targets."""
        return [item.row() for item in self._worker.items]

    def results(self) -> list[Run | WatchedRun]:
        """Return every run in the same order, those of this process as `Run`."""
        items = self._worker.items
        return [item.newest if isinstance(item, LocalItem) else item.row() for item in items]

    @property
    def listed(self) -> bool:
        """Whether the runs of all agents have been listed."""
        return self._worker.listed

    @property
    def requests(self) -> int:
        """Number of requests to platforms."""
        return self._worker.requests

    @property
    def problem(self) -> str | None:
        """Why an agent's runs could not be listed, or watching failed; else None."""
        return self._worker.problem

    @property
    def done(self) -> bool:
        """Whether every run is final, or `stop` was called."""
        return self._worker.done

    def start(self) -> Watch:
        """Start watching, unless it has started."""
        self._worker.start()
        return self

    def stop(self) -> None:
        """Stop watching; the runs go on."""
        self._worker.stop()

    async def wait(self, *, settled: bool = False) -> list[WatchedRun]:
        """Wait, on any event loop, until every run is final or `stop` was called.

        With ``settled`` a run that is paused counts as final.
        """
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def on_change() -> None:
            # The waiting loop may be closed before the last change.
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        unsubscribe = self.subscribe(on_change)
        try:
            self.start()
            while not (self.done or (settled and self._settled)):
                changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK):
                        await changed.wait()
        finally:
            unsubscribe()
        return self.rows()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after every change and at the end; return what unsubscribes it.

        It is called on the background loop and must not block.
        """
        key = object()
        self._listeners[key] = callback
        return lambda: self._listeners.pop(key, None) and None

    def cancel(self, key: str) -> None:
        """Request cancellation of the run ``key``, without waiting.  Thread-safe.

        An error is reported in the row's ``error``.

        Raises:
            KeyError: no such run is watched.
        """
        self._worker.cancel(key)

    @property
    def _settled(self) -> bool:
        return self.listed and all(row.settled for row in self.rows())

    def _notify(self) -> None:
        for callback in tuple(self._listeners.values()):
            try:
                callback()
            except Exception:
                _log.exception("A listener of a watch raised")


class _Worker:
    """The part of one `Watch` that runs on the background loop."""

    def __init__(
        self,
        targets: Targets,
        *,
        interval: float,
        max_interval: float,
        clock: PollingClock,
        notify: Callable[[], None],
    ) -> None:
        self.items: tuple[Item, ...] = tuple(targets.items)
        self.listed = not targets.agents
        self.done = False
        self.problem: str | None = None
        self._agents = targets.agents
        self._interval, self._max_interval = interval, max_interval
        self._clock = clock
        self._notify = notify
        self._statuses: dict[str, Any] = {}
        self._reset()
        renew_after_fork(self)

    def _reset(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._local_change: asyncio.Event | None = None
        self._pollers: list[Poller] = []
        self._unsubscribe: list[Callable[[], None]] = []
        self._cancellations: set[asyncio.Future[None]] = set()

    def after_fork(self) -> None:
        """Allow a new start: the parent's task does not run in a forked child."""
        keep_forever(self._task, self._timer, *self._unsubscribe, *self._cancellations)
        self._reset()

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
        with suppress(RuntimeError):  # the loop is closed, with everything on it
            self._loop.call_soon_threadsafe(self._stop)

    def cancel(self, key: str) -> None:
        item = next((item for item in self.items if item.key == key), None)
        if item is None:
            raise KeyError(key)
        if isinstance(item, LocalItem):
            item.newest.cancel()
        elif not item.final:
            background_loop().call_soon_threadsafe(self._start_cancellation, item)

    # -- on the loop -----------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._task is None and not self.done:
            self._task = asyncio.create_task(self._run())
            # Not in a `finally` of the task, which one cancelled before its first step has not.
            self._task.add_done_callback(self._finished)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._end()

    async def _run(self) -> None:
        self._local_change = asyncio.Event()
        for item in self.items:
            self._listen(item)
        await self._list_agents()
        by_client: dict[int, list[RemoteItem]] = {}
        for item in self.items:
            if isinstance(item, RemoteItem):
                by_client.setdefault(id(item.client), []).append(item)
        for items in by_client.values():
            await find_sessions(items)
        self._pollers = [
            Poller(
                items[0].client,
                items,
                interval=PollingInterval(self._interval, self._max_interval),
                clock=self._clock,
                on_change=self._changed,
            )
            for items in by_client.values()
        ]
        async with asyncio.TaskGroup() as group:
            for work in (self._wait_for_local(), *(poller.run() for poller in self._pollers)):
                group.create_task(work)

    def _finished(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.problem = f"Watching failed: {type(error).__name__}: {error}"
            _log.error("Watching runs failed", exc_info=error)
        self._end()

    async def _list_agents(self) -> None:
        for of in self._agents:
            try:
                found = await list_agent_runs(of)
            except AgentnbError as error:
                self.problem = str(error)
                continue
            except Exception as error:
                # A third-party platform must not end the watching of the others.
                _log.info("An agent's runs cannot be listed", exc_info=error)
                self.problem = f"{of.name}: {type(error).__name__}: {error}"
                continue
            known = {item.key for item in self.items}
            new = [item for item in found if item.key not in known]
            for item in new:
                self._listen(item)
            self.items = (*self.items, *new)
        if not self.listed:
            self.listed = True
            self._changed()

    def _end(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        self._cancel_timer()
        if not self.done:
            self.done = True
            self._notify()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _changed(self) -> None:
        self._cancel_timer()
        self._notify()

    # -- runs of this process --------------------------------------------------------------------

    def _listen(self, item: Item) -> None:
        if not isinstance(item, LocalItem):
            return
        current = item.newest

        def on_change() -> None:
            nonlocal current
            if item.newest is not current:
                current = item.newest
                self._unsubscribe.append(current.subscribe(on_change))
            self._local_changed(item)

        self._statuses[item.key] = None
        self._unsubscribe.append(current.subscribe(on_change))

    def _local_changed(self, item: LocalItem) -> None:
        status = (item.newest.status, item.final)
        if status != self._statuses.get(item.key):
            self._statuses[item.key] = status
            self._changed()
            if self._local_change is not None:
                self._local_change.set()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_PROGRESS_INTERVAL, self._changed)

    async def _wait_for_local(self) -> None:
        own = [item for item in self.items if isinstance(item, LocalItem)]
        change = self._local_change
        while change is not None and not all(item.final for item in own):
            change.clear()
            await change.wait()

    # -- cancelling ------------------------------------------------------------------------------

    def _start_cancellation(self, item: RemoteItem) -> None:
        task = asyncio.ensure_future(self._cancel(item))
        self._cancellations.add(task)
        task.add_done_callback(self._cancellations.discard)

    async def _cancel(self, item: RemoteItem) -> None:
        client = item.client
        try:
            if not client.capabilities.cancel:
                raise UnsupportedError(
                    f"{client.name} has no call that cancels a run.",
                    hint="Only closing its stream stops it.",
                )
            async with asyncio.timeout(_CANCEL_TIMEOUT):
                await client.cancel(item.run_id, agent=item.agent, session_id=item.session_id)
            item.problem = None
        except TimeoutError:
            item.problem = f"{client.name} did not respond to the request to cancel the run."
        except AgentnbError as error:
            item.problem = str(error)
        except Exception as error:
            item.problem = f"{type(error).__name__}: {error}"
        for poller in self._pollers:
            if poller.client is client:
                poller.wake.set()
        self._changed()
