"""Decode the responses of A2A agents: tasks, messages, and updates of tasks.

Both versions of the protocol are read: 1.0 wraps an object in a field with its name, 0.3 has a
``kind`` in the object itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from agentnb.event import (
    Event,
    MediaProduced,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
)
from agentnb.plugin import BaseDecoder, MalformedError, RunRequest, as_text, parse_error_body

_KINDS: Final = {
    "task": "task",
    "message": "message",
    "statusUpdate": "status-update",
    "artifactUpdate": "artifact-update",
}
#: States in which a task does not go on by itself.
RESTING: Final = frozenset(
    {"completed", "failed", "canceled", "rejected", "input-required", "auth-required"}
)
_FAILED: Final = {"failed": "The task failed.", "rejected": "The agent rejected the task."}


def state_of(status: Any) -> str:
    """Return the state of a task's ``status`` as 0.3 spells it, "" without any."""
    state = cast("Any", status).get("state") if isinstance(status, dict) else None
    text = state if isinstance(state, str) else ""
    return text.removeprefix("TASK_STATE_").lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class _Content:
    """The text of an artifact, and whether its last part was text, which the next one continues."""

    text: str = ""
    is_open: bool = True

    def with_part(self, part: Any) -> _Content:
        text, is_text = part_text(part)
        if not text:
            return self
        gap = "\n\n" if self.text and not (is_text and self.is_open) else ""
        return _Content(f"{self.text}{gap}{text}", is_text)


