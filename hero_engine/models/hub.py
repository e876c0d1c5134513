"""Models on the hub: what is in the local cache, and what has to be downloaded."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from huggingface_hub.utils import logging as hub_logging

from hero_engine.errors import ModelNotFound

T = TypeVar("T")
SECONDS_TO_ANSWER = 5.0
"""How long the hub may take to say what a model consists of."""


def cached(model: str, revision: str | None, file: str) -> Path | None:
    """The model's folder in the local cache, if that file is in it; others need not be."""
    try:
        found = try_to_load_from_cache(model, file, revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def sizes(model: str, revision: str | None) -> dict[str, int]:
    """The files of a model on the hub, and their bytes. Raises `ModelNotFound`."""

    def ask() -> dict[str, int]:
        # This request the client makes once; others it repeats for half a minute.
        info = HfApi().model_info(
            model, revision=revision, files_metadata=True, timeout=SECONDS_TO_ANSWER
        )
        return {each.rfilename: each.size or 0 for each in info.siblings or ()}

    return _asked(model, revision, ask)


def download(model: str, revision: str | None, files: Sequence[str]) -> Path:
    """Fetch those files of a model, unless they are in the cache; its folder. Raises
    `ModelNotFound`."""
    return _asked(
        model,
        revision,
        lambda: Path(
            snapshot_download(model, revision=revision, allow_patterns=list(files), max_workers=4)
        ),
    )


def _asked(model: str, revision: str | None, ask: Callable[[], T]) -> T:
    try:
        with quiet():
            return ask()
    except GatedRepoError as error:
        raise ModelNotFound(
            f"The hub keeps {model!r} behind a licence; accept it on the model's page and log in "
            "with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(
            f"The model {model!r} on the hub has no revision {revision!r}; name a branch, a tag or "
            "a commit that its page lists."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"There is neither a folder nor a model on the hub called {model!r}; check the name, "
            "or log in with `hf auth login` if it is private."
        ) from error
    except Exception as error:  # of whichever HTTP library the client uses
        raise ModelNotFound(
            f"{model!r} is no folder here, is not in the local cache, and could not be fetched "
            f"from {os.environ.get('HF_ENDPOINT', 'https://huggingface.co')} "
            f"({first_line(error)}); check the name and the network, or download the model "
            "elsewhere and give its folder."
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the client's progress bars and warnings; what goes wrong is said in one sentence."""
    bars, level = not are_progress_bars_disabled(), hub_logging.get_verbosity()
    disable_progress_bars()
    hub_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        if bars:
            enable_progress_bars()


def first_line(error: BaseException) -> str:
    """What an error says, in one line without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
