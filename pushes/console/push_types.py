"""The rules of each push type, as one editable table. Switching a type off asks first, with the type's traffic, for a
reason."""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.site import attention, long_list
from pushes.console.site.blanks import refuse_blanks
from pushes.console.site.desk import Desk
from pushes.console.site.pages import Done, Question, RefusedError, list_page, page
from pushes.console.site.switches import SwitchForm
from pushes.console.site.theme import widgets
from pushes.distribution import windows
from pushes.history import pages
from pushes.models import PushRecord, PushTypePolicy
from pushes.names import UnknownPolicy, WindowPolicy
from pushes.text import notes, presentation

MAX_TTL_SECONDS = 30 * 86_400
#: What a change of `is_enabled` writes.
OFF_FIELDS = {"disabled_at", "disabled_by", "disabled_reason"}
#: Marks a row whose form was sent with its box unticked.
ASKED = "asks_to_switch_off"
#: The traffic of a type is counted no further.
MAX_COUNTED = 100_000


class PolicyForm(SwitchForm[PushTypePolicy]):
    """The checks that the rows of the table and the page of one type share."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        refuse_blanks(self, "default_title")
        return cleaned

    def clean_window(self) -> str:
        window = str(self.cleaned_data["window"]).strip()
        try:
            if window:
                windows.parse(window)
        except ValueError:
            raise forms.ValidationError(
                _("“%(value)s” is not a valid delivery window. Enter one like 08:00-23:00, or off for any hour.")
                % {"value": window}
            ) from None
        return window

    def clean_ttl_seconds(self) -> int:
        seconds = int(self.cleaned_data["ttl_seconds"])
        if not 1 <= seconds <= MAX_TTL_SECONDS:
            raise forms.ValidationError(
                _("Enter a time to live between 1 and %(most)s seconds (30 days).") % {"most": MAX_TTL_SECONDS}
            )
        return seconds

    def clean_android_channel(self) -> str:
        return self._word("android_channel")

    def clean_sound(self) -> str:
        return self._word("sound")

    def _word(self, name: str) -> str:
        """Check a default as a push's own is checked."""
        given = str(self.cleaned_data[name])
        try:
            return str(presentation.field(name, given)) if given else ""
        except presentation.PresentationError as error:
            raise forms.ValidationError(notes.words(error.detail)) from None

    class Meta:
        model = PushTypePolicy
        fields = (
            "default_title",
            "is_enabled",
            "ttl_seconds",
            "requires_login",
            "respects_do_not_disturb",
            "skips_online",
            "window_policy",
            "window",
            "unknown_policy",
            "message_class",
            "android_channel",
            "sound",
        )


class SwitchOffForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Shown on the overview while the type is off, and kept in the history."),
    )


#: The choices in a word each: a column of the table has no room for the sentence that the form shows.
_IN_A_WORD: dict[str, list[tuple[str, Any]]] = {
    "window_policy": [
        (WindowPolicy.HOLD, gettext_lazy("hold")),
        (WindowPolicy.DROP, gettext_lazy("drop")),
        (WindowPolicy.SEND, gettext_lazy("send")),
    ],
    "unknown_policy": [
        (UnknownPolicy.KEEP, gettext_lazy("keep")),
        (UnknownPolicy.RESEND, gettext_lazy("send again")),
    ],
}


