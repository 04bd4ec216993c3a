import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.names import Environment, Platform, Reason
from pushes.providers.base import HttpRequest, HttpResponse, MessageTooLargeError, PreparedMessage
from pushes.providers.xinge_codes import MEANINGS
from pushes.providers.xinge_v2 import Endpoint, XingeV2
from pushes.values import Blame, Credentials, Notification, Scope, Verdict

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
SECRET = "00112233445566778899aabbccddeeff"
NOW = 1_400_000_000
TOKEN = "a" * 40

xinge = XingeV2()


def android(url: str = "") -> Credentials:
    return Credentials("xinge_v2", "2100000001", url, Platform.ANDROID, Environment.PRODUCTION, SECRET)


def ios(environment: Environment = Environment.PRODUCTION) -> Credentials:
    return Credentials("xinge_v2", "2200000001", "", Platform.IOS, environment, SECRET)


def notification(title="新订单", content="请及时处理 & 发货=1", custom=None, **fields) -> Notification:
    return Notification(title, content, custom or {}, fields.pop("expire_seconds", 86_400), **fields)


def sign(method: str, host: str, path: str, params: Mapping[str, object], secret: str) -> str:
    """The signature as the vendor explains it: MD5 over the raw values in the order of their names."""
    pairs = "".join(f"{name}={params[name]}" for name in sorted(params))
    return hashlib.md5(f"{method}{host}{path}{pairs}{secret}".encode(), usedforsecurity=False).hexdigest()


def params_of(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def assert_signed(request: HttpRequest, host: str, path: str) -> None:
    params = params_of(request)
    assert params.pop("sign") == sign("POST", host, path, params, SECRET)


@pytest.mark.parametrize("vector", VECTORS["v2"], ids=lambda vector: vector["id"])
def test_the_official_signatures_are_reproduced(vector):
    signed = (vector["path"], vector["params"], VECTORS["v2_secret"])
    assert sign("POST", vector["host"], *signed) == vector["sign"]
    assert sign("GET", vector["host"], *signed) == vector["sign_if_method_were_GET"]


def test_names_are_sorted_by_code_point():
    params = {"ParamA": 11111, "paramB": 22, "AnotherParam": 333}
    found = sign("POST", "openapi.xg.qq.com", "/path/to/test", params, "some_secret_key")
    assert found == "5499cc1f827a581d241a013bc1030037"


def test_the_example_of_the_documentation_is_reproduced():
    params = {"access_id": 123, "timestamp": 1386691200, "Param1": "Value1", "Param2": "Value2"}
    found = sign("POST", "openapi.xg.qq.com", "/v2/push/single_device", params, "abcde")
    assert found == "ccafecaef6be07493cfe75ebc43b7d53"


class TestRequests:
    def test_a_push_to_a_device(self):
        request = xinge.to_device(xinge.prepare(android(), notification()), TOKEN, now=NOW)
        assert request.url == "http://openapi.xg.qq.com/v2/push/single_device"
        assert_signed(request, "openapi.xg.qq.com", "/v2/push/single_device")
        params = params_of(request)
        assert (params["device_token"], params["access_id"], params["timestamp"]) == (TOKEN, "2100000001", str(NOW))

    def test_the_form_is_encoded_as_the_official_sdk_does(self):
        request = xinge.to_device(xinge.prepare(android(), notification()), TOKEN, now=NOW)
        message = params_of(request)["message"]
        assert f"message={quote_plus(message)}&" in request.body.decode()
        assert request.headers == ("Content-Type: application/x-www-form-urlencoded",)

    def test_a_strange_token_cannot_add_parameters(self):
        request = xinge.to_device(xinge.prepare(android(), notification()), "a&access_id=1", now=NOW)
        assert params_of(request)["device_token"] == "a&access_id=1"
        assert_signed(request, "openapi.xg.qq.com", "/v2/push/single_device")

    def test_a_list_is_created(self):
        request = xinge.create_list(xinge.prepare(android(), notification()), now=NOW)
        assert_signed(request, "openapi.xg.qq.com", "/v2/push/create_multipush")
        assert "device_token" not in params_of(request)

    def test_a_created_list_is_sent(self):
        tokens = [f"{number:040x}" for number in range(1000)]
        request = xinge.to_list(xinge.prepare(android(), notification()), "2854657652", tokens, now=NOW)
        assert_signed(request, "openapi.xg.qq.com", "/v2/push/device_list_multiple")
        assert json.loads(params_of(request)["device_list"]) == tokens
        assert params_of(request)["push_id"] == "2854657652"

    @pytest.mark.parametrize("count", [0, 1001])
    def test_a_list_has_between_1_and_1000_tokens(self, count):
        with pytest.raises(ValueError, match=f"{count} given"):
            xinge.to_list(xinge.prepare(android(), notification()), "1", [TOKEN] * count, now=NOW)

    def test_the_harmless_check_is_the_first_vector(self):
        credentials = Credentials(
            "xinge_v2", "2100000001", "", Platform.ANDROID, Environment.PRODUCTION, VECTORS["v2_secret"]
        )
        request = xinge.check(credentials, now=NOW)
        assert params_of(request)["sign"] == VECTORS["v2"][0]["sign"]
        assert request.url.endswith("/v2/application/get_app_device_num")

    def test_the_host_is_signed_without_its_port(self):
        request = xinge.check(android("http://127.0.0.1:8790"), now=NOW)
        assert request.url == "http://127.0.0.1:8790/v2/application/get_app_device_num"
        assert_signed(request, "127.0.0.1", "/v2/application/get_app_device_num")

    def test_a_gateways_path_is_signed_too(self):
        request = xinge.check(android("https://push.example.com/xinge/"), now=NOW)
        assert request.url == "https://push.example.com/xinge/v2/application/get_app_device_num"
        assert_signed(request, "push.example.com", "/xinge/v2/application/get_app_device_num")

    def test_an_endpoint_without_a_host_is_refused(self):
        with pytest.raises(ValueError, match="names no host"):
            xinge.check(android("/v2"), now=NOW)

    def test_a_message_of_another_provider_is_refused(self):
        with pytest.raises(TypeError, match="was not prepared by this provider"):
            xinge.to_device(PreparedMessage(android(), "{}"), TOKEN, now=NOW)

    def test_neither_secret_nor_token_shows(self):
        message = xinge.prepare(android(), notification())
        request = xinge.to_device(message, TOKEN, now=NOW)
        assert SECRET not in repr(message) + repr(request)
        assert TOKEN not in repr(request)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://[::1]:8790", "[::1]"),
        ("http://[::1]", "[::1]"),
        ("http://Host.Example:80/", "Host.Example"),
        ("http://user:pass@host:81", "host"),
    ],
)
def test_the_signed_host_is_what_stands_in_the_host_header(url, host):
    assert Endpoint.of(url).host == host


