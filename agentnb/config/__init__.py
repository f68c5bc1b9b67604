"""Agents, platforms and keys: from arguments, the environment, files and the keyring.

Precedence, highest first: an argument, what was set in this session (``%agent use``), the
environment, ``agentnb.toml`` in the working folder or one above it, the user's own
``config.toml`` (see `user_config_path`), the platform's default.
"""

from agentnb.config.files import (
    ConfigFile,
    HistorySection,
    PlatformSection,
    load_config,
    user_config_path,
)
from agentnb.config.keys import find_key
from agentnb.config.names import AgentName, suggestion
from agentnb.config.session import EMBEDDED, Config, config, url_from_environment
from agentnb.config.settings import PlatformSettings

__all__ = [
    "EMBEDDED",
    "AgentName",
    "Config",
    "ConfigFile",
    "HistorySection",
    "PlatformSection",
    "PlatformSettings",
    "config",
    "find_key",
    "load_config",
    "suggestion",
    "url_from_environment",
    "user_config_path",
]
