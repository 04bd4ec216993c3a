"""Rotate a key's secret: enter the new secret, check it with the provider, use it; the old secret is kept for a
rollback.

Between the check and the confirmation the operator's session keeps the new secret, sealed.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.keys import sealed
from pushes.console.keys.secret_field import form_field
from pushes.console.site.desk import Desk
from pushes.console.site.pages import CONFIRMED, Done, Question, RefusedError, page
from pushes.console.site.theme import when
from pushes.keys import check, entry, rotation
from pushes.models import AppKey
from pushes.providers.base import CredentialsError, Sealed
from pushes.text import notes
from pushes.values import Outcome, Verdict

WAITING = "new_secret"


def below(_key: AppKey) -> bool:
    """Hide a page's button at the top: the notices above the form link to the page when it applies."""
    return False


class RotateForm(forms.Form):
    """What the key's provider needs for a new secret. `sealed` is what was entered, once it is valid."""

    sealed: Sealed

    def __init__(self, key: AppKey, *args: Any) -> None:
        super().__init__(*args)
        self.key = key
        self.fields |= {field.name: form_field(field) for field in entry.asked_fields(key.provider)}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                self.sealed = entry.rotated(self.key, cleaned)
            except CredentialsError as error:
                self.add_error(error.field if error.field in self.fields else None, str(error))
        return cleaned


class RotationPages(Desk[AppKey]):
    """The pages of an app key that change the secret in use."""

    @page(
        gettext_lazy("Rotate the secret"),
        permission="pushes.change_appkey",
        icon="autorenew",
        applies=lambda key: not key.has_old_secret,
    )
    def rotate_page(self, request: HttpRequest, key: AppKey) -> Done | HttpResponse:
        """On a POST with a secret have the provider check the secret; on a POST with `confirm` use the secret."""
        if CONFIRMED in request.POST:
            return _use(request, key)
        form = RotateForm(key, request.POST, request.FILES) if request.method == "POST" else RotateForm(key)
        if key.has_old_secret:
            raise RefusedError(_("An old secret is still kept. Discard it or roll back to it before rotating again."))
        if request.method != "POST" or not form.is_valid():
            return _show(self, request, key, {"form": form}, status=422 if form.errors else 200)
        return _checked(self, request, key, form.sealed)

    @page(
        gettext_lazy("Discard the old secret"),
        permission="pushes.change_appkey",
        applies=below,
    )
    def end_old_page(self, request: HttpRequest, key: AppKey) -> Question:
        return Question(
            title=_("Discard the old secret of %(key)s?") % {"key": key},
            text=_(
                "The secret in use is verified with the provider first. After that there is no rollback: if the "
                "provider refuses the secret, the key is paused."
            ),
            button=_("Discard the old secret"),
            act=lambda _data: _end_old(key),
            facts=secret_facts(key),
            is_dangerous=True,
        )

    @page(
        gettext_lazy("Roll back to the old secret"),
        permission="pushes.change_appkey",
        applies=below,
    )
    def go_back_page(self, request: HttpRequest, key: AppKey) -> Question:
        return Question(
            title=_("Roll back to the old secret of %(key)s?") % {"key": key},
            text=_("The old secret is verified with the provider first. The new one is then discarded."),
            button=_("Roll back to the old secret"),
            act=lambda _data: _go_back(key),
            facts=secret_facts(key),
        )

    @page(
        gettext_lazy("Acknowledge"),
        permission="pushes.change_appkey",
        applies=below,
    )
    def note_page(self, request: HttpRequest, key: AppKey) -> Question:
        """Clear the alert of a refused secret; the key's history keeps the reason."""

        def note(_data: dict[str, Any]) -> str:
            if not rotation.note(key):
                raise RefusedError(_("Someone else has already acknowledged this."))
            return _("Acknowledged that the new secret was refused: %(why)s") % {
                "why": notes.words(key.fell_back_reason) or "–"
            }

        return Question(
            title=_("Acknowledge the refused secret of %(key)s?") % {"key": key},
            text=_(
                "The provider refused the new secret, and sending rolled back to the old one automatically. "
                "Acknowledging clears the alert; to try again, rotate the secret again."
            ),
            button=_("Acknowledge"),
            act=note,
            facts=[
                (_("When"), when(key.fell_back_at)),
                (_("The provider said"), notes.words(key.fell_back_reason) or "–"),
            ],
        )


