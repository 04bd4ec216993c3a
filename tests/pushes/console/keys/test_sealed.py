from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest
from django.test import RequestFactory

from pushes.console.keys import sealed

SECRET = {"secret": "k9-open-sesame", "key": 7}


@pytest.fixture
def request_() -> HttpRequest:
    request = RequestFactory().get("/")
    request.session = SessionStore()
    return request


def test_what_was_kept_is_taken_once(request_: HttpRequest) -> None:
    sealed.keep(request_, "one", SECRET)
    assert sealed.take(request_, "one") == SECRET
    assert sealed.take(request_, "one") is None


def test_the_session_holds_it_encrypted(request_: HttpRequest) -> None:
    sealed.keep(request_, "one", SECRET)
    assert "open-sesame" not in str(dict(request_.session.items()))


def test_what_is_kept_later_takes_its_place(request_: HttpRequest) -> None:
    sealed.keep(request_, "one", SECRET)
    sealed.keep(request_, "one", "another")
    assert sealed.take(request_, "one") == "another"


def test_names_do_not_meet(request_: HttpRequest) -> None:
    sealed.keep(request_, "one", SECRET)
    assert sealed.take(request_, "other") is None
    assert sealed.take(request_, "one") == SECRET


def test_what_is_forgotten_is_gone(request_: HttpRequest) -> None:
    sealed.forget(request_, "one")
    sealed.keep(request_, "one", SECRET)
    sealed.forget(request_, "one")
    assert sealed.take(request_, "one") is None


@pytest.mark.parametrize(("seconds", "is_there"), [(599, True), (601, False)])
def test_it_waits_for_ten_minutes(
    request_: HttpRequest, monkeypatch: pytest.MonkeyPatch, seconds: int, is_there: bool
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("pushes.console.keys.sealed.time.time", lambda: now)
    sealed.keep(request_, "one", SECRET)
    monkeypatch.setattr("pushes.console.keys.sealed.time.time", lambda: now + seconds)
    assert (sealed.take(request_, "one") is not None) == is_there


def test_what_the_vault_cannot_open_is_as_good_as_gone(request_: HttpRequest, settings: Any) -> None:
    sealed.keep(request_, "one", SECRET)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert sealed.take(request_, "one") is None