class TestAndroid:
    def message(self, notice: Notification) -> Any:
        return json.loads(xinge.prepare(android(), notice).body)

    def test_the_message(self):
        assert self.message(notification(custom={"type": 5}, replace_id=77)) == {
            "title": "新订单",
            "content": "请及时处理 & 发货=1",
            "builder_id": 0,
            "ring": 1,
            "vibrate": 1,
            "clearable": 1,
            "n_id": 77,
            "action": {"action_type": 1, "activity": ""},
            "custom_content": {"type": "5"},
        }

    def test_the_parameters(self):
        request = xinge.to_device(xinge.prepare(android(), notification()), TOKEN, now=NOW)
        params = params_of(request)
        found = {name: params[name] for name in ("message_type", "environment", "multi_pkg", "expire_time")}
        assert found == {"message_type": "1", "environment": "0", "multi_pkg": "0", "expire_time": "86400"}

    def test_custom_values_are_strings(self):
        custom = {"s": "x", "i": 1, "f": 1.5, "b": True, "none": None, "list": [1, "二"], 7: "seven"}
        assert self.message(notification(custom=custom))["custom_content"] == {
            "s": "x",
            "i": "1",
            "f": "1.5",
            "b": "true",
            "none": "",
            "list": '[1,"二"]',
            "7": "seven",
        }

    def test_ids_stay_positive_and_within_31_bits(self):
        assert self.message(notification(replace_id=-1))["n_id"] == 2**31 - 1
        assert self.message(notification(replace_id=2**31 + 5))["n_id"] == 5

    def test_quotes_and_line_breaks_survive(self):
        message = self.message(notification('a"b', "c\nd\\e\u2028"))
        assert (message["title"], message["content"]) == ('a"b', "c\nd\\e\u2028")

    def test_a_long_content_is_cut_to_4096_bytes(self):
        body = xinge.prepare(android(), notification(content="订" * 3000)).body
        assert 4090 < len(body.encode()) <= 4096
        assert json.loads(body)["content"].endswith("订…")

    def test_a_title_gives_way_only_after_the_content(self):
        message = self.message(notification("题" * 2000, "内容"))
        assert (message["content"], message["title"][-1]) == ("", "…")

    def test_data_that_does_not_fit_is_refused(self):
        with pytest.raises(MessageTooLargeError, match="bytes too large for 4096"):
            xinge.prepare(android(), notification(custom={"k": "x" * 4096}))

    @pytest.mark.parametrize(("seconds", "expected"), [(0, "1"), (-5, "1"), (60, "60"), (999_999, "259200")])
    def test_the_expiry_stays_within_the_providers_limits(self, seconds, expected):
        request = xinge.create_list(xinge.prepare(android(), notification(expire_seconds=seconds)), now=NOW)
        assert params_of(request)["expire_time"] == expected

    @given(st.text(), st.text(), st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5))
    def test_any_text_makes_a_valid_message_and_form(self, title, content, custom):
        request = xinge.to_device(xinge.prepare(android(), notification(title, content, custom)), TOKEN, now=NOW)
        assert len(json.loads(params_of(request)["message"])) == 9
        assert_signed(request, "openapi.xg.qq.com", "/v2/push/single_device")


