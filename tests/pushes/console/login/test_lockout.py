"""Failed logins: per name and address, in the database, with the time left; lifted by an administrator alone."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pushes.console.login import lockout
from pushes.console.operators import roles
from pushes.models import ApiToken, FailedLogin
from tests.make import make_operator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
PASSWORD = "correct-Horse-7-battery"
LIMIT = 5


@pytest.fixture
def operator() -> User:
    user = make_operator(roles.VIEWER)
    user.set_password(PASSWORD)
    user.save()
    return user


def log_in(name: str, password: str, address: str = "192.0.2.1", **headers: str) -> Any:
    """From a browser that comes new each time, so that no cookie counts."""
    answer: Any = Client(REMOTE_ADDR=address).post(
        "/admin/login/", {"username": name, "password": password}, headers=headers
    )
    return answer


def fail(name: str, times: int = LIMIT, address: str = "192.0.2.1", **headers: str) -> Any:
    answers = [log_in(name, "wrong", address, **headers) for _ in range(times)]
    return answers[-1]


def test_the_fifth_wrong_password_locks_with_the_time_left(operator: User) -> None:
    assert fail(operator.username, LIMIT - 1).status_code == 200
    answer = fail(operator.username, 1)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 15 * 60
    assert "Try again in 15 minutes." in answer.content.decode()


def test_the_right_password_does_not_open_a_lock(operator: User) -> None:
    fail(operator.username)
    assert log_in(operator.username, PASSWORD).status_code == 429


def test_a_lock_holds_for_one_address(operator: User) -> None:
    fail(operator.username, address="192.0.2.66")
    assert log_in(operator.username, PASSWORD, "192.0.2.1").status_code == 302


def test_a_lock_holds_for_one_name(operator: User) -> None:
    fail("somebody-else")
    assert log_in(operator.username, PASSWORD).status_code == 302


def test_guesses_at_one_name_from_many_addresses_lock_the_name(operator: User) -> None:
    answers = [fail(operator.username, 1, f"198.51.100.{number}").status_code for number in range(12)]
    assert answers == [200] * 9 + [429] * 3
    # For strangers, whatever they give.
    assert log_in(operator.username, PASSWORD, "203.0.113.1").status_code == 429
    assert log_in("somebody-else", "wrong", "203.0.113.1").status_code == 200


def test_many_names_from_one_address_lock_the_address(operator: User) -> None:
    answers = [fail(f"name{number}", 1, "198.51.100.7").status_code for number in range(40)]
    assert answers == [200] * 19 + [429] * 21
    assert log_in(operator.username, PASSWORD, "198.51.100.7").status_code == 429
    assert log_in(operator.username, PASSWORD, "198.51.100.8").status_code == 302


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("2001:DB8:1:2:0:0:0:1", "2001:db8:1:2::"),
        ("::ffff:192.0.2.5", "192.0.2.5"),
        ("fe80::1%eth0", "fe80::"),
        ("192.0.2.5", "192.0.2.5"),
        ("", lockout.NO_ADDRESS),
        ("localhost", lockout.NO_ADDRESS),
        ("x" * 200, lockout.NO_ADDRESS),
    ],
)
def test_an_address_is_counted_as_what_one_visitor_has(rf: RequestFactory, written: str, counted: str) -> None:
    assert lockout.client_address(rf.get("/", REMOTE_ADDR=written)) == counted


def test_a_network_full_of_ipv6_addresses_counts_as_one(operator: User) -> None:
    answers = [fail(operator.username, 1, f"2001:db8::{number:x}").status_code for number in range(6)]
    assert answers == [200, 200, 200, 200, 429, 429]


def known_browser(operator: User) -> Client:
    """One that the operator was logged in with, and out again."""
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.post("/admin/login/", {"username": operator.username, "password": PASSWORD})
    client.post("/admin/logout/")
    return client


def in_browser(client: Client, name: str, password: str, address: str = "192.0.2.1") -> int:
    return client.post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address).status_code


def test_a_browser_that_the_operator_has_used_is_locked_by_nobody_else(operator: User) -> None:
    client = known_browser(operator)
    for number in range(12):
        fail(operator.username, 1, f"198.51.100.{number}")
    fail(operator.username, 5, "192.0.2.1")
    for number in range(30):
        fail(f"name{number}", 1, "192.0.2.1")
    assert log_in(operator.username, PASSWORD).status_code == 429
    assert in_browser(client, operator.username, PASSWORD) == 302
    # Nor does the success lift the strangers' lock.
    assert log_in(operator.username, PASSWORD).status_code == 429


def test_a_known_browser_has_a_limit_of_its_own_wherever_it_is(operator: User) -> None:
    client = known_browser(operator)
    answers = [in_browser(client, operator.username, "wrong", f"198.51.100.{number}") for number in range(6)]
    assert answers == [200, 200, 200, 200, 429, 429]
    assert in_browser(client, operator.username, PASSWORD, "203.0.113.1") == 429
    client = Client()
    client.force_login(make_operator(roles.ADMINISTRATOR))
    assert "used for a login before" in client.get("/admin/pushes/failedlogin/").content.decode()


def test_what_goes_wrong_in_known_browsers_locks_no_others(operator: User) -> None:
    for client in (known_browser(operator), known_browser(operator)):
        assert in_browser(client, operator.username, "wrong") == 200
        FailedLogin.objects.filter(user_agent__startswith="browser:").update(failures_since_start=40)
    assert log_in(operator.username, "wrong").status_code == 200
    assert log_in(operator.username, PASSWORD).status_code == 302


@pytest.mark.parametrize("agent", ["browser:x", "Browser:{}", "BROWSER:"])
def test_a_stranger_that_calls_itself_known_is_none(operator: User, agent: str) -> None:
    answers = [
        log_in(operator.username, "wrong", f"198.51.100.{number}", **{"User-Agent": agent.format(number)}).status_code
        for number in range(12)
    ]
    assert answers == [200] * 9 + [429] * 3


def test_a_known_browser_is_known_for_its_operator_alone(operator: User) -> None:
    attacker = make_operator(roles.VIEWER)
    attacker.set_password(PASSWORD)
    attacker.save()
    client = known_browser(attacker)
    [(own, value)] = [
        (name, cookie.value) for name, cookie in client.cookies.items() if name.startswith("higo_browser")
    ]
    # Under the name that the operator's cookie would have, too.
    theirs = next(name for name in known_browser(operator).cookies if name.startswith("higo_browser"))
    assert own != theirs
    client.cookies[theirs] = value
    answers = [in_browser(client, operator.username, "wrong", f"198.51.100.{number}") for number in range(12)]
    assert answers[-1] == 429


@pytest.mark.parametrize("value", ["", "x", "a:b:c", "WzEsMl0:x:y", "{}"])
def test_a_cookie_of_ones_own_make_is_none(operator: User, value: str) -> None:
    name = next(name for name in known_browser(operator).cookies if name.startswith("higo_browser"))
    client = Client()
    client.cookies[name] = value
    answers = [in_browser(client, operator.username, "wrong", f"198.51.100.{number}") for number in range(12)]
    assert answers[-1] == 429


def test_the_cookie_is_for_the_server_alone(operator: User, settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.post("/admin/login/", {"username": operator.username, "password": PASSWORD})
    [cookie] = [cookie for name, cookie in client.cookies.items() if name.startswith("higo_browser")]
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "Lax"
    assert operator.username not in cookie.OutputString()


def test_whoever_goes_on_guessing_does_not_prolong_the_lock_of_a_name(operator: User) -> None:
    for number in range(20):
        fail(operator.username, 1, f"198.51.100.{number}")
    FailedLogin.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME)
    assert log_in(operator.username, PASSWORD, "203.0.113.1").status_code == 302


def test_ones_own_right_password_does_not_wash_off_guesses_at_other_names(operator: User) -> None:
    for number in range(30):
        log_in(operator.username, PASSWORD, "198.51.100.7")
        answer = fail(f"name{number}", 1, "198.51.100.7")
    assert answer.status_code == 429


def test_a_name_that_does_not_exist_is_answered_alike(operator: User) -> None:
    known, unknown = fail(operator.username), fail("nobody-at-all")
    csrf = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    pages = [csrf.sub("", answer.content.decode()) for answer in (known, unknown)]
    assert unknown.status_code == 429
    assert pages[0].replace(operator.username, "X") == pages[1].replace("nobody-at-all", "X")


def test_other_browsers_and_written_forwarded_addresses_count_together(operator: User) -> None:
    for number in range(LIMIT):
        headers = {"user-agent": f"browser {number}", "x-forwarded-for": f"198.51.100.{number}"}
        answer = log_in(operator.username, "wrong", **headers)
    assert answer.status_code == 429
    assert {row.ip_address for row in FailedLogin.objects.all()} == {"192.0.2.1"}


def test_success_forgets_the_failures_before_it(operator: User) -> None:
    fail(operator.username, LIMIT - 1)
    log_in(operator.username, PASSWORD)
    assert fail(operator.username, LIMIT - 1).status_code == 200


def test_a_lock_ends_by_itself_and_is_not_prolonged_by_tries(operator: User) -> None:
    fail(operator.username)
    began = FailedLogin.objects.get().attempt_time
    fail(operator.username, 3)
    assert FailedLogin.objects.get().attempt_time == began
    FailedLogin.objects.update(attempt_time=began - settings.AXES_COOLOFF_TIME)
    assert log_in(operator.username, PASSWORD).status_code == 302


def test_the_time_left_is_when_enough_failures_have_aged() -> None:
    now = timezone.now()
    for minutes, failures in ((10, 2), (5, 3), (1, 1)):
        row = FailedLogin.objects.create(
            username="x", ip_address="192.0.2.1", user_agent=str(minutes), failures_since_start=failures
        )
        FailedLogin.objects.filter(pk=row.pk).update(attempt_time=now - timedelta(minutes=minutes))
    # Without the two of ten minutes ago four are left, one less than locks.
    until = lockout.locked_until("x", "192.0.2.1")
    assert until is not None
    assert until - now == timedelta(minutes=5)
    assert lockout.locked_until("y", "192.0.2.1") is None


def test_neither_password_nor_code_is_stored(operator: User) -> None:
    Client().post("/admin/login/", {"username": operator.username, "password": "hunter-of-secrets", "code": "123456"})
    row = FailedLogin.objects.get()
    assert "hunter" not in row.post_data
    assert "123456" not in row.post_data


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (59, "59 seconds"), (61, "2 minutes"), (900, "15 minutes"), (3 * 3600 - 5, "3 hours")],
)
def test_the_wait_is_rounded_up(seconds: float, words: str) -> None:
    assert lockout.wait(timedelta(seconds=seconds)) == words


def test_an_administrator_lifts_a_lock_and_it_is_audited(client: Client, operator: User) -> None:
    fail(operator.username)
    row = FailedLogin.objects.get()
    client.force_login(make_operator(roles.ADMINISTRATOR))
    page = client.get("/admin/pushes/failedlogin/").content.decode()
    assert operator.username in page
    assert "locked for" in page
    address = f"/admin/pushes/failedlogin/{row.pk}/lift/"
    assert "Confirm with the person before lifting a lock" in client.get(address).content.decode()
    assert FailedLogin.objects.exists()
    assert client.post(address).status_code == 302
    assert log_in(operator.username, PASSWORD).status_code == 302
    entry = LogEntry.objects.get(object_id=str(operator.pk))
    assert "can log in from 192.0.2.1 again" in entry.change_message
    assert client.post(address).status_code == 404


def test_lifting_the_lock_of_a_name_without_an_account_is_audited_at_the_row(client: Client) -> None:
    fail("nobody-at-all")
    row = FailedLogin.objects.get()
    client.force_login(make_operator(roles.ADMINISTRATOR))
    client.post(f"/admin/pushes/failedlogin/{row.pk}/lift/")
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_a_failure_below_the_limit_is_shown_as_no_lock(client: Client, operator: User) -> None:
    fail(operator.username, 1)
    client.force_login(make_operator(roles.ADMINISTRATOR))
    assert "not locked" in client.get("/admin/pushes/failedlogin/").content.decode()


def test_the_api_asks_nothing_of_logins_and_operators(client: Client, redis_client: Any) -> None:
    _token, clear = ApiToken.issue("monitor", ["metrics", "read"])
    with CaptureQueriesContext(connection) as asked:
        client.get("/api/v1/pushes/1", headers={"authorization": f"Bearer {clear}"})
        client.get("/healthz")
    tables = ("axes_", "otp_", "operatorpreferences", "django_session", "auth_user")
    assert asked.captured_queries
    assert [q["sql"] for q in asked.captured_queries if any(table in q["sql"] for table in tables)] == []
