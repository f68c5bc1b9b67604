"""Whose word an address is: the user's own, or that of a file that came with its folder.

A key goes where its connection is, so whoever says where that is receives it.  An address in the
environment, in the user's own file or in an argument is the user's word.  What only a folder's file
says is used once ``%agent login`` has shown it and was given a key, which is then bound to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentnb.config.keys import key_variable
from agentnb.errors import ConfigError

if TYPE_CHECKING:
    from agentnb.config.files import PlatformSection

__all__ = ["Stranger", "destination"]

# Characters of an address or a type, which are shown before they are agreed to.
_LONGEST: Final = 300

# Nothing in it looks like another letter, or hides what follows it.
_PLAIN: Final = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?(?:/[!-~]*)?")


def destination(name: str, section: PlatformSection | None) -> str:
    """Return where the key of the connection ``name`` goes: an address, or a type's own."""
    if section is None:
        return name
    return (section.base_url or section.type or name).rstrip("/")


@dataclass(frozen=True, slots=True)
class Stranger:
    """A connection of which only the file of a folder says where it is.

    ``place`` is an address, or the type of a platform whose own address it is.
    """

    name: str
    place: str
    file: Path
    own_file: Path

    @property
    def slot(self) -> str:
        """Under which its key is kept, here and in the keyring; another address, another key."""
        # No address has a blank in it, so that the last one tells the two apart.
        return f"{self.name} at {self.place}"

    @property
    def where(self) -> str:
        return self.place if self._is_address else f"the address of {self.place}"

    @property
    def _is_address(self) -> bool:
        return self.place.startswith(("http://", "https://"))

    def check(self) -> None:
        """Check that what is said of the place shows what it is.

        Raises:
            ConfigError: its host could be taken for another, or it is too long to be read.
        """
        if len(self.place) > _LONGEST:
            raise ConfigError(f"{self.file}: the address or type of '{self.name}' is too long.")
        if not (_PLAIN.fullmatch if self._is_address else str.isprintable)(self.place):
            raise ConfigError(
                f"{self.file}: the address of '{self.name}' has characters that can mislead.",
                hint="Write it in plain letters; a host with others begins with xn--.",
            )

    def refusal(self) -> ConfigError:
        """Return the error that says what to do, to be raised."""
        if self._is_address:
            stem = key_variable(self.name).removesuffix("_API_KEY")
            said = f"set {stem}_BASE_URL={self.place} in the environment"
            line = f'base_url = "{self.place}"'
        else:
            said, line = "", f'type = "{self.place}"'
        ways = [
            f"run '%agent login {self.name}'",
            *([said] if said else []),
            f"put {line} under [platforms.{self.name}] into {self.own_file}",
        ]
        return ConfigError(
            f"Only {self.file} says that '{self.name}' is at {self.where}; it may be a stranger's "
            "file, and no key is sent there on its word.",
            hint=f"If you trust that address: {', or '.join(ways)}.",
        )
