r"""Whether a file is on a network file system, where SQLite's WAL does not work.

WAL needs memory that all processes share, which those of another machine do not; and several of
these file systems do not lock reliably.  How it is told:

* Linux: by the type of the mount in /proc/self/mountinfo.  Besides NFS, SMB, AFS, Ceph, Lustre and
  the like that is every ``fuse.…`` (sshfs, s3fs, rclone), and what virtual machines and containers
  share with their host (9p, virtiofs, vboxsf).
* macOS: by the type that ``mount`` prints (smbfs, nfs, afpfs, webdav, macfuse).
* Windows: a path of the form ``\\server\share``, or a drive that Windows calls remote.

Where nothing can be told, the file counts as local.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["is_network", "mount_type", "mounted_on_macos"]

# fmt: off
_TYPES: Final = frozenset({
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse",
    "fusefs", "glusterfs", "gpfs", "lustre", "macfuse", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "osxfs", "panfs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf",
    "virtiofs", "vmhgfs", "webdav",
})
# fmt: on
_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_DRIVE_REMOTE: Final = 4


def is_network(path: Path) -> bool:
    """Tell whether ``path``, which need not exist, is on a network file system."""
    try:
        resolved = path.resolve()
        if sys.platform == "win32":
            return _is_remote_drive(resolved)
        if sys.platform == "darwin":
            listing = subprocess.run(
                ["/sbin/mount"], capture_output=True, text=True, timeout=5, check=False
            ).stdout
            kind = mounted_on_macos(resolved, listing)
        else:
            kind = mount_type(resolved, _MOUNTINFO.read_text("utf-8", errors="surrogateescape"))
    except (OSError, subprocess.SubprocessError):
        return False
    return kind in _TYPES or kind.startswith("fuse.")


def mount_type(path: Path, mountinfo: str) -> str:
    """Return the type of the mount that holds ``path``, by the text of Linux's mountinfo.

    Empty where none does.
    """
    mounts: list[tuple[Path, str]] = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:
            mounts.append((Path(_unescaped(fields[4])), after.split(" ")[0]))
    return _innermost(path, mounts)


def mounted_on_macos(path: Path, listing: str) -> str:
    """Return the type of the mount that holds ``path``, by what ``mount`` prints on macOS."""
    found = re.findall(r"^.*? on (/.*) \((\w+)[,)].*$", listing, re.MULTILINE)
    return _innermost(path, [(Path(folder), kind) for folder, kind in found])


def _innermost(path: Path, mounts: list[tuple[Path, str]]) -> str:
    # Of two on the same folder, the later one is what is seen.
    depth, kind = 0, ""
    for folder, its_kind in mounts:
        if path.is_relative_to(folder) and len(folder.parts) >= depth:
            depth, kind = len(folder.parts), its_kind
    return kind


def _unescaped(text: str) -> str:
    # Blanks in a name are written as octal numbers.
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _is_remote_drive(path: Path) -> bool:
    if path.drive.startswith("\\\\"):
        return True
    if sys.platform != "win32":
        return False
    import ctypes

    return ctypes.windll.kernel32.GetDriveTypeW(f"{path.drive}\\") == _DRIVE_REMOTE
