"""The first page: what needs attention, the platform's state, and its recent figures.

The page asks for its inner part (`?part`) every few seconds; the same answer redraws the charts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isinf
from typing import Any, cast

from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.console.delivery_log import dead_letter_reasons
from pushes.console.delivery_log.pushes import deliveries_url
from pushes.console.overview import alerts
from pushes.console.overview.alerts import LATE
from pushes.console.site import attention, parts
from pushes.console.site.desk import admin_url
from pushes.console.site.filters import ended_between
from pushes.console.site.marks import STATUS_COLOURS, amount
from pushes.history import series, vitals
from pushes.history.log_query import NO_REASON
from pushes.history.vitals import Waiting
from pushes.ledger.counters import SUBMITTED
from pushes.models import AppKey, Broadcast, DeadLetter
from pushes.names import BroadcastStatus, Kind, Status, reason_words
from pushes.storage import clocks

DEFAULT_SPAN = "1h"
SHOWN_REASONS = 10
CACHE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    note: str = ""
    colour: str = ""
    #: A page that shows more of it, and what the link to it says: no number, which would be that of the page's rows.
    url: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class ReasonRow:
    status: str
    colour: str
    reason: str
    meaning: str
    #: As it is shown: one that was counted only so far ends with a +.
    count: str
    url: str


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The theme's dashboard callback."""
    now = clocks.now()
    is_part = "part" in request.GET
    found = {
        "title": _("Overview"),
        "is_part": is_part,
        "base_template": "console/part.html" if is_part else "admin/base_site.html",
        "is_empty": not AppKey.objects.exists(),
        "keys_url": admin_url(AppKey, "changelist"),
    }
    if request.user.has_perm("pushes.view_deliveryresult"):
        found |= _figures(request, now)
    return context | found


def _figures(request: HttpRequest, now: datetime) -> dict[str, Any]:
    span = series.SPANS.get(request.GET.get("span", ""), series.SPANS[DEFAULT_SPAN])
    figures = _cached(span, now)
    view, waiting = vitals.redis_view(), vitals.oldest_waiting(now)
    keys = view.keys if view else vitals.key_states()
    return {
        "has_figures": True,
        "span": span.name,
        "spans": [(name, _span_name(name)) for name in series.SPANS],
        "alerts": alerts.raised(request, view, keys, waiting, now),
        "tiles": list(_tiles(figures, view, waiting, now)),
        "reasons": _reasons(figures),
        "waiting": _waiting_groups(),
        "redis_view": view,
        "keys": keys,
        "lanes": _waiting_lanes(view, now),
        "dead_letters": [
            (reason, dead_letter_reasons.words(reason), attention.shown(number, vitals.MAX_LETTERS))
            for reason, number in vitals.new_dead_letters()
        ],
        "dead_letters_url": admin_url(DeadLetter, "changelist"),
        "broadcasts": Broadcast.objects.filter(status__in=(BroadcastStatus.SENDING, BroadcastStatus.PAUSED)).defer(
            "accounts", "data"
        )[:5],
        "panels": _panels(request),
        "chart_data": series.chart_data(figures, _labels(figures)) | {"names": _names()},
        "now": now,
    }


def _span_name(name: str) -> str:
    """Put `24h` into the reader's words."""
    number, unit = int(name[:-1]), name[-1]
    words = (
        ngettext("%(n)s hour", "%(n)s hours", number) if unit == "h" else ngettext("%(n)s day", "%(n)s days", number)
    )
    return words % {"n": number}


def _waiting_lanes(view: vitals.RedisView | None, now: datetime) -> list[tuple[str, vitals.Lane, str]]:
    return [
        (str(Kind(lane.name).label), lane, amount(max(now - lane.oldest_at, timedelta())) if lane.oldest_at else "")
        for lane in (view.lanes if view else ())
    ]


def _cached(span: series.Span, now: datetime) -> series.Figures:
    """Keep the figures for a while: longer spans change slowly, and many operators may look at them."""
    if span.name == DEFAULT_SPAN:
        return series.figures(span, now)
    return cast(
        series.Figures, cache.get_or_set(f"console-{span.name}", lambda: series.figures(span, now), CACHE_SECONDS)
    )


def _labels(figures: series.Figures) -> list[str]:
    shape = "%m-%d %H:%M" if figures.span.length > timedelta(days=1) else "%H:%M"
    return [timezone.localtime(moment).strftime(shape) for moment in figures.moments]


