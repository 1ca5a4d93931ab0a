"""What can be watched from outside: figures for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from veridical.serve.pool import Pool

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

MEDIA = "text/plain; version=0.0.4; charset=utf-8"


class Measures:
    """The figures of one service.

    Args:
        pool: Asked whenever somebody looks.
    """

    def __init__(self, pool: Pool) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "veridical_requests",
            "Requests answered; status 499: the client went away.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "veridical_request_seconds",
            "From the first byte to the last.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bytes = Counter(
            "veridical_received_bytes", "Bytes of requests.", registry=self._registry
        )
        self._registry.register(_OfPool(pool))

    def count(self, method: str, route: str, status: int, seconds: float, received: int) -> None:
        """Count one request that was answered."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._bytes.inc(received)

    def text(self) -> bytes:
        """Return all figures, as Prometheus reads them."""
        return generate_latest(self._registry)


class _OfPool(Collector):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """Yield what the pool knows."""
        pool = self._pool
        for name, about, value in (
            ("veridical_workers", "Workers that there should be.", pool.size.workers),
            ("veridical_workers_ready", "Workers that have their model.", pool.ready),
            ("veridical_workers_busy", "Workers that judge.", pool.busy),
            ("veridical_waiting", "Pictures that wait for a worker.", pool.waiting),
        ):
            yield GaugeMetricFamily(name, about, value=value)
        lost = CounterMetricFamily(
            "veridical_workers_lost", "Workers that were replaced.", labels=("why",)
        )
        for why in ("died", "hung", "grew", "worn"):
            lost.add_metric((why,), pool.lost[why])
        yield lost