class Decoder(BaseDecoder):
    """Decodes the responses to one message.

    With ``delivered``, the events of the same run so far, it follows a task that was subscribed to
    later: the agent repeats nothing, so that an artifact is continued only once its text is known
    from its start.  The end is then left to `settle`, which is given the whole task.
    """

    def __init__(self, request: RunRequest, *, delivered: Sequence[Event] | None = None) -> None:
        super().__init__(request)
        self.task_id: str | None = None
        self.context_id: str | None = None
        #: The task waits for a message of the user.
        self.needs_input = False
        #: The ``error`` of a response to a subscription.
        self.refusal: Any = None
        self._follows = delivered is not None
        self._settles = False
        self._started: RunStarted | None = None
        # The text delivered of each artifact, and its content as far as it is known.
        self._sent: dict[str, str] = {}
        self._contents: dict[str, _Content] = {}
        self._last: str | None = None
        # Ids of messages and contents of files that were delivered.
        self._seen: set[str] = set()
        self._auth: RunFailed | None = None
        for event in delivered or ():
            match event:
                case RunStarted():
                    self._started = event
                case TextDelta(part_id=str(part)):
                    self._sent[part] = self._sent.get(part, "") + event.text
                    self._last = part
                case ReasoningDelta(part_id=str(part)):
                    self._seen.add(part)
                case MediaProduced():
                    self._seen.add(event.url)
                case _:
                    pass

    def on(self, name: str, data: Any) -> Iterable[Event] | None:
        if (error := data.get("error")) is not None:
            if self._follows:
                self.refusal = error
                return ()
            details = parse_error_body(0, {"error": error})
            return [RunFailed(message=details.message or "The run failed.", code=details.code)]
        result = data.get("result")
        if not isinstance(result, dict):
            return None
        return self._read(result)

    def on_end(self) -> Iterable[Event]:
        # An agent may go on by itself once the user has signed in elsewhere.
        return [] if self._auth is None or self._leaves_end else [self._auth]

    @property
    def _leaves_end(self) -> bool:
        return self._follows and not self._settles

    def follow(self) -> None:
        """Leave the end of the run to `settle`."""
        self._follows = True

    def settle(self, task: Any) -> list[Event]:
        """Return the rest of a run that is followed, by its whole task; never raises."""
        self._settles = True
        events: list[Event]
        try:
            events = [*(self.on("", {"result": {"task": task}}) or ()), *self.on_end()]
        except Exception as error:
            events = [RawEvent(name="task", data=as_text(task), problem=str(error))]
        finally:
            self._settles = False
        behind = [key for key, text in self._sent.items() if self._text(key) != text]
        if behind and any(isinstance(event, RunFinished) for event in events):
            events = [*(e for e in events if not isinstance(e, RunFinished)), *self._incomplete()]
        return self._with_one_end(events)

    # --- objects ----------------------------------------------------------------------------------

    def _read(self, result: Any) -> Iterable[Event] | None:
        kind, value = result.get("kind"), result
        for name, each in _KINDS.items():
            if isinstance(result.get(name), dict) and kind is None:
                kind, value = each, result[name]
        if kind is None and "status" in result:
            kind = "task"
        match kind:
            case "task":
                return self._task(value)
            case "message":
                text = _joined(value.get("parts"))
                events = self._start(value.get("taskId"), value.get("contextId"))
                return [*events, *self._answer(text, value), RunFinished()]
            case "status-update":
                events = self._start(value.get("taskId"), value.get("contextId"))
                return [*events, *self._status(value["status"])]
            case "artifact-update":
                events = self._start(value.get("taskId"), value.get("contextId"))
                return [*events, *self._artifact(value["artifact"], append=value.get("append"))]
            case _:
                return None

    def _task(self, task: Any) -> list[Event]:
        events: list[Event] = self._start(task.get("id"), task.get("contextId"))
        for artifact in task.get("artifacts") or ():
            events += self._artifact(artifact, append=False)
        if state_of(task["status"]) == "completed" and not any(self._sent.values()):
            events += self._from_history(task)
        return [*events, *self._status(task["status"])]

    def _start(self, task_id: Any, context_id: Any) -> list[Event]:
        self.task_id = as_text(task_id) or self.task_id
        self.context_id = as_text(context_id) or self.context_id
        started = RunStarted(run_id=self.task_id, session_id=self.context_id)
        if self._started == started:
            return []
        self._started = started
        return [started]

    def _status(self, status: Any) -> list[Event]:
        state, message = state_of(status), _object(status.get("message"))
        text = _joined(message.get("parts"))
        is_over, self._auth = state in RESTING, None
        self.needs_input = state == "input-required"
        if is_over and self._leaves_end:
            return []
        match state:
            case "completed":
                if text and any(self._sent.values()):
                    return [RunFinished(details={"message": text})]
                return [*self._answer(text, message), RunFinished()]
            case "input-required":
                details = {"state": state, "task_id": self.task_id}
                return [*self._answer(text, message), RunFinished(details=details)]
            case "canceled":
                return [RunCancelled(reason=text or None)]
            case "failed" | "rejected":
                return [RunFailed(message=text or _FAILED[state], code=state)]
            case "auth-required":
                reason = f": {text}" if text else "."
                self._auth = RunFailed(
                    message=f"The agent requires authentication{reason}",
                    code=state,
                    hint=f"Authenticate there, then continue with task_id={self.task_id!r}.",
                )
                return []
            case _:
                key = as_text(message.get("messageId")) or text
                if not text or key in self._seen:
                    return []
                self._seen.add(key)
                return [ReasoningDelta(f"{text}\n\n", part_id=key)]

    def _artifact(self, artifact: Any, *, append: Any) -> list[Event]:
        key = artifact["artifactId"]
        if not isinstance(key, str) or not isinstance(artifact["parts"], list):
            raise MalformedError("artifact: has no id or no parts")
        content = self._contents.get(key) if append else _Content()
        if content is None:
            if self._follows:
                return []
            content = _Content()
        files: list[Event] = []
        for part in artifact["parts"]:
            content = content.with_part(part)
            if (file := _file_event(part)) is not None and file.url not in self._seen:
                self._seen.add(file.url)
                files.append(file)
        sent = self._sent.get(key, "")
        if self._follows and not append and len(content.text) < len(sent):
            # The snapshot is older than what was delivered: what comes next may leave a gap.
            return files
        self._contents[key] = content
        if content.text.startswith(sent):
            return [*self._text_of(key, content.text[len(sent) :]), *files]
        if self._follows or sent.startswith(content.text):
            return files
        # Another version of the artifact, whose first one was delivered already.
        return [*self._text_of(key, content.text, again=True), *files]

    def _text_of(self, key: str, text: str, *, again: bool = False) -> list[Event]:
        if not text:
            return []
        before: list[Event] = []
        if self._last is not None and (again or self._last != key):
            before.append(TextDelta("\n\n"))
        self._last = key
        self._sent[key] = text if again else self._sent.get(key, "") + text
        return [*before, TextDelta(text, part_id=key)]

    def _answer(self, text: str, message: Any) -> list[Event]:
        """Return the text of a message that is part of the answer."""
        key = as_text(message.get("messageId")) or "message"
        if key in self._sent:
            return []
        self._contents[key] = _Content(text)
        return self._text_of(key, text)

    def _from_history(self, task: Any) -> list[Event]:
        """Return the agent's last messages, of an agent that answers only there."""
        if _object(task["status"].get("message")).get("parts"):
            return []
        answers: list[Any] = []
        for message in task.get("history") or ():
            is_agent = as_text(message.get("role")).lower().endswith("agent")
            answers = [*answers, message] if is_agent else []
        return [e for each in answers for e in self._answer(_joined(each.get("parts")), each)]

    def _text(self, key: str) -> str | None:
        content = self._contents.get(key)
        return None if content is None else content.text

    def _incomplete(self) -> list[Event]:
        kept = "\n\n".join(content.text for content in self._contents.values())
        problem = "it does not continue the text received before"
        return [
            *([RawEvent(name="answer", data=kept, problem=problem)] if kept else []),
            RunFailed(
                message="The task completed, but its stream broke off, and the agent does not have "
                "the whole answer.",
                status="truncated",
                code="answer_incomplete",
            ),
        ]


# --- parts ----------------------------------------------------------------------------------------


def part_text(part: Any) -> tuple[str, bool]:
    """Return a part as text, and whether it is text: data is JSON, a file the link to it."""
    if isinstance(text := part.get("text"), str):
        return as_text(text), True
    if "data" in part:
        return as_text(part["data"]), False
    file = _object(part.get("file")) or part
    name = as_text(file.get("filename") or file.get("name"))
    if url := as_text(file.get("url") or file.get("uri")):
        return f"[{name}]({url})" if name else url, False
    if file.get("raw") is not None or file.get("bytes") is not None:
        return "", False
    raise MalformedError("parts: has one of an unknown kind")


def _file_event(part: Any) -> MediaProduced | None:
    """Return the file that a part has the content of, in Base64."""
    file = _object(part.get("file")) or part
    content = file.get("raw") if file.get("raw") is not None else file.get("bytes")
    if content is None:
        return None
    kind = as_text(file.get("mediaType") or file.get("mimeType"))
    name = as_text(file.get("filename") or file.get("name")) or None
    url = f"data:{kind or 'application/octet-stream'};base64,{as_text(content)}"
    return MediaProduced(url=url, mime_type=kind, name=name)


def _object(value: Any) -> Any:
    return {} if value is None else value


def _joined(parts: Any) -> str:
    content = _Content()
    for part in parts or ():
        content = content.with_part(part)
    return content.text
