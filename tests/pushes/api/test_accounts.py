from typing import Any

import pytest
from pytest_django import Settings

from higo_push import processes
from pushes import directory
from pushes.models import Account
from tests.make import make_account
from tests.pushes.api.conftest import Api


def test_a_change_leaves_the_rest_as_it_is(api: Api):
    make_account("7", login_status=0)
    assert api.call("PATCH", "/accounts/7", {"push_status": 0}) == (
        200,
        {"account_id": "7", "login_status": 0, "push_status": 0},
    )


def test_an_unknown_account_is_created(api: Api):
    api.call("PATCH", "/accounts/7", {"push_status": 0})
    assert (Account.objects.get().push_status, Account.objects.get().login_status) == (0, 1)


@pytest.mark.parametrize(
    "body", [{}, {"login_status": 2}, {"push_status": True}, {"push_status": "1"}, {"name": "x"}, [], "text"]
)
def test_what_cannot_be_set_is_refused(api: Api, body: Any):
    assert api.call("PATCH", "/accounts/7", body)[0] == 422
    assert not Account.objects.exists()


def test_an_id_that_is_too_long_is_refused(api: Api):
    assert api.call("PATCH", f"/accounts/{'x' * 65}", {"push_status": 0})[0] == 422


def test_presence_lasts_as_long_as_it_says(api: Api, redis_client: Any):
    assert api.call("PUT", "/presence/7", {"ttl_seconds": 30})[0] == 200
    assert directory.online(["7", "8"]) == {"7"}
    assert 25 < redis_client.ttl("higo:online:7") <= 30


def test_presence_needs_no_body(api: Api, redis_client: Any):
    assert api.call("PUT", "/presence/7") == (200, {"account_id": "7", "is_online": True, "ttl_seconds": 60})


def test_leaving_ends_it_and_may_be_said_twice(api: Api):
    api.call("PUT", "/presence/7")
    assert [api.call("DELETE", "/presence/7")[0] for _ in range(2)] == [204, 204]
    assert directory.online(["7"]) == set()


@pytest.mark.parametrize("ttl", [0, 86_401, "60", 1.5, None])
def test_a_time_that_cannot_be_used_is_refused(api: Api, ttl: Any):
    status, answer = api.call("PUT", "/presence/7", {"ttl_seconds": ttl})
    assert (status, answer["error"]["field"]) == (422, "ttl_seconds")


def test_without_redis_presence_is_unavailable(api: Api, settings: Settings):
    address = {"URL": f"redis://127.0.0.1:{processes.free_port()}/0"}
    settings.RQ_QUEUES = {name: queue | address for name, queue in settings.RQ_QUEUES.items()}
    assert api.call("PUT", "/presence/7")[0] == 503
