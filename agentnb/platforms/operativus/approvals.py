"""The decisions that runs wait for."""

from __future__ import annotations

from typing import Literal

from agentnb._http import HttpClient, quote_segment
from agentnb.errors import PlatformError, RequestError
from agentnb.platforms._params import check_choice
from agentnb.platforms.operativus.lookup import RunLookup
from agentnb.platforms.operativus.responses import PendingApproval, pending_approval

__all__ = ["Approvals"]


class Approvals:
    """Lists and answers what one server's runs wait for."""

    def __init__(self, http: HttpClient, lookup: RunLookup, *, name: str) -> None:
        self._http = http
        self._lookup = lookup
        self._name = name

    async def pending(self) -> list[PendingApproval]:
        """Return the decisions that runs wait for."""
        rows = self._lookup.pages("/api/v1/approvals/pending", {})
        found = [pending_approval(row, self._lookup.times) async for row in rows]
        return [item for item in found if item is not None]

    async def resolve(self, approval_id: str, decision: Literal["APPROVED", "REJECTED"]) -> None:
        """Decide one of them.

        Raises:
            RequestError: the decision is neither of the two.
        """
        check_choice(decision, ("APPROVED", "REJECTED"), name="decision", platform=self._name)
        path = f"/api/v1/approvals/{quote_segment(approval_id)}/resolve"
        await self._http.request("POST", path, json={"decision": decision})

    async def decide(self, run_id: str, approval_id: str | None, *, approved: bool) -> None:
        """Decide what a run waits for; where none is named, the only one of it is meant.

        Raises:
            RequestError: the run waits for no such decision, or for several, and none is named.
        """
        if approval_id is None:
            pending = [item.id for item in await self.pending() if item.run_id == run_id]
            if len(pending) != 1:
                raise RequestError(
                    f"{self._name}: the run {run_id} waits for {len(pending) or 'no'} decisions.",
                    hint=f"Name one of {', '.join(pending)}." if pending else None,
                )
            (approval_id,) = pending
        try:
            await self.resolve(approval_id, "APPROVED" if approved else "REJECTED")
        except PlatformError as error:
            if error.status not in (404, 409):
                raise
            raise RequestError(
                f"{self._name}: no approval {approval_id} is pending.",
                hint="It was decided already, or its run has ended.",
            ) from error
