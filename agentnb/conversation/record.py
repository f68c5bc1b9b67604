"""Rendering and export of a conversation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from agentnb.conversation.conversation import Conversation
from agentnb.conversation.turns import Turn
from agentnb.render.chat import ChatView, TurnView


def chat_view(chat: Conversation) -> ChatView:
    """Return the current branch, for the renderers."""
    return ChatView(
        title=chat.agent.title,
        platform=chat.agent.platform.name,
        turns=[_turn_view(turn) for turn in chat.branch],
        session_id=chat.session_id,
        usage=_usage(chat),
    )


def to_dict(chat: Conversation) -> dict[str, Any]:
    """Return the conversation as JSON-compatible data, with all branches and events.

    ``shown`` lists the turns of the current branch.  Times are ISO 8601 in UTC, durations seconds.
    """
    turns = chat.turns
    return {
        "format": "agentnb.chat/1",
        "agent": chat.agent.id,
        "title": chat.agent.title,
        "platform": chat.agent.platform.name,
        "session_id": chat.session_id,
        "sessions": list(dict.fromkeys(s for t in turns if (s := t.run.session_id))),
        "usage": _usage(chat),
        "shown": [turn.id for turn in chat.branch],
        "messages": chat.messages,
        "turns": [
            {
                "id": turn.id,
                "parent": turn.parent,
                "prompt": turn.prompt,
                "note": turn.note,
                "attachments": [attachment.to_dict() for attachment in turn.attachments],
                "run": turn.run.to_dict(),
            }
            for turn in turns
        ],
    }


def _turn_view(turn: Turn) -> TurnView:
    return TurnView(
        prompt=turn.prompt,
        run=turn.run.view(),
        lock=turn.run.lock,
        attachments=[attachment.name for attachment in turn.attachments],
        note=turn.note,
    )


def _usage(chat: Conversation) -> dict[str, Any] | None:
    usage = chat.usage
    return None if usage is None else {k: v for k, v in asdict(usage).items() if v is not None}
