"""The pages of an operator's own account: preferences, and the second factor from set-up to removal."""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache

from pushes import vault
from pushes.console.login import browsers, gatekeeper, second_factor
from pushes.console.login.lockout import source, wait
from pushes.console.login.own_password import CodeForm, PasswordForm, SetUpForm
from pushes.console.operators import permissions
from pushes.console.operators.preferences import PreferencesForm
from pushes.console.site.desk import NEVER_STORED
from pushes.models import OperatorPreferences, SecondFactor

log = logging.getLogger(__name__)
#: The key of an app that is being set up waits here, in the session and encrypted, until a code proves that the app has
#: it.
KEY_IN_SESSION = "second_factor_key"


@never_cache
def account(request: HttpRequest) -> HttpResponse:
    """Show language and time zone, and links to the other pages of the account."""
    user = _user(request)
    own = OperatorPreferences.objects.filter(user=user).first() or OperatorPreferences(user=user)
    form = PreferencesForm(request.POST if request.method == "POST" else None, instance=own)
    if request.method == "POST" and form.is_valid():
        form.save()
        _audit(request, _("Preferences changed."))
        messages.success(request, _("Your preferences are saved."))
        return HttpResponseRedirect(reverse("console:account"))
    context = {
        "form": form,
        "two_factor": settings.TWO_FACTOR,
        "has_second_factor": second_factor.has_one(user),
        "codes_left": second_factor.codes_left(user),
        "roles": [permissions.role_name(group) for group in user.groups.order_by("name")],
    }
    return _page(request, "console/account_own.html", _("My account"), context, status=422 if form.errors else 200)


@never_cache
def verify(request: HttpRequest) -> HttpResponse:
    """Ask for the app's code or a backup code, after the password."""
    user = _user(request)
    if gatekeeper.missing_step(request) != gatekeeper.VERIFY:
        return HttpResponseRedirect(_next(request))
    form = CodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        verdict = _verdict(request, user, form.cleaned_data["code"])
        if verdict and verdict.factor:
            return _let_in(request, user, verdict.factor)
        form.add_error("code", _refusal(verdict))
    context = {"form": form, "next": _next(request), "app_path": request.get_full_path()}
    return _page(request, "console/verify.html", _("Second factor"), context, status=422 if form.errors else 200)


def _verdict(request: HttpRequest, user: User, code: str) -> second_factor.Verdict | None:
    """Check the code; None if the stored key cannot be read."""
    try:
        return second_factor.check(user, code, source(request, user.get_username()))
    except vault.SecretUnreadableError:
        log.exception("The second factor of operator %s cannot be checked", user.pk)
        return None


def _let_in(request: HttpRequest, user: User, factor: SecondFactor) -> HttpResponse:
    second_factor.passed(request, factor)
    _warn_of_guesses(request, user)
    _warn_of_few_codes(request, user)
    browsers.remember(request, user.get_username())
    return HttpResponseRedirect(_next(request))


def _refusal(verdict: second_factor.Verdict | None) -> str:
    if verdict is None:
        return _(
            "Codes cannot be checked: ENCRYPTION_KEYS lacks the key that encrypts your second factor. Tell an "
            "administrator."
        )
    if verdict.until is None:
        return _("Incorrect code. Wait for the next one, and check that the phone's clock is right.")
    left = {"time": wait(max(verdict.until - timezone.now(), timedelta(seconds=1)))}
    words = _("Incorrect code. Try again in %(time)s.") % left
    if verdict.was_too_soon:
        words = _("Too many wrong codes. Try again in %(time)s.") % left
    return f"{words} {_('A backup code is taken at once.')}" if verdict.takes_paper else words


def _warn_of_guesses(request: HttpRequest, user: User) -> None:
    """Warn of wrong codes from elsewhere: only a person who has the password gets as far as a code."""
    guesses = second_factor.wrong_elsewhere(user, source(request, user.get_username()))
    if guesses:
        words = ngettext(
            "In the last day, %(n)d wrong code was entered elsewhere after your password. If it was not you, change "
            "your password now.",
            "In the last day, %(n)d wrong codes were entered elsewhere after your password. If it was not you, change "
            "your password now.",
            guesses,
        )
        messages.warning(request, words % {"n": guesses})


def _warn_of_few_codes(request: HttpRequest, user: User) -> None:
    left = second_factor.codes_left(user)
    if left < 3:
        messages.warning(
            request, _("You have %(n)d backup codes left. Generate new ones under “My account”.") % {"n": left}
        )


