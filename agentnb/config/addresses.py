"""Addresses of platforms in the environment, and those in a ``.env``, which do not count."""

from __future__ import annotations

import os
from typing import Final

from agentnb.config.env_file import env_file, variables_in
from agentnb.config.files import user_config_path
from agentnb.config.keys import key_variable

__all__ = ["ignored_address", "url_from_environment"]

# Where a platform's own tools read its address, beside NAME_BASE_URL.
_URL_VARIABLES: Final = {"runtools": "RUNTOOLS_API_URL"}


def url_from_environment(name: str) -> str | None:
    """Return the address of the platform ``name`` that the environment gives, None where none."""
    for variable in _url_variables(name):
        if value := os.environ.get(variable, "").strip():
            return value
    return None


def ignored_address(name: str) -> str | None:
    """Return a sentence about an address of the platform in ``.env``, where none is taken from.

    None where there is no such address, or the environment gives one.
    """
    if url_from_environment(name) or (path := env_file()) is None:
        return None
    present = variables_in(path)
    variable = next((known for known in _url_variables(name) if known in present), None)
    if variable is None:
        return None
    return (
        f"{variable} in {path} is not used: .env gives keys only. Set it in the environment, or "
        f"base_url in {user_config_path()}."
    )


def _url_variables(name: str) -> list[str]:
    own = key_variable(name).removesuffix("_API_KEY") + "_BASE_URL"
    return [own, _URL_VARIABLES[name]] if name in _URL_VARIABLES else [own]
