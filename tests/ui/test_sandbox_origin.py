"""A page on the web, in the same browser as a notebook, and the sandbox on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext

from agentnb.sandbox import Sandbox

# Every way a page has to send something somewhere, with the key and without.
ATTACK = """
async ([base, key]) => {
  const body = JSON.stringify({ agent: "echo", prompt: "from a page", stream: false });
  const url = `${base}/runtools/v1/run`;
  const tried = {};
  const attempt = async (name, options, at = url) => {
    try {
      const answer = await fetch(at, options);
      tried[name] = [answer.type, answer.status, await answer.text()];
    } catch (error) {
      tried[name] = error.name;
    }
  };
  const post = { method: "POST", body };
  await attempt("simple", { ...post, headers: { "Content-Type": "text/plain" } });
  await attempt("opaque", { ...post, mode: "no-cors", headers: { "Content-Type": "text/plain" } });
  await attempt("keyed", { ...post, headers: { "X-API-Key": key } });
  await attempt("in address", { ...post, mode: "no-cors" }, `${url}?api_key=${key}`);
  await attempt("front", {}, base);
  tried.beacon = navigator.sendBeacon(url, new Blob([body], { type: "text/plain" }));
  tried.events = await new Promise((resolve) => {
    const source = new EventSource(`${base}/operativus/api/v1/runs/run_1/events`);
    source.onopen = () => resolve("open");
    source.onerror = () => resolve("error");
  });
  tried.form = await new Promise((resolve) => {
    const frame = Object.assign(document.createElement("iframe"), { name: "target" });
    const form = document.createElement("form");
    Object.assign(form, { method: "POST", action: url, enctype: "text/plain", target: "target" });
    // Sent as `name=value`, so that both together are JSON.
    const [name, value] = [body.slice(0, -1) + ',"metadata":{"a":"', '"}}'];
    form.append(Object.assign(document.createElement("input"), { name, value }));
    document.body.append(frame, form);
    frame.onload = () => resolve(frame.contentDocument === null ? "sealed" : "open");
    form.submit();
  });
  return tried;
}
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of a page of another origin."""
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_page_can_neither_use_it_nor_read_it(context: BrowserContext, elsewhere: str) -> None:
    with Sandbox(pace=0) as sandbox:
        key = sandbox.api_key.get_secret_value()
        page = context.new_page()
        try:
            page.goto(elsewhere)
            tried = page.evaluate(ATTACK, [sandbox.url, key])
        finally:
            page.close()
        runs = httpx.get(
            f"{sandbox.base_url('runtools')}/v1/run", headers={"X-API-Key": key}, trust_env=False
        )
        assert runs.json() == {"data": []}
    for name in ("simple", "keyed", "front"):
        assert tried[name] == "TypeError", name
    for name in ("opaque", "in address"):
        assert tried[name] in (["opaque", 0, ""], "TypeError")
    assert tried["events"] == "error"
    assert tried["form"] == "sealed"
    assert key not in json.dumps(tried)
