"""Requests about a run beside its stream: its status on the platform, and its cancellation."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from agentnb._http import RequestOptions
from agentnb.errors import UnsupportedError
from agentnb.event.transcript import FINAL_STATUSES, Transcript

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RemoteRun, RunRequest

_log = logging.getLogger(__name__)

# In seconds; the quick one is for a run whose stream may be resumed instead.
STATUS_TIMEOUT: Final = 10.0
_QUICK_STATUS_TIMEOUT: Final = 2.0
_CANCEL_TIMEOUT: Final = 5.0


class RemoteControl:
    """The platform's calls for one run, by the ids of its transcript."""

    def __init__(self, platform: Platform, request: RunRequest, transcript: Transcript) -> None:
        self._platform = platform
        self._request = request
        self._transcript = transcript

    @property
    def has_status(self) -> bool:
        """Whether the platform returns the status of this run."""
        return self._platform.capabilities.run_status and self._transcript.run_id is not None

    async def status(self) -> RemoteRun | None:
        """Return the run as the platform lists it, None where it is unknown there."""
        run_id = self._transcript.run_id or ""
        runs = await self._platform.status(
            [run_id], agent=self._request.agent, session_id=self._transcript.session_id
        )
        return runs.get(run_id)

    async def has_ended(self) -> bool:
        """Return whether the platform reports the run as ended; False where that is unknown."""
        if not self.has_status:
            return False
        try:
            async with asyncio.timeout(_QUICK_STATUS_TIMEOUT):
                remote = await self.status()
        except Exception as error:
            _log.info("The status of a run whose stream ended is unknown: %s", error)
            return False
        return remote is not None and remote.status in FINAL_STATUSES

    async def cancel(self, request_options: RequestOptions) -> None:
        """Cancel the run on the platform; failures are logged."""
        run_id, session_id = self._transcript.run_id, self._transcript.session_id
        if not self._platform.capabilities.cancel or (
            run_id is None and not self._owns_session(session_id)
        ):
            return
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT):
                with request_options.applied():
                    await self._platform.cancel(
                        run_id, agent=self._request.agent, session_id=session_id
                    )
        except UnsupportedError:
            pass
        except Exception as error:
            _log.info("A run could not be cancelled on its platform: %s", error)

    def _owns_session(self, session_id: str | None) -> bool:
        """Return whether the session was created for this run, so that it has no other runs."""
        request = self._request
        given = (request.session_id, *request.params.values())
        return session_id is not None and request.session_id is None and session_id not in given
