"""Xinge v2 from outside, through a client that shares no code with the server or with our own provider."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from tests.pushes.sandbox.client import LegacyClient, android_message, ios_message, ios_params, push_params
from tests.pushes.sandbox.conftest import ANDROID_ID, SECRET

SINGLE = "/v2/push/single_device"
TOKEN, OTHER, IOS_TOKEN = "a1" * 20, "a2" * 20, "b1" * 32


def push(client, token=TOKEN, **changes):
    return client.call(SINGLE, device_token=token, **push_params(android_message()) | changes)


def code(answer) -> Any:
    return answer["ret_code"]


class TestCaller:
    def test_a_signed_call_is_accepted(self, android):
        assert push(android) == {"ret_code": 0, "err_msg": "ok", "result": ""}

    def test_a_get_is_signed_as_get(self, android):
        android.method = "GET"
        assert code(push(android)) == 0

    def test_a_signature_for_another_method_is_refused(self, android):
        params = push_params(android_message()) | {"device_token": TOKEN}
        params |= {"access_id": ANDROID_ID, "timestamp": int(time.time())}
        signature = android.sign(SINGLE, params)
        android.method = "GET"
        assert code(android.call(SINGLE, **params, sign=signature)) == -3

    def test_the_real_services_name_is_accepted_as_host(self, android):
        android.host_header = "openapi.xg.qq.com"
        assert code(push(android)) == 0

    def test_a_name_that_was_not_asked_is_refused(self, android):
        params = {"access_id": ANDROID_ID, "timestamp": int(time.time())}
        android.host = "elsewhere.example"
        signature = android.sign("/v2/application/get_app_device_num", params)
        android.host = "127.0.0.1"
        assert code(android.call("/v2/application/get_app_device_num", **params, sign=signature)) == -3

    def test_empty_values_are_signed_too(self, android):
        assert code(push(android, send_time="", nothing="")) == 0

    def test_a_content_type_other_than_a_form_is_refused(self, android):
        android.headers = {"Content-Type": "application/json"}
        assert code(push(android)) == -1

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_another_method_is_refused(self, android, method):
        android.method = method
        assert code(push(android)) == -1

    @pytest.mark.parametrize(
        ("changes", "legacy", "gateway"),
        [
            ({"timestamp": None}, -1, -111),
            ({"access_id": None}, -1, -111),
            ({"access_id": "abc"}, -1, -111),
            ({"sign": ""}, -1, -111),
            ({"access_id": 2100099999}, 20, 20),
            ({"timestamp": "now"}, -1, -111),
            ({"timestamp": timedelta(seconds=-700)}, -2, -102),
            ({"timestamp": timedelta(seconds=1300)}, -2, -102),
            ({"timestamp": timedelta(seconds=-60), "valid_time": 30}, -2, -102),
            ({"timestamp": timedelta(seconds=-700), "valid_time": 9999}, -2, -102),
            ({"sign": "0" * 32}, -3, -103),
            ({"message": "{"}, 75, 75),
            ({"message": "[]"}, 75, 75),
            ({"message": None}, -1, -101),
            ({"message": android_message(content="订" * 1400)}, 73, 73),
            ({"message": '{"title":"t"}'}, -1, -101),
            ({"message": android_message(title=5)}, -1, -101),
            ({"message": android_message(custom_content="text")}, -1, -101),
            ({"message": android_message(n_id="1")}, -1, -101),
            ({"message_type": 0}, -1, -112),
            ({"message_type": None}, -1, -112),
            ({"environment": 1}, -1, -112),
            ({"expire_time": 259201}, -1, -112),
            ({"expire_time": "x"}, -1, -112),
            ({"multi_pkg": 2}, -1, -112),
            ({"send_time": "tomorrow"}, -1, -112),
            ({"token": None}, -1, -101),
            ({"token": "xyz"}, 14, 6),
            ({"token": "g" * 40}, 14, 6),
            ({"token": "a" * 41}, 14, 6),
            ({"token": "dead0000" + "0" * 32}, 40, 6),
            ({"token": "baad0000" + "0" * 32}, 14, 6),
            ({"token": "b0b00000" + "0" * 32}, 15, 16),
            ({"token": "CAFE0000" + "0" * 32}, 76, -105),
        ],
    )
    def test_each_refusal_has_its_code_in_each_era(self, android, sandbox, changes, legacy, gateway):
        # Counted from when the test runs: the suite takes longer than a clock may be wrong.
        if isinstance(apart := changes.get("timestamp"), timedelta):
            changes = changes | {"timestamp": int(time.time() + apart.total_seconds())}
        for era, expected in (("legacy", legacy), ("gateway", gateway)):
            sandbox.set_codes(era)
            assert code(push(android, **changes)) == expected
        assert sandbox.received() == []

    def test_a_clock_within_ten_minutes_is_accepted(self, android):
        assert code(push(android, timestamp=int(time.time()) - 590)) == 0

    def test_an_unknown_endpoint_is_not_found(self, android):
        assert android.raw_call("/v2/push/teleport", {})[0] == 404

    def test_bytes_that_are_no_utf8_are_a_parameter_error(self, android):
        assert android.raw_call(SINGLE, {"x": b"\xff"})[1].startswith(b'{"ret_code":-1')


class TestMessages:
    def test_android_is_recorded_as_the_phone_would_show_it(self, android, sandbox):
        push(android)
        (entry,) = sandbox.received()
        found = {name: entry[name] for name in ("title", "content", "custom", "n_id", "platform", "path")}
        assert found == {
            "title": "标题",
            "content": "内容 & =1",
            "custom": {"k": "值"},
            "n_id": 7,
            "platform": "android",
            "path": SINGLE,
        }

    def test_pass_through_needs_no_title(self, android):
        assert code(push(android, message="{}", message_type=2)) == 0

    def test_json_with_escapes_is_the_same_message(self, android, sandbox):
        push(android, message=json.dumps({"title": "标题", "content": "😀"}))
        assert (sandbox.received()[0]["title"], sandbox.received()[0]["content"]) == ("标题", "😀")

    def test_tokens_of_64_digits_are_accepted(self, android):
        assert code(push(android, token="a" * 64)) == 0

    @pytest.mark.parametrize("message_type", [0, 11])
    def test_ios_alerts_of_every_era(self, ios, sandbox, message_type):
        params = ios_params(ios_message(), message_type=message_type)
        assert code(ios.call(SINGLE, device_token=IOS_TOKEN, **params)) == 0
        entry = sandbox.received()[0]
        found = (entry["platform"], entry["content"], entry["custom"])
        assert found == ("ios", "买家已付款", {"push_type": 8})

    def test_ios_alerts_with_a_title(self, ios, sandbox):
        message = ios_message(aps={"alert": {"title": "题", "body": "内容"}})
        ios.call(SINGLE, device_token=IOS_TOKEN, **ios_params(message))
        assert (sandbox.received()[0]["title"], sandbox.received()[0]["content"]) == ("题", "内容")

    def test_silent_ios_pushes(self, ios):
        params = ios_params('{"aps":{"content-available":1}}', message_type=12)
        assert code(ios.call(SINGLE, device_token=IOS_TOKEN, **params)) == 0

    @pytest.mark.parametrize(
        "changes",
        [
            {"environment": 0},
            {"environment": None},
            {"message_type": 1},
            {"message": "{}"},
            {"message": '{"aps":{}}'},
            {"message": '{"aps":"x"}'},
        ],
    )
    def test_ios_refusals(self, ios, changes):
        assert code(ios.call(SINGLE, device_token=IOS_TOKEN, **ios_params(ios_message()) | changes)) == -1

    def test_ios_tokens_have_64_digits(self, ios):
        assert code(ios.call(SINGLE, device_token=TOKEN, **ios_params(ios_message()))) == 14

    def test_what_apple_does_not_get_does_not_count(self, ios):
        big = ios_message(accept_time=["x" * 5000])
        assert code(ios.call(SINGLE, device_token=IOS_TOKEN, **ios_params(big))) == 0

    def test_a_payload_beyond_4096_bytes_is_too_long(self, ios):
        big = ios_message(k="x" * 4096)
        assert code(ios.call(SINGLE, device_token=IOS_TOKEN, **ios_params(big))) == 73


class TestAccounts:
    def test_a_push_reaches_every_device_of_the_account(self, android, sandbox):
        sandbox.bind_account(ANDROID_ID, "joe", [TOKEN, OTHER])
        assert code(android.call("/v2/push/single_account", account="joe", **push_params(android_message()))) == 0
        assert [entry["token"] for entry in sandbox.received()] == [TOKEN, OTHER]

    def test_an_account_without_devices(self, android):
        assert code(android.call("/v2/push/single_account", account="x", **push_params(android_message()))) == 48

    def test_a_list_of_accounts_has_a_code_each(self, android, sandbox):
        sandbox.bind_account(ANDROID_ID, "joe", [TOKEN])
        params = push_params(android_message(), account_list='["joe", "nobody"]')
        assert android.call("/v2/push/account_list", **params)["result"] == [0, 48]

    @pytest.mark.parametrize("accounts", ["", "[]", "{}", "joe", "[1]", json.dumps(["a"] * 101)])
    def test_a_list_of_accounts_holds_1_to_100_names(self, android, accounts):
        params = push_params(android_message(), account_list=accounts)
        assert code(android.call("/v2/push/account_list", **params)) == -1

    def test_a_token_belongs_to_its_last_account(self, android, sandbox):
        sandbox.bind_account(ANDROID_ID, "joe", [TOKEN, OTHER])
        sandbox.bind_account(ANDROID_ID, "ann", [TOKEN])
        answer = android.call("/v2/application/get_app_account_tokens", account="joe")
        assert answer["result"] == {"tokens": [OTHER]}

    def test_an_account_has_at_most_15_devices(self, android, sandbox):
        tokens = [f"{number:040x}" for number in range(16)]
        sandbox.bind_account(ANDROID_ID, "joe", tokens)
        answer = android.call("/v2/application/get_app_account_tokens", account="joe")
        assert answer["result"]["tokens"] == tokens[1:]

    def test_one_token_is_unbound(self, android, sandbox):
        sandbox.bind_account(ANDROID_ID, "joe", [TOKEN, OTHER])
        answer = android.call("/v2/application/del_app_account_tokens", account="joe", device_token=TOKEN)
        assert answer["result"] == {"tokens": [OTHER]}

    def test_all_tokens_are_unbound(self, android, sandbox):
        sandbox.bind_account(ANDROID_ID, "joe", [TOKEN, OTHER])
        assert code(android.call("/v2/application/del_app_account_all_tokens", account="joe")) == 0
        assert code(android.call("/v2/application/get_app_account_tokens", account="joe")) == 48


class TestMany:
    def create(self, android, **changes) -> Any:
        answer = android.call("/v2/push/create_multipush", **push_params(android_message()) | changes)
        return answer["result"]["push_id"]

    def test_a_created_push_goes_to_lists_again_and_again(self, android, sandbox):
        push_id = self.create(android)
        for token in (TOKEN, OTHER):
            answer = android.call("/v2/push/device_list_multiple", push_id=push_id, device_list=json.dumps([token]))
            assert code(answer) == 0
        assert [(entry["token"], entry["push_id"]) for entry in sandbox.received()] == [
            (TOKEN, push_id),
            (OTHER, push_id),
        ]

    def test_a_push_id_is_text_beyond_31_bits(self, android):
        assert int(self.create(android)) > 2**31

    def test_creating_delivers_nothing(self, android, sandbox):
        self.create(android)
        assert sandbox.received() == []

    def test_a_thousand_tokens_are_taken_and_one_more_is_not(self, android, sandbox):
        push_id = self.create(android)
        tokens = [f"{number:040x}" for number in range(1001)]
        many, more = json.dumps(tokens[:1000]), json.dumps(tokens)
        assert code(android.call("/v2/push/device_list_multiple", push_id=push_id, device_list=more)) == -1
        assert code(android.call("/v2/push/device_list_multiple", push_id=push_id, device_list=many)) == 0
        assert len(sandbox.received()) == 1000

    def test_unregistered_tokens_of_a_list_are_dropped_silently(self, android, sandbox):
        tokens = json.dumps([TOKEN, "dead0000" + "0" * 32, OTHER])
        assert (
            code(android.call("/v2/push/device_list_multiple", push_id=self.create(android), device_list=tokens)) == 0
        )
        assert [entry["token"] for entry in sandbox.received()] == [TOKEN, OTHER]

    def test_a_token_that_is_none_fails_the_list(self, android, sandbox):
        tokens = json.dumps([TOKEN, "x"])
        answer = android.call("/v2/push/device_list_multiple", push_id=self.create(android), device_list=tokens)
        assert (code(answer), sandbox.received()) == (14, [])

    def test_an_unknown_push_id_is_refused(self, android):
        assert code(android.call("/v2/push/device_list_multiple", push_id="5", device_list=f'["{TOKEN}"]')) == -1

    def test_another_apps_push_id_is_refused(self, android, sandbox):
        sandbox.add_key(ANDROID_ID + 1, SECRET)
        other = LegacyClient(sandbox.url, ANDROID_ID + 1, SECRET)
        push_id = self.create(android)
        assert code(other.call("/v2/push/device_list_multiple", push_id=push_id, device_list=f'["{TOKEN}"]')) == -1

    def test_a_broadcast_takes_no_lists(self, android):
        push_id = android.call("/v2/push/all_device", **push_params(android_message()))["result"]["push_id"]
        assert code(android.call("/v2/push/device_list_multiple", push_id=push_id, device_list=f'["{TOKEN}"]')) == -1

    def test_an_expired_push_id_is_refused(self, android):
        push_id = self.create(android, expire_time=1)
        time.sleep(1.1)
        assert code(android.call("/v2/push/device_list_multiple", push_id=push_id, device_list=f'["{TOKEN}"]')) == -1

    def test_lists_of_accounts(self, android, sandbox):
        sandbox.bind_account(ANDROID_ID, "joe", [TOKEN])
        accounts = '["joe", "nobody"]'
        answer = android.call("/v2/push/account_list_multiple", push_id=self.create(android), account_list=accounts)
        assert (code(answer), len(sandbox.received())) == (0, 1)

    def test_a_push_to_all_stands_for_every_device(self, android, sandbox):
        answer = android.call("/v2/push/all_device", **push_params(android_message()))
        assert sandbox.received()[0]["token"] == "*"
        assert sandbox.received()[0]["push_id"] == answer["result"]["push_id"]

    def test_a_second_push_to_all_within_3_seconds_is_throttled(self, android):
        assert code(android.call("/v2/push/all_device", **push_params(android_message()))) == 0
        assert code(android.call("/v2/push/all_device", **push_params(android_message(title="2")))) == 76

    def test_later_the_same_push_to_all_was_throttled_for_an_hour(self, android, sandbox):
        sandbox.set_codes("gateway")
        codes = [
            code(android.call("/v2/push/all_device", **push_params(android_message(title=title))))
            for title in ("1", "2", "1")
        ]
        assert codes == [0, 0, -105]

    def test_later_30_pushes_to_all_an_hour_were_the_limit(self, android, sandbox):
        sandbox.set_codes("gateway")
        codes = [
            code(android.call("/v2/push/all_device", **push_params(android_message(title=str(number)))))
            for number in range(31)
        ]
        assert codes == [0] * 30 + [-105]

    def test_a_looped_push_has_an_id_for_each_turn(self, android):
        params = push_params(android_message(), loop_times=3, loop_interval=2)
        assert len(android.call("/v2/push/all_device", **params)["result"]["sub_push_ids"]) == 3

    @pytest.mark.parametrize(("times", "interval"), [(16, 1), (15, 2), (3, 0), (2, 15), ("x", 1)])
    def test_a_loop_lasts_at_most_15_days(self, android, times, interval):
        params = push_params(android_message(), loop_times=times, loop_interval=interval)
        assert code(android.call("/v2/push/all_device", **params)) == 78


class TestTags:
    @pytest.fixture(autouse=True)
    def tags(self, android):
        pairs = json.dumps([["red", TOKEN], ["blue", TOKEN], ["red", OTHER]])
        assert code(android.call("/v2/tags/batch_set", tag_token_list=pairs)) == 0

    @pytest.mark.parametrize(("operation", "tokens"), [("AND", [TOKEN]), ("OR", [TOKEN, OTHER])])
    def test_a_push_to_tags(self, android, sandbox, operation, tokens):
        params = push_params(android_message(), tags_list='["red","blue"]', tags_op=operation)
        assert android.call("/v2/push/tags_device", **params)["result"]["push_id"]
        assert [entry["token"] for entry in sandbox.received()] == tokens

    def test_an_unknown_operation_is_refused(self, android):
        params = push_params(android_message(), tags_list='["red"]', tags_op="XOR")
        assert code(android.call("/v2/push/tags_device", **params)) == -1

    def test_at_most_50_tags(self, android):
        params = push_params(android_message(), tags_list=json.dumps(["t"] * 51), tags_op="OR")
        assert code(android.call("/v2/push/tags_device", **params)) == -1

    def test_the_apps_tags(self, android):
        assert android.call("/v2/tags/query_app_tags", start=0, limit=100)["result"] == {
            "total": 2,
            "tags": ["blue", "red"],
        }

    def test_a_page_of_tags(self, android):
        assert android.call("/v2/tags/query_app_tags", start=1, limit=1)["result"]["tags"] == ["red"]

    def test_a_tokens_tags(self, android):
        assert android.call("/v2/tags/query_token_tags", device_token=TOKEN)["result"] == {"tags": ["blue", "red"]}

    def test_a_tags_tokens_are_counted(self, android):
        assert android.call("/v2/tags/query_tag_token_num", tag="red")["result"] == {"device_num": 2}

    def test_a_tag_is_taken_away(self, android):
        android.call("/v2/tags/batch_del", tag_token_list=json.dumps([["red", TOKEN]]))
        assert android.call("/v2/tags/query_tag_token_num", tag="red")["result"] == {"device_num": 1}

    @pytest.mark.parametrize(
        ("pairs", "expected"),
        [
            ([["red", TOKEN]] * 21, -1),
            ([["red"]], -1),
            (["red"], -1),
            ([["a b", TOKEN]], -1),
            ([["", TOKEN]], -1),
            ([["标" * 17, TOKEN]], -1),
            ([["red", "x"]], 14),
        ],
    )
    def test_pairs_that_cannot_be_used(self, android, pairs, expected):
        assert code(android.call("/v2/tags/batch_set", tag_token_list=json.dumps(pairs))) == expected


class TestQueries:
    def test_the_devices_seen_are_counted(self, android):
        push(android)
        push(android, OTHER)
        push(android)
        assert android.call("/v2/application/get_app_device_num")["result"] == {"device_num": 2}

    def test_a_device_is_known_once_it_was_seen(self, android):
        push(android)
        for token, known in ((TOKEN, 1), (OTHER, 0)):
            answer = android.call("/v2/application/get_app_token_info", device_token=token)
            assert answer["result"]["isReg"] == known

    def test_the_status_of_pushes(self, android):
        push_id = android.call("/v2/push/all_device", **push_params(android_message()))["result"]["push_id"]
        asked = json.dumps([{"push_id": push_id}, {"push_id": "1"}])
        (status,) = android.call("/v2/push/get_msg_status", push_ids=asked)["result"]["list"]
        assert (status["push_id"], status["status"], status["total"]) == (push_id, 2, 1)

    def test_the_status_of_one_push_as_of_2017(self, android):
        push_id = android.call("/v2/push/all_device", **push_params(android_message()))["result"]["push_id"]
        assert len(android.call("/v2/push/get_msg_status", push_id=push_id)["result"]["list"]) == 1

    def test_a_push_that_waits_can_be_cancelled_once(self, android):
        params = push_params(android_message(), send_time="2099-01-01 00:00:00")
        push_id = android.call("/v2/push/all_device", **params)["result"]["push_id"]
        cancel = [android.call("/v2/push/cancel_timing_task", push_id=push_id)["result"]["status"] for _ in "12"]
        assert cancel == [0, 1]

    def test_offline_messages_can_be_deleted(self, android):
        push_id = android.call("/v2/push/all_device", **push_params(android_message()))["result"]["push_id"]
        assert code(android.call("/v2/push/delete_offline_msg", push_id=push_id)) == 0

    @pytest.mark.parametrize("path", ["cancel_timing_task", "delete_offline_msg"])
    def test_an_unknown_push_cannot_be_stopped(self, android, path):
        assert code(android.call(f"/v2/push/{path}", push_id="9")) == -1
