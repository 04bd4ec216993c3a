"""Every page and every action of the console × every role × GET and POST, against `access_rules`.

The pages are read off the URL resolver, so a new page without a rule fails here, and so does a rule without a page.
"""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpResponse
from django.template.response import SimpleTemplateResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from chatscan.models import ScannerPosition
from pushes.console.operators import roles
from pushes.models import ApiToken, FailedLogin
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
from tests.pushes.console.access_rules import ACTIONS, EVERYBODY, FORWARDING, PAGES

pytestmark = pytest.mark.django_db
#: The letters of the rules: `n` is a member of staff without a role.
LETTERS = {
    "n": "",
    "v": roles.VIEWER,
    "o": roles.OPERATOR,
    "a": roles.APPROVER,
    "k": roles.KEY_MANAGER,
    "A": roles.ADMINISTRATOR,
}
#: What a page may answer to somebody whom it lets in: a form, its errors, somewhere else, or "no such row".
LET_IN = {200, 302, 404, 405, 422}
REFUSED = 403
#: What stands in an address for its parts; anything else is taken as the number 1.
PARTS = {
    "app_label": "pushes",
    "url": "no/such/page",
    "job_id": "none",
    "content_type_id": "0",
    "key": "rq:worker:none",
}


def console_pages() -> dict[str, str]:
    """Name (or, of nameless ones, route) to an address of every page under /admin/, and of the language switch."""
    found: dict[str, str] = {}
    for namespace, route, pattern in _walk(get_resolver().url_patterns):
        if route.startswith(("admin/", "i18n/")):
            name = ":".join(filter(None, [namespace, pattern.name])) if pattern.name else route
            found.setdefault(name, _address(route))
    return found


def _walk(patterns: list[Any], namespace: str = "", before: str = "") -> Iterator[tuple[str, str, URLPattern]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = ":".join(filter(None, [namespace, pattern.namespace]))
            yield from _walk(pattern.url_patterns, inner, route)
        else:
            yield namespace, route, pattern


def _address(route: str) -> str:
    """`route` with something in place of each of its parts."""
    bare = re.sub(r"[\^$]|/\?|\\Z", "", route)
    bare = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"<\1>", bare)
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda part: PARTS.get(part[1], "1"), bare)


@pytest.fixture
def one_of_each() -> None:
    make_one_of_each()


def make_one_of_each() -> None:
    make_app_key(pk=1)
    device = make_device(make_account("1"), pk=1)
    broadcast = make_broadcast(pk=1)
    make_delivery(make_record(pk=1, broadcast=broadcast), pk=1, device_id=device.pk)
    make_dead_letter(pk=1)
    ApiToken.objects.create(pk=1, name="one", digest="0")
    ScannerPosition.objects.create(pk="1")
    User.objects.get_or_create(pk=1, defaults={"username": "first"})
    Group.objects.get_or_create(pk=1, defaults={"name": "first"})
    FailedLogin.objects.create(pk=1, username="first", ip_address="192.0.2.1", failures_since_start=5)


def answered(client: Client, method: str, address: str) -> HttpResponse:
    """The answer, without what the request has changed."""
    with transaction.atomic():
        answer: HttpResponse = getattr(client, method)(address)
        transaction.set_rollback(True)
    return answer


def goes_to_login(answer: HttpResponse) -> bool:
    return answer.status_code == 302 and "/login/" in answer["Location"]


def let_in(client: Client, signed_in: dict[str, SimpleCookie], method: str, address: str) -> str:
    """The letters of those whom the page lets in. A crash, or anything but a refusal and an entry, is an error."""
    found = ""
    for letter, cookies in signed_in.items():
        client.cookies = SimpleCookie(cookies)
        answer = answered(client, method, address)
        assert answer.status_code in LET_IN | {REFUSED}, f"{method} {address} as {letter}: {answer.status_code}"
        if answer.status_code != REFUSED and not goes_to_login(answer):
            found += letter
    return found


