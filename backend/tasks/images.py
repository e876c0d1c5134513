"""How Label Studio and its annotators see the images of a run.

`local-files`: Label Studio reads the home's images folder itself (same disk). `signed-urls`: this
backend serves them at addresses that nobody can guess.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from itsdangerous import Signer
from PIL.Image import open as open_image
from pydantic import SecretStr

from backend.addresses import path_of
from backend.errors import ImageUnresolvable
from backend.files import is_disk_full, whole, whole_folder
from backend.run.records import Image
from backend.settings import Settings

_DAY = 86_400
PIXELATED_BELOW = 256
"""Images with a shorter side are shown pixel by pixel on the labelling page."""


def is_pixelated(path: Path) -> bool:
    """Whether an image is so small that the labelling page shows it pixel by pixel."""
    with open_image(path) as image:
        return min(image.size) < PIXELATED_BELOW


def image_path(run_id: str, epoch: int, index: int) -> str:
    """Where an image lies, relative to the home's images folder."""
    return f"{run_id}/{epoch:04d}/{index:04d}.png"


def parse_path(path: str) -> tuple[str, int] | None:
    """Run and epoch of an `image_path`; None if it is none."""
    found = re.fullmatch(r"([^/]+)/(\d{4,9})/\d{4,9}\.png", path, re.ASCII)
    return (found[1], int(found[2])) if found else None


def image_key(run_id: str, epoch: int, index: int) -> str:
    """The name that an image's task carries as `hero_image_id`."""
    return f"{run_id}/{epoch}/{index:04d}"


def gallery_key(run_id: str, epoch: int, number: int = 0) -> str:
    """The name that an epoch's gallery task carries as `hero_image_id`; `number` is that of the
    prompt, in a run of several."""
    return f"{run_id}/{epoch}/gallery{f'-{number + 1}' if number else ''}"


def parse_key(key: str) -> tuple[str, int, int] | None:
    """Run, epoch and index of an `image_key`; None if it is none."""
    run_id, _, rest = key.partition("/")
    epoch, _, index = rest.partition("/")
    if not (run_id and epoch.isdecimal() and index.isdecimal()):
        return None
    return run_id, int(epoch), int(index)


def storage_folder(settings: Settings, name: str) -> Path:
    """The folder of a run, or of a comparison, that Label Studio may serve; made if missing.

    Raises:
        ImageUnresolvable: it does not lie below Label Studio's LOCAL_FILES_DOCUMENT_ROOT.
    """
    folder = settings.images_dir / name
    if not folder.is_relative_to(settings.files_root) or folder == settings.files_root:
        raise ImageUnresolvable(
            f"Label Studio cannot show images from {folder}: they do not lie below "
            f"{settings.files_root}, the folder it serves; set HERO_HOME below it, set "
            "HERO_LOCAL_FILES_ROOT and Label Studio's LOCAL_FILES_DOCUMENT_ROOT to a folder above "
            "the images, or set HERO_IMAGE_STORE=signed-urls."
        )
    folder.mkdir(parents=True, exist_ok=True)
    readable(settings.images_dir, folder)
    return folder


def image_url(settings: Settings, path: str) -> str:
    """The address that an image's task carries.

    Args:
        path: relative to the home's images folder.
    """
    if settings.image_store == "signed-urls":
        until = int(time.time()) + settings.image_days * _DAY
        until += -until % _DAY  # the same for what is published on one day
        signature = _signer(settings.image_key).get_signature(_signed(path, str(until))).decode()
        where = f"{settings.pages_base_url}/images/{quote(path)}"
        return f"{where}?expires={until}&signature={signature}"
    relative = (settings.images_dir / path).relative_to(settings.files_root)
    # Browsers look for it at the root of Label Studio's host, so the path before it belongs to it.
    prefix = path_of(settings.public_label_studio_url)
    return f"{prefix}/data/local-files/?d={quote(relative.as_posix())}"


def signature_fits(settings: Settings, path: str, expires: str, signature: str) -> bool:
    """Whether the signature is one that `image_url` gave to this path, and not expired."""
    signer = _signer(settings.image_key)
    if not signer.verify_signature(_signed(path, expires), _bytes(signature)):
        return False
    return int(expires) > time.time()


def earlier_signature_fits(settings: Settings, path: str, signature: str) -> bool:
    """Whether the signature is one of earlier versions': by the webhook secret, without an end.

    Tasks that stood in Label Studio when this home got its own key for images carry such addresses.
    Since every annotator can read that secret, only images of before that time may be shown by
    them: see `before_image_key`.
    """
    return _signer(settings.webhook_secret).verify_signature(_bytes(path), _bytes(signature))


def before_image_key(settings: Settings, moment: datetime | None) -> bool:
    """Whether that was before this home had a key for image addresses."""
    made, _, rest = settings.image_key.get_secret_value().partition(".")
    if moment is None or not (rest and made.isascii() and made.isdecimal()):
        return False
    return moment < datetime.fromtimestamp(int(made), UTC)


def place_images(settings: Settings, source: Path, run_id: str, epoch: int) -> list[str]:
    """Put a batch's images where Label Studio sees them: all of them or none.

    Of a folder that is there already only what is missing is put back.

    Args:
        source: a folder with 0000.png, 0001.png, ...

    Returns:
        Their paths relative to the home's images folder, by index.

    Raises:
        OSError: such as a full disk; nothing half-written stays.
    """
    names = sorted(path.name for path in source.glob("*.png"))
    folder = settings.images_dir / run_id / f"{epoch:04d}"
    if not folder.exists():
        with whole_folder(folder, once=True) as partial:
            for name in names:
                _link_or_copy(source / name, partial / name)
    for name in names:
        if not (folder / name).exists():
            with whole(folder / name) as partial:
                _link_or_copy(source / name, partial)
    readable(settings.images_dir, folder.parent, folder, *(folder / name for name in names))
    return [image_path(run_id, epoch, index) for index in range(len(names))]


def missing_images(settings: Settings, images: Iterable[Image]) -> list[Image]:
    """Those whose file is not where Label Studio sees it."""
    return [image for image in images if not (settings.images_dir / image.path).exists()]


def readable(*paths: Path) -> None:
    """Label Studio may run as another user. Whether it may enter the home folder is for people to
    say, who can give that alone the right."""
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if is_disk_full(error):
            raise
        shutil.copyfile(source, target)


def _signed(path: str, expires: str) -> bytes:
    return _bytes(f"{path}?{expires}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _signer(key: SecretStr) -> Signer:
    return Signer(key.get_secret_value(), salt="image", digest_method=hashlib.sha256)
