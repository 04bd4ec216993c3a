"""The second factor: from setting it up to losing it, and nothing of the console without it."""

from base64 import b32decode
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from pushes import secondfactor
from pushes.admin import roles
from tests import djangos_words
from tests.make import make_operator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
PASSWORD = "correct-Horse-7-battery"
VERIFY, SET_UP, ACCOUNT = "/admin/me/second-factor/", "/admin/me/second-factor/set-up/", "/admin/me/"
CODES, OFF = "/admin/me/second-factor/codes/", "/admin/me/second-factor/off/"


@pytest.fixture
def operator() -> User:
    user = make_operator(roles.VIEWER)
    user.set_password(PASSWORD)
    user.save()
    return user


def digits(key: str, steps: int = 0) -> str:
    """What an app with this key shows `steps` half-minutes from now."""
    return f"{totp(b32decode(key), t0=-30 * steps):06d}"


def enrolled(user: User) -> tuple[str, list[str]]:
    """The app's key and the backup codes; the last code that it took is of half a minute ago."""
    key = secondfactor.new_key()
    codes = secondfactor.enrol(user, key, digits(key, -1))
    assert codes
    return key, codes


def signed_in(user: User) -> Client:
    """With the password, and no more."""
    client = Client()
    answer = client.post(reverse("admin:login"), {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def test_it_is_set_up_with_a_code_of_the_app(client: Client, operator: User) -> None:
    client.force_login(operator)
    page = client.get(SET_UP)
    assert "<svg" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    key = client.session["second_factor_key"]
    assert secondfactor.spaced(key) in page.content.decode()
    done = client.post(SET_UP, {"code": f" {digits(key)[:3]} {digits(key)[3:]} "})
    assert "no-store" in done["Cache-Control"]
    assert all(token.token in done.content.decode() for token in StaticToken.objects.all())
    assert StaticToken.objects.count() == 10
    assert LogEntry.objects.get().change_message == "Second factor set up."
    assert "second_factor_key" not in client.session
    # This session has shown it already.
    assert client.get(ACCOUNT).status_code == 200


def test_a_wrong_code_sets_nothing_up(client: Client, operator: User) -> None:
    client.force_login(operator)
    client.get(SET_UP)
    key = client.session["second_factor_key"]
    wrong = f"{(int(digits(key)) + 1) % 1_000_000:06d}"
    answer = client.post(SET_UP, {"code": wrong})
    assert answer.status_code == 422
    assert "This code is not right." in answer.content.decode()
    assert not TOTPDevice.objects.exists()
    assert client.session["second_factor_key"] == key


def test_an_empty_code_names_its_field(client: Client, operator: User) -> None:
    client.force_login(operator)
    answer = client.post(SET_UP, {"code": ""})
    assert answer.status_code == 422
    assert djangos_words.REQUIRED in answer.content.decode()


def test_a_second_submission_makes_no_second_device(client: Client, operator: User) -> None:
    enrolled(operator)
    key = secondfactor.new_key()
    with pytest.raises(secondfactor.EnrolledError):
        secondfactor.enrol(operator, key, digits(key))
    assert TOTPDevice.objects.count() == 1


def test_setting_up_again_leads_back(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert client.get(SET_UP)["Location"] == ACCOUNT


def test_a_race_for_setting_up_leads_back(client: Client, operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client.force_login(operator)
    client.get(SET_UP)
    key = client.session["second_factor_key"]
    # The other submission lands between the view's look and the lock.
    looks = iter([False, False, True])
    monkeypatch.setattr(secondfactor, "has_one", lambda _user: next(looks))
    assert client.post(SET_UP, {"code": digits(key)})["Location"] == ACCOUNT
    assert not TOTPDevice.objects.exists()


def test_nothing_opens_before_the_code(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    for page in ("/admin/", "/admin/pushes/account/", ACCOUNT, SET_UP, CODES, OFF, "/admin/password_change/"):
        answer = client.get(page)
        assert answer["Location"].startswith(f"{VERIFY}?next=%2Fadmin"), page
    assert client.post(OFF, {"password": PASSWORD})["Location"] == VERIFY
    assert client.get("/")["Location"].startswith(VERIFY)
    before = client.session.session_key
    answer = client.post(f"{VERIFY}?next=/admin/pushes/account/", {"code": digits(key)})
    assert answer["Location"] == "/admin/pushes/account/"
    assert client.session.session_key != before
    assert client.get("/admin/pushes/account/").status_code == 200


def test_a_wrong_code_is_refused_and_slows_the_next_down(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    answer = client.post(VERIFY, {"code": "000000" if digits(key) != "000000" else "000001"})
    assert answer.status_code == 422
    assert "This code is not right. Try again in 1 second." in answer.content.decode()
    # Right, but too soon.
    assert client.post(VERIFY, {"code": digits(key)}).status_code == 422
    TOTPDevice.objects.update(throttling_failure_count=12)
    page = client.post(VERIFY, {"code": digits(key)}).content.decode()
    assert "This came too soon after a wrong code. Try again in 35 minutes." in page
    assert client.get("/admin/").status_code == 302
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    assert client.post(VERIFY, {"code": digits(key)}).status_code == 302


def test_a_code_is_good_once(operator: User) -> None:
    key, _codes = enrolled(operator)
    now = digits(key)
    assert signed_in(operator).post(VERIFY, {"code": now}).status_code == 302
    assert signed_in(operator).post(VERIFY, {"code": now}).status_code == 422


def test_a_backup_code_is_good_once(operator: User) -> None:
    _key, codes = enrolled(operator)
    assert signed_in(operator).post(VERIFY, {"code": codes[0].upper()}).status_code == 302
    assert signed_in(operator).post(VERIFY, {"code": codes[0]}).status_code == 422
    assert secondfactor.codes_left(operator) == 9


def test_a_backup_code_of_somebody_else_is_refused(operator: User) -> None:
    enrolled(operator)
    _key, codes = enrolled(make_operator(roles.VIEWER))
    assert signed_in(operator).post(VERIFY, {"code": codes[0]}).status_code == 422


def test_few_backup_codes_are_warned_of(operator: User) -> None:
    key, codes = enrolled(operator)
    StaticToken.objects.exclude(token__in=codes[:2]).delete()
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert "You have 2 backup codes left." in client.get("/admin/").content.decode()


def test_a_next_elsewhere_is_not_followed(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    answer = client.post(VERIFY, {"code": digits(key), "next": "https://evil.example/"})
    assert answer["Location"] == "/admin/"


def test_the_code_page_is_only_for_who_needs_it(client: Client, operator: User) -> None:
    client.force_login(operator)
    assert client.get(VERIFY)["Location"] == "/admin/"


def test_new_backup_codes_for_the_password(client: Client, operator: User) -> None:
    key, old = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert client.post(CODES, {"password": "wrong"}).status_code == 422
    assert secondfactor.codes_left(operator) == 10
    page = client.post(CODES, {"password": PASSWORD}).content.decode()
    fresh = set(StaticToken.objects.values_list("token", flat=True))
    assert all(code in page for code in fresh)
    assert fresh.isdisjoint(old)


def test_it_is_turned_off_for_the_password(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert client.get(OFF).status_code == 200
    answer = client.post(OFF, {"password": "wrong"})
    assert "This is not your password." in answer.content.decode()
    assert secondfactor.has_one(operator)
    assert client.post(OFF, {"password": PASSWORD})["Location"] == ACCOUNT
    assert not secondfactor.has_one(operator)
    assert LogEntry.objects.latest("pk").change_message == "Second factor turned off."
    assert signed_in(operator).get("/admin/").status_code == 200
    assert client.post(OFF, {"password": PASSWORD})["Location"] == ACCOUNT


def test_guessing_the_password_of_an_open_session_locks_like_a_login(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    answers = [client.post(OFF, {"password": "wrong"}).status_code for _ in range(5)]
    assert answers == [422, 422, 422, 422, 429]
    assert client.post(OFF, {"password": PASSWORD}).status_code == 429
    assert secondfactor.has_one(operator)


def test_required_means_before_anything_else(operator: User, settings: Any) -> None:
    settings.TWO_FACTOR = "required"
    client = signed_in(operator)
    for page in ("/admin/", ACCOUNT, OFF, CODES, "/admin/pushes/account/"):
        assert client.get(page)["Location"].startswith(SET_UP), page
    assert "A second factor is required here." in client.get(SET_UP).content.decode()
    client.post(SET_UP, {"code": digits(client.session["second_factor_key"])})
    assert client.get("/admin/").status_code == 200


def test_required_says_what_turning_off_means(operator: User, settings: Any) -> None:
    settings.TWO_FACTOR = "required"
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert "you will set up another one right away" in client.get(OFF).content.decode()
    client.post(OFF, {"password": PASSWORD})
    assert client.get("/admin/")["Location"].startswith(SET_UP)


def test_required_locks_out_nobody_who_may_log_out(operator: User, settings: Any) -> None:
    settings.TWO_FACTOR = "required"
    client = signed_in(operator)
    assert client.post(reverse("admin:logout")).status_code in (200, 302)
    assert "_auth_user_id" not in client.session


def test_off_has_no_pages_and_asks_nobody(operator: User, settings: Any) -> None:
    enrolled(operator)
    settings.TWO_FACTOR = "off"
    client = signed_in(operator)
    assert client.get("/admin/").status_code == 200
    assert "Second factor" not in client.get(ACCOUNT).content.decode()
    assert [client.get(page).status_code for page in (VERIFY, SET_UP, CODES, OFF)] == [404] * 4


def test_an_administrator_resets_it_and_it_is_audited(client: Client, operator: User) -> None:
    enrolled(operator)
    client.force_login(make_operator(roles.ADMINISTRATOR))
    change = f"/admin/auth/user/{operator.pk}/change/"
    address = f"/admin/auth/user/{operator.pk}/reset-second-factor/"
    assert address in client.get(change).content.decode()
    assert "has lost phone and backup codes" in client.get(address).content.decode()
    assert secondfactor.has_one(operator)
    assert client.post(address)["Location"] == change
    assert not secondfactor.has_one(operator)
    assert address not in client.get(change).content.decode()
    entry = LogEntry.objects.get(object_id=str(operator.pk))
    assert entry.change_message == f"The second factor of {operator.username} is taken away."
    client.post(address)
    assert "has no second factor" in client.get(change).content.decode()
    assert LogEntry.objects.filter(object_id=str(operator.pk)).count() == 1


def test_the_command_resets_it(operator: User, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(operator)
    call_command("resetsecondfactor", operator.username)
    assert "is taken away" in capsys.readouterr().out
    assert not secondfactor.has_one(operator)


@pytest.mark.parametrize("name", ["nobody", "without"])
def test_the_command_says_whom_it_cannot_help(name: str) -> None:
    User.objects.create_user("without")
    with pytest.raises(CommandError, match=f"'{name}'"):
        call_command("resetsecondfactor", name)


def test_no_page_shows_the_secret_of_an_operator(client: Client, operator: User) -> None:
    key, codes = enrolled(operator)
    client.force_login(User.objects.create_superuser("root"))
    secrets = [key, b32decode(key).hex(), *codes]
    for page in (f"/admin/auth/user/{operator.pk}/change/", "/admin/auth/user/", "/admin/"):
        assert not any(secret in client.get(page).content.decode() for secret in secrets)
    assert client.get("/admin/otp_totp/totpdevice/").status_code == 404


def test_a_password_change_ends_every_other_session(operator: User) -> None:
    here, elsewhere = signed_in(operator), signed_in(operator)
    fresh = "another-Horse-8-battery"
    form = {"old_password": PASSWORD, "new_password1": fresh, "new_password2": fresh}
    assert here.post(reverse("admin:password_change"), form).status_code == 302
    assert here.get("/admin/").status_code == 200
    assert "/login/" in elsewhere.get("/admin/")["Location"]


@pytest.mark.parametrize("weak", ["short-7", "password12", "1234567890"])
def test_a_weak_password_is_refused(operator: User, weak: str) -> None:
    form = {"old_password": PASSWORD, "new_password1": weak, "new_password2": weak}
    assert "password" in str(signed_in(operator).post(reverse("admin:password_change"), form).context["errors"])
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)


def test_a_code_is_refused_when_the_clock_is_wrong(operator: User) -> None:
    key, _codes = enrolled(operator)
    assert signed_in(operator).post(VERIFY, {"code": digits(key, 10)}).status_code == 422
