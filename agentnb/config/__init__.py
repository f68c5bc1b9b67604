"""Agents, platforms and keys: from arguments, the environment, files and the keyring.

Precedence, highest first: an argument, what was set in this session (``%agent use``), the
environment, the user's own ``config.toml`` (see `user_config_path`), ``agentnb.toml`` in the
working folder or one above it, the platform's default.

Keys: an argument, what ``%agent login`` was told in this session, the environment, the project's
``.env``, the keyring, a prompt; never a configuration file.  None goes to an address that only the
file of a folder gives, see `Stranger`.
"""

from agentnb.config.addresses import ignored_address, url_from_environment
from agentnb.config.files import (
    ConfigFile,
    HistorySection,
    PlatformSection,
    load_config,
    user_config_path,
)
from agentnb.config.key_leak_checks import refuse_key_as_name
from agentnb.config.keyrings import forget_stored, store_key
from agentnb.config.keys import ask_for_key, find_key, given_key, where_keys_go
from agentnb.config.names import AgentName, suggestion
from agentnb.config.resolution import EMBEDDED, BarePlatformError, Config, config
from agentnb.config.settings import PlatformSettings

__all__ = [
    "EMBEDDED",
    "AgentName",
    "BarePlatformError",
    "Config",
    "ConfigFile",
    "HistorySection",
    "PlatformSection",
    "PlatformSettings",
    "ask_for_key",
    "config",
    "find_key",
    "forget_stored",
    "given_key",
    "ignored_address",
    "load_config",
    "refuse_key_as_name",
    "store_key",
    "suggestion",
    "url_from_environment",
    "user_config_path",
    "where_keys_go",
]