def _names() -> dict[str, str]:
    """The words of the charts' legends."""
    return {kind.value: str(kind.label) for kind in Kind} | {status.value: str(status.label) for status in Status}


def _tiles(figures: series.Figures, view: vitals.RedisView | None, waiting: Waiting, now: datetime) -> Iterator[Tile]:
    submitted, minutes = figures.events[SUBMITTED], figures.span.length.total_seconds() / 60
    yield Tile(_("Pushes submitted"), f"{submitted:,}", _("%(n)s a minute") % {"n": f"{submitted / minutes:,.1f}"})
    yield _success(figures, view)
    yield Tile(
        _("Time to accept (p95)"),
        milliseconds(figures.latency[0.95]),
        f"p50 {milliseconds(figures.latency[0.5])} · p99 {milliseconds(figures.latency[0.99])}",
    )
    oldest = waiting.oldest_at
    yield Tile(
        _("Oldest waiting"),
        amount(now - oldest) if oldest else amount(timedelta()),
        colour="warning" if oldest and now - oldest > LATE else "",
    )
    jobs = sum(lane.jobs for lane in view.lanes) if view else None
    yield Tile(_("Jobs waiting"), "?" if jobs is None else f"{jobs:,}")
    yield Tile(
        _("Workers"), "?" if view is None else str(view.workers), colour="" if view and view.workers else "danger"
    )


def _success(figures: series.Figures, view: vitals.RedisView | None) -> Tile:
    """The success rate of attempts, so that an outage shows at once. A single failing key sets the colour, even if the
    other keys are fine."""
    attempts, percent = figures.attempts, figures.attempts.success_percent
    if percent is None:
        return Tile(_("Success rate"), "–", _("no attempts"))
    note = _("%(n)s attempts, %(failed)s failed") % {
        "n": f"{attempts.accepted + attempts.failed:,}",
        "failed": f"{attempts.failed:,}",
    }
    worst = min((rate for _key, rate in _rates_by_key(figures)), default=percent)
    is_tripped = any(state.is_tripped and state.key.is_enabled for state in view.keys) if view else False
    colour = "danger" if percent < 90 else "warning" if percent < 99 or worst < 90 or is_tripped else "success"
    url = deliveries_url(attempt_failed=figures.span.name) if attempts.failed else ""
    return Tile(_("Success rate"), f"{percent:.1f} %", note, colour, url, _("Show failures"))


def _rates_by_key(figures: series.Figures) -> Iterator[tuple[int, float]]:
    for key_id, attempts in figures.attempts_by_key.items():
        if key_id and (percent := attempts.success_percent) is not None:
            yield key_id, percent


def milliseconds(value: float | None) -> str:
    """Write `≈ 180 ms`, with at most two digits: a histogram only gives an estimate."""
    if value is None:
        return "–"
    if isinf(value):
        return "> 60 s"
    rounded = float(f"{value:.2g}")
    return f"≈ {rounded / 1000:g} s" if rounded >= 1_000 else f"≈ {rounded:g} ms"


def _reasons(figures: series.Figures) -> list[ReasonRow]:
    return [
        ReasonRow(
            status=str(Status(status).label),
            colour=STATUS_COLOURS[status],
            reason=reason,
            meaning=reason_words(status, reason),
            count=f"{count:,}",
            url=deliveries_url(status__exact=status, reason=reason, **ended_between(figures.moments[0], figures.until)),
        )
        for (status, reason), count in figures.reasons.most_common(SHOWN_REASONS)
    ]


def _waiting_groups() -> list[ReasonRow]:
    """What waits at this moment, whatever the span."""
    return [
        ReasonRow(
            status=str(group.status.label),
            colour=STATUS_COLOURS[group.status],
            reason=group.reason or "",
            meaning=reason_words(group.status, group.reason) if group.reason else str(group.status.label),
            count=attention.shown(group.number, vitals.MAX_WAITING),
            url=deliveries_url(
                status__exact=group.status.value,
                **({} if group.reason is None else {"reason": group.reason or NO_REASON}),
            ),
        )
        for group in vitals.waiting_now()
    ]


def _panels(request: HttpRequest) -> list[tuple[str, dict[str, Any]]]:
    return [(part.panel, part.context(request)) for part in parts.parts_for(request.user)]