class RowForm(PolicyForm):
    """A row of the table."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in _IN_A_WORD.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = choices


@admin.register(PushTypePolicy)
class Policies(Desk[PushTypePolicy]):
    """One row for each of the 16 types; no row is added or removed here."""

    form = PolicyForm
    list_display = (
        "type_name",
        "is_enabled",
        "requires_login",
        "respects_do_not_disturb",
        "skips_online",
        "window_policy",
        "window",
        "ttl_seconds",
        "unknown_policy",
    )
    list_editable = list_display[1:]
    list_display_links = ("type_name",)
    list_fullwidth = True
    list_before_template = "console/policies_notice.html"
    sortable_by = ()
    actions = None
    actions_list = ("switch_off_page",)
    actions_detail = ("off_page", "on_page")
    fieldsets = (
        (None, {"fields": ("type_name", ("default_title", "ttl_seconds"), "is_enabled")}),
        (
            gettext_lazy("Recipients"),
            {"fields": ("requires_login", "respects_do_not_disturb", "skips_online")},
        ),
        (gettext_lazy("When"), {"fields": (("window_policy", "window"),)}),
        (gettext_lazy("Unknown outcome"), {"fields": ("unknown_policy",)}),
        (gettext_lazy("On the phone"), {"fields": ("message_class", ("android_channel", "sound"))}),
    )
    readonly_fields = ("type_name",)

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        return super().get_changelist_form(request, form=RowForm, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {"default_window": settings.DELIVERY_WINDOW, "zone": settings.TIME_ZONE}
        asked_for = self._to_be_switched_off(request) if request.method == "POST" else []
        answer = super().changelist_view(request, context | (extra_context or {}))
        return self._question(asked_for) if asked_for and answer.status_code == HTTPStatus.FOUND else answer

    def _to_be_switched_off(self, request: HttpRequest) -> list[int]:
        """The types that the sent table has unticked, if the whole table can be saved."""
        if not self.has_change_permission(request):
            return []
        formset = self.get_changelist_formset(request)(request.POST, queryset=self.get_queryset(request))
        forms: list[Any] = formset.forms if formset.is_valid() else []
        return [form.instance.pk for form in forms if form.asks_to_switch_off]

    def save_model(self, request: HttpRequest, obj: PushTypePolicy, form: Any, change: bool) -> None:
        """Save only the changed fields: a table that was opened earlier does not know that a type was switched off
        since."""
        fields = set(form.changed_data)
        if "is_enabled" in fields:
            obj.disabled_at, obj.disabled_by, obj.disabled_reason = None, "", ""
            fields |= OFF_FIELDS
        obj.save(update_fields=fields)
        # For `response_change`, which is given the row and not the form.
        setattr(obj, ASKED, form.asks_to_switch_off)

    def response_change(self, request: HttpRequest, obj: PushTypePolicy) -> HttpResponse:
        return self._question([obj.pk]) if getattr(obj, ASKED, False) else super().response_change(request, obj)

    def _question(self, types: Sequence[int]) -> HttpResponse:
        return HttpResponseRedirect(f"{self.url('switch_off_page')}?{urlencode({'type': types}, doseq=True)}")

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        # Its button would not know which types are meant.
        return [one for one in super().get_actions_list(request) if one.method.__name__ != "switch_off_page"]

    @list_page(gettext_lazy("Switch off"), permission="pushes.change_pushtypepolicy")
    def switch_off_page(self, request: HttpRequest) -> Question | HttpResponse:
        """Ask about the types in the address, show their traffic, and require a reason."""
        numbers = [int(value) for value in request.GET.getlist("type") if value.isdecimal() and len(value) < 6]
        types = list(PushTypePolicy.objects.filter(pk__in=numbers, is_enabled=True))
        if not types:
            messages.info(request, _("Nothing was changed: the type is already off."))
            return HttpResponseRedirect(self.url("changelist"))
        is_one = len(types) == 1
        title = _("Switch off “%(type)s”?") if is_one else _("Switch off %(n)s push types?")
        return Question(
            title=title % {"type": types[0], "n": len(types)},
            text=_("While a type is off, its pushes are skipped: no one receives them, and they are not sent later."),
            button=_("Switch off"),
            act=lambda data: _switch_off(types, data["reason"], by=str(request.user)),
            facts=[(_("Traffic") if is_one else one, traffic(one)) for one in types],
            form=SwitchOffForm,
            is_dangerous=True,
            keep=_("Keep it on") if is_one else _("Keep them on"),
            back=self.url("change", types[0].pk) if is_one else "",
        )

    @page(
        gettext_lazy("Switch off"),
        permission="pushes.change_pushtypepolicy",
        icon="block",
        variant="danger",
        applies=lambda policy: bool(policy.is_enabled),
    )
    def off_page(self, request: HttpRequest, policy: PushTypePolicy) -> HttpResponse:
        return self._question([policy.pk])

    @page(
        gettext_lazy("Switch on"),
        permission="pushes.change_pushtypepolicy",
        icon="check",
        variant="primary",
        applies=lambda policy: not policy.is_enabled,
    )
    def on_page(self, request: HttpRequest, policy: PushTypePolicy) -> Question:
        def switch_on(_data: dict[str, Any]) -> str:
            on = {"is_enabled": True, "disabled_at": None, "disabled_by": "", "disabled_reason": ""}
            if not PushTypePolicy.objects.filter(pk=policy.pk, is_enabled=False).update(**on):
                raise RefusedError(_("Nothing was changed: the type is already on."))
            return _("Switched on.")

        return Question(
            title=_("Switch on “%(type)s”?") % {"type": policy},
            text=_("New pushes of this type are sent again. Skipped pushes are not sent later."),
            button=_("Switch on"),
            act=switch_on,
            facts=[(_("Off"), attention.off_because(policy) or "–")],
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PushTypePolicy | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("push type"))
    def type_name(self, row: PushTypePolicy) -> str:
        return str(row)


def _switch_off(types: Sequence[PushTypePolicy], reason: str, *, by: str) -> Done:
    off = {"is_enabled": False, "disabled_at": timezone.now(), "disabled_by": by[:150], "disabled_reason": reason}
    still_on = PushTypePolicy.objects.filter(is_enabled=True)
    with transaction.atomic():
        switched = [one for one in types if still_on.filter(pk=one.pk).update(**off)]
    note = _("Switched off: %(reason)s") % {"reason": reason}
    done = _("Switched off: %(types)s.") % {"types": ", ".join(map(str, types))}
    return Done(done, history=[(one, note) for one in switched])


def traffic(policy: PushTypePolicy) -> str:
    """Count the pushes of this type in the last 24 hours, as far back as a look of half a second reaches."""
    since = timezone.now() - timedelta(days=1)
    bounds = pages.Bounds(lowest=pages.first_since(PushRecord, since))
    rows = PushRecord.objects.filter(push_type=policy.push_type, created_at__gte=since)
    number, is_all = long_list.counted(rows, MAX_COUNTED, bounds)
    words = ngettext("%(n)s push in the last 24 hours", "%(n)s pushes in the last 24 hours", number)
    shown = words % {"n": f"{number:,}"}
    return shown if is_all else _("at least %(number)s") % {"number": shown}
