r"""Detection of network file systems, on which SQLite's WAL does not work.

WAL needs memory shared by all processes, and several of these file systems do not lock reliably:

* Linux: by the mount type in /proc/self/mountinfo.  Besides NFS, SMB, AFS, Ceph, Lustre and
  the like that includes every ``fuse.…`` (sshfs, s3fs, rclone), and folders that virtual machines
  and containers share with their host (9p, virtiofs, vboxsf).
* macOS: by the type that ``mount`` prints (smbfs, nfs, afpfs, webdav, macfuse).
* Windows: a path of the form ``\\server\share``, or a drive that Windows calls remote.

If in doubt, the file counts as local.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

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
    """Return whether ``path``, which need not exist, is on a network file system."""
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
    """Return the type of the mount of ``path`` in the text of Linux's mountinfo, or ""."""
    mounts: list[tuple[Path, str]] = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:
            mounts.append((Path(_unescape(fields[4])), after.split(" ")[0]))
    return _innermost(path, mounts)


def mounted_on_macos(path: Path, listing: str) -> str:
    """Return the type of the mount of ``path`` in the output of ``mount`` on macOS."""
    mounts = re.findall(r"^.*? on (/.*) \((\w+)[,)].*$", listing, re.MULTILINE)
    return _innermost(path, [(Path(folder), kind) for folder, kind in mounts])


def _innermost(path: Path, mounts: list[tuple[Path, str]]) -> str:
    # Of two on the same folder, the later one hides the other.
    depth, kind = 0, ""
    for folder, type_ in mounts:
        if path.is_relative_to(folder) and len(folder.parts) >= depth:
            depth, kind = len(folder.parts), type_
    return kind


def _unescape(text: str) -> str:
    # Blanks are written as octal numbers.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _is_remote_drive(path: Path) -> bool:
    if path.drive.startswith("\\\\"):
        return True
    if sys.platform != "win32":
        return False
    import ctypes

    return ctypes.windll.kernel32.GetDriveTypeW(f"{path.drive}\\") == _DRIVE_REMOTE
