"""The real web server while providers drip: its pages and its API go on answering."""

import re
import threading
import time

import pytest
import requests
from django.test import Client

from pushes.console.operators import roles
from tests.higo_push.conftest import StartWeb
from tests.make import make_app_key, make_operator
from tests.pushes.console.conftest import url
from tests.pushes.providers.raw_server import Connection, serving

pytestmark = pytest.mark.django_db(transaction=True)


def drip(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    for _ in range(600):
        connection.send(b"x")
        time.sleep(0.1)


def test_eight_clicks_on_verify_leave_the_web_server_answering(start_web: StartWeb) -> None:
    browser = Client()
    browser.force_login(make_operator(roles.KEY_MANAGER))
    cookies = {"sessionid": browser.cookies["sessionid"].value}
    with serving(drip) as server:
        page = url("appkey_verify_page", make_app_key(endpoint_url=server.url).pk)
        web = start_web(CALL_TIMEOUT_SECONDS="3", LEASE_SECONDS="60")
        with requests.Session() as session:
            session.cookies.update(cookies)
            shown = session.get(f"{web}{page}", timeout=30)
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown.text)
            assert token
            form = {"csrfmiddlewaretoken": token[1]}
            taken: list[float] = []

            def click() -> None:
                started = time.monotonic()
                answer = requests.post(
                    f"{web}{page}", data=form, cookies=session.cookies.get_dict(), timeout=60, allow_redirects=False
                )
                assert answer.status_code == 302
                taken.append(time.monotonic() - started)

            clicks = [threading.Thread(target=click) for _ in range(8)]
            for thread in clicks:
                thread.start()
            while server.connections < 2:
                time.sleep(0.01)
            started = time.monotonic()
            assert requests.get(f"{web}/healthz", timeout=5).ok
            assert time.monotonic() - started < 2
            for thread in clicks:
                thread.join()
    assert server.connections == 2
    assert len(taken) == 8
    assert max(taken) < 8
    assert sum(seconds > 2.5 for seconds in taken) == 2
