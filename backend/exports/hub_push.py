"""A folder that `hero export` made, as a model on the hub: `hero export --push`.

The token is the one that the hub's client finds (`HF_TOKEN`, or `hf auth login`), the address is
`HF_ENDPOINT`.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from backend import engine
from backend.errors import BadInput, HeroServiceError, PushFailed
from backend.exports.target import CARD, MARK

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

SECONDS_OF_SILENCE = 60.0
"""How long the hub may say nothing."""
_LOG_IN = "make a token that may write, on your settings page there, and log in by `hf auth login`"


def check(repository: str, *, force: bool) -> None:
    """See, before any work, that a push can begin.

    Args:
        repository: OWNER/NAME.
        force: replace a model card that `hero export` did not make.

    Raises:
        BadInput: no such name is possible, no token is there, or the card is somebody's own.
        PushFailed: the hub does not answer, or does not take the token.
    """
    _check_name(repository)
    with _errors_of(repository):
        api = _api(repository)
        api.whoami()
        card = None if force else _card(api, repository)
    if card is not None and MARK not in card:
        raise BadInput(
            f"Cannot push to {repository}: it has a model card that `hero export` did not make; "
            "choose another name, or say --force to replace the card."
        )


def push(folder: Path, repository: str, *, message: str, private: bool) -> str:
    """Add the files of a folder to a repository in one commit; it is made if it is not there.

    Args:
        folder: see `backend.exports.lora`.
        repository: OWNER/NAME.
        message: of the commit.
        private: a new repository is only for its owner.

    Returns:
        The address of the commit.

    Raises:
        BadInput, PushFailed: nothing was added.
    """
    from huggingface_hub import CommitOperationAdd

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    added = [
        CommitOperationAdd(path_in_repo=path.relative_to(folder).as_posix(), path_or_fileobj=path)
        for path in files
    ]
    with _errors_of(repository), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        api = _api(repository)
        api.create_repo(repository, private=private or None, exist_ok=True)
        return str(api.create_commit(repository, added, commit_message=message).commit_url)


def _check_name(repository: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
        said = "" if repository.count("/") == 1 else "it has no owner"
    except HFValidationError:
        said = "the hub allows no such name"
    if said:
        raise BadInput(
            f"Cannot push to {repository!r}: {said}; say --push OWNER/NAME, of letters, digits, "
            "-, _ and ., at most 96, with your user name or organisation as OWNER."
        )


def _api(repository: str) -> "HfApi":
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import get_session

    token = get_token()
    if token is None:
        raise BadInput(
            f"Cannot push to {repository}: there is no token for the hub; {_LOG_IN}, or put it "
            "into HF_TOKEN."
        )
    get_session().timeout = SECONDS_OF_SILENCE  # by itself, the client waits for ever
    return HfApi(token=token)


def _card(api: "HfApi", repository: str) -> str | None:
    """The repository's model card; None if it has none, or is not there."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    with TemporaryDirectory() as folder:
        try:
            card = api.hf_hub_download(repository, CARD, local_dir=folder)
        except LocalEntryNotFoundError:  # the hub does not answer
            raise
        except (EntryNotFoundError, RepositoryNotFoundError):
            return None
        return Path(card).read_text(encoding="utf-8", errors="replace")


@contextmanager
def _errors_of(repository: str) -> Iterator[None]:
    """What goes wrong with the hub, as one sentence; the client's own noise is off."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        with engine.quiet_hub():
            yield
    except HeroServiceError:
        raise
    except OfflineModeIsEnabled as error:
        raise BadInput(
            f"Cannot push to {repository}: HF_HUB_OFFLINE says to use no network; unset it."
        ) from error
    except Exception as error:  # of whichever HTTP library the client uses
        cause = error.__cause__ if isinstance(error, RuntimeError) else None
        known = cause or error
        why = _refusal(known) if isinstance(known, HfHubHTTPError) else _failure(known)
        raise PushFailed(f"Cannot push to {repository}: {why}.") from error


def _refusal(error: "HfHubHTTPError") -> str:
    """What the hub answered, and what to do."""
    from huggingface_hub.errors import RepositoryNotFoundError

    status = error.response.status_code
    no_right = (
        "the token may not write there; choose a name of your own, or use a token with the right "
        "to write to it"
    )
    why = {
        401: f"the hub does not take the token; {_LOG_IN} (HF_TOKEN goes before that)",
        403: no_right,
        404: no_right,
        409: "somebody else changed it at the same moment; push again",
        413: "the files are larger than the hub takes",
        429: "the hub takes no more requests from you for now; wait, and push again",
    }.get(status)
    if isinstance(error, RepositoryNotFoundError):
        why = no_right  # it answers 401 for what a token may not see
    if status >= 500:
        why = "the hub is in trouble; push again later"
    words = " ".join((error.server_message or "").split()).rstrip(".")
    said = f"{status}: {words}" if words else f"{status}"
    return f"{why or 'the hub refuses it'} (it answered {said})"


def _failure(error: BaseException) -> str:
    from huggingface_hub.constants import ENDPOINT

    words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, json.JSONDecodeError | KeyError):
        return f"what answers at {ENDPOINT} is no hub; correct HF_ENDPOINT"
    if isinstance(error, ValueError):
        return f"the hub does not take the files ({words})"
    return f"{ENDPOINT} cannot be reached ({words}); check the network, and push again"
