from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone
from pytest_django import Settings

from higo_push.running import processes
from pushes import lanes
from pushes.distribution.distribute import distribute
from pushes.models import DeliveryResult, PushRecord
from pushes.storage import bulk
from tests.make import make_broadcast
from tests.pushes.api.conftest import Api

PUSH = {"to_id": "7", "app": "higo", "message": "你好"}


def error_of(answer: Any) -> tuple[str, str | None]:
    return answer["error"]["code"], answer["error"].get("field")


def submit(api: Api, body: Any, **headers: str) -> tuple[int, Any]:
    return api.call("POST", "/pushes", body, **headers)


def make_delivery(record_id: int, **fields: Any) -> DeliveryResult:
    now = timezone.now()
    values = {"kind": "system", "push_type": 55, "app": "higo", "account_id": "7", "due_at": now, "expires_at": now}
    return DeliveryResult.objects.create(record_id=record_id, created_at=now, **(values | fields))


class TestOne:
    def test_it_is_accepted_and_stored(self, api: Api):
        status, answer = submit(
            api, PUSH | {"type": 5, "title": "T", "via": "iphone", "data": {"a": [1]}, "msg_id": "m"}
        )
        record = PushRecord.objects.get()
        assert (status, answer) == (202, {"status": "accepted", "id": record.pk})
        assert (record.kind, record.push_type, record.platform, record.source) == ("system", 5, "ios", "api")
        assert (record.accounts, record.text, record.data) == (["7"], "你好", {"a": [1]})

    def test_without_an_id_equal_pushes_are_different(self, api: Api):
        assert submit(api, PUSH)[1]["id"] != submit(api, PUSH)[1]["id"]

    @pytest.mark.parametrize("how", [{"msg_id": "m"}, {"Idempotency-Key": "k"}])
    def test_repeated_under_the_same_id_it_is_a_duplicate(self, api: Api, how: dict[str, str]):
        headers = {name: value for name, value in how.items() if name == "Idempotency-Key"}
        body = PUSH | {name: value for name, value in how.items() if name == "msg_id"}
        first, second = (submit(api, body, **headers) for _ in range(2))
        assert second == (202, {"status": "duplicate", "id": first[1]["id"]})
        assert PushRecord.objects.count() == 1

    def test_another_push_under_the_same_id_is_a_conflict(self, api: Api):
        submit(api, PUSH, **{"Idempotency-Key": "k"})
        status, answer = submit(api, PUSH | {"message": "other"}, **{"Idempotency-Key": "k"})
        assert (status, answer["error"]["code"]) == (409, "conflict")

    @pytest.mark.parametrize(
        ("change", "differs"),
        [
            ({"to_id": "8"}, "to_id"),
            ({"to_id": ["7", "8"]}, "to_id"),
            ({"via": "iphone"}, "via"),
            ({"app": "higirl"}, "app"),
            ({"type": 5}, "type"),
            ({"title": "T"}, "title"),
            ({"message": "other"}, "message"),
            ({"data": {"paid": True}}, "data"),
        ],
    )
    def test_another_push_under_a_used_msg_id_is_a_conflict_that_says_what_differs(
        self, api: Api, change: dict[str, Any], differs: str
    ):
        first = submit(api, PUSH | {"via": "android", "data": {"paid": 1}, "msg_id": "order-1"})[1]["id"]
        again = PUSH | {"via": "android", "data": {"paid": 1}, "msg_id": "order-1"}
        status, answer = submit(api, again | change)
        assert (status, *error_of(answer)) == (409, "conflict", "msg_id")
        assert (
            answer["error"]["message"] == f"msg_id 'order-1' names push #{first} already, which differs in {differs}."
        )
        assert submit(api, again) == (202, {"status": "duplicate", "id": first})

    def test_the_order_of_recipients_and_keys_and_the_expiry_make_no_other_push(self, api: Api):
        push = PUSH | {"to_id": [1, 2], "data": {"a": 1, "b": [2]}, "msg_id": "m", "ttl": 60}
        submit(api, push)
        again = push | {"to_id": ["2", "1", "1"], "data": {"b": [2], "a": 1}, "ttl": 90}
        assert submit(api, again)[1]["status"] == "duplicate"

    @pytest.mark.parametrize("none", [0, "0", "", None, " ", False])
    def test_a_msg_id_that_names_nothing_makes_no_two_pushes_one(self, api: Api, none: Any):
        answers = [submit(api, PUSH | {"msg_id": none, "message": text})[1]["status"] for text in ("a", "b", "a")]
        assert answers == ["accepted"] * 3

    def test_with_such_a_msg_id_the_key_counts(self, api: Api):
        answers = [submit(api, PUSH | {"msg_id": 0}, **{"Idempotency-Key": "k"})[1]["status"] for _ in range(2)]
        assert answers == ["accepted", "duplicate"]

    def test_empty_recipients_cost_the_others_nothing(self, api: Api):
        submit(api, PUSH | {"to_id": ["1", " 2", "", None]})
        assert PushRecord.objects.get().accounts == ["1", "2"]

    @pytest.mark.parametrize("digits", ["2026112722001412345678901234", "-9223372036854775809", "18446744073709551616"])
    def test_a_number_of_more_than_64_bits_is_kept_digit_by_digit(self, api: Api, digits: str):
        numbers = f'"to_id": {digits}, "message": {digits}, "msg_id": {digits}, "data": {{"no": [{digits}]}}'
        body = f'{{"app": "higo", {numbers}}}'
        headers = {"Authorization": f"Bearer {api.clear}"}
        answer = api.client.generic("POST", "/api/v1/pushes", body.encode(), "application/json", headers=headers)
        record = PushRecord.objects.get()
        assert answer.status_code == 202
        assert (record.accounts, record.text, record.message_id) == ([digits], digits, digits)
        assert record.data == {"no": [digits]}

    @pytest.mark.parametrize("data", ["NaN", "1e400", "-Infinity", '"\\ud800"', "[" * 17 + "]" * 17, "9" * 400 + ".5"])
    def test_what_cannot_be_kept_is_refused_as_a_whole(self, api: Api, data: str):
        body = f'{{"to_id": 7, "app": "higo", "message": "m", "data": {{"x": {data}}}}}'
        headers = {"Authorization": f"Bearer {api.clear}"}
        answer = api.client.generic("POST", "/api/v1/pushes", body.encode(), "application/json", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_json")
        assert not PushRecord.objects.exists()

    @pytest.mark.parametrize(
        ("fields", "seconds"),
        [({"ttl": 600}, 600), ({"ttl": "90"}, 90), ({"ttl": 10**6}, 259_200), ({"expires_at": 5e8 + 4e9}, 259_200)],
    )
    def test_a_producers_expiry_is_honoured(self, api: Api, fields: dict[str, Any], seconds: int):
        submit(api, PUSH | fields)
        record = PushRecord.objects.get()
        assert abs((record.expires_at - record.created_at).total_seconds() - seconds) < 5

    def test_an_expiry_that_has_passed_is_accepted_and_expires(self, api: Api):
        push = PUSH | {"expires_at": "2026-01-01T00:00:00Z", "msg_id": "m"}
        first = submit(api, push)
        assert (first[0], submit(api, push)[1]["status"]) == (202, "duplicate")
        distribute([first[1]["id"]])
        assert api.call("GET", f"/pushes/{first[1]['id']}")[1]["status"] == "expired"

    def test_a_msg_id_and_a_key_of_the_same_text_are_two_things(self, api: Api):
        submit(api, PUSH | {"msg_id": "x"})
        assert submit(api, PUSH, **{"Idempotency-Key": "x"})[1]["status"] == "accepted"

    def test_two_tokens_may_use_the_same_id(self, api: Api, make_api: Callable[..., Api]):
        submit(api, PUSH | {"msg_id": "m"})
        assert submit(make_api("push"), PUSH | {"msg_id": "m"})[1]["status"] == "accepted"

    @pytest.mark.parametrize("key", ["", "x" * 129, "a\tb", "ключ"])
    def test_a_key_that_cannot_be_used_is_refused(self, api: Api, key: str):
        assert submit(api, PUSH, **{"Idempotency-Key": key})[0] == 400

    @pytest.mark.parametrize(
        ("change", "code", "field"),
        [
            ({"type": 2}, "unknown_type", "type"),
            ({"app": "x"}, "unknown_app", "app"),
            ({"via": "x"}, "bad_via", "via"),
            ({"to_id": []}, "no_recipient", "to_id"),
            ({"to_id": {"a": None}}, "no_recipient", "to_id"),
            ({"to_id": [{"id": 7}]}, "bad_recipient", "to_id"),
            ({"ttl": -1}, "bad_expiry", "ttl"),
            ({"expires_at": 3600}, "bad_expiry", "expires_at"),
            ({"message": ""}, "no_message", "message"),
            ({"message": "\u200b"}, "no_message", "message"),
            ({"message": "\u1160\ufe0f"}, "no_message", "message"),
            ({"data": 1}, "bad_data", "data"),
            ({"msg_id": "x" * 129}, "bad_msg_id", "msg_id"),
            ({"titel": "T"}, "unknown_field", "titel"),
            ({"message": "x" * 65_537}, "invalid", "message"),
            ({"data": {"x": "x" * 65_537}}, "invalid", "data"),
        ],
    )
    def test_a_bad_field_is_named(self, api: Api, change: dict[str, Any], code: str, field: str):
        status, answer = submit(api, PUSH | change)
        assert (status, *error_of(answer)) == (422, code, field)
        assert not PushRecord.objects.exists()

    @pytest.mark.parametrize("body", ["text", 5, True])
    def test_what_is_no_object_is_refused(self, api: Api, body: Any):
        assert submit(api, body)[0] == 422

    def test_a_full_lane_asks_to_come_later(self, api: Api, redis_client: Any, settings: Settings):
        settings.BACKLOG_JOBS = 1
        redis_client.rpush(f"rq:queue:{lanes.send_queue('system')}", "job")
        response = api.raw("POST", "/pushes", PUSH)
        assert (response.status_code, response["Retry-After"]) == (429, "5")

    def test_without_redis_a_push_is_accepted_all_the_same(self, api: Api, settings: Settings):
        settings.REDIS_URL = f"redis://127.0.0.1:{processes.free_port()}/0"
        assert submit(api, PUSH)[0] == 202


class TestList:
    def test_an_item_that_the_database_refuses_has_its_own_error(self, api: Api, monkeypatch: pytest.MonkeyPatch):
        real: Callable[..., None] = bulk.insert_rows

        def insert(model: type, rows: Any, **how: Any) -> None:
            if model is PushRecord and any(row.text == "poison" for row in rows):
                raise DataError("Incorrect string value")
            real(model, rows, **how)

        monkeypatch.setattr("pushes.storage.bulk.insert_rows", insert)
        status, answer = submit(api, [PUSH, PUSH | {"message": "poison"}, PUSH])
        assert (status, answer["counts"]) == (202, {"accepted": 2, "duplicate": 0, "error": 1})
        assert answer["results"][1]["error"]["code"] == "unstorable"
        assert submit(api, PUSH | {"message": "poison"})[0] == 422

    def test_what_submit_alone_refuses_stops_no_other_item(self, api: Api):
        status, answer = submit(api, [PUSH, PUSH | {"message": "x" * 65_537}, PUSH])
        assert (status, [item["status"] for item in answer["results"]]) == (202, ["accepted", "error", "accepted"])
        assert error_of(answer["results"][1]) == ("invalid", "message")

    def test_each_item_has_a_result(self, api: Api):
        submit(api, PUSH | {"msg_id": "old"})
        status, answer = submit(api, [PUSH, PUSH | {"msg_id": "old"}, PUSH | {"app": "x"}, "text"])
        assert status == 202
        assert [item["status"] for item in answer["results"]] == ["accepted", "duplicate", "error", "error"]
        assert error_of(answer["results"][2]) == ("unknown_app", "app")
        assert answer["counts"] == {"accepted": 1, "duplicate": 1, "error": 2}
        assert PushRecord.objects.count() == 2

    def test_the_same_msg_id_twice_in_a_list_is_one_push(self, api: Api):
        item = PUSH | {"msg_id": "m"}
        _, answer = submit(api, [item, item, item | {"message": "other"}])
        assert [result["status"] for result in answer["results"]] == ["accepted", "duplicate", "error"]
        assert error_of(answer["results"][2]) == ("conflict", "msg_id")
        assert PushRecord.objects.get().text == "你好"

    def test_another_list_under_a_used_key_is_answered_item_by_item(self, api: Api):
        submit(api, [PUSH, PUSH], **{"Idempotency-Key": "k"})
        items = [PUSH, PUSH | {"message": "other"}, PUSH | {"message": "more"}]
        _, answer = submit(api, items, **{"Idempotency-Key": "k"})
        assert [result["status"] for result in answer["results"]] == ["duplicate", "error", "accepted"]
        assert error_of(answer["results"][1]) == ("conflict", None)

    def test_a_thousand_conflicts_take_as_many_queries_as_two(self, api: Api, django_assert_max_num_queries: Any):
        submit(api, [PUSH | {"msg_id": str(number)} for number in range(1, 1001)])
        with django_assert_max_num_queries(20):
            _, answer = submit(api, [PUSH | {"msg_id": str(n), "message": "other"} for n in range(1, 1001)])
        assert answer["counts"] == {"accepted": 0, "duplicate": 0, "error": 1000}

    def test_a_key_covers_the_whole_list(self, api: Api):
        submit(api, [PUSH, PUSH], **{"Idempotency-Key": "k"})
        _, answer = submit(api, [PUSH, PUSH], **{"Idempotency-Key": "k"})
        assert answer["counts"] == {"accepted": 0, "duplicate": 2, "error": 0}

    def test_a_thousand_take_as_many_queries_as_two(self, api: Api, django_assert_max_num_queries: Any):
        with django_assert_max_num_queries(20):
            _, answer = submit(api, [PUSH | {"msg_id": str(number)} for number in range(1000)])
        assert answer["counts"]["accepted"] == 1000

    def test_more_than_a_thousand_are_refused(self, api: Api):
        status, answer = submit(api, [PUSH] * 1001)
        assert (status, answer["error"]["code"]) == (413, "too_many_items")

    def test_an_empty_list_is_refused(self, api: Api):
        assert submit(api, [])[0] == 422


class TestShow:
    def test_it_tells_state_and_counts_but_not_the_text(self, api: Api):
        record_id = submit(api, PUSH | {"msg_id": "m"})[1]["id"]
        make_delivery(record_id, status="accepted")
        make_delivery(record_id, status="skipped", reason="no_device", token="x")
        status, answer = api.call("GET", f"/pushes/{record_id}")
        assert (status, answer["status"], answer["msg_id"]) == (200, "pending", "m")
        assert answer["deliveries"] == {"accepted": 1, "skipped": 1}
        assert "你好" not in str(answer)

    @pytest.mark.parametrize(
        ("stored", "told"),
        [
            ("", None),
            ("withdrawn", "withdrawn"),
            ("KeyError: of an earlier version", "KeyError: of an earlier version"),
            ('{"note":"not_distributed","kind":"KeyError","text":"7"}', "KeyError while it was distributed: 7"),
        ],
    )
    def test_why_it_ended_is_told_in_english(self, api: Api, stored: str, told: str | None):
        record_id = submit(api, PUSH)[1]["id"]
        PushRecord.objects.filter(pk=record_id).update(status_detail=stored)
        answer = api.call("GET", f"/pushes/{record_id}", **{"Accept-Language": "zh-hans"})[1]
        assert answer["detail"] == told

    @pytest.mark.parametrize("path", ["/pushes/999", f"/pushes/{2**63}", "/pushes/999/deliveries"])
    def test_an_unknown_push_is_not_found(self, api: Api, path: str):
        assert api.call("GET", path)[0] == 404


class TestWithdraw:
    def test_what_has_not_left_is_withdrawn_and_the_answer_counts(self, api: Api):
        record_id = submit(api, PUSH)[1]["id"]
        PushRecord.objects.update(status="distributed")
        make_delivery(record_id, status="held")
        make_delivery(record_id, status="accepted", token="a")
        make_delivery(record_id, status="sending", token="b", sent_at=timezone.now())
        wanted = {"id": record_id, "status": "distributed", "withdrawn": 1, "already_sent": 1, "under_way": 1}
        assert api.call("DELETE", f"/pushes/{record_id}") == (200, wanted)
        assert api.call("DELETE", f"/pushes/{record_id}") == (200, wanted)
        state = api.call("GET", f"/pushes/{record_id}")[1]
        assert state["withdrawn_at"] is not None
        assert state["deliveries"] == {"cancelled": 1, "accepted": 1, "sending": 1}
        (item,) = api.call("GET", f"/pushes/{record_id}/deliveries?status=cancelled")[1]["items"]
        assert item["reason"] == "withdrawn"

    def test_a_push_that_nobody_has_distributed_is_withdrawn_whole(self, api: Api):
        record_id = submit(api, PUSH | {"to_id": ["7", "8"], "msg_id": "m"})[1]["id"]
        wanted = {"id": record_id, "status": "cancelled", "withdrawn": 2, "already_sent": 0, "under_way": 0}
        assert api.call("DELETE", f"/pushes/{record_id}") == (200, wanted)
        assert submit(api, PUSH | {"to_id": ["7", "8"], "msg_id": "m"})[1] == {"status": "duplicate", "id": record_id}
        assert PushRecord.objects.get().withdrawn_by == "api:token 0"

    @pytest.mark.parametrize("path", ["/pushes/999", f"/pushes/{2**63}"])
    def test_an_unknown_push_is_not_found(self, api: Api, path: str):
        assert api.call("DELETE", path)[0] == 404

    def test_a_broadcasts_push_is_cancelled_with_its_broadcast(self, api: Api):
        record_id = submit(api, PUSH)[1]["id"]
        PushRecord.objects.update(broadcast=make_broadcast())
        status, answer = api.call("DELETE", f"/pushes/{record_id}")
        assert (status, error_of(answer)[0]) == (409, "broadcast")

    @pytest.mark.parametrize("scope", ["read", "devices", "metrics"])
    def test_it_takes_the_scope_push(self, api: Api, make_api: Callable[..., Api], scope: str):
        record_id = submit(api, PUSH)[1]["id"]
        assert make_api(scope).call("DELETE", f"/pushes/{record_id}")[0] == 403
        assert PushRecord.objects.get().withdrawn_at is None


class TestDeliveries:
    def test_they_come_page_by_page(self, api: Api):
        record_id = submit(api, PUSH)[1]["id"]
        rows = [make_delivery(record_id, token=f"{number:040}") for number in range(5)]
        make_delivery(record_id + 1)
        seen: list[int] = []
        after: int | None = 0
        while after is not None:
            _, page = api.call("GET", f"/pushes/{record_id}/deliveries?limit=2&after={after}")
            seen += [item["id"] for item in page["items"]]
            after = page["next"]
        assert seen == [row.pk for row in rows]

    def test_tokens_are_masked(self, api: Api):
        record_id = submit(api, PUSH)[1]["id"]
        make_delivery(record_id, token="abcd" + "0" * 32 + "wxyz")
        _, page = api.call("GET", f"/pushes/{record_id}/deliveries")
        assert page["items"][0]["token"] == "abcd…wxyz"

    def test_they_can_be_filtered_by_status(self, api: Api):
        record_id = submit(api, PUSH)[1]["id"]
        make_delivery(record_id, status="accepted", token="a")
        make_delivery(record_id, status="failed", token="b")
        _, page = api.call("GET", f"/pushes/{record_id}/deliveries?status=failed")
        assert [item["status"] for item in page["items"]] == ["failed"]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=x", "limit"),
            ("after=-1", "after"),
            ("status=x", "status"),
        ],
    )
    def test_a_bad_query_is_named(self, api: Api, query: str, field: str):
        record_id = submit(api, PUSH)[1]["id"]
        status, answer = api.call("GET", f"/pushes/{record_id}/deliveries?{query}")
        assert (status, *error_of(answer)) == (400, "invalid", field)
