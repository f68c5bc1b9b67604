"""A server that writes its times without a zone, in a zone that is not UTC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from agentnb.errors import ConfigError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms.base import PlatformSettings, RemoteRun, RunRequest
from agentnb.platforms.operativus import OperativusPlatform
from tests.platforms.operativus.streams import STREAM, collected, frame
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, Seen, stream

pytestmark = pytest.mark.anyio

QUIET = frame("START", "") + frame("CONTENT_DELTA", "Hi") + frame("STOP", "")
OFFSETS = [-12, -9.5, -8, -3.5, 0, 1, 5.5, 5.75, 12.75, 14]


def as_text(local: datetime) -> Any:
    return local.isoformat()


def as_nanoseconds(local: datetime) -> Any:
    return local.isoformat(timespec="microseconds") + "789"


def as_array(local: datetime) -> Any:
    return [*local.timetuple()[:6], local.microsecond * 1000]


class Zoned:
    """A server whose runs have local times; ``ahead`` is how far its clock is from ours."""

    def __init__(self, server: ScriptedServer, hours: float) -> None:
        self.offset = timedelta(hours=hours)
        self.ahead = timedelta()
        self.rows: list[dict[str, Any]] = []
        self.form: Callable[[datetime], Any] = as_text
        self.dates_ahead: timedelta | None = None
        server.routes[STREAM] = self.run
        server.routes["GET /api/v1/runs"] = self.listed

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def local(self, moment: datetime) -> Any:
        return self.form((moment + self.offset).replace(tzinfo=None))

    def add(self, run_id: str, session_id: str, *, age: timedelta = timedelta()) -> None:
        began = self.local(self.now - age)
        row = {"id": run_id, "agentId": "finance_agent", "sessionId": session_id}
        self.rows.insert(0, {**row, "status": "COMPLETED", "createdAt": began, "updatedAt": began})

    @property
    def headers(self) -> dict[str, str]:
        ahead = self.ahead if self.dates_ahead is None else self.dates_ahead
        return {"date": format_datetime(datetime.now(UTC) + ahead, usegmt=True)}

    def run(self, seen: Seen) -> Reply:
        self.add(f"run_{len(self.rows) + 1}", seen.json["sessionId"])
        return stream(QUIET, headers=self.headers)

    def listed(self, seen: Seen) -> Reply:
        rows = [r for r in self.rows if seen.query.get("sessionId") in (None, r["sessionId"])]
        return Reply({"content": rows, "number": 0, "totalPages": 1}, headers=self.headers)


def ids(events: list[Event]) -> list[str]:
    return [e.run_id for e in events if isinstance(e, RunStarted) and e.run_id]


async def ask(client: OperativusPlatform, session: str | None = None) -> tuple[list[str], str]:
    request = RunRequest(agent="finance_agent", prompt="x", session_id=session)
    events = await collected(client.stream(request))
    return ids(events), next(e.session_id for e in events if isinstance(e, RunStarted)) or ""


async def only(client: OperativusPlatform) -> RemoteRun:
    (run,) = [run async for run in client.runs(limit=1)]
    return run


def another(server: ScriptedServer, **options: Any) -> OperativusPlatform:
    settings = PlatformSettings(
        platform="operativus", base_url=server.url, retries=ONCE, trust_env=False, options=options
    )
    return OperativusPlatform(settings)


def is_now(moment: datetime | None, ahead: timedelta = timedelta()) -> bool:
    return moment is not None and abs(moment - ahead - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("form", [as_text, as_nanoseconds, as_array])
@pytest.mark.parametrize("hours", OFFSETS)
async def test_each_run_of_a_session_gets_its_own_id(
    server: ScriptedServer,
    client: OperativusPlatform,
    hours: float,
    form: Callable[[datetime], Any],
) -> None:
    zoned = Zoned(server, hours)
    zoned.form = form
    first, session = await ask(client)
    assert first == ["run_1"]
    assert (await ask(client, session))[0] == ["run_2"]
    assert (await ask(client, session))[0] == ["run_3"]
    run = await only(client)
    assert is_now(run.created_at)
    assert is_now(run.finished_at)


async def test_a_process_that_stood_still_waits_for_the_id_nevertheless(
    server: ScriptedServer, client: OperativusPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoned, loop = Zoned(server, 0), asyncio.get_running_loop()
    stood_still, running = 0.0, loop.time

    def listed(seen: Seen) -> Reply:
        nonlocal stood_still
        stood_still += 4
        return zoned.listed(seen)

    monkeypatch.setattr(loop, "time", lambda: running() + stood_still)
    server.routes["GET /api/v1/runs"] = listed
    first, session = await ask(client)
    assert (first, (await ask(client, session))[0]) == (["run_1"], ["run_2"])


@pytest.mark.parametrize("hours", OFFSETS)
async def test_a_run_in_an_old_session_is_found_before_any_other_was(
    server: ScriptedServer, client: OperativusPlatform, hours: float
) -> None:
    zoned = Zoned(server, hours)
    zoned.add("old", "s", age=timedelta(hours=3, minutes=7))
    zoned.add("older", "s", age=timedelta(minutes=52))
    assert (await ask(client, "s"))[0] == ["run_3"]
    run = await only(client)
    assert is_now(run.created_at)


@pytest.mark.parametrize("ahead", [timedelta(hours=-5, minutes=-7), timedelta(minutes=38)])
async def test_a_clock_of_the_server_that_is_wrong_does_not_matter(
    server: ScriptedServer, client: OperativusPlatform, ahead: timedelta
) -> None:
    zoned = Zoned(server, 5.5)
    zoned.ahead = ahead
    _, session = await ask(client)
    assert (await ask(client, session))[0] == ["run_2"]
    assert is_now((await only(client)).created_at, ahead)


@pytest.mark.parametrize("minutes", [-4, 3, 6])
async def test_the_clock_behind_the_date_header_may_be_another(
    server: ScriptedServer, client: OperativusPlatform, minutes: float
) -> None:
    """A proxy writes the header, and a database the times."""
    zoned = Zoned(server, -3)
    zoned.dates_ahead = timedelta(minutes=minutes)
    _, session = await ask(client)
    assert (await ask(client, session))[0] == ["run_2"]
    assert (await ask(client, session))[0] == ["run_3"]
    assert is_now((await only(client)).created_at)


@pytest.mark.parametrize("change", [1, -1, 0.5])
async def test_a_change_to_daylight_saving_time_is_followed(
    server: ScriptedServer, client: OperativusPlatform, change: float
) -> None:
    zoned = Zoned(server, 1)
    before = zoned.now - timedelta(days=90)
    zoned.add("winter", "s", age=timedelta(days=90))
    client.learn_starts({"winter": before})
    await only(client)
    zoned.offset += timedelta(hours=change)
    assert (await ask(client, "s"))[0] == ["run_2"]
    assert (await ask(client, "s"))[0] == ["run_3"]
    newest, *_, oldest = [run async for run in client.runs()]
    assert is_now(newest.created_at)
    assert oldest.created_at is not None
    assert abs(oldest.created_at - before) < timedelta(seconds=1)


async def test_servers_are_in_zones_of_their_own(server: ScriptedServer) -> None:
    for hours in (-8, 9):
        client = another(server)
        zoned = Zoned(server, hours)
        _, session = await ask(client)
        assert (await ask(client, session))[0] == ["run_2"]
        assert is_now((await only(client)).created_at)
        assert len(zoned.rows) == 2
        await client.aclose()


async def test_times_with_a_zone_are_read_as_they_are(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    zoned = Zoned(server, 2)
    zoned.form = lambda local: local.isoformat() + "+02:00[Europe/Berlin]"
    _, session = await ask(client)
    assert (await ask(client, session))[0] == ["run_2"]
    assert is_now((await only(client)).created_at)


async def test_a_run_with_an_id_shows_the_zone(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    zoned = Zoned(server, -7)

    def answer(seen: Seen) -> Reply:
        zoned.add("told", seen.json["sessionId"])
        return Reply(
            {"runId": "told", "content": "Hi", "status": "COMPLETED"}, headers=zoned.headers
        )

    server.routes["POST /api/agents/finance_agent/runs"] = answer
    await client.invoke(RunRequest(agent="finance_agent", prompt="x", session_id="s"))
    assert is_now((await only(client)).created_at)
    assert (await ask(client, "s"))[0] == ["run_2"]


@pytest.mark.parametrize("zone", ["+05:30", "Asia/Kolkata"])
async def test_the_zone_can_be_set(server: ScriptedServer, zone: str) -> None:
    client = another(server, time_zone=zone)
    zoned = Zoned(server, 5.5)
    zoned.add("old", "s", age=timedelta(hours=3, minutes=7))
    (run,) = [run async for run in client.runs()]
    assert is_now(run.created_at, -timedelta(hours=3, minutes=7))
    assert (await ask(client, "s"))[0] == ["run_2"]
    await client.aclose()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "+15", "-13:00", "+05:75", ""])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    settings = PlatformSettings(platform="operativus", options={"time_zone": zone})
    with pytest.raises(ConfigError, match=r"time_zone must be a time zone such as"):
        OperativusPlatform(settings)


async def test_where_nothing_is_known_a_time_is_read_as_utc_and_never_in_the_future(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    zoned = Zoned(server, -5)
    zoned.add("a", "s", age=timedelta(minutes=1))
    assert is_now((await only(client)).created_at, -timedelta(hours=5, minutes=1))
    zoned.offset = timedelta(hours=5, minutes=45)
    zoned.rows.clear()
    zoned.add("b", "s", age=timedelta(minutes=1))
    assert is_now((await only(client)).created_at, -timedelta(minutes=1))


async def test_states_are_read_in_the_servers_zone(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    zoned = Zoned(server, 9)
    await ask(client)
    row = zoned.rows[0]
    server.on("GET /api/v1/runs/run_1", Reply(row))
    server.on("GET /api/agents/finance_agent/runs/status", Reply([row, {**row, "id": "run_2"}]))
    (state,) = (await client.status(["run_1"])).values()
    assert is_now(state.created_at)
    states = await client.status(["run_1", "run_2"], agent="finance_agent")
    assert all(is_now(run.created_at) for run in states.values())
    assert len(states) == 2
    approval = {"id": "a", "runId": "run_1", "createdAt": row["createdAt"]}
    server.on("GET /api/v1/approvals/pending", Reply([approval]))
    assert is_now((await client.pending_approvals())[0].created_at)
