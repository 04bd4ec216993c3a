"""GET /metrics for Prometheus: what is waiting, how old it is, and recent results.

Everything is read on request, with queries whose cost does not grow with the log.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import accumulate

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Sum
from django.http import HttpResponse
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from redis import RedisError

from pushes import lanes
from pushes.api import auth
from pushes.api.endpoint import Call
from pushes.history import vitals
from pushes.ledger import dead_letter_store
from pushes.ledger.counters import NOT_KEPT
from pushes.models import DeliveryResult, LatencyBucket, MinuteCount
from pushes.names import LIVE, JobRefusal
from pushes.storage import clocks
from pushes.workers import pulse, queues, refused_jobs

RECENT_MINUTES = 5
SCOPE = ("app", "platform", "environment", "channel")
#: Counting stops here: "at least this many" is enough for an alert, and costs the same on any table.
MAX_COUNTED = 100_000


def show(call: Call) -> HttpResponse:
    """Show the metrics to a token with scope `metrics`, or to a request from this machine."""
    if not _is_local(call):
        auth.authenticate(call.request, "metrics")
    registry = CollectorRegistry()
    registry.register(Platform())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _is_local(call: Call) -> bool:
    """Whether the request comes from this machine, and is addressed to it. A proxy's requests come from loopback, too,
    and the web server may have removed the proxy's headers; but their Host is the public one."""
    meta = call.request.META
    passed_on = settings.SECURE_PROXY_SSL_HEADER is not None or any(
        name in meta for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
    )
    host = re.sub(r":[0-9]+$", "", meta.get("HTTP_HOST", ""))
    is_loopback = meta.get("REMOTE_ADDR") in ("127.0.0.1", "::1") and host in ("127.0.0.1", "localhost", "[::1]")
    return is_loopback and not passed_on and "HTTP_AUTHORIZATION" not in meta


class Platform(Collector):
    """The platform's state, group by group; a group whose source is unavailable is left out and reported."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("higo_source_up", "Whether this source of metrics answered.", labels=["source"])
        seconds = GaugeMetricFamily("higo_scrape_seconds", "Seconds that reading this source took.", labels=["source"])
        for source, read in _sources().items():
            started = time.perf_counter()
            try:
                yield from list(read())
            except (RedisError, DatabaseError):
                up.add_metric([source], 0)
            else:
                up.add_metric([source], 1)
            seconds.add_metric([source], time.perf_counter() - started)
        yield up
        yield seconds


def _sources() -> dict[str, Callable[[], Iterable[Metric]]]:
    """Return the sources by name. Each yields, or raises RedisError or DatabaseError. METRICS_READERS adds more by
    dotted path."""
    more: dict[str, str] = settings.METRICS_READERS
    ours: dict[str, Callable[[], Iterable[Metric]]] = {"redis": _queues, "database": _rows, "app_keys": _gates}
    return ours | {name: import_string(path) for name, path in more.items()}


def _queues() -> Iterator[Metric]:
    queues.try_to_write()  # a server that answers but refuses writes is down, too
    depth = GaugeMetricFamily("higo_queue_jobs", "Jobs waiting in an RQ queue.", labels=["lane", "queue"])
    alive = GaugeMetricFamily("higo_workers", "Live worker processes.", labels=["lane"])
    for lane in vitals.lanes_now(queues.worker_names()):
        alive.add_metric([lane.name], lane.workers)
        for name, jobs in lane.depths.items():
            depth.add_metric([lane.name, name], jobs)
    yield depth
    yield alive
    waiting = GaugeMetricFamily("higo_raw_messages", "Producers' messages that the intake has not read yet.")
    waiting.add_metric([], queues.raw_messages())
    yield waiting
    taken = GaugeMetricFamily("higo_raw_batches", "Batches that an intake has taken but not finished.")
    taken.add_metric([], queues.raw_batches())
    yield taken
    ahead = GaugeMetricFamily(
        "higo_clock_ahead_seconds", "Seconds by which this machine's clock is ahead of that server's.", labels=["of"]
    )
    for server, seconds in clocks.seconds_ahead().items():
        ahead.add_metric([server], seconds)
    yield ahead
    unwell = GaugeMetricFamily(
        "higo_process_unwell_seconds",
        "Seconds that a process has been unable to work: database unreachable, clock wrong or a thread stuck.",
        labels=["process", "host", "what"],
    )
    for one in pulse.complaints():
        unwell.add_metric([one.process, one.host, one.what], one.seconds)
    yield unwell


def _rows() -> Iterator[Metric]:
    readers: tuple[Callable[[], Metric], ...] = (
        _oldest,
        _sweeper,
        _live_deliveries,
        _recent_events,
        _recent_latency,
        _paused_keys,
        _fallen_back_keys,
        _dead_letters,
        _refused_jobs,
        _dead_letters_not_kept,
    )
    for read in readers:
        yield read()


def _oldest() -> Metric:
    metric = GaugeMetricFamily(
        "higo_oldest_seconds", "Age of the oldest one waiting; 0 if none is.", labels=["waiting"]
    )
    now = clocks.now()
    waiting = vitals.oldest_waiting(now)
    # A delivery's age is counted from when it was due: a push held until the morning is not late.
    for name, since in (("distribution", waiting.undistributed_at), ("delivery", waiting.due_at)):
        metric.add_metric([name], (now - since).total_seconds() if since else 0)
    return metric


def _sweeper() -> Metric:
    """How long no sweeper has run: a sweeper renews its lease in every round, five rounds before it would expire."""
    metric = GaugeMetricFamily(
        "higo_sweeper_missing_seconds", "Seconds without a running sweeper; 0 if one is running."
    )
    until = vitals.sweeper_until()
    if until is not None:
        metric.add_metric([], max((clocks.now() - until).total_seconds(), 0))
    return metric


def _live_deliveries() -> Metric:
    metric = GaugeMetricFamily(
        "higo_live_deliveries", f"Unfinished deliveries (counted up to {MAX_COUNTED}).", labels=["status"]
    )
    for status in LIVE:
        metric.add_metric([status.value], vitals.counted(DeliveryResult.objects.filter(status=status), MAX_COUNTED))
    return metric


def _recent_events() -> Metric:
    metric = GaugeMetricFamily(
        "higo_recent_events",
        f"Pushes submitted, and deliveries by the status they reached, in the last {RECENT_MINUTES} minutes.",
        labels=["kind", "event", "reason"],
    )
    since = clocks.now() - timedelta(minutes=RECENT_MINUTES)
    rows = MinuteCount.objects.filter(granularity=MinuteCount.Granularity.MINUTE, bucket_at__gte=since)
    rows = rows.exclude(event=NOT_KEPT)
    for kind, event, reason, total in rows.values_list("kind", "event", "reason").annotate(Sum("count")).order_by():
        metric.add_metric([kind, event, reason], total)
    return metric


def _recent_latency() -> Metric:
    """Return the histogram's buckets, which are cumulative."""
    metric = GaugeMetricFamily(
        "higo_recent_latency_bucket",
        "Accepted pushes by seconds from acceptance to the provider's confirmation, at most `le`, in the last "
        f"{RECENT_MINUTES} minutes.",
        labels=["kind", "le"],
    )
    since = clocks.now() - timedelta(minutes=RECENT_MINUTES)
    rows = LatencyBucket.objects.filter(granularity=MinuteCount.Granularity.MINUTE, bucket_at__gte=since)
    by_kind: dict[str, dict[int, int]] = defaultdict(dict)
    for kind, le_ms, total in rows.values_list("kind", "le_ms").annotate(Sum("count")).order_by():
        by_kind[kind][le_ms] = total
    # 0 stands for "longer than all bounds".
    bounds = (*LatencyBucket.BOUNDS_MS, 0)
    for kind, counts in by_kind.items():
        for bound, total in zip(bounds, accumulate(counts.get(bound, 0) for bound in bounds), strict=True):
            metric.add_metric([kind, f"{bound / 1000:g}" if bound else "+Inf"], total)
    return metric