class TestIos:
    def message(self, notice: Notification) -> Any:
        return json.loads(xinge.prepare(ios(), notice).body)

    def test_the_payload(self):
        assert self.message(notification("题", "内容", {"type": 8}, badge=3)) == {
            "aps": {"alert": {"title": "题", "body": "内容"}, "sound": "default", "badge": 3},
            "type": 8,
        }

    def test_without_a_badge_there_is_none(self):
        assert self.message(notification("题", "内容")) == {
            "aps": {"alert": {"title": "题", "body": "内容"}, "sound": "default"}
        }

    def test_the_replace_id_is_handed_to_the_app(self):
        assert self.message(notification(replace_id=5))["n_id"] == 5

    def test_reserved_keys_are_never_overridden(self):
        message = self.message(notification(custom={"aps": 1, "xg": 2, "accept_time": 3}))
        assert message["aps"]["sound"] == "default"
        assert {name: message[name] for name in message if name != "aps"} == {
            "custom_aps": 1,
            "custom_xg": 2,
            "custom_accept_time": 3,
        }

    def test_neither_replaces_the_other_whoever_uses_the_name(self):
        message = self.message(notification(replace_id=5, custom={"n_id": 9, "aps": 1, "custom_aps": 2}))
        assert {name: message[name] for name in message if name != "aps"} == {
            "n_id": 5,
            "custom_n_id": 9,
            "custom_custom_aps": 1,
            "custom_aps": 2,
        }

    @pytest.mark.parametrize(("environment", "number"), [(Environment.PRODUCTION, "1"), (Environment.LOCAL, "2")])
    def test_environments(self, environment, number):
        request = xinge.to_device(xinge.prepare(ios(environment), notification()), "b" * 64, now=NOW)
        assert (params_of(request)["environment"], params_of(request)["message_type"]) == (number, "0")

    def test_a_long_content_leaves_room_for_xinges_own_key(self):
        body = xinge.prepare(ios(), notification(content="订" * 3000, custom={"k": "v"})).body
        assert 3990 < len(body.encode()) <= 4000

    def test_data_that_does_not_fit_is_refused(self):
        with pytest.raises(MessageTooLargeError):
            xinge.prepare(ios(), notification(custom={"k": "x" * 4000}))


class TestSecrets:
    def test_one_that_was_copied_whole_is_in_order(self):
        assert xinge.secret_fault(SECRET) == ""

    @pytest.mark.parametrize("length", [1, 31, 33])
    def test_one_of_another_length_was_not(self, length):
        assert xinge.secret_fault("a" * length) == f"Xinge secrets have 32 characters; this one has {length}."

    def test_blanks_are_the_first_thing_to_say(self):
        assert "Copy it again" in xinge.secret_fault("a b")


