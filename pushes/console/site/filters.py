"""Filters of the big tables. No filter counts, joins, or searches inside a text. `log_query` has their meanings."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site.long_list import ConditionFilter
from pushes.console.site.theme import DropdownFilter, TextFilter
from pushes.history import log_query
from pushes.history.log_query import NO_REASON
from pushes.models import AppKey
from pushes.names import Reason


class SpanFilter(ConditionFilter, DropdownFilter):
    """Rows of a recent span of time."""

    title = gettext_lazy("time")
    parameter_name = "within"
    meaning = staticmethod(log_query.within)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [
            ("10m", _("last 10 minutes")),
            ("1h", _("last hour")),
            ("24h", _("last 24 hours")),
            ("7d", _("last 7 days")),
        ]


class MomentFilter(ConditionFilter, TextFilter):
    """A boundary in time, typed as `2026-05-01 08:00` in the operator's zone."""

    complaint = gettext_lazy("“%(value)s” is not a valid time. Enter a time like 2026-05-01 08:00.")


class FromFilter(MomentFilter):
    title = gettext_lazy("from")
    parameter_name = "from"
    meaning = staticmethod(log_query.created_from)


class UntilFilter(MomentFilter):
    title = gettext_lazy("to")
    parameter_name = "until"
    meaning = staticmethod(log_query.created_until)


class FinishedFromFilter(MomentFilter):
    """Deliveries that ended at this moment or later."""

    title = gettext_lazy("finished from")
    parameter_name = "finished_from"
    meaning = staticmethod(log_query.finished_from)


class FinishedUntilFilter(MomentFilter):
    """Deliveries that ended before this moment."""

    title = gettext_lazy("finished to")
    parameter_name = "finished_until"
    meaning = staticmethod(log_query.finished_until)


def typed(moment: datetime) -> str:
    """Write `moment` as the filters of time accept it: in the reader's zone, with the offset if that zone has the time
    twice."""
    local = timezone.localtime(moment)
    shown = f"{local:%Y-%m-%d %H:%M:%S}"
    return shown if log_query.moment(shown) == moment.replace(microsecond=0) else local.isoformat(timespec="seconds")


def ended_between(begins: datetime, ends: datetime) -> dict[str, str]:
    """The log's parameters for deliveries that ended from `begins` on, up to the second of `ends`: the deliveries that
    the counters of these minutes counted."""
    return {"finished_from": typed(begins), "finished_until": typed(ends + timedelta(seconds=1))}


class LiveFilter(ConditionFilter, DropdownFilter):
    """Deliveries that have not ended."""

    title = gettext_lazy("progress")
    parameter_name = "live"
    meaning = staticmethod(log_query.live)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("1", _("waiting or being sent")), ("0", _("ended"))]


class FailedAttemptFilter(ConditionFilter, DropdownFilter):
    """Deliveries with a failed attempt in a recent span of time, whatever happened since."""

    title = gettext_lazy("failed attempt")
    parameter_name = "attempt_failed"
    meaning = staticmethod(log_query.attempt_failed)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("1h", _("last hour")), ("24h", _("last 24 hours")), ("7d", _("last 7 days"))]


class NumberFilter(ConditionFilter, TextFilter):
    """A row's number, typed with or without a #."""

    complaint = gettext_lazy("“%(value)s” is not a valid number. Enter digits only.")


class RecordFilter(NumberFilter):
    title = gettext_lazy("push number")
    parameter_name = "record"
    meaning = staticmethod(log_query.record)


class BroadcastFilter(NumberFilter):
    """The rows of one broadcast, in a list of pushes or of deliveries."""

    title = gettext_lazy("broadcast number")
    parameter_name = "broadcast"
    meaning = staticmethod(log_query.broadcast)


class AppKeyFilter(ConditionFilter, DropdownFilter):
    title = gettext_lazy("app key")
    parameter_name = "key"
    meaning = staticmethod(log_query.key)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [(str(key.pk), str(key)) for key in AppKey.objects.all()]


class ReasonFilter(ConditionFilter, DropdownFilter):
    """Rows with one reason; the choices show the code of the API and the logs."""

    title = gettext_lazy("reason")
    parameter_name = "reason"
    meaning = staticmethod(log_query.reason)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [(NO_REASON, _("none")), *((value, f"{value}: {text}") for value, text in Reason.choices)]
