"""Trials in Label Studio: a project and an annotator of our own, both deleted afterwards."""

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urljoin

import httpx
from PIL import Image

from backend.addresses import below, get, is_this_machine, path_of
from backend.doctor.finding import Note
from backend.errors import HeroServiceError, ImageUnresolvable
from backend.label_studio import Gateway
from backend.label_studio.browser_session import Member
from backend.local.label_studio_server import IN_LABEL_STUDIO, LOCK_SECONDS, Account
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
    link = gateway.invitation()
    try:
        member = _let_in(settings, gateway, link)
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


def _let_in(settings: Settings, gateway: Gateway, link: str) -> Member:
    """At the address that people type, if it can be reached from here, else at ours."""
    public = settings.public_label_studio_url
    try:
        return _signed_up(public, link.removeprefix(public))
    except httpx.TransportError:
        if public == gateway.url:
            raise
        return _signed_up(gateway.url, link.removeprefix(public))


def _signed_up(url: str, path: str) -> Member:
    email = f"{NAME}-{secrets.token_hex(4)}@example.com"
    return Member.sign_up(url, path, email, secrets.token_urlsafe(16))


def owner_sees(settings: Settings, gateway: Gateway, address: str) -> str:
    """The token's user is shown the image."""
    here = address.replace(settings.pages_base_url, settings.backend_url, 1)
    if not gateway.can_see(here if settings.image_store == "signed-urls" else address):
        raise ImageUnresolvable(
            f"Label Studio does not show {address}; set its LOCAL_FILES_DOCUMENT_ROOT to "
            f"{settings.files_root}, or set HERO_IMAGE_STORE=signed-urls."
        )
    return f"{settings.image_store}: Label Studio shows an image of {settings.images_dir}"


def annotator_sees(settings: Settings, person: Member, address: str) -> str:
    """An annotator's browser is shown the image."""
    public = settings.public_label_studio_url
    where = address_in_a_page(public, address)
    if where.startswith("http:") and public.startswith("https:") and not is_this_machine(where):
        raise ImageUnresolvable(
            f"browsers show no image of {where} in a page of {public}; set HERO_PUBLIC_URL to an "
            "https address of this backend."
        )
    ours = settings.image_store == "signed-urls"
    if ours and is_this_machine(where) and not is_this_machine(public):
        raise Note(
            f"images are served from {settings.pages_base_url}, which is this machine to whoever "
            "opens it; set HERO_PUBLIC_URL to an address that annotators reach."
        )
    from_inside = person.url != public
    if from_inside and not ours:
        where = below(person.url, address.removeprefix(path_of(public)))
    try:
        answer = get(where) if ours else person.http.get(where)
    except httpx.HTTPError as error:
        kind = Note if ours and settings.public_url else ImageUnresolvable
        raise kind(
            f"{where.partition('?')[0]} cannot be fetched from here ({error}); see that "
            "annotators' browsers reach it, and set HERO_PUBLIC_URL to where this backend is for "
            "them."
        ) from error
    shown = answer.is_success and answer.headers.get("content-type", "").startswith("image/")
    if not shown:
        raise ImageUnresolvable(
            f"an annotator is not shown {where} (status {answer.status_code}); look whether a "
            f"proxy before {'this backend' if ours else 'Label Studio'} lets "
            f"{'/images/' if ours else '/data/'} through."
        )
    if from_inside:
        raise Note(
            f"shown to a trial annotator at {person.url}; {public} cannot be reached from here, so "
            "open a task there yourself."
        )
    return f"shown to a trial annotator at {where.partition('?')[0]}"


def address_in_a_page(label_studio: str, address: str) -> str:
    """Where a browser looks for an address that stands in a task: as from the labelling page."""
    return urljoin(f"{label_studio}/projects/1/data", address)


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


def has_what_hero_adds(person: Member) -> str:
    """Label Studio runs with the settings of `backend/local/in_label_studio`."""
    if "hero-ranges" not in person.http.get("/projects/").text:
        raise Note(
            "Label Studio runs without what HERO adds: Shift and dragging mark nothing, and two "
            "people get the same image at the same time; start it with "
            "DJANGO_SETTINGS_MODULE=hero_settings and PYTHONPATH set to the folder "
            f"{IN_LABEL_STUDIO}, or to a copy."
        )
    return "Shift and dragging mark ranges; nobody gets an image that somebody else has open"


def task_lock(settings: Settings) -> str:
    """How long a task that somebody left open is kept from others; hidden from outside."""
    account = Account.load(settings.home / "label-studio")
    if account is not None and account.url == settings.label_studio_url:
        return f"{LOCK_SECONDS} s (this Label Studio is started by `hero up`)"
    raise Note(
        "cannot be seen from here; see that Label Studio runs with TASK_LOCK_TTL=300, or a task "
        "that somebody left open is kept from the others for a day."
    )
