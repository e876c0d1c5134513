"""Trials in Label Studio: a project and an annotator of our own, both deleted afterwards."""

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import httpx
from PIL import Image

from backend.addresses import is_this_machine, path_of
from backend.doctor.finding import Note
from backend.errors import HeroServiceError, ImageUnresolvable
from backend.label_studio import Gateway
from backend.label_studio.browser_session import Member
from backend.local.label_studio_server import Account
from backend.settings import Settings
from backend.tasks.images import image_path, image_url, storage_folder

NAME = "hero-doctor"


@contextmanager
def project(gateway: Gateway) -> Iterator[int]:
    """A project for the trials."""
    made = gateway.ensure_project(NAME, "HERO doctor", "a trial, deleted at once")
    try:
        yield made.id
    finally:
        gateway.delete_project(made.id)


@contextmanager
def image(settings: Settings, gateway: Gateway, project_id: int) -> Iterator[str]:
    """The address of an image, as the tasks of a run carry it."""
    path = image_path(NAME, 0, 0)
    folder = storage_folder(settings, NAME)
    try:
        (settings.images_dir / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "white").save(settings.images_dir / path)
        gateway.connect_images(project_id, NAME)
        yield image_url(settings, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def annotator(settings: Settings, gateway: Gateway) -> Iterator[Member]:
    """Somebody who came in by the invitation link and has no rights of ours."""
    for user_id, email in gateway.emails().items():  # of a doctor that was killed
        if email.startswith(f"{NAME}-"):
            gateway.remove_member(user_id)
    link = urlsplit(gateway.invitation())
    email = f"{NAME}-{secrets.token_hex(4)}@example.com"
    try:
        path = link.path.removeprefix(path_of(settings.public_label_studio_url))
        member = Member.sign_up(
            gateway.url, f"{path}?{link.query}", email, secrets.token_urlsafe(16)
        )
    except (HeroServiceError, httpx.HTTPError) as error:
        raise Note(
            "no trial annotator can be made by the invitation link, so what annotators see was "
            "not looked at; log in as one and open a task."
        ) from error
    try:
        yield member
    finally:
        member.close()
        gateway.remove_member(member.user_id)


def owner_sees(settings: Settings, gateway: Gateway, address: str) -> str:
    """The token's user is shown the image."""
    if not gateway.can_see(address):
        raise ImageUnresolvable(
            f"Label Studio does not show {address}; set its LOCAL_FILES_DOCUMENT_ROOT to "
            f"{settings.files_root}, or set HERO_IMAGE_STORE=signed-urls."
        )
    return f"{settings.image_store}: Label Studio shows an image of {settings.images_dir}"


def annotator_sees(settings: Settings, person: Member, address: str) -> str:
    """An annotator's browser is shown the image."""
    try:
        answer = person.http.get(_from(settings, address))
    except httpx.HTTPError as error:
        raise ImageUnresolvable(
            f"an annotator's browser cannot fetch {address} ({error}); set HERO_URL to an address "
            "of this backend that annotators reach, or set HERO_IMAGE_STORE=local-files."
        ) from error
    shown = answer.is_success and answer.headers.get("content-type", "").startswith("image/")
    if not shown:
        raise ImageUnresolvable(
            f"an annotator is not shown {address} (status {answer.status_code}); look whether a "
            "proxy before Label Studio lets /data/ through."
        )
    if settings.image_store == "signed-urls" and _for_this_machine_only(settings):
        raise Note(
            f"images are served from {settings.backend_url}, which is this machine to whoever "
            "opens it; set HERO_URL to an address that annotators reach."
        )
    return "shown to a trial annotator"


def _from(settings: Settings, address: str) -> str:
    """An image's address as it is asked for at the address by which we reach Label Studio."""
    return address.removeprefix(path_of(settings.public_label_studio_url))


def _for_this_machine_only(settings: Settings) -> bool:
    return is_this_machine(settings.backend_url) and not is_this_machine(
        settings.public_label_studio_url
    )


def space_submits(person: Member) -> str:
    """The labelling page submits with Space."""
    page = person.http.get("/projects/")
    keymap = re.search(r'defaultEditorKeymap = JSON\.parse\("(.*)"\);', page.text)
    submit = {}
    if keymap:
        with suppress(ValueError):
            submit = json.loads(json.loads(f'"{keymap[1]}"')).get("annotation:submit", {})
    if submit.get("key") != "space":
        raise Note(
            "people submit with Ctrl+Enter; for Space, start Label Studio with EDITOR_KEYMAP="
            '\'{"annotation:submit":{"key":"space","description":"Submit"}}\', or each sets it '
            "under Account & Settings > Hotkeys."
        )
    return "Space submits"


def task_lock(settings: Settings) -> str:
    """How long a task that somebody left open is kept from others; hidden from outside."""
    account = Account.load(settings.home / "label-studio")
    if account is not None and account.url == settings.label_studio_url:
        return "300 s (this Label Studio is started by `hero up`)"
    raise Note(
        "cannot be seen from here; see that Label Studio runs with TASK_LOCK_TTL=300, or a task "
        "that somebody left open is kept from the others for a day."
    )
