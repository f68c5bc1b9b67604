"""`Conversation`: a tree of turns with one agent, one branch of which is current."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from agentnb._support.fork import renew_lock_after_fork
from agentnb.agents import Agent
from agentnb.conversation.changes import Change, Listeners, follow_status, is_answered, is_open
from agentnb.conversation.earlier import SessionInfo, known_runs, session_list
from agentnb.conversation.tree import LAST, Archive, LastTurn, Tree
from agentnb.conversation.turns import (
    Attachment,
    Turn,
    attachment_of,
    branch_to,
    messages_of,
    total_usage,
)
from agentnb.errors import RequestError
from agentnb.event.types import Usage
from agentnb.platforms.base import Media
from agentnb.platforms.media import MediaLike, as_media, media_items
from agentnb.run.approvals import ApprovalRef
from agentnb.run.run import Run


class Conversation:
    """Questions to one agent and its answers, with branches.

    ``session`` is the id of a session to continue, ``params`` are sent with every question,
    ``earlier`` are known runs of that session.  Thread-safe.

    A question after the last turn of a session continues it; one after any other turn is a branch,
    and begins a new session: with the messages before it where the platform takes them, and with a
    note on its turn where some are lost.  Turns sent to a session elsewhere in this process are
    added before the next question, so that the branch shows what the agent knows.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        session: str | None = None,
        params: Mapping[str, Any] | None = None,
        earlier: Sequence[Run] = (),
    ) -> None:
        self.agent = agent
        self.params = dict(params or {})
        # Never held while a listener is called.
        self._lock = threading.RLock()
        renew_lock_after_fork(self)
        self._listeners = Listeners()
        self._tree = Tree(session, earlier)
        self._archive = Archive()
        self._notice: str | None = None
        self._watch(*filter(is_open, self._tree.turns))

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Every turn of the current conversation, all branches, in order of creation."""
        with self._lock:
            return tuple(self._tree.turns)

    @property
    def shown(self) -> Turn | None:
        """The last turn of the current branch, None where there is none yet."""
        return self._tree.current

    @property
    def branch(self) -> list[Turn]:
        """The turns of the current branch, the first question first."""
        return branch_to(self._tree.current)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Copies of the messages of the current branch: id, role and content.

        Answers also have status and run_id, and ``error`` if they failed.
        """
        return messages_of(self._tree.current)

    @property
    def status(self) -> str:
        """The status of the last turn, ``idle`` where there is none."""
        last = self._tree.current
        return "idle" if last is None else last.run.status

    @property
    def session_id(self) -> str | None:
        """The session that the current branch continues, None where it has none yet."""
        tree = self._tree
        last = tree.current
        chat_session = tree.root if last is None else last.chat_session
        if chat_session.gone:
            return None
        return (
            last.run.session_id if last is not None and last.reached else None
        ) or chat_session.id

    @property
    def usage(self) -> Usage | None:
        """The usage of all turns, None if none was reported."""
        return total_usage(self.turns)

    @property
    def runs(self) -> list[Run]:
        """The runs of all turns, in order."""
        return [turn.run for turn in self.turns]

    @property
    def notice(self) -> str | None:
        """One line on the last error outside of an answer, None where there is none."""
        return self._notice

    def turn(self, turn_id: str) -> Turn:
        """Return the turn of this id.

        Raises:
            RequestError: there is none.
        """
        with self._lock:
            return self._tree.turn(turn_id)

    # -- questions -------------------------------------------------------------------------------

    def send(
        self,
        text: str,
        *,
        parent: str | LastTurn | None = LAST,
        turn_id: str | None = None,
        media: MediaLike | Sequence[MediaLike] = (),
        attachments: Sequence[Attachment] | None = None,
        params: Mapping[str, Any] | None = None,
        edited: str | None = None,
    ) -> Turn:
        """Send ``text`` after the turn ``parent``; return the new turn, whose run is live.

        ``parent`` is the last turn by default; None makes a first question.  ``turn_id`` is
        the id of the new turn.  ``attachments`` describe ``media``.  ``edited`` is the turn that it
        is a version of, with the default of ``params``.

        Raises:
            RequestError: an answer is under way, or the platform does not support an argument.
        """
        items = tuple(as_media(item) for item in media_items(media))
        described = tuple(map(attachment_of, items)) if attachments is None else tuple(attachments)
        newer: list[Turn] = []
        try:
            with self._lock:
                if isinstance(parent, LastTurn):
                    before = self._tree.current
                else:
                    before = None if parent is None else self.turn(parent)
                if params is None and edited is not None:
                    params = self.turn(edited).params
                self._refuse_while_active()
                newer = self._tree.add_newer(self.agent, before)
                before = newer[-1] if newer else before
                turn = self._begin(text, before, turn_id, items, described, params or {})
        finally:
            # Even if the question is refused.
            self._notify_added(*newer)
        self._notify_added(turn)
        return turn

    def edit(self, turn_id: str, text: str) -> Turn:
        """Send another version of a turn's question, with its attachments.

        Raises:
            RequestError: as of `send`.
        """
        return self._version(self.turn(turn_id), text)

    def regenerate(self, turn_id: str | None = None, *, new_id: str | None = None) -> Turn:
        """Send a turn's question again, by default the last one.

        Raises:
            RequestError: there is no question, or as of `send`.
        """
        old = self.shown if turn_id is None else self.turn(turn_id)
        if old is None:
            raise RequestError("There is no answer yet that could be made anew.")
        return self._version(old, old.prompt, new_id)

    def stop(self) -> None:
        """Cancel the answer that is under way or paused."""
        with self._lock:
            active, last = list(self._tree.active), self._tree.current
        for turn in active:
            turn.run.cancel()
        if not active and last is not None and last.run.status == "paused":
            last.run.cancel()

    def approve(
        self, approval_id: ApprovalRef = None, *, payload: Any = None, turn_id: str | None = None
    ) -> Run:
        """Approve the agent's request; return the run that continues.

        Raises:
            RequestError: nothing waits for a decision.
            UnsupportedError: the platform takes no decisions.
        """
        return self._decide(turn_id, lambda run: run.approve(approval_id, payload=payload))

    def deny(
        self, approval_id: ApprovalRef = None, *, payload: Any = None, turn_id: str | None = None
    ) -> Run:
        """Deny the agent's request; otherwise as `approve`."""
        return self._decide(turn_id, lambda run: run.deny(approval_id, payload=payload))

    def warn(self, notice: str | None) -> None:
        """Set `notice`; None clears it."""
        if notice != self._notice:
            self._notice = notice
            self._listeners.notify(Change("notice"))

    # -- navigation ----------------------------------------------------------------------------

    def show(self, turn_id: str) -> None:
        """Show the latest branch through a turn.

        Raises:
            RequestError: there is no such turn.
        """
        with self._lock:
            changed = self._tree.show(self.turn(turn_id))
        if changed:
            self._listeners.notify(Change("head"))

    def new(self) -> None:
        """Begin another conversation with a new session; this one remains in `sessions`.

        Raises:
            RequestError: an answer is under way.
        """
        with self._lock:
            self._refuse_while_active()
            self._put(Tree())
        self._listeners.notify(Change("opened"))

    def sessions(self) -> list[SessionInfo]:
        """Return the agent's known sessions, newest first, at most 100."""
        with self._lock:
            return session_list(self.agent, self._archive.runs(self._tree), self.session_id)

    def open(self, key: str) -> None:
        """Show an earlier session and continue it.

        One of this conversation's own has all its branches, another its known runs.

        Raises:
            RequestError: there is no such session, or an answer is under way.
        """
        fresh: list[Turn] = []
        with self._lock:
            present = self._tree.last_in(key) is not None
            if not present:
                self._refuse_while_active()
                tree = self._archive.take(key)
                if tree is None:
                    own = self._archive.runs(self._tree)
                    tree = Tree(key, known_runs(self.agent, own, key))
                    fresh += tree.turns
                self._put(tree)
            last = self._tree.last_in(key)
            changed = last is not None and self._tree.show(last)
            fresh += self._tree.add_newer(self.agent, self._tree.current)
        if not present:
            self._listeners.notify(Change("opened"))
            self._watch(*filter(is_open, fresh))
            return
        if changed:
            self._listeners.notify(Change("head"))
        self._notify_added(*fresh)

    # -- listening -------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``callback`` after every change; return what unsubscribes it.

        It is called on the thread of the change, which may be agentnb's loop, and must not block.
        Exceptions are logged.
        """
        return self._listeners.add(callback)

    # -- internal --------------------------------------------------------------------------------

    def _put(self, tree: Tree) -> None:
        self._archive.put(self._tree)
        self._tree = tree
        self._notice = None

    def _version(self, old: Turn, text: str, turn_id: str | None = None) -> Turn:
        return self.send(
            text,
            parent=old.parent,
            turn_id=turn_id,
            media=old.media,
            attachments=old.attachments,
            params=old.params,
        )

    def _begin(
        self,
        text: str,
        before: Turn | None,
        turn_id: str | None,
        media: tuple[Media, ...],
        attachments: tuple[Attachment, ...],
        params: Mapping[str, Any],
    ) -> Turn:
        self._refuse_while_active()
        tree = self._tree
        placement = tree.place(before, self.agent.platform)
        run = self.agent.start(
            text,
            session=placement.chat_session.id,
            history=placement.history,
            media=media,
            followups=self.agent.platform.capabilities.followups,
            **{**self.params, **params},
        )
        turn = Turn(
            id=turn_id or uuid.uuid4().hex,
            before=before,
            prompt=text,
            run=run,
            chat_session=placement.chat_session,
            media=media,
            attachments=attachments,
            params=params,
            note=placement.note,
        )
        placement.chat_session.tip = turn
        tree.add(turn)
        tree.active.add(turn)  # even if it has ended by now, so that it is settled
        self._notice = None
        return turn

    def _refuse_while_active(self) -> None:
        for turn in tuple(self._tree.active):
            # Its listener may still be pending.
            self._settle(turn, turn.run)
        if self._tree.active:
            raise RequestError("An answer is under way.", hint="Wait for its end, or stop it.")

    def _notify_added(self, *turns: Turn) -> None:
        for turn in turns:
            self._listeners.notify(Change("added", turn))
        self._watch(*turns)

    def _decide(self, turn_id: str | None, decide: Callable[[Run], Run]) -> Run:
        turn = self.shown if turn_id is None else self.turn(turn_id)
        if turn is None or turn.run.status != "paused":
            raise RequestError("Nothing waits for a decision here.")
        old = turn.run
        # Without the lock, because this sends a request.
        run = decide(old)
        self._succeed(turn, old)
        return run

    def _succeed(self, turn: Turn, old: Run) -> None:
        # The decision may also have been made by code, on the run itself.
        with self._lock:
            run = old.successor
            if run is None or turn.run is not old:
                return
            turn.run = run
            # A run of an archived conversation does not block questions.
            is_current = self._tree.holds(turn)
            if is_current:
                self._tree.active.add(turn)
        if is_current:
            self._listeners.notify(Change("replaced", turn))
        self._watch(turn)

    def _watch(self, *turns: Turn) -> None:
        for turn in turns:
            follow_status(turn.run, partial(self._status_changed, turn, turn.run))

    def _status_changed(self, turn: Turn, run: Run) -> None:
        self._succeed(turn, run)
        self._settle(turn, run)
        with self._lock:
            is_current = self._tree.holds(turn)
        if is_current:
            self._listeners.notify(Change("status", turn))

    def _settle(self, turn: Turn, run: Run) -> None:
        with self._lock:
            if is_answered(run) and turn.run is run:
                self._tree.active.discard(turn)
                turn.settle()