def _gates() -> Iterator[Metric]:
    """The gates: state from Redis, names from the database. A separate source, so that no outage hides the others."""
    tripped = GaugeMetricFamily("higo_app_key_breaker", "1 while the app key's breaker is open.", labels=SCOPE)
    shut = GaugeMetricFamily(
        "higo_app_key_shut_seconds", "Seconds until the key lets calls through again.", labels=SCOPE
    )
    for state in vitals.with_gates(_enabled_keys()):
        tripped.add_metric(_scope(state), int(state.is_tripped))
        shut.add_metric(_scope(state), state.seconds_shut)
    yield from (tripped, shut)


def _paused_keys() -> Metric:
    metric = GaugeMetricFamily("higo_app_key_paused", "1 while the app key is paused.", labels=SCOPE)
    for state in _enabled_keys():
        metric.add_metric(_scope(state), int(state.is_stopped))
    return metric


def _fallen_back_keys() -> Metric:
    metric = GaugeMetricFamily(
        "higo_app_key_fell_back",
        "1 while the app key uses its old secret because the provider refused the new one, until acknowledged.",
        labels=SCOPE,
    )
    for state in _enabled_keys():
        metric.add_metric(_scope(state), int(state.has_fallen_back))
    return metric


def _enabled_keys() -> list[vitals.KeyState]:
    return [state for state in vitals.key_states() if state.key.is_enabled]


def _scope(state: vitals.KeyState) -> list[str]:
    return [getattr(state.key, name) for name in SCOPE]


def _dead_letters() -> Metric:
    metric = GaugeMetricFamily("higo_dead_letters", f"New dead letters (counted up to {MAX_COUNTED}).")
    metric.add_metric([], vitals.count_new_dead_letters(MAX_COUNTED))
    return metric


def _refused_jobs() -> Metric:
    """All counters, also those at 0: Prometheus does not see an increase in a counter that has just appeared."""
    metric = CounterMetricFamily(
        "higo_refused_jobs", "Foreign jobs in Redis that were refused.", labels=["lane", "reason"]
    )
    totals = refused_jobs.totals()
    for lane in lanes.LANES:
        for reason in JobRefusal:
            metric.add_metric([lane, reason.value], totals.get((lane, reason.value), 0))
    return metric


def _dead_letters_not_kept() -> Metric:
    metric = GaugeMetricFamily(
        "higo_dead_letters_not_kept",
        "Dead letters of the last hour that were counted but not kept, beyond DEAD_LETTERS_PER_HOUR.",
        labels=["reason"],
    )
    for reason, count in dead_letter_store.not_kept(clocks.now()).items():
        metric.add_metric([reason], count)
    return metric
