"""A key's change of secret: typed, checked with the provider, then used, with the old one kept to go back to.

Between the check and the confirmation the new secret waits in the operator's session, encrypted, for ten minutes.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes import vault
from pushes.console.keys.secret_field import SecretField, secret_fault
from pushes.console.site.confirm import Question, RefusedError, ask
from pushes.console.site.desk import Desk, page
from pushes.console.site.theme import badge, when
from pushes.keys import check as keycheck
from pushes.keys import rotation
from pushes.models import AppKey
from pushes.values import Outcome, Verdict

SESSION_KEY = "key_rotation"
VALID_SECONDS = 600


def below(_key: AppKey) -> bool:
    """For pages without a button at the top: the notices above the form lead to them when they apply."""
    return False


class RotateForm(forms.Form):
    secret = SecretField(label=gettext_lazy("New secret key"), required=True)

    def __init__(self, key: AppKey, *args: Any) -> None:
        super().__init__(*args)
        self.key = key

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"]
        fault = secret_fault(secret, self.key.provider)
        if fault:
            raise forms.ValidationError(fault)
        if secret == _stored_secret(self.key):
            raise forms.ValidationError(_("This secret is already in use. Enter the new one."))
        return secret


class RotationPages(Desk[AppKey]):
    """The pages of an app key that change which secret is in use."""

    @page(
        gettext_lazy("Rotate the secret"),
        permission="pushes.change_appkey",
        icon="autorenew",
        applies=lambda key: not key.has_old_secret,
    )
    def rotate_page(self, request: HttpRequest, key: AppKey) -> HttpResponse:
        """A POST with a secret has the provider check it; one with `confirm` has it used."""
        if request.method == "POST" and "confirm" in request.POST:
            return _use(self, request, key)
        form = RotateForm(key, request.POST or None)
        if key.has_old_secret:
            messages.error(
                request, _("An old secret is still kept. Discard it or roll back to it before rotating again.")
            )
            return HttpResponseRedirect(self.url("change", key.pk))
        if request.method != "POST" or not form.is_valid():
            return _show(self, request, key, {"form": form}, status=422 if form.errors else 200)
        return _checked(self, request, key, form.cleaned_data["secret"])

    @page(
        gettext_lazy("Discard the old secret"),
        permission="pushes.change_appkey",
        applies=below,
    )
    def end_old_page(self, request: HttpRequest, key: AppKey) -> HttpResponse:
        question = Question(
            title=_("Discard the old secret of %(key)s?") % {"key": key},
            text=_(
                "The secret in use is verified with the provider first. After that there is no rollback: if the "
                "provider refuses the secret, the key is paused."
            ),
            button=_("Discard the old secret"),
            facts=secret_facts(key),
            is_dangerous=True,
        )

        def act(_data: dict[str, Any]) -> str:
            outcome = ask_provider(partial(keycheck.check, key))
            if not keycheck.is_good(outcome):
                self._refuse(
                    request, key, _("The old secret is kept because the one in use could not be verified"), outcome
                )
            if not rotation.end_old(key):
                raise RefusedError(_("Nothing was changed: someone else has changed the secret in the meantime."))
            return _("The old secret is discarded.")

        return ask(self, request, question, act, row=key)

    @page(
        gettext_lazy("Roll back to the old secret"),
        permission="pushes.change_appkey",
        applies=below,
    )
    def go_back_page(self, request: HttpRequest, key: AppKey) -> HttpResponse:
        question = Question(
            title=_("Roll back to the old secret of %(key)s?") % {"key": key},
            text=_("The old secret is verified with the provider first. The new one is then discarded."),
            button=_("Roll back to the old secret"),
            facts=secret_facts(key),
        )

        def act(_data: dict[str, Any]) -> str:
            if not key.has_old_secret:
                raise RefusedError(_("There is no old secret to roll back to."))
            outcome = ask_provider(partial(keycheck.check_old, key))
            if outcome.verdict is Verdict.FAILED:
                self._refuse(
                    request,
                    key,
                    _("The new secret stays in use because the provider does not accept the old one"),
                    outcome,
                )
            if not rotation.go_back(key):
                raise RefusedError(_("Nothing was changed: someone else has changed the secret in the meantime."))
            return _("Rolled back: the old secret is in use again, and the new one is discarded.") + _still_paused(key)

        return ask(self, request, question, act, row=key)

    @page(
        gettext_lazy("Acknowledge"),
        permission="pushes.change_appkey",
        applies=below,
    )
    def note_page(self, request: HttpRequest, key: AppKey) -> HttpResponse:
        """The alert of a secret that was refused goes away, and its story stands in the history."""
        question = Question(
            title=_("Acknowledge the refused secret of %(key)s?") % {"key": key},
            text=_(
                "The provider refused the new secret, and sending rolled back to the old one automatically. "
                "Acknowledging clears the alert; to try again, rotate the secret again."
            ),
            button=_("Acknowledge"),
            facts=[(_("When"), when(key.fell_back_at)), (_("The provider said"), key.fell_back_reason or "–")],
        )

        def act(_data: dict[str, Any]) -> str:
            if not rotation.note(key):
                raise RefusedError(_("Someone else has already acknowledged this."))
            return _("Acknowledged that the new secret was refused: %(why)s") % {"why": key.fell_back_reason or "–"}

        return ask(self, request, question, act, row=key)

    def _refuse(self, request: HttpRequest, key: AppKey, what: str, outcome: Outcome) -> None:
        """Raises RefusedError, with an entry in the history: a provider was asked."""
        words = f"{what}: {keycheck.explain(outcome)}"
        self.audit(request, key, words)
        raise RefusedError(words)


def ask_provider(check: Callable[[], Outcome]) -> Outcome:
    """What `check` says. Raises RefusedError at once when too many checks are under way in this process."""
    try:
        return check()
    except keycheck.BusyError as busy:
        raise RefusedError(str(busy)) from None


def secret_facts(key: AppKey) -> list[tuple[str, Any]]:
    """Which secret is in use, and since when."""
    return [
        (_("Secret in use since"), when(key.secret_since) if key.secret_since else _("not recorded")),
        (_("Old secret"), _("available for rollback") if key.has_old_secret else _("none")),
    ]


def secret_marks(key: AppKey) -> list[SafeString]:
    """What stands beside the key's state while its secret is not simply the one in use."""
    marks = []
    if key.has_old_secret:
        marks.append(badge(_("old secret kept"), "info"))
    if key.fell_back_at is not None:
        marks.append(badge(_("rolled back to the old secret"), "warning", key.fell_back_reason))
    return marks


