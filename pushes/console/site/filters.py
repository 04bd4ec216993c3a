"""Filters of the big tables. None counts, none joins, none searches inside a text."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site import long_list
from pushes.console.site.theme import DropdownFilter, TextFilter
from pushes.history import pages, series
from pushes.models import AppKey, PushRecord
from pushes.names import LIVE, TERMINAL, Reason, Status
from pushes.storage import clocks

SPANS = {"10m": timedelta(minutes=10), "1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}
#: In place of a reason: rows that have none.
NO_REASON = "none"


class SpanFilter(long_list.TimeFilter, DropdownFilter):
    """Newer than a round span of time."""

    title = gettext_lazy("time")
    parameter_name = "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [
            ("10m", _("last 10 minutes")),
            ("1h", _("last hour")),
            ("24h", _("last 24 hours")),
            ("7d", _("last 7 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        span = SPANS.get(self.value() or "")
        if span is None:
            return None
        return self.since(queryset, clocks.now() - span)


class MomentFilter(long_list.TimeFilter, TextFilter):
    """A boundary in time, typed as `2026-05-01 08:00` in the operator's zone."""

    def moment(self, request: HttpRequest) -> datetime | None:
        value = (self.value() or "").strip()
        found = self.parsed(value)
        if value and found is None:
            messages.error(
                request,
                _("“%(value)s” is not a valid time. Enter a time like 2026-05-01 08:00.") % {"value": value[:40]},
            )
        return found

    @staticmethod
    def parsed(value: str) -> datetime | None:
        """None for what is no time."""
        try:
            found = parse_datetime(value if len(value) > 10 else f"{value} 00:00")
        except ValueError:
            return None
        return found if found is None or timezone.is_aware(found) else timezone.make_aware(found)


class FromFilter(MomentFilter):
    title = gettext_lazy("from")
    parameter_name = "from"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        moment = self.moment(request)
        return None if moment is None else self.since(queryset, moment)


class UntilFilter(MomentFilter):
    title = gettext_lazy("to")
    parameter_name = "until"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        moment = self.moment(request)
        return None if moment is None else self.until(queryset, moment)


class FinishedFromFilter(MomentFilter):
    """Deliveries that ended at this moment or later."""

    title = gettext_lazy("finished from")
    parameter_name = "finished_from"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        moment = self.moment(request)
        return None if moment is None else queryset.filter(finished_at__gte=moment)


class FinishedUntilFilter(MomentFilter):
    """Deliveries that ended before this moment; they were created before it, too."""

    title = gettext_lazy("finished to")
    parameter_name = "finished_until"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        moment = self.moment(request)
        if moment is None:
            return None
        self.highest = pages.last_until(queryset.model, moment)
        return queryset.filter(finished_at__lt=moment)


def typed(moment: datetime) -> str:
    """`moment` as the filters of time take it: by the reader's clock, with its offset where that clock shows the same
    time twice."""
    local = timezone.localtime(moment)
    shown = f"{local:%Y-%m-%d %H:%M:%S}"
    return shown if MomentFilter.parsed(shown) == moment.replace(microsecond=0) else local.isoformat(timespec="seconds")


def ended_between(begins: datetime, ends: datetime) -> dict[str, str]:
    """The log's parameters for deliveries that ended from `begins` on, up to the second of `ends`: those that the
    counters of these minutes have counted."""
    return {"finished_from": typed(begins), "finished_until": typed(ends + timedelta(seconds=1))}


class LiveFilter(DropdownFilter):
    """Deliveries that have not ended."""

    title = gettext_lazy("progress")
    parameter_name = "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("1", _("waiting or being sent")), ("0", _("ended"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() not in ("0", "1"):
            return None
        return queryset.filter(status__in=LIVE if self.value() == "1" else TERMINAL)


class FailedAttemptFilter(DropdownFilter):
    """Deliveries of which an attempt failed within a round span of time, whatever became of them since."""

    title = gettext_lazy("failed attempt")
    parameter_name = "attempt_failed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("1h", _("last hour")), ("24h", _("last 24 hours")), ("7d", _("last 7 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        span = SPANS.get(self.value() or "")
        if span is None:
            return None
        since = timezone.now() - span
        ended = Q(status__in=series.UNSUCCESSFUL) | Q(status=Status.ACCEPTED, attempts__gt=1)
        again = Q(status=Status.RETRYING, sent_at__gte=since) & ~Q(reason__in=series.NO_FAILURE)
        return queryset.filter(ended & Q(finished_at__gte=since) | again)


class NumberFilter(TextFilter):
    """A row's number, typed with or without a #."""

    def number(self, request: HttpRequest) -> int | None:
        value = (self.value() or "").strip().lstrip("#")
        if not value:
            return None
        if not value.isdecimal() or len(value) > 18:
            messages.error(request, _("“%(value)s” is not a valid number. Enter digits only.") % {"value": value[:40]})
            return None
        return int(value)


class RecordFilter(NumberFilter):
    title = gettext_lazy("push number")
    parameter_name = "record"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        number = self.number(request)
        return None if number is None else queryset.filter(record_id=number)


class BroadcastFilter(NumberFilter):
    """Of a list of pushes, those of a broadcast."""

    title = gettext_lazy("broadcast number")
    parameter_name = "broadcast"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        number = self.number(request)
        return None if number is None else self.of_broadcast(queryset, number)

    def of_broadcast(self, queryset: QuerySet[Any], number: int) -> QuerySet[Any]:
        return queryset.filter(broadcast_id=number)


class DeliveriesBroadcastFilter(BroadcastFilter):
    """Of a list of deliveries, those of a broadcast's pushes."""

    def of_broadcast(self, queryset: QuerySet[Any], number: int) -> QuerySet[Any]:
        return queryset.filter(record_id__in=PushRecord.objects.filter(broadcast_id=number).values("id"))


class AppKeyFilter(DropdownFilter):
    title = gettext_lazy("app key")
    parameter_name = "key"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [(str(key.pk), str(key)) for key in AppKey.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value() or ""
        return queryset.filter(app_key_id=int(value)) if value.isdecimal() else None


class ReasonFilter(DropdownFilter):
    """By reason; the choices show the short name that the API and the logs use."""

    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [(NO_REASON, _("none")), *((value, f"{value}: {text}") for value, text in Reason.choices)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        return queryset.filter(reason="" if value == NO_REASON else value) if value else None
