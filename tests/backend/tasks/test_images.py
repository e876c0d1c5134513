"""Where images lie and how they are seen."""

import errno
import os
import shutil
import stat
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from backend.errors import ImageUnresolvable
from backend.settings import Settings
from backend.tasks import images


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    folder = tmp_path / "batch"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index:04d}.png").write_bytes(f"image {index}".encode())
    return folder


def test_keys_and_back():
    assert images.parse_key(images.image_key("rose-7f3k", 3, 12)) == ("rose-7f3k", 3, 12)


@pytest.mark.parametrize("key", ["", "a", "a/b/c", "a/1", "a/1/", "/1/2", "a/-1/2", "a/1/2/3"])
def test_other_keys_are_not_ours(key: str):
    assert images.parse_key(key) is None


def test_local_files(settings: Settings):
    path = images.image_path("rose", 0, 7)
    assert images.image_url(settings, path) == "/data/local-files/?d=rose/0000/0007.png"


def test_local_files_below_another_root(settings: Settings):
    wide = settings.model_copy(update={"local_files_root": settings.home.parent})
    url = images.image_url(wide, "rose/0000/0007.png")
    assert url == "/data/local-files/?d=home/images/rose/0000/0007.png"


def test_a_root_that_does_not_hold_the_images(settings: Settings, tmp_path: Path):
    elsewhere = settings.model_copy(update={"local_files_root": tmp_path / "elsewhere"})
    with pytest.raises(ImageUnresolvable, match="HERO_LOCAL_FILES_ROOT"):
        images.storage_folder(elsewhere, "rose")


ROSE = "rose/0000/0007.png"


def parts(url: str) -> tuple[str, str, str]:
    address, _, query = url.partition("?")
    given = parse_qs(query)
    return address, given["expires"][0], given["signature"][0]


def test_signed_addresses(settings: Settings):
    signed = settings.model_copy(update={"image_store": "signed-urls", "url": "http://h.e:1"})
    address, expires, signature = parts(images.image_url(signed, ROSE))
    assert address == f"http://h.e:1/images/{ROSE}"
    assert images.signature_fits(signed, ROSE, expires, signature)
    assert not images.signature_fits(signed, "rose/0000/0008.png", expires, signature)
    assert not images.signature_fits(signed, ROSE, str(int(expires) + 1), signature)
    for wrong in ("", "ü", "\ud800"):
        assert not images.signature_fits(signed, ROSE, expires, wrong)
        assert not images.signature_fits(signed, ROSE, wrong, signature)


def test_signed_addresses_end(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    signed = settings.model_copy(update={"image_store": "signed-urls", "image_days": 30})
    _, expires, signature = parts(images.image_url(signed, ROSE))
    now = time.time()
    monkeypatch.setattr(images.time, "time", lambda: now + 30 * 86_400 - 1)
    assert images.signature_fits(signed, ROSE, expires, signature)
    monkeypatch.setattr(images.time, "time", lambda: now + 31 * 86_400 + 1)
    assert not images.signature_fits(signed, ROSE, expires, signature)


def test_the_secret_that_annotators_can_read_signs_no_image(settings: Settings):
    signed = settings.model_copy(update={"image_store": "signed-urls"})
    forged = signed.model_copy(update={"image_key": signed.webhook_secret})
    _, expires, signature = parts(images.image_url(forged, ROSE))
    assert not images.signature_fits(signed, ROSE, expires, signature)


def test_images_are_for_label_studio_to_read_and_nothing_else(settings: Settings, tmp_path: Path):
    source = tmp_path / "batch"
    source.mkdir()
    (source / "0000.png").write_bytes(b"png")
    (source / "0000.png").chmod(0o600)
    before = os.umask(0o077)
    try:
        images.place_images(settings, source, "rose", 0)
    finally:
        os.umask(before)
    found = (settings.images_dir, *settings.images_dir.rglob("*"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in found}
    assert modes == {0o755, 0o644}


def test_images_are_placed_whole(settings: Settings, batch: Path):
    paths = images.place_images(settings, batch, "rose", 1)
    assert paths == [f"rose/0001/{index:04d}.png" for index in range(3)]
    assert (settings.images_dir / paths[2]).read_bytes() == b"image 2"
    assert images.place_images(settings, batch, "rose", 1) == paths


def test_a_full_disk_leaves_nothing(
    settings: Settings, batch: Path, monkeypatch: pytest.MonkeyPatch
):
    real, done = os.link, []

    def link(source: Path, target: Path) -> None:
        if done:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(target)
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OSError, match="No space"):
        images.place_images(settings, batch, "rose", 1)
    assert list((settings.images_dir / "rose").iterdir()) == []
    monkeypatch.setattr(os, "link", real)
    assert len(images.place_images(settings, batch, "rose", 1)) == 3


def test_a_file_system_without_links(
    settings: Settings, batch: Path, monkeypatch: pytest.MonkeyPatch
):
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    images.place_images(settings, batch, "rose", 1)
    shutil.rmtree(batch)
    assert (settings.images_dir / "rose/0001/0000.png").read_bytes() == b"image 0"


def test_an_image_stands_below_label_studios_own_path(settings: Settings):
    public = {"label_studio_public_url": "https://host/ls"}
    address = images.image_url(settings.model_copy(update=public), "run/0000/0001.png")
    assert address == "/ls/data/local-files/?d=run/0000/0001.png"
