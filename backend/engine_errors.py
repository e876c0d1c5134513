"""The engine's errors as the service's."""

from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import (
    BadInput,
    DiskFull,
    EngineFailed,
    FilesDamaged,
    ProcessLost,
    ProcessUnready,
)
from backend.files import is_disk_full
from hero_engine.errors import (
    ConfigError,
    DamagedFiles,
    HeroError,
    ModelNotFound,
    UnsupportedModel,
)
from hero_engine.errors import ProcessLost as EngineProcessLost
from hero_engine.errors import ProcessUnready as EngineProcessUnready


@contextmanager
def engine_errors() -> Iterator[None]:
    """The engine's errors as the service's; the sentences are the engine's own."""
    try:
        yield
    except (ConfigError, ModelNotFound, UnsupportedModel) as error:
        raise BadInput(str(error)) from error
    except DamagedFiles as error:
        raise FilesDamaged(str(error)) from error
    except EngineProcessLost as error:
        raise ProcessLost(str(error)) from error
    except EngineProcessUnready as error:
        raise ProcessUnready(str(error)) from error
    except (HeroError, OSError) as error:
        if is_disk_full(error):
            raise DiskFull(
                "Cannot write what the engine made: the disk is full; nothing half-written was "
                "kept: free space."
            ) from error
        raise EngineFailed(_first_line(error)) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error):
            raise EngineFailed(
                "The memory does not suffice; `hero stop` this run and start one with --memory low "
                "or a smaller sample_batch_size and forward_batch_size."
            ) from error
        raise


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
