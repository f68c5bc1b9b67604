"""Endpoints named only by a project file, which may come from someone else with its folder.

A key goes wherever its connection goes.  An address in the environment, in the user's own file or
in an argument is the user's choice.  One that only a project file gives is used after the user has
seen it in ``%agent login`` and typed a key for it; that key is bound to this address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agentnb.config.environment import base_url_variable
from agentnb.errors import ConfigError

# Characters of an address or type; the user has to read it.
_MAX_LENGTH: Final = 300

# ASCII only: no look-alike letters, and no characters that hide the following ones.
_PLAIN: Final = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?(?:/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class UntrustedEndpoint:
    """A connection whose endpoint only a project file names.

    ``target`` is an address, or a platform type that has a default address.
    """

    name: str
    target: str
    file: Path
    user_file: Path

    @property
    def key_name(self) -> str:
        """The name of its key in this session and in the keyring, unique to the endpoint."""
        # Addresses have no spaces, so the last one separates the two.
        return f"{self.name} at {self.target}"

    @property
    def description(self) -> str:
        return self.target if self._is_address else f"the address of {self.target}"

    @property
    def _is_address(self) -> bool:
        return self.target.startswith(("http://", "https://"))

    def check(self) -> None:
        """Check that the user can recognize the endpoint when it is displayed.

        Raises:
            ConfigError: the host may be mistaken for another, or the text is too long.
        """
        if len(self.target) > _MAX_LENGTH:
            raise ConfigError(f"{self.file}: the address or type of '{self.name}' is too long.")
        if not (_PLAIN.fullmatch if self._is_address else str.isprintable)(self.target):
            raise ConfigError(
                f"{self.file}: the address of '{self.name}' has characters that can mislead.",
                hint="Use ASCII letters; an internationalized host starts with xn--.",
            )

    def error(self) -> ConfigError:
        """Return the error to raise while the user has not trusted the endpoint."""
        ways = [f"run '%agent login {self.name}'"]
        if self._is_address:
            variable = base_url_variable(self.name)
            ways.append(f"set {variable}={self.target} in the environment")
        entry = f'{"base_url" if self._is_address else "type"} = "{self.target}"'
        ways.append(f"put {entry} under [platforms.{self.name}] into {self.user_file}")
        return ConfigError(
            f"Only {self.file} says that '{self.name}' is at {self.description}; the file may be "
            "someone else's, so no key is sent there until you trust it.",
            hint=f"If you trust that address: {', or '.join(ways)}.",
        )
