from typing import Any

import pytest
from pytest_django import Settings

from higo_push.running import processes
from pushes.models import Account
from pushes.people import directory
from tests.make import make_account
from tests.pushes.api.conftest import Api


def test_a_change_leaves_the_rest_as_it_is(api: Api):
    make_account("7", login_status=0)
    make_account("8", muted_conversations=["group:7"])
    expected = {"account_id": "7", "login_status": 0, "push_status": 0}
    assert api.call("PATCH", "/accounts/7", {"push_status": 0}) == (
        200,
        {**expected, "muted_conversations": [], "blocked_accounts": []},
    )
    assert api.call("PATCH", "/accounts/8", {"push_status": 0})[1]["muted_conversations"] == ["group:7"]


def test_an_unknown_account_is_created(api: Api):
    api.call("PATCH", "/accounts/7", {"push_status": 0})
    assert (Account.objects.get().push_status, Account.objects.get().login_status) == (0, 1)


def test_groups_are_muted_one_by_one_or_all_at_once(api: Api):
    bodies: list[dict[str, Any]] = [
        {"mute": ["group:7", "private:9:10"]},
        {"mute": ["group:8", "group:7"], "unmute": ["private:10:9"]},
        {"muted_conversations": ["group:1"], "mute": ["group:2"]},
        {"muted_conversations": []},
    ]
    lists = [api.call("PATCH", "/accounts/7", body)[1]["muted_conversations"] for body in bodies]
    assert lists == [["group:7", "private:10:9"], ["group:7", "group:8"], ["group:1", "group:2"], []]


def test_senders_are_blocked_by_number_or_text(api: Api):
    assert api.call("PATCH", "/accounts/7", {"block": [12, " 13 "]})[1]["blocked_accounts"] == ["12", "13"]
    assert api.call("PATCH", "/accounts/7", {"unblock": ["12"]})[1]["blocked_accounts"] == ["13"]


@pytest.mark.parametrize(
    ("body", "field", "named"),
    [
        ({"mute": ["group:"]}, "mute", "'group:'"),
        ({"mute": ["7"]}, "mute", "'7'"),
        ({"unmute": ["private:1"]}, "unmute", "'private:1'"),
        ({"muted_conversations": "group:7"}, "muted_conversations", "'group:7' is not a list"),
        ({"muted_conversations": [None]}, "muted_conversations", "is not a string"),
        ({"mute": [True]}, "mute", "is not a string"),
        ({"mute": ["group:" + "x" * 135]}, "mute", "140 characters"),
        ({"mute": ["group:7"] * 2_001}, "mute", "2001"),
        ({"block": [""]}, "block", "''"),
        ({"block": ["x" * 65]}, "block", "64 characters"),
    ],
)
def test_a_preference_that_cannot_be_used_is_named_and_nothing_is_changed(
    api: Api, body: dict[str, Any], field: str, named: str
):
    status, answer = api.call("PATCH", "/accounts/7", {**body, "push_status": 0})
    assert (status, answer["error"]["field"]) == (422, field)
    assert named in answer["error"]["message"]
    assert not Account.objects.exists()


def test_a_list_that_grows_too_long_changes_nothing(api: Api):
    make_account("7", muted_conversations=[f"group:{number}" for number in range(2_000)])
    status, answer = api.call("PATCH", "/accounts/7", {"mute": ["group:new"], "push_status": 0})
    assert (status, answer["error"]["field"]) == (422, "muted_conversations")
    assert Account.objects.get().push_status == 1


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
    settings.REDIS_URL = f"redis://127.0.0.1:{processes.free_port()}/0"
    assert api.call("PUT", "/presence/7")[0] == 503


@pytest.mark.parametrize("written", ["shop/7/west", "shop%2F7%2Fwest", "%20shop/7/west%C2%A0"])
def test_an_account_id_may_have_slashes_in_every_path(api: Api, written: str):
    assert api.call("PATCH", f"/accounts/{written}", {"push_status": 0})[1]["account_id"] == "shop/7/west"
    assert api.call("PUT", f"/presence/{written}")[1]["account_id"] == "shop/7/west"
    assert directory.online(["shop/7/west"]) == {"shop/7/west"}
    assert api.call("DELETE", f"/presence/{written}")[0] == 204
    assert directory.online(["shop/7/west"]) == set()
    assert Account.objects.get().push_status == 0


@pytest.mark.parametrize(
    "written",
    [
        "7%E2%80%8B",
        "%EF%BB%BF7",
        "7%008",
        "7%7F",
        "7%0A8",
        "7%0D8",
        "7%C2%AD",
        "7%E3%85%A4",
        "%EF%BC%97",
        "7%EF%B8%8F",
        "%2F7",
    ],
)
def test_an_account_id_that_would_match_nothing_is_refused_in_every_path(api: Api, written: str):
    for method, path, body in (
        ("PATCH", "/accounts", {"push_status": 0}),
        ("PUT", "/presence", None),
        ("DELETE", "/presence", None),
    ):
        status, answer = api.call(method, f"{path}/{written}", body)
        assert status == 404 if written == "%2F7" else (status, answer["error"]["field"]) == (422, "account_id")
        assert answer["error"]["message"].isprintable()
    assert not Account.objects.exists()


@pytest.mark.parametrize("entry", ["7\u200b", "\ufeff7", "7\n8", "７", "7\u3164"])
@pytest.mark.parametrize(("field", "shape"), [("block", "{}"), ("mute", "group:{}"), ("mute", "private:8:{}")])
def test_what_would_match_nothing_is_no_entry_of_a_list(api: Api, field: str, shape: str, entry: str):
    status, answer = api.call("PATCH", "/accounts/9", {field: [shape.format(entry)]})
    assert (status, answer["error"]["field"]) == (422, field)
