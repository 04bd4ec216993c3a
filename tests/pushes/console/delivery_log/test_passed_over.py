"""The pages that say no: in the console's looks, with what to do, also when everything else fails."""

import pytest
from django.test import Client, RequestFactory
from django.utils import translation
from django.views.defaults import server_error

from pushes.console.operators import roles
from tests.make import make_operator


@pytest.mark.django_db
def test_a_form_without_its_token_says_what_to_do() -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "x", "password": "y"})
    assert answer.status_code == 403
    assert "This form is out of date" in answer.content.decode()


@pytest.mark.django_db
def test_a_page_beyond_the_role_says_whom_to_ask(client: Client) -> None:
    client.force_login(make_operator(roles.VIEWER))
    answer = client.get("/admin/pushes/appkey/add/")
    assert answer.status_code == 403
    assert "Ask an administrator for a role that does." in answer.content.decode()


@pytest.mark.django_db
def test_a_page_that_is_not_there_leads_back(client: Client) -> None:
    client.force_login(make_operator(roles.VIEWER))
    answer = client.get("/admin/pushes/nothing/")
    assert answer.status_code == 404
    assert 'href="/admin/"' in answer.content.decode()


def test_a_crash_needs_neither_database_nor_session() -> None:
    with translation.override("en"):
        answer = server_error(RequestFactory().get("/admin/"))
    assert answer.status_code == 500
    assert "accepted pushes are safe" in answer.content.decode()