@never_cache
def set_up(request: HttpRequest) -> HttpResponse:
    """Show a key to scan; store the key once a code proves the scan; show the backup codes, only this once."""
    user = _user(request)
    if second_factor.has_one(user):
        return _is_set_up(request)
    key = _key_being_set_up(request)
    form = SetUpForm(request, *([request.POST] if request.method == "POST" else []))
    if request.method == "POST" and form.is_valid():
        try:
            codes = second_factor.enrol(user, key, form.cleaned_data["code"])
        except second_factor.EnrolledError:
            return _is_set_up(request)
        if codes is not None:
            del request.session[KEY_IN_SESSION]
            second_factor.passed(request, second_factor.factor_of(user))
            _audit(request, _("Second factor set up."))
            return _codes_page(request, codes)
        form.add_error("code", _("Incorrect code. Wait for the next one, and check that the phone's clock is right."))
    context = {
        "form": form,
        "key": second_factor.spaced(key),
        # Made of our own key and the user's name, which the library escapes into a URL.
        "qr": mark_safe(second_factor.qr_svg(user, key)),
        "is_required": settings.TWO_FACTOR == "required",
        "parents": _parents(),
    }
    answer = _page(
        request, "console/set_up.html", _("Set up the second factor"), context, status=422 if form.errors else 200
    )
    answer["Cache-Control"] = NEVER_STORED
    return answer


def _key_being_set_up(request: HttpRequest) -> str:
    """The same key until the set-up is complete: a wrong code must not make the operator scan again."""
    try:
        return vault.decrypt(request.session.get(KEY_IN_SESSION, ""))
    except vault.SecretUnreadableError:
        key = second_factor.new_key()
        request.session[KEY_IN_SESSION] = vault.encrypt(key)
        return key


def _is_set_up(request: HttpRequest) -> HttpResponse:
    messages.info(request, _("Your second factor is set up."))
    return HttpResponseRedirect(reverse("console:account"))


@never_cache
def codes(request: HttpRequest) -> HttpResponse:
    """Replace the backup codes with new codes, for the password."""

    def renew(user: User) -> HttpResponse:
        fresh = second_factor.new_codes(user)
        _audit(request, _("New backup codes generated."))
        return _codes_page(request, fresh)

    return _for_password(
        request,
        renew,
        title=_("New backup codes"),
        text=_("The old codes stop working immediately."),
        button=_("Generate new codes"),
    )


@never_cache
def turn_off(request: HttpRequest) -> HttpResponse:
    """Turn off the second factor, for the password."""

    def remove(user: User) -> HttpResponse:
        second_factor.remove(user)
        _audit(request, _("Second factor turned off."))
        messages.success(request, _("Your second factor is turned off."))
        return HttpResponseRedirect(reverse("console:account"))

    text = _("Your password alone will be enough to log in. The app's entry and the backup codes stop working.")
    if settings.TWO_FACTOR == "required":
        text += " " + _("A second factor is required here: you will set up a new one right away.")
    return _for_password(
        request, remove, title=_("Turn off the second factor"), text=text, button=_("Turn off"), is_dangerous=True
    )


def _for_password(
    request: HttpRequest, act: Callable[[User], HttpResponse], *, is_dangerous: bool = False, **words: str
) -> HttpResponse:
    user = _user(request)
    if not second_factor.has_one(user):
        messages.info(request, _("You have no second factor."))
        return HttpResponseRedirect(reverse("console:account"))
    form = PasswordForm(request, *([request.POST] if request.method == "POST" else []))
    if request.method == "POST" and form.is_valid():
        return act(user)
    more = {"is_dangerous": is_dangerous, "back": reverse("console:account"), "parents": _parents()}
    context = {**words, "form": form, **more}
    return _page(request, "console/for_password.html", words["title"], context, status=422 if form.errors else 200)


def _codes_page(request: HttpRequest, codes: list[str]) -> HttpResponse:
    answer = _page(
        request, "console/backup_codes.html", _("Your backup codes"), {"codes": codes, "parents": _parents()}
    )
    answer["Cache-Control"] = NEVER_STORED
    return answer


def _parents() -> list[tuple[str, str]]:
    return [(_("My account"), reverse("console:account"))]


def _page(
    request: HttpRequest, template: str, title: str, context: dict[str, Any], *, status: int = 200
) -> TemplateResponse:
    return TemplateResponse(
        request, template, {**admin.site.each_context(request), "title": title, **context}, status=status
    )


def _user(request: HttpRequest) -> User:
    """The logged-in user: behind admin_view there is always one."""
    user: Any = request.user
    return cast(User, user)


def _audit(request: HttpRequest, message: str) -> None:
    user = _user(request)
    LogEntry.objects.log_actions(user.pk, [user], CHANGE, message, single_object=True)


def _next(request: HttpRequest) -> str:
    """The page that the user was on the way to, only ever on this site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else reverse("admin:index")


def only_where_used(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Hide the pages of the second factor if the platform has turned it off."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if settings.TWO_FACTOR == "off":
            raise Http404(_("The second factor is turned off on this platform."))
        return view(request, *args, **kwargs)

    return guarded
