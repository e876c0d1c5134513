"""What is written is there whole or not at all; a full disk is told from other errors."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backend.files import is_disk_full, whole, whole_folder, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path):
    target = tmp_path / "deep" / "down" / "a.txt"
    with whole(target) as partial:
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path):
    target = tmp_path / "run.one"
    for text in ("old", "new"):
        with whole_folder(target) as partial:
            (partial / f"{text}.txt").write_text(text)
    assert names(target) == ["new.txt"]
    assert names(tmp_path) == ["run.one"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyError("x")])
def test_what_goes_wrong_half_way_leaves_what_was_there(tmp_path: Path, error: Exception):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("before")
    with whole_folder(folder) as partial:
        (partial / "inside").write_text("before")
    with pytest.raises(type(error)), whole(file) as partial:
        partial.write_text("half")
        raise error
    with pytest.raises(type(error)), whole_folder(folder) as partial:
        (partial / "inside").write_text("half")
        raise error
    assert file.read_text() == (folder / "inside").read_text() == "before"
    assert names(tmp_path) == ["file", "folder"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target = tmp_path / "folder"
    with whole_folder(target) as partial:
        (partial / "old").touch()
    real = Path.rename

    def rename(path: Path, to: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError(errno.EACCES, "Permission denied")
        return real(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(PermissionError), whole_folder(target) as partial:
        (partial / "new").touch()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_what_a_killed_process_has_left_goes_with_the_next_attempt(tmp_path: Path):
    target = tmp_path / "folder"
    code = (
        "import os, signal, sys; from pathlib import Path; from backend.files import whole_folder\n"
        "with whole_folder(Path(sys.argv[1])) as partial:\n"
        "    (partial / 'half').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(target)])
    assert killed.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    with whole_folder(target) as partial:
        (partial / "complete").touch()
    assert names(tmp_path) == ["folder"]
    assert names(target) == ["complete"]


def test_who_writes_at_the_same_time_is_left_alone(tmp_path: Path):
    target = tmp_path / "a.txt"
    with whole(target) as mine:
        other = mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{os.getppid()}."))
        other.write_text("theirs")
        write_text(tmp_path / "b.txt", "mine")
        mine.write_text("mine")
    with whole(target) as mine:
        mine.write_text("mine")
    assert names(tmp_path) == sorted([other.name, "a.txt", "b.txt"])


def test_a_private_file_is_its_owners_from_the_first_byte(tmp_path: Path):
    path = tmp_path / "secret"
    path.write_text("readable by all")
    write_text(path, "sécret", private=True)
    assert path.read_text(encoding="utf-8") == "sécret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_disk_is_told_from_other_errors():
    def caused(inner: Exception) -> Exception:
        outer = RuntimeError("could not write")
        outer.__cause__ = inner
        return outer

    assert is_disk_full(OSError(errno.ENOSPC, "x"))
    assert is_disk_full(caused(OSError(errno.EDQUOT, "x")))
    assert is_disk_full(caused(RuntimeError("I/O error: No space left on device")))
    assert not is_disk_full(caused(OSError(errno.EACCES, "x")))
    assert not is_disk_full(None)
