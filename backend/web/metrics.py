"""What /metrics shows, in Prometheus' text format.

Requests are counted as they come. All else is read from the database when it is asked for, so that
it is the same for every process, and after a restart.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from backend.store import Store


class Metrics:
    """Of one web process."""

    def __init__(self, store: Store) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "hero_requests", "Requests", ["endpoint", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "hero_request_seconds",
            "Seconds a request",
            ["endpoint"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
            registry=self._registry,
        )
        self.webhooks = Counter(
            "hero_webhooks", "Webhooks of Label Studio", ["action"], registry=self._registry
        )
        self._registry.register(_OfTheStore(store))

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)


class _OfTheStore(Collector):
    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing beforehand: the database is asked only when somebody looks."""
        return []

    def collect(self) -> Iterator[Metric]:
        found = self._store.measures()
        runs = GaugeMetricFamily("hero_runs", "Runs by state", labels=["state"])
        for state, count in found.runs.items():
            runs.add_metric([state.value], count)
        waiting = GaugeMetricFamily(
            "hero_runs_waiting", "Runs that wait for a worker, by step", labels=["step"]
        )
        for step, count in found.waiting.items():
            waiting.add_metric([step.value], count)
        jobs = GaugeMetricFamily("hero_jobs", "Asked for on run pages, by state", labels=["state"])
        for name, count in found.jobs.items():
            jobs.add_metric([name], count)
        stages = SummaryMetricFamily(
            "hero_stage_seconds", "Seconds a stage of an epoch", labels=["stage"]
        )
        for name, spent in found.stages.items():
            stages.add_metric([name], count_value=spent.count, sum_value=spent.seconds)
        between = found.between_batches
        yield from (runs, waiting, jobs, stages)
        yield GaugeMetricFamily(
            "hero_longest_wait_seconds",
            "Seconds that a run has waited for a worker, the longest",
            value=found.longest_wait,
        )
        yield GaugeMetricFamily("hero_labels", "Images judged by people", value=found.labels)
        yield SummaryMetricFamily(
            "hero_between_batches_seconds",
            "Seconds from an epoch's last label to the next batch in Label Studio",
            count_value=between.count,
            sum_value=between.seconds,
        )
