"""Operativus on the wire: what is sent.

Field names are the API's own.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from agentnb.platforms._wire import Number, Outbound

__all__ = ["MediaInput", "RunOptions", "RunParams", "RunRequestBody"]


class MediaInput(Outbound):
    """One multimodal input: a MIME type, and its content in base64 or its address."""

    type: str
    data: str


class RunOptions(Outbound):
    """What a run overrides of its agent's model settings."""

    model: str | None = None
    temperature: Annotated[float, Number] | None = None
    max_tokens: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTokens")
    system_prompt: str | None = Field(default=None, alias="systemPrompt")


class RunParams(Outbound):
    """What a caller may pass as parameters.

    ``model``, ``temperature``, ``max_tokens`` and ``system_prompt`` may stand at the top or in
    ``options``; they are sent in ``options``.
    """

    session_id: str | None = Field(default=None, alias="sessionId")
    user_id: str | None = Field(default=None, alias="userId")
    org_id: str | None = Field(default=None, alias="orgId")
    generate_followups: bool | None = Field(default=None, alias="generateFollowups")
    media: tuple[MediaInput, ...] = ()
    options: RunOptions | None = None
    model: str | None = None
    temperature: Annotated[float, Number] | None = None
    max_tokens: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTokens")
    system_prompt: str | None = Field(default=None, alias="systemPrompt")


class RunRequestBody(Outbound):
    """The body of every call that starts a run."""

    message: str
    session_id: str = Field(alias="sessionId")
    user_id: str | None = Field(default=None, alias="userId")
    org_id: str | None = Field(default=None, alias="orgId")
    generate_followups: bool | None = Field(default=None, alias="generateFollowups")
    media: tuple[MediaInput, ...] | None = None
    options: RunOptions | None = None
