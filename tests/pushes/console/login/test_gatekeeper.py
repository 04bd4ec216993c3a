"""The second factor: from setting it up to losing it, and nothing of the console without it."""

import hashlib
import re
from base64 import b32decode
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django_otp.oath import totp

from pushes import vault
from pushes.console.login import second_factor
from pushes.console.operators import roles
from pushes.models import BackupCode, FailedLogin, SecondFactor, WrongCode
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
    key = second_factor.new_key()
    codes = second_factor.enrol(user, key, digits(key, -1))
    assert codes
    return key, codes


def wrong(key: str) -> str:
    """A code that this app shows neither now nor soon."""
    shown = {digits(key, steps) for steps in range(-2, 4)}
    return next(code for code in (f"{number:06d}" for number in range(20)) if code not in shown)


def key_being_set_up(client: Client) -> str:
    return vault.decrypt(client.session["second_factor_key"])


def later(**span: float) -> None:
    """What was counted lies further back by so much."""
    for model, column in ((WrongCode, "at"), (FailedLogin, "attempt_time")):
        for row in model.objects.all():
            model.objects.filter(pk=row.pk).update(**{column: getattr(row, column) - timedelta(**span)})


def signed_in(user: User, address: str = "192.0.2.1") -> Client:
    """With the password, and no more, in a browser that comes new."""
    client = Client(REMOTE_ADDR=address)
    answer = client.post(reverse("admin:login"), {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def test_it_is_set_up_with_a_code_of_the_app_and_the_password(client: Client, operator: User) -> None:
    client.force_login(operator)
    page = client.get(SET_UP)
    assert "<svg" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    key = key_being_set_up(client)
    assert second_factor.spaced(key) in page.content.decode()
    assert key not in str(client.session.items())
    done = client.post(SET_UP, {"code": f" {digits(key)[:3]} {digits(key)[3:]} ", "password": PASSWORD})
    assert "no-store" in done["Cache-Control"]
    shown = re.findall(r"^(?: *<pre.*>)?([a-z2-7]{8})$", done.content.decode(), re.MULTILINE)
    assert len(shown) == BackupCode.objects.count() == 10
    assert LogEntry.objects.get().change_message == "Second factor set up."
    assert "second_factor_key" not in client.session
    # This session has shown it already.
    assert client.get(ACCOUNT).status_code == 200


def test_a_wrong_code_sets_nothing_up(client: Client, operator: User) -> None:
    client.force_login(operator)
    client.get(SET_UP)
    key = key_being_set_up(client)
    answer = client.post(SET_UP, {"code": wrong(key), "password": PASSWORD})
    assert answer.status_code == 422
    assert "Incorrect code." in answer.content.decode()
    assert not SecondFactor.objects.exists()
    assert key_being_set_up(client) == key


@pytest.mark.parametrize("given", [{}, {"password": ""}, {"password": "wrong"}])
def test_nothing_is_set_up_without_the_password(client: Client, operator: User, given: dict[str, str]) -> None:
    client.force_login(operator)
    client.get(SET_UP)
    assert client.post(SET_UP, {"code": digits(key_being_set_up(client)), **given}).status_code == 422
    assert not SecondFactor.objects.exists()


def test_guesses_at_the_password_when_setting_up_lock_like_a_login(client: Client, operator: User) -> None:
    client.force_login(operator)
    client.get(SET_UP)
    right = {"code": digits(key_being_set_up(client))}
    answers = [client.post(SET_UP, {**right, "password": "wrong"}).status_code for _ in range(5)]
    assert answers == [422, 422, 422, 422, 429]
    assert client.post(SET_UP, {**right, "password": PASSWORD}).status_code == 429
    assert not SecondFactor.objects.exists()


def test_an_empty_code_names_its_field(client: Client, operator: User) -> None:
    client.force_login(operator)
    answer = client.post(SET_UP, {"code": ""})
    assert answer.status_code == 422
    assert djangos_words.REQUIRED in answer.content.decode()


def test_a_second_submission_makes_no_second_device(client: Client, operator: User) -> None:
    enrolled(operator)
    key = second_factor.new_key()
    with pytest.raises(second_factor.EnrolledError):
        second_factor.enrol(operator, key, digits(key))
    assert SecondFactor.objects.count() == 1


def test_setting_up_again_leads_back(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert client.get(SET_UP)["Location"] == ACCOUNT


def test_a_race_for_setting_up_leads_back(client: Client, operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client.force_login(operator)
    client.get(SET_UP)
    key = key_being_set_up(client)
    # The other submission lands between the view's look and the lock.
    looks = iter([False, False, True])
    monkeypatch.setattr(second_factor, "has_one", lambda _user: next(looks))
    assert client.post(SET_UP, {"code": digits(key), "password": PASSWORD})["Location"] == ACCOUNT
    assert not SecondFactor.objects.exists()


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


def test_wrong_codes_are_refused_and_too_many_have_to_wait(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    pages = [client.post(VERIFY, {"code": wrong(key)}).content.decode() for _ in range(5)]
    assert all("Incorrect code. Wait for the next one" in page for page in pages[:4])
    assert "Incorrect code. Try again in 15 minutes." in pages[4]
    answer = client.post(VERIFY, {"code": digits(key)})
    assert answer.status_code == 422
    assert "Too many wrong codes. Try again in 15 minutes." in answer.content.decode()
    assert client.get("/admin/").status_code == 302
    # What comes too soon is not looked at, and does not count.
    assert WrongCode.objects.count() == 5
    later(minutes=15, seconds=1)
    assert client.post(VERIFY, {"code": digits(key)}).status_code == 302


def test_wrong_codes_from_elsewhere_make_the_owner_wait_for_nothing(operator: User) -> None:
    key, _codes = enrolled(operator)
    attacker = signed_in(operator, "198.51.100.66")
    assert [attacker.post(VERIFY, {"code": wrong(key)}).status_code for _ in range(30)] == [422] * 30
    owner = signed_in(operator)
    assert owner.post(VERIFY, {"code": digits(key)}).status_code == 302
    assert "5 wrong codes were entered elsewhere after your password" in owner.get("/admin/").content.decode()
    # And what the owner does opens nothing for the attacker.
    assert attacker.post(VERIFY, {"code": digits(key, 1)}).status_code == 422


def test_whoever_goes_on_from_the_owners_own_address_makes_them_wait_an_hour_at_most(
    operator: User,
) -> None:
    key, _codes = enrolled(operator)
    attacker, waits = signed_in(operator), []
    for _ in range(12):
        page = attacker.post(VERIFY, {"code": wrong(key)}).content.decode()
        found = re.search(r"Try again in (\d+) minutes", page)
        waits.append(int(found[1]) if found else 0)
        later(minutes=waits[-1], seconds=1)
    assert waits == [0, 0, 0, 0, 15, 30, *[60] * 6]
    assert signed_in(operator).post(VERIFY, {"code": digits(key)}).status_code == 302


def test_a_browser_that_was_in_before_waits_for_nobody(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _codes = enrolled(operator)
    owner = signed_in(operator)
    assert owner.post(VERIFY, {"code": digits(key)}).status_code == 302
    monkeypatch.setattr(second_factor, "MAX_FROM_STRANGERS", 20)
    for number in range(5):
        attacker = signed_in(operator, f"198.51.100.{number}")
        for _ in range(5):
            attacker.post(VERIFY, {"code": wrong(key)})
    # All strangers together have a ceiling, so that a thousand addresses do not guess a thousand times as much.
    assert WrongCode.objects.count() == 20
    stranger = signed_in(operator, "203.0.113.9")
    assert "Try again in 24 hours." in stranger.post(VERIFY, {"code": digits(key, 1)}).content.decode()
    owner.post(reverse("admin:logout"))
    owner.post(reverse("admin:login"), {"username": operator.username, "password": PASSWORD})
    assert owner.post(VERIFY, {"code": digits(key, 1)}).status_code == 302


def test_a_backup_code_lets_the_owner_in_whatever_strangers_have_guessed(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, codes = enrolled(operator)
    monkeypatch.setattr(second_factor, "MAX_FROM_STRANGERS", 3)
    for number in range(4):
        attacker = signed_in(operator, f"198.51.100.{number}")
        page = attacker.post(VERIFY, {"code": wrong(key)}).content.decode()
    assert "Too many wrong codes. Try again in 24 hours. A backup code is taken at once." in page
    owner = signed_in(operator, "203.0.113.9")
    assert owner.post(VERIFY, {"code": digits(key)}).status_code == 422
    assert owner.post(VERIFY, {"code": codes[0]}).status_code == 302
    # Guesses at those count as all others do: for the place that they come from.
    pages = [attacker.post(VERIFY, {"code": "aaaaaaaa"}).content.decode() for _ in range(6)]
    assert "Too many wrong codes. Try again in 15 minutes." not in pages[3]
    assert "A backup code is taken at once." not in pages[5]
    assert attacker.post(VERIFY, {"code": codes[1]}).status_code == 422


@pytest.mark.parametrize("typed", ["{0}-{1}", "{0} {1}", "{0}–{1}.", "\u200b{0}{1}\ufeff"])
def test_what_surrounds_a_backup_code_does_not_matter(operator: User, typed: str) -> None:
    _key, codes = enrolled(operator)
    code = typed.format(codes[0][:4].upper(), codes[0][4:])
    assert signed_in(operator).post(VERIFY, {"code": code}).status_code == 302


def test_a_known_browser_is_no_way_round_its_own_wrong_codes(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    client.post(reverse("admin:logout"))
    for number in range(6):
        client.defaults["REMOTE_ADDR"] = f"198.51.100.{number}"
        client.post(reverse("admin:login"), {"username": operator.username, "password": PASSWORD})
        client.post(VERIFY, {"code": wrong(key)})
    assert "Too many wrong codes." in client.post(VERIFY, {"code": digits(key, 1)}).content.decode()


def test_the_right_password_alone_makes_no_browser_known_where_a_code_is_asked_for(operator: User) -> None:
    enrolled(operator)
    client = signed_in(operator)
    assert [name for name in client.cookies if name.startswith("higo_browser")] == []


def test_a_code_is_good_once(operator: User) -> None:
    key, _codes = enrolled(operator)
    now = digits(key)
    assert signed_in(operator).post(VERIFY, {"code": now}).status_code == 302
    assert signed_in(operator).post(VERIFY, {"code": now}).status_code == 422


def test_a_backup_code_is_good_once(operator: User) -> None:
    _key, codes = enrolled(operator)
    assert signed_in(operator).post(VERIFY, {"code": codes[0].upper()}).status_code == 302
    assert signed_in(operator).post(VERIFY, {"code": codes[0]}).status_code == 422
    assert second_factor.codes_left(operator) == 9


@pytest.mark.parametrize("steps", [-1, 0])
def test_no_code_is_taken_after_a_later_one(operator: User, steps: int) -> None:
    key, _codes = enrolled(operator)
    code = digits(key, steps)
    assert signed_in(operator).post(VERIFY, {"code": digits(key)}).status_code == 302
    assert signed_in(operator).post(VERIFY, {"code": code}).status_code == 422


def test_a_code_that_set_it_up_opens_no_login(operator: User) -> None:
    key = second_factor.new_key()
    code = digits(key)
    assert second_factor.enrol(operator, key, code)
    assert signed_in(operator).post(VERIFY, {"code": code}).status_code == 422


def test_wide_digits_of_an_input_method_are_digits(operator: User) -> None:
    key, _codes = enrolled(operator)
    wide = digits(key).translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    assert signed_in(operator).post(VERIFY, {"code": wide}).status_code == 302


def test_neither_keys_nor_codes_can_be_read_from_the_database(operator: User) -> None:
    key, codes = enrolled(operator)
    client = signed_in(operator)
    client.get(VERIFY)
    stored = str([list(model.objects.values()) for model in (SecondFactor, BackupCode, Session, LogEntry)]).lower()
    assert not [secret for secret in (key.lower(), b32decode(key).hex(), *codes) if secret in stored]
    # A digest alone is no help either: forty bits are soon guessed through.
    digest = BackupCode.objects.order_by("pk").values_list("digest", flat=True)[0]
    assert digest != hashlib.sha256(codes[0].encode()).hexdigest()


def test_keys_and_codes_survive_new_encryption_keys(operator: User, settings: Any) -> None:
    key, codes = enrolled(operator)
    old, new = settings.ENCRYPTION_KEYS, [Fernet.generate_key().decode()]
    settings.ENCRYPTION_KEYS = new + old
    call_command("reencryptsecrets")
    settings.ENCRYPTION_KEYS = new
    assert signed_in(operator).post(VERIFY, {"code": digits(key)}).status_code == 302
    assert signed_in(operator).post(VERIFY, {"code": codes[3]}).status_code == 302


def test_a_key_that_cannot_be_read_is_said_and_is_no_500(operator: User, settings: Any) -> None:
    key, _codes = enrolled(operator)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    answer = signed_in(operator).post(VERIFY, {"code": digits(key)})
    assert answer.status_code == 422
    assert "ENCRYPTION_KEYS lacks the key" in answer.content.decode()


def test_a_backup_code_of_somebody_else_is_refused(operator: User) -> None:
    enrolled(operator)
    _key, codes = enrolled(make_operator(roles.VIEWER))
    assert signed_in(operator).post(VERIFY, {"code": codes[0]}).status_code == 422


def test_few_backup_codes_are_warned_of(operator: User) -> None:
    key, _codes = enrolled(operator)
    BackupCode.objects.filter(pk__in=list(BackupCode.objects.values_list("pk", flat=True)[2:])).delete()
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
    assert second_factor.codes_left(operator) == 10
    page = client.post(CODES, {"password": PASSWORD}).content.decode()
    fresh = re.findall(r"^(?: *<pre.*>)?([a-z2-7]{8})$", page, re.MULTILINE)
    assert len(set(fresh) - set(old)) == 10
    assert signed_in(operator).post(VERIFY, {"code": old[0]}).status_code == 422
    assert signed_in(operator).post(VERIFY, {"code": fresh[0]}).status_code == 302


def test_it_is_turned_off_for_the_password(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert client.get(OFF).status_code == 200
    answer = client.post(OFF, {"password": "wrong"})
    assert "Incorrect password. Try again." in answer.content.decode()
    assert second_factor.has_one(operator)
    assert client.post(OFF, {"password": PASSWORD})["Location"] == ACCOUNT
    assert not second_factor.has_one(operator)
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
    assert second_factor.has_one(operator)


def test_required_means_before_anything_else(operator: User, settings: Any) -> None:
    settings.TWO_FACTOR = "required"
    client = signed_in(operator)
    for page in ("/admin/", ACCOUNT, OFF, CODES, "/admin/pushes/account/"):
        assert client.get(page)["Location"].startswith(SET_UP), page
    assert "A second factor is required here." in client.get(SET_UP).content.decode()
    client.post(SET_UP, {"code": digits(key_being_set_up(client)), "password": PASSWORD})
    assert client.get("/admin/").status_code == 200


def test_required_says_what_turning_off_means(operator: User, settings: Any) -> None:
    settings.TWO_FACTOR = "required"
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    assert "you will set up a new one right away" in client.get(OFF).content.decode()
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
    assert "has lost both phone and backup codes" in client.get(address).content.decode()
    assert second_factor.has_one(operator)
    assert client.post(address)["Location"] == change
    assert not second_factor.has_one(operator)
    assert address not in client.get(change).content.decode()
    entry = LogEntry.objects.get(object_id=str(operator.pk))
    assert entry.change_message == f"The second factor of {operator.username} is reset."
    client.post(address)
    assert "has no second factor" in client.get(change).content.decode()
    assert LogEntry.objects.filter(object_id=str(operator.pk)).count() == 1


def test_the_command_resets_it(operator: User, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(operator)
    call_command("resetsecondfactor", operator.username)
    assert "Removed the second factor" in capsys.readouterr().out
    assert not second_factor.has_one(operator)


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


@pytest.mark.parametrize("weak", ["short-7", "horse-7-bat", "password1234", "123456789012"])
def test_a_weak_password_is_refused(operator: User, weak: str) -> None:
    form = {"old_password": PASSWORD, "new_password1": weak, "new_password2": weak}
    assert "password" in str(signed_in(operator).post(reverse("admin:password_change"), form).context["errors"])
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)


def test_guesses_at_the_old_password_lock_like_a_login(operator: User) -> None:
    client = signed_in(operator)
    fresh = "another-Horse-8-battery"
    form = {"old_password": "wrong", "new_password1": fresh, "new_password2": fresh}
    answers = [client.post(reverse("admin:password_change"), form).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 200, 429]
    assert client.post(reverse("admin:password_change"), {**form, "old_password": PASSWORD}).status_code == 429
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)


def test_guesses_on_all_pages_count_together(operator: User) -> None:
    key, _codes = enrolled(operator)
    client = signed_in(operator)
    client.post(VERIFY, {"code": digits(key)})
    change = {"old_password": "wrong", "new_password1": "another-Horse-8-battery"}
    pages = [(OFF, {"password": "wrong"}), (CODES, {"password": "wrong"}), (reverse("admin:password_change"), change)]
    answers = [client.post(page, form).status_code for page, form in [*pages, *pages[:2]]]
    assert answers[-1] == 429


def test_an_administrator_changes_their_own_password_only_with_the_old_one(client: Client) -> None:
    root = User.objects.create_superuser("root")
    client.force_login(root)
    fresh = "another-Horse-8-battery"
    form = {"password1": fresh, "password2": fresh, "usable_password": "true", "set-password": "1"}
    answer = client.post(f"/admin/auth/user/{root.pk}/password/", form)
    assert answer["Location"] == reverse("admin:password_change")
    root.refresh_from_db()
    assert not root.has_usable_password()


def test_a_code_is_refused_when_the_clock_is_wrong(operator: User) -> None:
    key, _codes = enrolled(operator)
    assert signed_in(operator).post(VERIFY, {"code": digits(key, 10)}).status_code == 422
