"""Logins that nobody uses any more end, whatever their pages ask for by themselves."""

import time
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from pushes.console.login import idle
from pushes.console.operators import roles
from tests.make import make_operator

pytestmark = pytest.mark.django_db


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0
        self.real = time.time

    def time(self) -> float:
        return self.real() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made.time)
    return made


@pytest.fixture
def browser(settings: Any) -> Client:
    settings.SESSION_IDLE_MINUTES = 30
    client = Client()
    client.force_login(make_operator(roles.VIEWER))
    return client


def is_in(browser: Client, page: str = "/admin/", **headers: str) -> bool:
    return browser.get(page, headers=headers).status_code == 200


def test_a_login_ends_after_half_an_hour_of_nothing(browser: Client, clock: Clock) -> None:
    clock.ahead = 30 * 60 - 5
    assert is_in(browser)
    clock.ahead += 30 * 60 + 1
    answer = browser.get("/admin/pushes/account/")
    assert answer["Location"] == "/admin/login/?next=/admin/pushes/account/"
    assert "_auth_user_id" not in browser.session
    page = browser.get(answer["Location"]).content.decode()
    assert "You were logged out after 30 minutes without activity." in page


def test_whoever_works_stays_in(browser: Client, clock: Clock) -> None:
    for _ in range(12):
        clock.ahead += 20 * 60
        assert is_in(browser)


@pytest.mark.parametrize(
    ("page", "headers"),
    [
        ("/admin/?part=1", {}),
        ("/admin/?part=1&span=1h", {"hx-request": "true"}),
        ("/admin/chatscan/scannerposition/", {"hx-request": "true"}),
    ],
)
def test_pages_that_refresh_themselves_are_no_sign_of_life(
    browser: Client, clock: Clock, redis_client: object, page: str, headers: dict[str, str]
) -> None:
    for _ in range(5):
        clock.ahead += 5 * 60
        assert is_in(browser, page, **headers)
    clock.ahead += 5 * 60 + 1
    assert not is_in(browser, page, **headers)
    assert not is_in(browser)


def test_what_is_sent_is_a_sign_of_life(browser: Client, clock: Clock) -> None:
    clock.ahead = 29 * 60
    browser.post("/admin/me/?part=1", {"language": "", "time_zone": ""})
    clock.ahead += 29 * 60
    assert is_in(browser)


def test_it_ends_after_its_hours_whoever_works(browser: Client, clock: Clock) -> None:
    ends = Session.objects.get().expire_date
    for _ in range(3):
        clock.ahead += 20 * 60
        assert is_in(browser)
    assert Session.objects.get().expire_date == ends
    assert browser.cookies[settings.SESSION_COOKIE_NAME]["max-age"] <= settings.SESSION_COOKIE_AGE


def test_nought_is_never(browser: Client, clock: Clock, settings: Any) -> None:
    settings.SESSION_IDLE_MINUTES = 0
    clock.ahead = 11 * 3600
    assert is_in(browser)


def test_a_session_of_the_former_version_is_taken_over(browser: Client, clock: Clock) -> None:
    session = browser.session
    del session[idle.SEEN_AT]
    session.save()
    assert is_in(browser, "/admin/?part=1")
    clock.ahead = 30 * 60 + 1
    assert not is_in(browser)


def test_not_every_page_writes_the_session(browser: Client, clock: Clock) -> None:
    is_in(browser)
    before = browser.session[idle.SEEN_AT]
    clock.ahead = 50
    is_in(browser)
    assert browser.session[idle.SEEN_AT] == before
    clock.ahead = 61
    is_in(browser)
    assert browser.session[idle.SEEN_AT] > before
