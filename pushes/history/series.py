"""Figures over time, from the counters alone: a few thousand small rows, however long the log is."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum

from pushes.ledger.counters import NOT_KEPT, SUBMITTED
from pushes.models import LatencyBucket, MinuteCount
from pushes.names import TERMINAL, Kind, Reason, Status

#: A delivery that ended so counts against the success rate; skipped and cancelled ones were not to be sent.
UNSUCCESSFUL = (Status.FAILED, Status.UNKNOWN, Status.EXPIRED)
#: Whoever waits for one of these has not failed: nothing was wrong with the attempt, or there was none.
NO_FAILURE = (Reason.THROTTLED, Reason.KEY_PAUSED, Reason.BROADCAST_PAUSED, Reason.CUT_OFF, Reason.ONLINE)
QUANTILES = (0.5, 0.95, 0.99)
MINUTE = timedelta(minutes=1)
#: A step that has just begun says little: its rate is taken over at least so long.
MIN_STEP = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Span:
    """How far a chart looks back, and the width of its steps."""

    name: str
    length: timedelta
    step: timedelta

    def starts_at(self, now: datetime) -> datetime:
        """The beginning of the first step; the last step is the one that `now` is in."""
        seconds = self.step.total_seconds()
        last = now.timestamp() // seconds * seconds
        return datetime.fromtimestamp(last, now.tzinfo) - self.length + self.step

    def moments(self, now: datetime) -> list[datetime]:
        first = self.starts_at(now)
        return [first + n * self.step for n in range(self.length // self.step)]


SPANS = {
    span.name: span
    for span in (
        Span("1h", timedelta(hours=1), timedelta(minutes=1)),
        Span("24h", timedelta(days=1), timedelta(minutes=15)),
        Span("7d", timedelta(days=7), timedelta(hours=1)),
    )
}


@dataclass(slots=True)
class Attempts:
    """Attempts to send that the provider accepted, and those that failed: for good, or to be repeated."""

    accepted: int = 0
    failed: int = 0

    @property
    def success_percent(self) -> float | None:
        """Never rounded up to 100 (nor down to 0) by whoever shows one decimal; None without an attempt."""
        every = self.accepted + self.failed
        if not every:
            return None
        percent = 100 * self.accepted / every
        return min(percent, 99.9) if self.failed else percent

    def count(self, event: str, reason: str, number: int) -> None:
        if event == Status.ACCEPTED:
            self.accepted += number
        elif event in UNSUCCESSFUL or (event == Status.RETRYING and reason not in NO_FAILURE):
            self.failed += number


@dataclass(slots=True)
class Figures:
    """What a span's charts and tiles show. Lists run along `moments`; rates are per minute. `reasons` are those of
    deliveries that ended between the first moment and `until`."""

    span: Span
    moments: list[datetime]
    until: datetime
    per_minute: dict[str, list[float]]
    outcomes: dict[str, list[int]]
    latencies: dict[float, list[float | None]]
    events: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    latency: dict[float, float | None] = field(default_factory=dict)
    attempts: Attempts = field(default_factory=Attempts)
    attempts_by_key: dict[int, Attempts] = field(default_factory=dict)


def figures(span: Span, now: datetime) -> Figures:
    moments = span.moments(now)
    result = Figures(
        span=span,
        moments=moments,
        until=now,
        per_minute={kind.value: [0.0] * len(moments) for kind in Kind},
        outcomes={status: [0] * len(moments) for status in (Status.ACCEPTED, *UNSUCCESSFUL, Status.SKIPPED)},
        latencies={},
    )
    _add_events(result, now)
    _add_attempts(result)
    _add_latencies(result)
    return result


def _add_events(result: Figures, now: datetime) -> None:
    minutes = [result.span.step / MINUTE] * len(result.moments)
    # The last step is under way: what it has counted so far came in the part that is over.
    minutes[-1] = min(max(now - result.moments[-1], MIN_STEP), result.span.step) / MINUTE
    rows = MinuteCount.objects.filter(bucket_at__gte=result.moments[0], granularity__in=("minute", "hour")).order_by()
    rows = rows.exclude(event=NOT_KEPT)
    for at, kind, event, reason, count in rows.values_list("bucket_at", "kind", "event", "reason").annotate(
        total=Sum("count")
    ):
        place = _place(result, at)
        if place is None:
            continue
        result.events[event] += count
        if reason and event in TERMINAL:
            result.reasons[event, reason] += count
        if event == SUBMITTED:
            result.per_minute[kind][place] += count / minutes[place]
        elif event in result.outcomes:
            result.outcomes[event][place] += count


def _add_attempts(result: Figures) -> None:
    """Of each app key, and of all together: one that fails everything must not drown in the others' success."""
    told = (Status.ACCEPTED, Status.RETRYING, *UNSUCCESSFUL)
    rows = MinuteCount.objects.filter(
        bucket_at__gte=result.moments[0],
        bucket_at__lt=result.moments[-1] + result.span.step,
        granularity__in=("minute", "hour"),
        event__in=told,
    )
    found = rows.order_by().values_list("app_key_id", "event", "reason").annotate(total=Sum("count"))
    for key_id, event, reason, number in found:
        result.attempts.count(event, reason, number)
        result.attempts_by_key.setdefault(key_id, Attempts()).count(event, reason, number)


def _add_latencies(result: Figures) -> None:
    rows = LatencyBucket.objects.filter(bucket_at__gte=result.moments[0], granularity__in=("minute", "hour")).order_by()
    by_place: dict[int, Counter[int]] = defaultdict(Counter)
    whole: Counter[int] = Counter()
    for at, bound, count in rows.values_list("bucket_at", "le_ms").annotate(total=Sum("count")):
        place = _place(result, at)
        if place is not None:
            by_place[place][bound] += count
            whole[bound] += count
    for quantile in QUANTILES:
        result.latency[quantile] = at_quantile(whole, quantile)
        result.latencies[quantile] = [
            at_quantile(by_place[place], quantile) if place in by_place else None
            for place in range(len(result.moments))
        ]


def _place(result: Figures, at: datetime) -> int | None:
    place = (at - result.moments[0]) // result.span.step
    return place if 0 <= place < len(result.moments) else None


def at_quantile(counts: Mapping[int, int], quantile: float) -> float | None:
    """About how many milliseconds `quantile` of the pushes stayed under: the histogram knows the bounds that it lies
    between, and between them the pushes are taken to be spread evenly. Infinity beyond the last bound, None without
    any push."""
    wanted = quantile * sum(counts.values())
    if not wanted:
        return None
    reached, lower = 0, 0
    for bound in LatencyBucket.BOUNDS_MS:
        count = counts.get(bound, 0)
        if count and reached + count >= wanted:
            return lower + (bound - lower) * (wanted - reached) / count
        reached, lower = reached + count, bound
    return float("inf")


def chart_data(result: Figures, labels: Iterable[str]) -> dict[str, Any]:
    """What the page's script draws; JSON knows no infinity, so beyond the last bound it is the last one."""
    most = float(LatencyBucket.BOUNDS_MS[-1])
    return {
        "labels": list(labels),
        "kinds": {name: [round(rate, 2) for rate in rates] for name, rates in result.per_minute.items()},
        "outcomes": {str(status): counts for status, counts in result.outcomes.items()},
        "latencies": {
            f"p{quantile * 100:.0f}": [None if value is None else round(min(value, most), 1) for value in values]
            for quantile, values in result.latencies.items()
        },
    }
