"""What all desks share: history, permissions, and the same habits.

A desk is the admin page set of one model. Every act has a page of its own, made by `pages.page`.
"""

import urllib.parse
from functools import lru_cache
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils.http import RFC3986_SUBDELIMS
from django.utils.text import capfirst

from pushes.console.site.marks import translated
from pushes.console.site.theme import ModelAdmin

M = TypeVar("M", bound=Model)
#: The Cache-Control of a page that shows a secret.
NEVER_STORED = "no-store, private"
#: Stands for a row's key while an address is looked up; no part of any path.
ANY_KEY = "any-key"


class Desk(ModelAdmin[M]):
    """A ModelAdmin with the console's habits."""

    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    list_filter_submit = True
    warn_unsaved_form = True
    compressed_fields = False
    empty_value_display = "–"
    #: Shown in place of the table while it is empty.
    empty_title: Any = ""
    empty_text: Any = ""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        return super().changelist_view(request, context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed what. The names of fields are stored in English, as the form's labels had them."""
        answer = super().history_view(request, object_id, extra_context)
        if isinstance(answer, TemplateResponse):
            for entry in (answer.context_data or {})["action_list"]:
                entry.change_message = translated(entry.change_message)
        return answer

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list. The titles of its filters begin with a capital letter, since a title is a label of its
        own."""
        changelist = super().get_changelist_instance(request)
        for spec in changelist.filter_specs:
            spec.title = capfirst(spec.title)
        return changelist

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """The pages of this row that this user may open, and that apply now."""
        row = self.get_object(request, str(object_id))
        if row is None:
            return []
        every = super()._get_base_actions_detail()  # type: ignore[misc]
        return [one for one in every if _may(request, one.method) and one.method.applies(row)]

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        every = super()._get_base_actions_list()  # type: ignore[misc]
        return [one for one in every if _may(request, one.method)]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        every: dict[str, Any] = super().get_actions(request)
        return {name: one for name, one in every.items() if _may(request, one[0])}

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[Any], Any, set[str], list[str]]:
        """Leave out the rows that only tie two others together (`User_groups object (3)`)."""
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        both: list[Any] = [field.remote_field for field in self.opts.many_to_many] + list(self.opts.related_objects)
        ties = [relation.through for relation in both if getattr(relation, "through", None)]
        names = {str(tie._meta.verbose_name_plural) for tie in ties}
        beginnings = tuple(f"{capfirst(tie._meta.verbose_name)}: " for tie in ties)
        shown = {name: number for name, number in counts.items() if str(name) not in names}
        return _without(deleted, beginnings), shown, missing, protected

    def audit(self, request: HttpRequest, *history: tuple[Model, str]) -> None:
        """Write who did what to which rows, for the rows' history pages, in one statement. The text must have no secret
        and no whole token."""
        if request.user.pk is None:
            raise PermissionDenied
        LogEntry.objects.bulk_create(
            LogEntry(
                user_id=request.user.pk,
                content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
                object_id=str(row.pk),
                object_repr=str(row)[:200],
                action_flag=CHANGE,
                change_message=message,
            )
            for row, message in history
        )

    def show(
        self,
        request: HttpRequest,
        template: str,
        context: dict[str, Any],
        *,
        row: Model | None = None,
        status: int = 200,
        is_private: bool = False,
    ) -> TemplateResponse:
        """Show a page of this desk beside its list and forms: a page of one row, if a row is given. A private page has
        a secret, or a form for a secret: no cache keeps it."""
        common = {**self.admin_site.each_context(request), "opts": self.opts, "original": row}
        headers = {"Cache-Control": NEVER_STORED} if is_private else None
        return TemplateResponse(request, template, {**common, **context}, status=status, headers=headers)

    def url(self, name: str, *args: Any) -> str:
        """The address of this desk's `changelist`, `change` or other page."""
        return admin_url(self.model, name, *args)


def _may(request: HttpRequest, method: Any) -> bool:
    """Whether this user may open a page, or use an action; Django's own actions check for themselves."""
    return not hasattr(method, "permission") or request.user.has_perm(method.permission)


def _without(nested: list[Any], beginnings: tuple[str, ...]) -> list[Any]:
    """Remove the sentences with these beginnings from `nested`, a list of sentences and of such lists."""
    kept = [_without(item, beginnings) if isinstance(item, list) else item for item in nested]
    return [item for item in kept if item and not (isinstance(item, str) and item.startswith(beginnings))]


class ReadOnlyDesk(Desk[M]):
    """A desk of rows that only machines write."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


def admin_url(model: type[Model], name: str, *args: object) -> str:
    """The address of a page of this model; at most one argument, the row's key.

    A page of fifty rows needs two hundred addresses, so each page's pattern is looked up once per process.
    """
    meta = model._meta
    full = f"admin:{meta.app_label}_{meta.model_name}_{name}"
    before, after = _around_key(full, len(args), get_urlconf() or settings.ROOT_URLCONF, get_script_prefix())
    # As `reverse` escapes it.
    return before + "".join(urllib.parse.quote(str(arg), safe=f"{RFC3986_SUBDELIMS}/~:@") for arg in args) + after


@lru_cache(maxsize=256)
def _around_key(name: str, keys: int, urlconf: str, _prefix: str) -> tuple[str, str]:
    """The parts before and after the key in the address of a page."""
    before, _key, after = reverse(name, urlconf, args=[ANY_KEY] * keys).partition(ANY_KEY)
    return before, after
