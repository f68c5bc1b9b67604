"""Models of the configuration file, and the settings that a platform is constructed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from agentnb._http.options import TransportName
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.config.trust import UntrustedEndpoint

#: Whether a platform needs an API key.
KeyUse = Literal["required", "optional", "none"]

_NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """Address, key, timeouts and options of a platform.

    ``base_url`` None is the platform's default address.  ``options`` are specific to the platform
    (a team id, an authorization scheme), which validates them.  ``trust_env`` makes the HTTP client
    read proxy settings from the environment; ``AGENTNB_TRANSPORT`` overrides ``transport``.
    Neither pickled nor copied, because of the key; use `dataclasses.replace`.
    """

    platform: str
    base_url: str | None = None
    api_key: SecretStr | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    retries: Retries = field(default_factory=Retries)
    trust_env: bool = True
    transport: TransportName = "httpx"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __reduce__(self) -> NoReturn:
        raise TypeError("PlatformSettings hold a key and cannot be pickled.")


class PlatformSection(BaseModel):
    """A ``[platforms.NAME]`` table.

    ``type`` is the platform's type if NAME is a name of the user's choice.  Timeouts are in
    seconds, 0 for none (``reconnect_timeout``: see `Retries`).  Further entries are options of the
    platform.  An ``api_key`` is rejected: keys do not belong in a file.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str | None = None
    base_url: str | None = None
    connect_timeout: _NonNegative | None = None
    first_event_timeout: _NonNegative | None = None
    idle_timeout: _NonNegative | None = None
    progress_timeout: _NonNegative | None = None
    total_timeout: _NonNegative | None = None
    reconnect_timeout: _NonNegative | None = None
    max_retries: _Count | None = None
    max_reconnects: _Count | None = None
    trust_env: bool | None = None

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def target(self, name: str) -> str:
        """Return where the key of connection ``name`` goes: an address or a platform type."""
        return (self.base_url or self.type or name).rstrip("/")


class HistorySection(BaseModel):
    """The ``[history]`` table.

    ``url`` is a path, ``sqlite:///path``, ``postgresql+psycopg://user@host/database``, ``off``, or
    None for a file in the user's data folder.  Without ``store_content``, prompts, answers, tool
    arguments, results and events are not stored, only counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: str | None = None
    store_content: bool = True


class PriceSection(BaseModel):
    """A ``[prices."MODEL"]`` table: US dollars per million tokens.

    ``cached`` is the price of input tokens read from the platform's cache, by default ``input``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    input: _NonNegative
    output: _NonNegative
    cached: _NonNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Which entries of a merged configuration the user or a project file decided.

    ``project_aliases`` maps the aliases that only a project file has to that file;
    ``has_user_default`` is whether the default agent is that of the user's file.
    """

    project_aliases: Mapping[str, Path] = field(default_factory=dict[str, Path])
    untrusted_endpoints: Mapping[str, UntrustedEndpoint] = field(
        default_factory=dict[str, UntrustedEndpoint]
    )
    has_user_default: bool = False


class ConfigFile(BaseModel):
    """The content of a configuration file, or of two merged ones.

    ``transport`` is the HTTP library, ``httpx`` or ``aiohttp`` (extra ``fast``);
    ``AGENTNB_TRANSPORT`` overrides it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default_agent: str | None = None
    default_platform: str | None = None
    transport: TransportName | None = None
    aliases: dict[str, str] = Field(default_factory=dict[str, str])
    platforms: dict[str, PlatformSection] = Field(default_factory=dict[str, PlatformSection])
    history: HistorySection = Field(default_factory=HistorySection.model_construct)
    prices: dict[str, PriceSection] = Field(default_factory=dict[str, PriceSection])
    _origins: Origins = PrivateAttr(default_factory=Origins)

    @property
    def origins(self) -> Origins:
        return self._origins

    def section(self, name: str) -> PlatformSection:
        """Return the section of platform ``name``, an empty one if there is none."""
        return self.platforms.get(name, _EMPTY_SECTION)


# Constructed without validation, which would build the validator (slow) at import.
_EMPTY_SECTION: Final = PlatformSection.model_construct()