@pytest.fixture(autouse=True)
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is let in is decided before a page is drawn; two thousand pages would take minutes."""

    def bare(response: SimpleTemplateResponse) -> SimpleTemplateResponse:
        response.content = b""
        return response

    monkeypatch.setattr(SimpleTemplateResponse, "render", bare)


@pytest.fixture(scope="module")
def one_client() -> Client:
    return Client()


@pytest.fixture
def visitor(one_client: Client) -> Client:
    """One client for the whole module, as a stranger: a new one reads every static file's name anew."""
    one_client.cookies.clear()
    return one_client


def sign_in(client: Client, user: User) -> SimpleCookie:
    """The cookies of this user's session. A visit changes nothing (`answered`), so one is enough for all of them."""
    client.cookies.clear()
    client.force_login(user)
    return SimpleCookie(client.cookies)


@pytest.fixture
def people() -> dict[str, User]:
    return {letter: make_operator(role) for letter, role in LETTERS.items()}


def test_the_pages_are_found() -> None:
    assert len(console_pages()) > 100
    assert not [address for address in console_pages().values() if re.search(r"[<>()?\\]", address)]


@pytest.mark.parametrize("name", sorted(console_pages()))
def test_a_page_lets_in_whom_its_rule_names(
    name: str, visitor: Client, people: dict[str, User], one_of_each: None, redis_client: Any
) -> None:
    address = console_pages()[name]
    signed_in = {letter: sign_in(visitor, user) for letter, user in people.items()}
    seen = (let_in(visitor, signed_in, "get", address), let_in(visitor, signed_in, "post", address))
    if re.fullmatch(FORWARDING[0], name):
        assert seen == FORWARDING[1]
        return
    assert name in PAGES, (
        f"the page {name} ({address}) has no rule. Now it lets in {seen[0] or 'nobody'} to look and "
        f"{seen[1] or 'nobody'} to act. If that is right, add to PAGES in tests/pushes/console/access_rules.py:\n"
        f'    "{name}": {seen!r},'
    )
    assert seen == PAGES[name], f"{name} ({address}): letters as in access_rules.py, (GET, POST)"


def test_no_rule_is_left_without_a_page() -> None:
    assert set(PAGES) - set(console_pages()) == set()


@pytest.mark.parametrize("name", sorted(console_pages()))
def test_a_stranger_is_sent_to_the_login(name: str, visitor: Client, one_of_each: None) -> None:
    for method in ("get", "post"):
        answer = answered(visitor, method, console_pages()[name])
        if name in EVERYBODY:
            assert answer.status_code in LET_IN
        else:
            assert goes_to_login(answer), f"{method} {name}: {answer.status_code}"


@pytest.mark.parametrize("name", sorted(console_pages()))
def test_an_account_that_is_no_staff_gets_nowhere(name: str, visitor: Client, one_of_each: None) -> None:
    user = make_operator(roles.ADMINISTRATOR)
    # As it is for nobody who was given a role: the page's own guard is what is looked at.
    User.objects.filter(pk=user.pk).update(is_staff=False)
    if name not in EVERYBODY:
        cookies = sign_in(visitor, user)
        for method in ("get", "post"):
            visitor.cookies = SimpleCookie(cookies)
            answer = answered(visitor, method, console_pages()[name])
            assert goes_to_login(answer) or answer.status_code == REFUSED, f"{method} {name}: {answer.status_code}"


def bulk_actions(user: User) -> dict[str, list[str]]:
    """The actions that each desk's list offers this user; the list refuses any other."""
    request = RequestFactory().get("/admin/")
    request.user = user
    return {
        model._meta.label_lower: sorted(desk.get_actions(request))
        for model, desk in admin.site._registry.items()
        if desk.has_view_permission(request)
    }


def test_a_list_offers_each_role_its_actions(people: dict[str, User]) -> None:
    seen: dict[str, str] = {}
    for letter, user in people.items():
        for desk, names in bulk_actions(user).items():
            for name in names:
                seen[f"{desk}: {name}"] = seen.get(f"{desk}: {name}", "") + letter
    assert seen == ACTIONS, "the lists' actions, as in ACTIONS in tests/pushes/console/access_rules.py"
