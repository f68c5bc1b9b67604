"""Which store it is, and whether a file is on a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentnb.config import config, resolution, user_config_path
from agentnb.errors import HistoryError
from agentnb.store.location import StoreLocation, default_path, keeps_content, place
from agentnb.store.network_drives import is_network, mount_type, mounted_on_macos

MOUNTINFO = r"""
22 27 0:20 / /proc rw,nosuid - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 27 0:30 / /home rw,relatime shared:5 - nfs4 server:/home rw,vers=4.2
31 30 254:2 / /home/ann/local rw - xfs /dev/vdb rw
32 27 0:31 / /mnt/my\040share rw - cifs //server/share rw
33 27 0:32 / /mnt/ssh rw shared:7 master:1 - fuse.sshfs ann@server:/ rw
34 27 0:33 / /srv rw - overlay overlay rw
35 27 0:34 / /twice rw - ext4 /dev/vdc rw
36 35 0:35 / /twice rw - 9p host rw
a line of another form
"""
MACOS = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//ann@server/share on /Volumes/my share (1) (smbfs, nodev, nosuid, mounted by ann)
server:/export on /Volumes/nfs (nfs)
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("AGENTNB_HISTORY", raising=False)
    monkeypatch.delenv("AGENTNB_HISTORY_CONTENT", raising=False)
    monkeypatch.setattr(resolution, "_current", None)


def configure(text: str) -> None:
    path = user_config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    config(reload=True)


def test_by_default_in_the_user_s_data_folder(tmp_path: Path) -> None:
    assert default_path().is_relative_to(tmp_path / "data")
    assert place() == StoreLocation(default_path(), None, "the user's data folder")
    assert keeps_content()


def test_what_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    configure('[history]\nurl = "/of/the/file.sqlite"\nstore_content = false')
    assert place().path == Path("/of/the/file.sqlite")
    assert not keeps_content()
    monkeypatch.setenv("AGENTNB_HISTORY", "/of/the/environment.sqlite")
    monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", "1")
    assert place().path == Path("/of/the/environment.sqlite")
    assert keeps_content()
    assert place("/of/use.sqlite").path == Path("/of/use.sqlite")
    monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", "0")
    assert not keeps_content()
    # One that is empty is none.
    monkeypatch.setenv("AGENTNB_HISTORY", " ")
    monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", " ")
    assert place().path == Path("/of/the/file.sqlite")
    assert not keeps_content()


@pytest.mark.parametrize("text", ["off", "OFF", "none", "0", "false"])
def test_off(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTNB_HISTORY", text)
    assert place().is_off
    assert place().named_by == "AGENTNB_HISTORY"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:////absolute/h.sqlite", "/absolute/h.sqlite"),
        ("sqlite+pysqlite:////absolute/h.sqlite", "/absolute/h.sqlite"),
        ("sqlite:///relative.sqlite", "relative.sqlite"),
        ("/plain/h.sqlite", "/plain/h.sqlite"),
        ("C:\\plain\\h.sqlite", "C:\\plain\\h.sqlite"),
        ("~/h.sqlite", "~/h.sqlite"),
    ],
)
def test_files(text: str, path: str) -> None:
    assert place(text).path == Path(path)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "PostgreSQL"])
def test_postgresql(scheme: str) -> None:
    found = place(f"{scheme}://ann:secret@host/runs")
    assert found.url is not None
    assert found.url.get_secret_value() == "postgresql+psycopg://ann:secret@host/runs"
    assert "secret" not in repr(found)
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mysql://ann:secret@host/runs", "mysql is none of its databases"),
        ("postgresql+asyncpg://ann:secret@host/runs", "postgresql.asyncpg is none"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:h.sqlite?mode=ro&uri=true", "options of SQLite"),
    ],
)
def test_what_is_no_place(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTNB_HISTORY", text)
    with pytest.raises(HistoryError, match=reason) as raised:
        place()
    assert str(raised.value).startswith("AGENTNB_HISTORY names no store of runs")
    assert raised.value.hint is not None
    assert "secret" not in str(raised.value)


def test_a_path_in_the_file_is_whole() -> None:
    configure('[history]\nurl = "history.sqlite"')
    with pytest.raises(HistoryError, match="depends on the working folder"):
        place()
    configure('[history]\nurl = "~/history.sqlite"')
    assert place().path == Path("~/history.sqlite")


def test_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="no entry"):
        configure("[history]\nurls = 1")
    for ask in (place, keeps_content):
        with pytest.raises(HistoryError, match="there is no entry"):
            ask()
    monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", "perhaps")
    with pytest.raises(HistoryError, match="neither 0 nor 1"):
        keeps_content()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/history.sqlite", "ext4"),
        ("/home/ann/history.sqlite", "nfs4"),
        ("/home/ann/local/share/history.sqlite", "xfs"),
        ("/homework/history.sqlite", "ext4"),
        ("/mnt/my share/history.sqlite", "cifs"),
        ("/mnt/ssh/history.sqlite", "fuse.sshfs"),
        ("/srv/history.sqlite", "overlay"),
        # What is mounted over another one hides it.
        ("/twice/history.sqlite", "9p"),
    ],
)
def test_the_type_of_a_mount(path: str, kind: str) -> None:
    assert mount_type(Path(path), MOUNTINFO) == kind
    assert mount_type(Path(path), "") == ""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/Users/ann/history.sqlite", "apfs"),
        ("/Volumes/my share (1)/history.sqlite", "smbfs"),
        ("/Volumes/nfs/history.sqlite", "nfs"),
    ],
)
def test_the_type_of_a_mount_on_macos(path: str, kind: str) -> None:
    assert mounted_on_macos(Path(path), MACOS) == kind


def test_what_counts_as_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "mountinfo"
    listing.write_text(MOUNTINFO, encoding="utf-8")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("agentnb.store.network_drives._MOUNTINFO", listing)
    found = {name: is_network(Path(name) / "h.sqlite") for name in ("/var", "/mnt/ssh", "/twice")}
    assert found == {"/var": False, "/mnt/ssh": True, "/twice": True}
    listing.unlink()
    assert not is_network(Path("/mnt/ssh"))
