"""`Conversation`: a tree of turns with one agent, of which one branch is shown."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from agentnb._support.fork import renew_lock_after_fork
from agentnb.agents import Agent
from agentnb.conversation.changes import Change, Listeners, follow_status, is_open, is_over
from agentnb.conversation.earlier import SessionInfo, known_runs, session_list
from agentnb.conversation.placing import place
from agentnb.conversation.tree import SHOWN, Shelf, Shown, Tree
from agentnb.conversation.turns import (
    Attachment,
    Turn,
    attachment_of,
    messages_of,
    path_to,
    total_usage,
)
from agentnb.errors import RequestError
from agentnb.event.types import Usage
from agentnb.platforms.base import Media
from agentnb.platforms.media import MediaLike, as_media, media_items
from agentnb.run.approvals import Named
from agentnb.run.run import Run

__all__ = ["Conversation"]


class Conversation:
    """Questions to one agent and its answers, with branches.

    ``session`` is the id of a session to go on in, ``params`` go with every question, ``earlier``
    are runs of that session to begin with.  Everything may be called from any thread.

    A question that follows the last turn of a session goes on in it; one that follows any other
    turn is a branch, and begins a session of its own: with the messages before it where the
    platform takes them, and with a note on its turn where something of them is lost.  What was
    asked in a session elsewhere in this process is taken in before the next question there, so
    that what is shown is what the agent knows.
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
        # Held while something changes, never while a listener is called.
        self._lock = threading.RLock()
        renew_lock_after_fork(self)
        self._listeners = Listeners()
        self._tree = Tree(session, earlier)
        self._shelf = Shelf()
        self._notice: str | None = None
        self._watch(*filter(is_open, self._tree.turns))

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Every turn of the conversation shown, all branches, in order of making."""
        with self._lock:
            return tuple(self._tree.turns)

    @property
    def shown(self) -> Turn | None:
        """The last turn of the branch shown, None where there is none yet."""
        return self._tree.shown

    @property
    def branch(self) -> list[Turn]:
        """The turns of the branch shown, the first question first."""
        return path_to(self._tree.shown)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the branch shown, copies of them: id, role and content.

        Those of answers have status and run_id, too, and ``error`` where they failed.
        """
        return messages_of(self._tree.shown)

    @property
    def status(self) -> str:
        """The status of the last turn shown, ``idle`` where there is none."""
        shown = self._tree.shown
        return "idle" if shown is None else shown.run.status

    @property
    def session_id(self) -> str | None:
        """The session that the branch shown goes on in, None where it has none yet."""
        tree = self._tree
        shown = tree.shown
        strand = tree.root if shown is None else shown.strand
        if strand.gone:
            return None
        return (shown.run.session_id if shown is not None and shown.reached else None) or strand.id

    @property
    def usage(self) -> Usage | None:
        """The sum over all turns, None where nothing was reported."""
        return total_usage(self.turns)

    @property
    def runs(self) -> list[Run]:
        """The runs of all turns, in order."""
        return [turn.run for turn in self.turns]

    @property
    def notice(self) -> str | None:
        """One line on what went wrong last outside any answer, None where nothing did."""
        return self._notice

    def turn(self, turn_id: str) -> Turn:
        """Return the turn of this id.

        Raises:
            RequestError: there is none.
        """
        with self._lock:
            return self._tree.turn(turn_id)

    # -- talking ---------------------------------------------------------------------------------

    def send(
        self,
        text: str,
        *,
        parent: str | Shown | None = SHOWN,
        turn_id: str | None = None,
        media: MediaLike | Sequence[MediaLike] = (),
        attachments: Sequence[Attachment] | None = None,
        params: Mapping[str, Any] | None = None,
        edited: str | None = None,
    ) -> Turn:
        """Ask ``text`` after the turn ``parent`` and return the new turn, whose run is live.

        ``parent`` is the last turn shown unless given; None makes a first question.  ``turn_id``
        names the new turn.  ``attachments`` say how ``media`` are shown.  ``edited`` is the turn
        that it is a version of, whose ``params`` it has where none are given.

        Raises:
            RequestError: an answer is under way, or the platform cannot take what was given.
        """
        items = tuple(as_media(item) for item in media_items(media))
        shown = tuple(map(attachment_of, items)) if attachments is None else tuple(attachments)
        taken: list[Turn] = []
        try:
            with self._lock:
                if isinstance(parent, Shown):
                    before = self._tree.shown
                else:
                    before = None if parent is None else self.turn(parent)
                if params is None and edited is not None:
                    params = self.turn(edited).params
                self._refuse_while_going()
                taken = self._tree.catch_up(self.agent, before)
                before = taken[-1] if taken else before
                turn = self._begin(text, before, turn_id, items, shown, params or {})
        finally:
            # Also where it is refused, because an answer is under way elsewhere for example.
            self._tell_added(*taken)
        self._tell_added(turn)
        return turn

    def edit(self, turn_id: str, text: str) -> Turn:
        """Ask another question in place of a turn's: a version of it, with its attachments.

        Raises:
            RequestError: as of `send`.
        """
        return self._version(self.turn(turn_id), text)

    def regenerate(self, turn_id: str | None = None, *, new_id: str | None = None) -> Turn:
        """Ask a turn's question again: the last one shown, unless ``turn_id`` names another.

        Raises:
            RequestError: there is nothing to ask again, or as of `send`.
        """
        old = self.shown if turn_id is None else self.turn(turn_id)
        if old is None:
            raise RequestError("There is no answer yet that could be made anew.")
        return self._version(old, old.prompt, new_id)

    def stop(self) -> None:
        """Stop the answer that is under way, or give up the one that waits for an approval."""
        with self._lock:
            going, shown = list(self._tree.going), self._tree.shown
        for turn in going:
            turn.run.cancel()
        if not going and shown is not None and shown.run.status == "paused":
            shown.run.cancel()

    def approve(self, approval_id: Named = None, *, turn_id: str | None = None) -> Run:
        """Approve what the agent asked for; return the run as which it goes on.

        Raises:
            RequestError: nothing waits for a decision.
            UnsupportedError: the platform cannot be told.
        """
        return self._decide(approval_id, turn_id, approved=True)

    def deny(self, approval_id: Named = None, *, turn_id: str | None = None) -> Run:
        """Deny what the agent asked for; otherwise as `approve`."""
        return self._decide(approval_id, turn_id, approved=False)

    def warn(self, notice: str | None) -> None:
        """Set `notice`; None takes it away."""
        if notice != self._notice:
            self._notice = notice
            self._listeners.tell(Change("notice"))

    # -- moving about ----------------------------------------------------------------------------

    def show(self, turn_id: str) -> None:
        """Show the branch through a turn, up to the last turn made of those that follow it.

        Raises:
            RequestError: there is no such turn.
        """
        with self._lock:
            changed = self._tree.show(self.turn(turn_id))
        if changed:
            self._listeners.tell(Change("head"))

    def new(self) -> None:
        """Begin another conversation, with a new session; this one stays among the `sessions`.

        Raises:
            RequestError: an answer is under way.
        """
        with self._lock:
            self._refuse_while_going()
            self._put(Tree())
        self._listeners.tell(Change("opened"))

    def sessions(self) -> list[SessionInfo]:
        """Return the agent's sessions that this process knows, newest first, at most 100."""
        with self._lock:
            return session_list(self.agent, self._shelf.runs(self._tree), self.session_id)

    def open(self, key: str) -> None:
        """Show an earlier session and go on in it.

        One of this conversation's own comes back as it was left, with all branches; of any other
        the runs that this process knows are shown.

        Raises:
            RequestError: there is no such session, or an answer is under way.
        """
        fresh: list[Turn] = []
        with self._lock:
            present = self._tree.last_in(key) is not None
            if not present:
                self._refuse_while_going()
                tree = self._shelf.take(key)
                if tree is None:
                    own = self._shelf.runs(self._tree)
                    tree = Tree(key, known_runs(self.agent, own, key))
                    fresh += tree.turns
                self._put(tree)
            last = self._tree.last_in(key)
            changed = last is not None and self._tree.show(last)
            fresh += self._tree.catch_up(self.agent, self._tree.shown)
        if not present:
            self._listeners.tell(Change("opened"))
            self._watch(*filter(is_open, fresh))
            return
        if changed:
            self._listeners.tell(Change("head"))
        self._tell_added(*fresh)

    # -- listening -------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``callback`` after every change; return what undoes it.

        It is called on whatever thread made the change, on agentnb's own loop where a run did, and
        must not block.  One that raises is logged and hurts nobody else.
        """
        return self._listeners.add(callback)

    # -- inside ----------------------------------------------------------------------------------

    def _put(self, tree: Tree) -> None:
        """Put another conversation in the place of the present one, which is kept."""
        self._shelf.put(self._tree)
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
        self._refuse_while_going()
        tree = self._tree
        found = place(before, tree.root, self.agent.platform, unseen=tree.unseen)
        run = self.agent.start(
            text,
            session=found.strand.id,
            history=found.told,
            media=media,
            followups=self.agent.platform.capabilities.followups,
            **{**self.params, **params},
        )
        turn = Turn(
            id=turn_id or uuid.uuid4().hex,
            before=before,
            prompt=text,
            run=run,
            strand=found.strand,
            media=media,
            attachments=attachments,
            params=params,
            note=found.note,
        )
        found.strand.tip = turn
        tree.add(turn)
        tree.going.add(turn)  # also where it has ended by now, to be settled
        self._notice = None
        return turn

    def _refuse_while_going(self) -> None:
        for turn in tuple(self._tree.going):
            # Its listener may not have been called yet.
            self._settle(turn, turn.run)
        if self._tree.going:
            raise RequestError("An answer is under way.", hint="Wait for its end, or stop it.")

    def _tell_added(self, *turns: Turn) -> None:
        for turn in turns:
            self._listeners.tell(Change("added", turn))
        self._watch(*turns)

    def _decide(self, approval_id: Named, turn_id: str | None, *, approved: bool) -> Run:
        turn = self.shown if turn_id is None else self.turn(turn_id)
        if turn is None or turn.run.status != "paused":
            raise RequestError("Nothing waits for a decision here.")
        old = turn.run
        # Not under the lock: the platform is asked.
        run = old.approve(approval_id) if approved else old.deny(approval_id)
        self._succeed(turn, old)
        return run

    def _succeed(self, turn: Turn, old: Run) -> None:
        # Whoever decided: code may have, by the run itself.
        with self._lock:
            run = old.successor
            if run is None or turn.run is not old:
                return
            turn.run = run
            # One of a conversation that is not shown holds up no question.
            shown = self._tree.holds(turn)
            if shown:
                self._tree.going.add(turn)
        if shown:
            self._listeners.tell(Change("replaced", turn))
        self._watch(turn)

    def _watch(self, *turns: Turn) -> None:
        """Tell of the runs' changes of status until they have ended."""
        for turn in turns:
            follow_status(turn.run, partial(self._status_changed, turn, turn.run))

    def _status_changed(self, turn: Turn, run: Run) -> None:
        self._succeed(turn, run)
        self._settle(turn, run)
        with self._lock:
            shown = self._tree.holds(turn)
        if shown:
            self._listeners.tell(Change("status", turn))

    def _settle(self, turn: Turn, run: Run) -> None:
        with self._lock:
            if is_over(run) and turn.run is run:
                self._tree.going.discard(turn)
                turn.settle()