def _checked(desk: Desk[AppKey], request: HttpRequest, key: AppKey, secret: str) -> HttpResponse:
    """Ask the provider about the new secret, say what it answered, and keep an accepted one for the confirmation."""
    try:
        outcome = ask_provider(partial(keycheck.check_secret, key, secret))
    except RefusedError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(request.path)
    is_good = keycheck.is_good(outcome)
    if is_good:
        request.session[SESSION_KEY] = {
            "key": key.pk,
            "revision": key.revision,
            "sealed": vault.encrypt(secret),
            "until": time.time() + VALID_SECONDS,
        }
    else:
        request.session.pop(SESSION_KEY, None)
    verdict = keycheck.explain(outcome)
    desk.audit(request, key, _("New secret checked: %(verdict)s") % {"verdict": verdict})
    more = {"verdict": verdict, "is_good": is_good, "facts": secret_facts(key)}
    return _show(desk, request, key, more, status=200 if is_good else 422)


def _use(desk: Desk[AppKey], request: HttpRequest, key: AppKey) -> HttpResponse:
    """Use what was checked. A reload finds nothing waiting, and does nothing."""
    secret = _taken(request, key)
    if secret is None:
        messages.warning(request, _("Nothing was changed: the check has expired or was already used. Start again."))
    elif not rotation.rotate(key, secret):
        messages.error(request, _("Nothing was changed: someone else has changed the secret in the meantime."))
    else:
        desk.audit(request, key, _("The secret was rotated; the old one is kept."))
        done = _("The new secret is in use. The old one is kept until you discard it.") + _still_paused(key)
        messages.success(request, done)
    return HttpResponseRedirect(desk.url("change", key.pk))


def _taken(request: HttpRequest, key: AppKey) -> str | None:
    """What waits for this very key in the session, taken out of it; None when it is gone, too old, or was checked
    with other credentials than the key has now."""
    kept = request.session.pop(SESSION_KEY, None)
    if kept is None or kept["until"] < time.time() or (kept["key"], kept["revision"]) != (key.pk, key.revision):
        return None
    try:
        return vault.decrypt(kept["sealed"])
    except vault.SecretUnreadableError:
        return None


def _stored_secret(key: AppKey) -> str | None:
    try:
        return key.credentials().secret
    except vault.SecretUnreadableError:
        return None


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
