"""What /metrics tells of the scanners (the METRICS_READERS setting names this): one row each, as they report it."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from chatscan.models import ScannerPosition
from chatscan.names import Mode, Stall
from chatscan.scanning import stalls
from pushes.storage import clocks


def read() -> Iterator[Metric]:
    """Raises django.db.DatabaseError."""
    rows = list(ScannerPosition.objects.defer("cursors", "floors"))
    now = clocks.now()
    yield _lag(rows, now)
    yield _ages(rows, now)
    yield _modes(rows)
    yield _stalls(rows, now)
    yield _rates(rows)
    yield _odd(rows)
    yield from _totals(rows)


def _lag(rows: list[ScannerPosition], now: datetime) -> Metric:
    metric = GaugeMetricFamily(
        "higo_scanner_lag_seconds",
        "Age of the oldest message not yet read; while the scanner cannot look, the time since it last could.",
        labels=["scanner"],
    )
    for row in rows:
        metric.add_metric([row.kind], stalls.lag_seconds(row, now))
    return metric


def _stalls(rows: list[ScannerPosition], now: datetime) -> Metric:
    metric = GaugeMetricFamily(
        "higo_scanner_stalled",
        "1 for what is wrong with a scanner that should be reading, 0 for all else: the one to raise an alarm on.",
        labels=["scanner", "why"],
    )
    for row in rows:
        wrong = stalls.stall(row, now)
        for why in Stall:
            metric.add_metric([row.kind, why.value], int(why is wrong))
    return metric


def _rates(rows: list[ScannerPosition]) -> Metric:
    metric = GaugeMetricFamily(
        "higo_scanner_messages_per_second", "Documents read, over the scanner's last minute.", labels=["scanner"]
    )
    for row in rows:
        metric.add_metric([row.kind], row.per_second)
    return metric


def _ages(rows: list[ScannerPosition], now: datetime) -> Metric:
    metric = GaugeMetricFamily(
        "higo_scanner_age_seconds",
        "Time since the scanner's last sign of life (heartbeat), and since its last successful look (read).",
        labels=["scanner", "of"],
    )
    for row in rows:
        for name, moment in (("heartbeat", row.heartbeat_at), ("read", row.scanned_at)):
            metric.add_metric([row.kind, name], _age(now, moment or row.created_at))
    return metric


def _age(now: datetime, moment: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def _modes(rows: list[ScannerPosition]) -> Metric:
    metric = GaugeMetricFamily(
        "higo_scanner_mode", "1 for the mode that the scanner is in, 0 for the others.", labels=["scanner", "mode"]
    )
    for row in rows:
        for mode in Mode.values:
            metric.add_metric([row.kind, mode], int(row.mode == mode))
    return metric


def _odd(rows: list[ScannerPosition]) -> Metric:
    metric = GaugeMetricFamily("higo_scanner_odd", "Documents that no position reaches.", labels=["scanner"])
    for row in rows:
        metric.add_metric([row.kind], row.odd)
    return metric


def _totals(rows: list[ScannerPosition]) -> Iterator[Metric]:
    documents = CounterMetricFamily("higo_scanner_documents", "Chat documents read.", labels=["scanner"])
    submitted = CounterMetricFamily("higo_scanner_submitted", "Pushes submitted for them.", labels=["scanner"])
    refused = CounterMetricFamily(
        "higo_scanner_refused", "Chat documents that did not become a push.", labels=["scanner", "reason"]
    )
    for row in rows:
        documents.add_metric([row.kind], row.read)
        submitted.add_metric([row.kind], row.accepted)
        for reason, number in sorted(row.refused.items()):
            refused.add_metric([row.kind, reason], number)
    yield from (documents, submitted, refused)
