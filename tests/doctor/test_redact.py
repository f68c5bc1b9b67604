"""What a report may be given away with."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentnb.doctor.report import redact_text, redact_url
from agentnb.redaction.secrets import remember_secret
from tests.doctor.conftest import CANARY


def test_home_is_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/people/jane")
    monkeypatch.setenv("USERPROFILE", "/srv/people/jane")
    home = str(Path.home())
    assert redact_text(f"{home}/agentnb.toml: wrong") == "~/agentnb.toml: wrong"
    assert redact_text(f"in {home}.") == "in ~."
    assert redact_text(f"{home}doe/x") == f"{home}doe/x", "another folder that begins alike"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/john/x", "/home/…/x"),
        ("at /Users/john.doe/Library", "at /Users/…/Library"),
        ("C:\\Users\\John\\AppData", "C:\\Users\\…\\AppData"),
        ("sqlite:////home/john/h", "sqlite:////home/john/h"),
        ("/srv/home/john", "/srv/home/john"),
    ],
)
def test_users_have_no_names(path: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    assert redact_text(path) == shown


def test_keys_are_masked() -> None:
    remember_secret(CANARY)
    assert CANARY not in redact_text(f"the server said {CANARY}")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        (f"http://user:{CANARY}@proxy:3128", "http://proxy:3128"),
        (f"https://example.com/x?key={CANARY}#y", "https://example.com/x"),
        (f"https://example.com/{CANARY}/v1", "https://example.com/***/v1"),
        ("https://example.com/sk-UNKNOWN0123456789ab", "https://example.com/***"),
        ("https://example.com/hooks/Zm9vYmFyYmF6MTIz/x", "https://example.com/hooks/***/x"),
        ("https://example.com/123e4567-e89b-42d3-a456-426614174000", "https://example.com/***"),
        ("https://example.com/a%6Bnown-one", "https://example.com/***"),
        ("https://example.com/api/v2/team-7/operations-production", None),
        (f"//{CANARY}", "an address that cannot be read"),
        ("http://[::1", "an address that cannot be read"),
    ],
)
def test_secrets_are_removed_from_an_address(address: str, shown: str | None) -> None:
    remember_secret("aknown-one")
    assert redact_url(address) == (shown or address)
