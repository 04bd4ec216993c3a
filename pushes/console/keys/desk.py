"""App keys: the grid, the write-only secret, verify, pause and resume, enable and disable."""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis import RedisError

from pushes.console.keys import client_match, ini_import
from pushes.console.keys.device_restore import RestorePages
from pushes.console.keys.form import AppKeyForm, KindForm, PauseForm, first_guess, form_of
from pushes.console.keys.rotation import RotationPages, ask_provider, secret_facts
from pushes.console.keys.secret_field import access_id_of
from pushes.console.site.marks import key_badge
from pushes.console.site.pages import Done, Question, RefusedError, list_page, page
from pushes.console.site.theme import badge, when
from pushes.history import vitals
from pushes.keys import check, entry, pausing
from pushes.models import AppKey
from pushes.names import DEFAULT_PROVIDER, App, Environment, Platform
from pushes.storage import clocks
from pushes.text import notes
from pushes.text.notes import said

#: Marks a row whose form was sent with its box unticked.
ASKED = "asks_to_switch_off"
#: What a change of the form may write, and what goes with a change of credentials. The rest of the row is the
#: workers': one may pause the key, or go back to its old secret, while the form is open.
CREDENTIAL_FIELDS = (
    "access_id",
    "secret_encrypted",
    "secret_since",
    "revision",
    "old_secret_encrypted",
    "old_access_id",
    "fell_back_at",
    "fell_back_reason",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One key in the grid."""

    known: vitals.KeyState
    url: str

    @property
    def key(self) -> AppKey:
        return self.known.key

    @property
    def state(self) -> SafeString:
        if not self.key.has_old_secret:
            return key_badge(self.known)
        return format_html("{} {}", key_badge(self.known), badge(_("old secret kept"), "info"))

    @property
    def doubt(self) -> str:
        return check.doubt(self.key)


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the grid: its keys, one for each channel, or the gap where there is none."""

    app: App
    platform: Platform
    environment: Environment
    keys: list[Shown]
    add_url: str

    @property
    def state(self) -> SafeString:
        return badge(_("missing"), "warning")


@admin.register(AppKey)
class AppKeys(RotationPages, RestorePages):
    form = AppKeyForm
    change_list_template = "console/app_keys.html"
    list_display = ("__str__", "provider", "state", "updated")
    sortable_by = ()
    actions = None
    actions_list = ("match_page", "import_page")
    actions_detail = (
        "verify_page",
        "rotate_page",
        "end_old_page",
        "go_back_page",
        "note_page",
        "pause_page",
        "resume_page",
        "disable_page",
        "enable_page",
        "restore_page",
    )
    change_form_before_template = "console/key_notice.html"
    readonly_fields = ("state", "updated", "secret_since_shown", "old_secret_shown")

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "endpoint_url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: AppKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **{**kwargs, "form": form_of(_kind(request, obj))})

    def get_readonly_fields(self, request: HttpRequest, obj: AppKey | None = None) -> Any:
        return (access_id_of(_kind(request, obj)), *self.readonly_fields)

    def get_fieldsets(self, request: HttpRequest, obj: AppKey | None = None) -> Any:
        """The credentials are those of the key's provider. Who may change no key sees only the access id."""
        kind = _kind(request, obj)
        shown = [access_id_of(kind)] if obj and not entry.shows_access_id(kind) else []
        ids = [field.name for field in entry.fields(kind) if field.is_access_id] or shown
        others = [field.name for field in entry.asked_fields(kind)]
        if not self.has_change_permission(request, obj):
            ids, others = [access_id_of(kind)], []
        switches = ("rate_per_second", "is_enabled")
        fieldsets = (
            (_("App"), {"fields": (("app", "platform", "environment"),)}),
            (_("Provider"), {"fields": (("provider", *ids), *others, "endpoint_url", switches)}),
            (_("State"), {"fields": (("state", "updated"), ("secret_since_shown", "old_secret_shown"))}),
        )
        return fieldsets if obj else fieldsets[:2]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The first step chooses app and provider, the second asks for what that provider needs."""
        if request.method == "POST":
            return super().add_view(request, form_url, extra_context)
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = KindForm(request.GET) if "provider" in request.GET else KindForm(initial=first_guess(request.GET.dict()))
        if form.is_valid():
            return super().add_view(request, form_url, extra_context)
        context = {"title": _("Add an app key"), "form": form, "back": self.url("changelist")}
        return self.show(request, "console/key_kind.html", context, status=422 if form.errors else 200)

    def save_model(self, request: HttpRequest, obj: AppKey, form: Any, change: bool) -> None:
        if change:
            self._save_changes(request, obj, form)
            # For `response_change`, which is given the row and not the form.
            setattr(obj, ASKED, form.asks_to_switch_off)
        else:
            obj.save()
        doubt = check.doubt(obj)
        if doubt:
            messages.warning(request, doubt)

    def _save_changes(self, request: HttpRequest, key: AppKey, form: AppKeyForm) -> None:
        credentials = {field.name for field in entry.fields(form.kind)}
        fields = {"updated_at", *set(form.changed_data) - credentials}
        if form.changes_credentials:
            fields |= set(CREDENTIAL_FIELDS)
            if AppKey.objects.filter(pk=key.pk).exclude(old_secret_encrypted="").exists():
                messages.info(request, _("This change also discards the old secret."))
        key.save(update_fields=fields)

    def response_change(self, request: HttpRequest, obj: AppKey) -> HttpResponse:
        if getattr(obj, ASKED, False):
            return HttpResponseRedirect(self.url("disable_page", obj.pk))
        return super().response_change(request, obj)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        doubt = check.doubt(key) if key else ""
        fault = check.endpoint_fault(key) if key else ""
        context = {"key": key, "doubt": doubt, "endpoint_fault": fault, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"grid": self._grid(), "title": _("App keys")}
        return super().changelist_view(request, context | (extra_context or {}))

    def _grid(self) -> list[list[Cell]]:
        """Build the grid: a row for each app and platform, a column for each environment."""
        keys: dict[Any, list[Shown]] = defaultdict(list)
        for known in vitals.as_known(vitals.key_states()):
            key = known.key
            keys[key.app, key.platform, key.environment].append(Shown(known, self.url("change", key.pk)))
        return [
            [self._cell(keys[app, platform, environment], app, platform, environment) for environment in Environment]
            for app in App
            for platform in Platform
        ]

    def _cell(self, keys: list[Shown], app: App, platform: Platform, environment: Environment) -> Cell:
        scope = {"app": app.value, "platform": platform.value, "environment": environment.value}
        return Cell(app, platform, environment, keys, f"{self.url('add')}?{urlencode(scope)}")

    @list_page(gettext_lazy("Import from legacy .ini"), permission="pushes.add_appkey", icon="upload_file")
    def import_page(self, request: HttpRequest) -> Done | HttpResponse:
        """Upload a file, preview the changes, confirm. An import also changes keys, so both permissions are needed."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        return ini_import.page(self, request)

    @list_page(gettext_lazy("Compare with app builds"), permission="pushes.view_appkey", icon="rule")
    def match_page(self, request: HttpRequest) -> HttpResponse:
        """Compare the access ids with the access ids of the client apps."""
        return client_match.page(self, request)

    @page(gettext_lazy("Verify now"), permission="pushes.verify_appkey", icon="verified_user")
    def verify_page(self, request: HttpRequest, key: AppKey) -> Question:
        """Make one signed call that changes nothing and pushes nothing; the key's history keeps the verdict."""

        def verify(_data: dict[str, Any]) -> str:
            outcome = ask_provider(partial(check.check, key))
            verdict = check.explain(outcome)
            if not check.is_good(outcome):
                raise RefusedError(verdict, is_noted=True)
            return _("Verified: %(verdict)s.") % {"verdict": verdict}

        return Question(
            title=_("Verify %(key)s with the provider?") % {"key": key},
            text=_("This makes one signed, harmless call with the key. No push is sent."),
            button=_("Verify now"),
            act=verify,
            facts=[
                (_("Provider"), key.get_provider_display()),
                (_("Endpoint"), key.endpoint_url or _("provider default")),
                (_("Access ID"), key.access_id),
                *secret_facts(key),
            ],
        )

    @page(
        gettext_lazy("Pause"),
        permission="pushes.change_appkey",
        icon="pause",
        variant="warning",
        applies=lambda key: not key.is_paused,
    )
    def pause_page(self, request: HttpRequest, key: AppKey) -> Question:
        def pause(data: dict[str, Any]) -> str:
            if not pausing.pause_key(key, said(data["reason"])):
                raise RefusedError(
                    _("The key was already paused: %(reason)s") % {"reason": notes.words(key.paused_reason) or "–"}
                )
            return _("The key is paused: %(reason)s") % {"reason": data["reason"]}

        return Question(
            title=_("Pause %(key)s?") % {"key": key},
            text=_("Pushes under this key wait; none is lost. Other keys are not affected."),
            button=_("Pause the key"),
            act=pause,
            form=PauseForm,
        )

    @page(
        gettext_lazy("Resume"),
        permission="pushes.change_appkey",
        icon="play_arrow",
        variant="primary",
        applies=lambda key: bool(key.is_paused),
    )
    def resume_page(self, request: HttpRequest, key: AppKey) -> Question:
        return Question(
            title=_("Resume %(key)s?") % {"key": key},
            text=_("Waiting pushes are sent now, except those that have expired."),
            button=_("Resume the key"),
            act=lambda _data: _resume(key),
            facts=[
                (_("Paused"), when(key.paused_at)),
                (_("Reason"), notes.words(key.paused_reason) or "–"),
            ],
        )

    @page(
        gettext_lazy("Disable"),
        permission="pushes.change_appkey",
        icon="block",
        variant="danger",
        applies=lambda key: bool(key.is_enabled),
    )
    def disable_page(self, request: HttpRequest, key: AppKey) -> Question:
        return Question(
            title=_("Disable %(key)s?") % {"key": key},
            text=_(
                "Pushes to its devices will be skipped (no_app_key); they do not wait. To make them wait, pause the "
                "key instead."
            ),
            button=_("Disable the key"),
            act=lambda _data: _switch(key, on=False),
            is_dangerous=True,
        )

    @page(
        gettext_lazy("Enable"),
        permission="pushes.change_appkey",
        icon="check",
        applies=lambda key: not key.is_enabled,
    )
    def enable_page(self, request: HttpRequest, key: AppKey) -> Question:
        return Question(
            title=_("Enable %(key)s?") % {"key": key},
            text=_("New pushes use this key immediately."),
            button=_("Enable the key"),
            act=lambda _data: _switch(key, on=True),
        )

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: AppKey) -> SafeString:
        return key_badge(*vitals.as_known([vitals.key_state(row)]))

    @admin.display(description=gettext_lazy("secret in use since"))
    def secret_since_shown(self, row: AppKey) -> Any:
        return when(row.secret_since) if row.secret_since else _("not recorded")

    @admin.display(description=gettext_lazy("old secret"))
    def old_secret_shown(self, row: AppKey) -> Any:
        return badge(_("available for rollback"), "info") if row.has_old_secret else _("none")

    @admin.display(description=gettext_lazy("last changed"))
    def updated(self, row: AppKey) -> Any:
        return when(row.updated_at)


def _resume(key: AppKey) -> str:
    if not key.is_paused:
        raise RefusedError(_("The key was not paused."))
    try:
        pausing.resume_key(key)
    except RedisError:
        return _("The key is resumed. Redis does not answer: waiting pushes go out once it is back.")
    return _("The key is resumed.")


def _switch(key: AppKey, *, on: bool) -> str:
    if not AppKey.objects.filter(pk=key.pk, is_enabled=not on).update(is_enabled=on, updated_at=clocks.now()):
        raise RefusedError(_("The key was already enabled.") if on else _("The key was already disabled."))
    return _("The key is enabled.") if on else _("The key is disabled.")


def _kind(request: HttpRequest, key: AppKey | None) -> str:
    """The provider whose credentials the form asks for: a stored key's own, or the one that was chosen."""
    chosen = str(request.POST.get("provider") or request.GET.get("provider") or DEFAULT_PROVIDER)
    return key.provider if key else chosen
