"""A conversation with one agent: questions, answers and branches, independent of any view."""

from agentnb.conversation.changes import Change
from agentnb.conversation.conversation import Conversation
from agentnb.conversation.earlier import SessionInfo, runs_in_session
from agentnb.conversation.turns import Attachment, Turn

__all__ = ["Attachment", "Change", "Conversation", "SessionInfo", "Turn", "runs_in_session"]