class TestAnswers:
    def read(self, **content):
        return xinge.read(HttpResponse(200, json.dumps(content).encode()))

    def test_accepted(self):
        assert self.read(ret_code=0, result="").verdict is Verdict.ACCEPTED

    def test_a_push_id_of_more_than_64_bits_keeps_its_digits(self):
        body = b'{"ret_code": 0, "result": {"push_id": 2026112722001412345678901234}}'
        assert xinge.read(HttpResponse(200, body)).push_id == "2026112722001412345678901234"

    @pytest.mark.parametrize("body", [b'{"ret_code": NaN}', b"[" * 5_000, b'{"ret_code": 1e400}'])
    def test_an_answer_that_is_no_json_is_no_answer(self, body):
        assert xinge.read(HttpResponse(200, body)).verdict is Verdict.UNKNOWN

    @pytest.mark.parametrize("push_id", ["2854657652", 2854657652])
    def test_the_push_id_is_text(self, push_id):
        assert self.read(ret_code=0, result={"push_id": push_id}).push_id == "2854657652"

    @pytest.mark.parametrize("content", [{}, {"ret_code": "0"}, {"ret_code": None}, {"ret_code": True}])
    def test_without_a_code_the_outcome_is_unknown(self, content):
        assert self.read(**content).verdict is Verdict.UNKNOWN

    @pytest.mark.parametrize("code", [6, 14, 40, 53])
    def test_token_codes_are_of_the_target_alone(self, code):
        outcome = self.read(ret_code=code, err_msg="why")
        assert (outcome.verdict, outcome.reason) == (Verdict.BAD_TARGET, Reason.BAD_TOKEN)
        assert (outcome.scope, outcome.code, outcome.text) == (Scope.TARGET, str(code), "why")

    @pytest.mark.parametrize("code", sorted(MEANINGS))
    def test_only_those_four_touch_a_token(self, code):
        assert (self.read(ret_code=code).reason is Reason.BAD_TOKEN) == (code in (6, 14, 40, 53))

    @pytest.mark.parametrize("code", [-1, 2, 7, 19, 73, 75, 78, 83, 91, 92, -101, -111, -112])
    def test_parameter_codes_are_of_the_message(self, code):
        outcome = self.read(ret_code=code)
        found = (outcome.verdict, outcome.reason, outcome.scope)
        assert found == (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE)

    @pytest.mark.parametrize("code", [-2, 20, 21, 100, -102, -103, -106])
    def test_credential_clock_and_certificate_codes_are_of_the_key(self, code):
        outcome = self.read(ret_code=code)
        found = (outcome.verdict, outcome.reason, outcome.scope)
        assert found == (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)

    @pytest.mark.parametrize(
        ("blame", "codes"),
        [
            (Blame.CREDENTIALS, {20, 21, -103}),
            (Blame.CLOCK, {-2, -102}),
            (Blame.CERTIFICATE, {100, -106}),
            (Blame.APP, set()),
        ],
    )
    def test_codes_tell_what_is_to_blame(self, blame, codes):
        assert {code for code in MEANINGS if self.read(ret_code=code).blame is blame} == codes

    @pytest.mark.parametrize("code", [76, -105])
    def test_throttled_is_not_failed(self, code):
        outcome = self.read(ret_code=code)
        assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.RETRY, Reason.THROTTLED, Scope.KEY)

    @pytest.mark.parametrize("code", [-4, -5, 5, 15, 16, 63, 71, 90, -104, 12345, -999])
    def test_busy_and_unknown_codes_are_tried_again(self, code):
        outcome = self.read(ret_code=code)
        assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, Reason.PROVIDER_BUSY)

    def test_an_account_without_devices(self):
        assert self.read(ret_code=48).reason is Reason.NO_DEVICE

    @pytest.mark.parametrize("text", ["sign error", "SIGN invalid", "签名错误", "auth failed"])
    def test_minus_3_of_the_first_era_is_a_signature_error(self, text):
        outcome = self.read(ret_code=-3, err_msg=text)
        assert (outcome.scope, outcome.blame) == (Scope.KEY, Blame.CREDENTIALS)

    @pytest.mark.parametrize("text", ["", "recv failed"])
    def test_minus_3_of_later_eras_is_tried_again(self, text):
        assert self.read(ret_code=-3, err_msg=text).verdict is Verdict.RETRY
