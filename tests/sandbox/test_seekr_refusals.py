"""What the sandbox refuses in SeekrFlow's words."""

from __future__ import annotations

import httpx
import pytest

from agentnb.sandbox import Sandbox
from tests.sandbox.seekr_calls import new_thread


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        pytest.param(
            {"model_settings": {"temperature": 3}},
            ["body", "model_settings", "temperature"],
            "less_than_equal",
            id="too hot",
        ),
        pytest.param(
            {"model_settings": {"top_p": -0.1}},
            ["body", "model_settings", "top_p"],
            "greater_than_equal",
            id="top_p",
        ),
        pytest.param(
            {"model_settings": {"frequency_penalty": -2.5}},
            ["body", "model_settings", "frequency_penalty"],
            "greater_than_equal",
            id="frequency",
        ),
        pytest.param(
            {"model_settings": {"presence_penalty": 2.5}},
            ["body", "model_settings", "presence_penalty"],
            "less_than_equal",
            id="presence",
        ),
        pytest.param(
            {"model_settings": {"max_tokens": "many"}},
            ["body", "model_settings", "max_tokens"],
            "int_parsing",
            id="max_tokens",
        ),
        pytest.param({"group": None}, ["body", "group"], "string_type", id="null group"),
        pytest.param(
            {"metadata": {"n": 1}}, ["body", "metadata", "n"], "string_type", id="metadata"
        ),
        pytest.param(
            {"response_format": {}},
            ["body", "response_format", "json_schema"],
            "missing",
            id="no schema",
        ),
    ],
)
def test_a_wrong_run_is_refused_field_by_field(
    seekr: httpx.Client, body: dict[str, object], loc: list[str], kind: str
) -> None:
    thread = new_thread(seekr, "x")
    for way in ("", "/stream", "/stream/vercel"):
        answer = seekr.post(f"/v1/threads/{thread}/runs{way}", json={"agent_id": "echo", **body})
        assert answer.status_code == 422
        (problem,) = answer.json()["detail"]
        assert (problem["loc"], problem["type"]) == (loc, kind)
        assert problem["msg"]


def test_a_body_that_is_no_json_is_refused(seekr: httpx.Client) -> None:
    answer = seekr.post(
        "/v1/threads", content=b'{"meta_data": ', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "json_invalid"
    assert seekr.post("/v1/threads").json()["detail"][0]["type"] == "missing"


@pytest.mark.parametrize(
    ("query", "name"),
    [("limit=-1", "limit"), ("order=up", "order"), ("offset=x", "offset")],
    ids=["limit", "order", "offset"],
)
def test_wrong_paging_is_refused(seekr: httpx.Client, query: str, name: str) -> None:
    thread = new_thread(seekr)
    answer = seekr.get(f"/v1/threads/{thread}/runs?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", name]


def test_what_is_not_there_is_not_found(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, "x")
    other = new_thread(seekr, "x")
    run = seekr.post(f"/v1/threads/{other}/runs", json={"agent_id": "echo"}).json()["run_id"]
    for answer in (
        seekr.get("/v1/threads/thread_none"),
        seekr.get("/v1/threads/thread_none/runs"),
        seekr.post("/v1/threads/thread_none/messages", json={"role": "user", "content": "x"}),
        seekr.get(f"/v1/threads/{thread}/runs/run_none"),
        seekr.get(f"/v1/threads/{thread}/runs/{run}"),
        seekr.post(f"/v1/threads/{thread}/runs/stream", json={"agent_id": "nobody"}),
        seekr.get("/v1/nothing"),
    ):
        assert answer.status_code == 404
        body = answer.json()
        assert set(body) == {"error", "message", "status"}
        assert body["status"] == 404


def test_a_thread_without_a_question_cannot_be_run(seekr: httpx.Client) -> None:
    answer = seekr.post(f"/v1/threads/{new_thread(seekr)}/runs/stream", json={})
    assert answer.status_code == 400
    assert answer.json()["error"] == "no_message"


def test_the_key_comes_raw_or_as_bearer(sandbox: Sandbox) -> None:
    address = f"{sandbox.base_url('seekr')}/v1/threads"
    key = sandbox.api_key.get_secret_value()
    for value, status in ((key, 200), (f"Bearer {key}", 200), ("wrong", 401), (None, 401)):
        headers = {} if value is None else {"Authorization": value}
        answer = httpx.post(address, json={}, headers=headers, trust_env=False)
        assert answer.status_code == status
