"""Lists of tables with millions of rows, a page at a time (see `pushes.history.pages`), with links to newer and older
pages."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import IGNORED_PARAMS
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from pushes.console.site import rows
from pushes.console.site.desk import admin_url
from pushes.console.site.theme import ChangeList
from pushes.history import log_query, pages
from pushes.history.rare_rows import Sieve

OLDER_THAN, NEWER_THAN = "before", "after"
TEMPLATE = "console/long_list.html"


class ConditionFilter:
    """A filter whose parameter selects what `meaning` says. A walk asks the filter for the ids between which its rows
    are."""

    meaning: log_query.Meaning
    condition: log_query.Condition | None = None
    #: What is said of a text that cannot be understood; "" for choices.
    complaint: Any = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        chosen: Any = self  # the theme's class beside this one has the value
        text = str(chosen.value() or "").strip()
        self.condition = self.meaning(queryset.model, text) if text else None
        if self.condition is not None:
            return queryset.filter(self.condition.rows)
        if text and self.complaint:
            messages.error(request, self.complaint % {"value": text[:40]})
        return None


def counted(queryset: QuerySet[Any], most: int, bounds: pages.Bounds = pages.EVERYWHERE) -> tuple[int, bool]:
    """Count the rows from the newest back, until `most` is passed or the budget ends. Returns the number, and whether
    all rows were counted."""
    found, stopped_at = pages.walk_through(
        queryset.order_by("-pk").values_list("pk"), pages.spans_down(queryset.model, None, bounds), most + 1
    )
    return min(len(found), most), stopped_at is None and len(found) <= most


class KeysetPaginator:
    """The attributes that the theme's pagination tag needs of a paginator; the list makes the pages itself."""

    template_name = "console/keyset_pagination.html"

    def __init__(self, per_page: int) -> None:
        self.per_page = per_page


class KeysetChangeList(ChangeList):
    """The admin's list, paged by key. `model_admin.is_indexed(params)` decides how the list searches.

    A desk with such a list has TEMPLATE, which draws `table`.
    """

    paginator: Any
    page: pages.Page
    #: How a key is read out of the address.
    read_key: Callable[[str | None], Any] = staticmethod(pages.number)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        # The place in the list is no filter, and no new search or filter inherits it.
        for name in (OLDER_THAN, NEWER_THAN):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        desk: Any = self.model_admin
        walk = not desk.is_indexed(self)
        cursor = pages.Cursor(*(self.read_key(request.GET.get(name)) for name in (OLDER_THAN, NEWER_THAN)))
        self.page = pages.read_page(
            self.queryset.order_by(),
            cursor,
            self.list_per_page,
            walk=walk,
            bounds=self.bounds() if walk else pages.EVERYWHERE,
        )
        self.result_list = self.page.rows
        self.result_count = self.full_result_count = len(self.page.rows)
        self.show_full_result_count = False
        self.show_admin_actions = bool(self.page.rows)
        self.can_show_all = self.multi_page = False
        self.paginator = KeysetPaginator(self.list_per_page)

    def bounds(self) -> pages.Bounds:
        """Where a walk needs to look: between the ids that the filters of time allow, and in the blocks of `sieve`."""
        chosen: list[Any] = [spec for spec in self.filter_specs if isinstance(spec, ConditionFilter)]
        return log_query.bounds((spec.condition for spec in chosen if spec.condition is not None), self.sieve())

    def sieve(self) -> Sieve | None:
        """The noted blocks that may have the rows; None means any block."""
        return None

    @property
    def table(self) -> rows.Table:
        return rows.table(self)

    def url_for_result(self, result: Any) -> str:
        return admin_url(self.model, "change", quote(result.pk))

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        return super().get_query_string(new_params, [*(remove or []), OLDER_THAN, NEWER_THAN])

    @property
    def older_url(self) -> str:
        """The address of the next older page; "" on the last page."""
        if not self.page.has_older:
            return ""
        edge = self.page.stopped_at if self.page.stopped_at is not None else self.page.rows[-1].pk
        return self.get_query_string({OLDER_THAN: edge})

    @property
    def newer_url(self) -> str:
        """The address of the next newer page; "" on the newest page."""
        if not self.page.has_newer:
            return ""
        if self.page.stopped_above is not None:
            return self.get_query_string({NEWER_THAN: self.page.stopped_above})
        return self.get_query_string({NEWER_THAN: self.page.rows[0].pk} if self.page.rows else {})

    @cached_property
    def searched_back_to(self) -> datetime | None:
        """How far back the page searched, if the search ended before the page was full."""
        if self.page.stopped_at is None:
            return None
        nearest = self.model._default_manager.filter(pk__gte=self.page.stopped_at).order_by("pk")
        return nearest.values_list("created_at", flat=True).first()

    @property
    def is_filtered(self) -> bool:
        return bool(self.query or set(self.get_filters_params()) - set(IGNORED_PARAMS))