def _end_old(key: AppKey) -> str:
    outcome = ask_provider(partial(check.check, key))
    if not check.is_good(outcome):
        kept = _("The old secret is kept because the one in use could not be verified")
        raise RefusedError(f"{kept}: {check.explain(outcome)}", is_noted=True)
    if not rotation.end_old(key):
        raise RefusedError(_("Nothing was changed: someone else has changed the secret in the meantime."))
    return _("The old secret is discarded.")


def _go_back(key: AppKey) -> str:
    if not key.has_old_secret:
        raise RefusedError(_("There is no old secret to roll back to."))
    outcome = ask_provider(partial(check.check_old, key))
    if outcome.verdict is Verdict.FAILED:
        kept = _("The new secret stays in use because the provider does not accept the old one")
        raise RefusedError(f"{kept}: {check.explain(outcome)}", is_noted=True)
    if not rotation.go_back(key):
        raise RefusedError(_("Nothing was changed: someone else has changed the secret in the meantime."))
    return _("Rolled back: the old secret is in use again, and the new one is discarded.") + _still_paused(key)


def ask_provider(ask: Callable[[], Outcome]) -> Outcome:
    """Return what `ask` answers. Raises RefusedError at once if this process makes too many checks already."""
    try:
        return ask()
    except check.BusyError as busy:
        raise RefusedError(str(busy)) from None


def secret_facts(key: AppKey) -> list[tuple[str, Any]]:
    """Which secret is in use, and since when."""
    return [
        (_("Secret in use since"), when(key.secret_since) if key.secret_since else _("not recorded")),
        (_("Old secret"), _("available for rollback") if key.has_old_secret else _("none")),
        *([(_("Old access ID"), key.old_access_id)] if key.old_access_id not in ("", key.access_id) else []),
    ]


def _checked(desk: Desk[AppKey], request: HttpRequest, key: AppKey, new: Sealed) -> HttpResponse:
    """Ask the provider about the new secret, show the answer, and seal accepted ones for the confirmation."""
    try:
        outcome = ask_provider(partial(check.check_secret, key, new))
    except RefusedError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(request.path)
    is_good = check.is_good(outcome)
    if is_good:
        sealed.keep(request, WAITING, {"key": key.pk, "revision": key.revision, **new._asdict()})
    else:
        sealed.forget(request, WAITING)
    verdict = check.explain(outcome)
    desk.audit(request, (key, _("New secret checked: %(verdict)s") % {"verdict": verdict}))
    more = {"verdict": verdict, "is_good": is_good, "facts": secret_facts(key)}
    return _show(desk, request, key, more, status=200 if is_good else 422)


def _use(request: HttpRequest, key: AppKey) -> Done:
    """Use the checked secret. A reload finds no sealed secret, and does nothing. A secret that was checked under former
    credentials is not used either."""
    waiting = sealed.take(request, WAITING)
    if waiting is None or (waiting["key"], waiting["revision"]) != (key.pk, key.revision):
        return Done(warnings=[_("Nothing was changed: the check has expired or was already used. Start again.")])
    if not rotation.rotate(key, waiting["secret"], waiting["access_id"]):
        raise RefusedError(_("Nothing was changed: someone else has changed the secret in the meantime."))
    done = _("The new secret is in use. The old one is kept until you discard it.") + _still_paused(key)
    return Done(done, history=[(key, _("The secret was rotated; the old one is kept."))])


def _still_paused(key: AppKey) -> str:
    return " " + _("The key is still paused: resume it when you are ready.") if key.is_paused else ""


def _show(desk: Desk[AppKey], request: HttpRequest, key: AppKey, more: dict[str, Any], status: int) -> HttpResponse:
    context = {
        "title": _("Rotate the secret of %(key)s") % {"key": key},
        "key": key,
        "back": desk.url("change", key.pk),
        "again": desk.url("rotate_page", key.pk),
        **more,
    }
    return desk.show(request, "console/key_rotate.html", context, row=key, status=status, is_private=True)
