"""The real web server with and without a proxy in front: whose address counts for failed logins, in every process."""

import re

import pytest
import requests

from pushes.models import FailedLogin
from tests.higo_push.conftest import StartWeb

pytestmark = pytest.mark.django_db(transaction=True)


def fail(url: str, forwarded: str) -> int:
    """One failed login with a written X-Forwarded-For; the status of its answer."""
    with requests.Session() as browser:
        page = browser.get(f"{url}/admin/login/", timeout=20).text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        form = {"username": "root", "password": "wrong", "csrfmiddlewaretoken": token[1]}
        answer = browser.post(
            f"{url}/admin/login/", data=form, headers={"X-Forwarded-For": forwarded}, timeout=20, allow_redirects=False
        )
    return answer.status_code


def addresses() -> set[str]:
    return set(FailedLogin.objects.values_list("ip_address", flat=True))


def test_without_a_proxy_a_forwarded_address_is_not_believed(start_web: StartWeb) -> None:
    url = start_web()
    answers = [fail(url, f"198.51.100.{number}") for number in range(5)]
    assert answers == [200, 200, 200, 200, 429]
    assert addresses() == {"127.0.0.1"}


def test_behind_a_proxy_the_address_that_it_adds_counts_and_not_what_the_client_wrote(start_web: StartWeb) -> None:
    url = start_web(BEHIND_PROXY="on")
    answers = [fail(url, f"198.51.100.{number}, 192.0.2.9") for number in range(5)]
    assert answers[-1] == 429
    assert fail(url, "192.0.2.10") == 200
    assert addresses() == {"192.0.2.9", "192.0.2.10"}


def test_a_proxy_that_is_not_the_trusted_one_is_not_believed(start_web: StartWeb) -> None:
    fail(start_web(BEHIND_PROXY="on", TRUSTED_PROXY="192.0.2.200"), "198.51.100.1")
    assert addresses() == {"127.0.0.1"}


def test_two_web_processes_count_together(start_web: StartWeb) -> None:
    one, other = start_web(), start_web()
    answers = [fail(url, "") for url in (one, other, one, other, one)]
    assert answers == [200, 200, 200, 200, 429]
    assert fail(other, "") == 429
