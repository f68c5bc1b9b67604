"""Agents, platforms and keys: from arguments, the environment, files and the keyring.

Precedence, highest first: an argument, what this session set (``%agent use``), the environment, the
user's ``config.toml`` (see `user_config_path`), ``agentnb.toml`` in the working folder or one above
it, the platform's default.

Keys: an argument, ``%agent login`` in this session, the environment, the project's ``.env``, the
keyring, a prompt; never a configuration file.  No key goes to an endpoint that only a project file
names, see `agentnb.config.trust`.
"""

from agentnb.config.environment import url_from_environment, user_config_path
from agentnb.config.files import load_config
from agentnb.config.keys import find_key, key_hint
from agentnb.config.names import EMBEDDED, AgentName, reject_key_as_name, suggestion
from agentnb.config.resolution import BarePlatformError, Config, config
from agentnb.config.settings import ConfigFile, HistorySection, PlatformSection, PlatformSettings

__all__ = [
    "EMBEDDED",
    "AgentName",
    "BarePlatformError",
    "Config",
    "ConfigFile",
    "HistorySection",
    "PlatformSection",
    "PlatformSettings",
    "config",
    "find_key",
    "key_hint",
    "load_config",
    "reject_key_as_name",
    "suggestion",
    "url_from_environment",
    "user_config_path",
]
