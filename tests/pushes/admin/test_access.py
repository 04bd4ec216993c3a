"""Every page of the console, by its direct address, for everyone who may not open it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, reverse

from chatscan.models import ScannerPosition
from pushes.models import ApiToken
from tests.make import (
    make_account,
    make_app_key,
    make_broadcast,
    make_dead_letter,
    make_delivery,
    make_device,
    make_operator,
    make_record,
)

pytestmark = pytest.mark.django_db
#: Open to every member of staff: they show nothing of the platform.
FOR_ALL_STAFF = {
    "index", "password_change", "password_change_done", "jsi18n", "logout", "view_on_site", "search", "app_list",
    "autocomplete",
}  # fmt: skip
#: Open to everyone.
PUBLIC = {"login"}


def _patterns(found: list[Any]) -> Iterator[URLPattern]:
    for pattern in found:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns)
        else:
            yield pattern


def guarded_names() -> list[str]:
    names = {pattern.name for pattern in _patterns(admin.site.urls[0]) if pattern.name}
    return sorted(names - FOR_ALL_STAFF - PUBLIC)


def address(name: str) -> str:
    """The page's address with a row's number wherever it wants one."""
    for args in ((), ("1",), (1,), (1, "x"), (1, "x", "y"), (1, "x", "y", "z"), ("x", "y")):
        with contextlib.suppress(NoReverseMatch):
            return reverse(f"admin:{name}", args=args)
    raise AssertionError(f"no address for {name}")


@pytest.fixture
def one_of_each() -> None:
    make_app_key(pk=1)
    device = make_device(make_account("1"), pk=1)
    broadcast = make_broadcast(pk=1)
    make_delivery(make_record(pk=1, broadcast=broadcast), pk=1, device_id=device.pk)
    make_dead_letter(pk=1)
    ApiToken.objects.create(pk=1, name="one", digest="0")
    ScannerPosition.objects.create(pk="1")
    User.objects.get_or_create(pk=1, defaults={"username": "first"})
    Group.objects.get_or_create(pk=1, defaults={"name": "first"})


def test_there_are_pages_to_check() -> None:
    assert len(guarded_names()) > 60


@pytest.mark.parametrize("name", guarded_names())
def test_a_stranger_is_sent_to_the_login(name: str, client: Client, one_of_each: None) -> None:
    for answer in (client.get(address(name)), client.post(address(name))):
        assert answer.status_code == 302
        assert "/login/" in answer["Location"]


@pytest.mark.parametrize("name", guarded_names())
def test_staff_without_a_role_is_refused(name: str, client: Client, one_of_each: None) -> None:
    client.force_login(make_operator())
    for answer in (client.get(address(name)), client.post(address(name))):
        assert answer.status_code == 403, name
