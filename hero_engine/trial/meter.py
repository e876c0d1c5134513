"""Seconds and memory of a piece of work: of the GPU by torch's allocator, else of this process."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from hero_engine.models.out_of_memory import is_out_of_memory
from hero_engine.trial.batch_size import DoesNotFit

LOOK_SECONDS = 0.005
"""How often the process's memory is looked at."""


@dataclass(frozen=True)
class Measured:
    """What a piece of work took."""

    seconds: float
    busy_seconds: float
    """Of a CPU, the processor's time by the number of threads; of a GPU the same as `seconds`."""
    peak_bytes: int
    """Largest memory in use while it ran."""

    def at_best(self, again: "Measured") -> "Measured":
        """Of the same work twice: the least time, and the most memory."""
        return Measured(
            min(self.seconds, again.seconds),
            min(self.busy_seconds, again.busy_seconds),
            max(self.peak_bytes, again.peak_bytes),
        )


class Meter:
    """Measures what is done on a device."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._device = device
        self._did_not_fit = False

    @property
    def name(self) -> str:
        """The GPU's name, or the kind of device."""
        if self._cuda:
            return torch.cuda.get_device_name(self._device)
        return self._device.type.upper()

    @property
    def memory_bytes(self) -> int:
        """All that the device has."""
        if self._cuda:
            return torch.cuda.mem_get_info(self._device)[1]
        return psutil.virtual_memory().total

    @property
    def used_bytes(self) -> int:
        """What this process holds of it now."""
        if self._cuda:
            return torch.cuda.memory_allocated(self._device)
        return psutil.Process().memory_info().rss

    @property
    def free_bytes(self) -> int:
        """What it could still take."""
        if self._cuda:
            kept = torch.cuda.memory_reserved(self._device) - self.used_bytes
            return torch.cuda.mem_get_info(self._device)[0] + kept
        return psutil.virtual_memory().available

    def measure(self, work: Callable[[], object]) -> Measured:
        """Do the work. Raises `DoesNotFit` if there is not enough memory for it."""
        peak = [0]
        try:
            with self._gpu_peak(peak) if self._cuda else self._process_peak(peak):
                self.wait()
                started, began = time.perf_counter(), time.process_time()
                work()
                self.wait()
                seconds = time.perf_counter() - started
                busy = (time.process_time() - began) / torch.get_num_threads()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._did_not_fit = True
            raise DoesNotFit(str(error)) from error
        return Measured(seconds, seconds if self._cuda else busy, peak[0])

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self._cuda:
            torch.cuda.synchronize(self._device)

    @contextmanager
    def _gpu_peak(self, peak: list[int]) -> Iterator[None]:
        if self._did_not_fit:
            gc.collect()
            torch.cuda.empty_cache()
            self._did_not_fit = False
        torch.cuda.reset_peak_memory_stats(self._device)
        yield
        peak[0] = torch.cuda.max_memory_allocated(self._device)

    @contextmanager
    def _process_peak(self, peak: list[int]) -> Iterator[None]:
        done = threading.Event()

        def look() -> None:
            peak[0] = max(peak[0], self.used_bytes)

        def keep_looking() -> None:
            while not done.wait(LOOK_SECONDS):
                look()

        look()
        thread = threading.Thread(target=keep_looking, name="memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            look()
