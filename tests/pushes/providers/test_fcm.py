"""FCM HTTP v1: keys, the exchange of access tokens, calls and answers. What holds for every provider stands in
test_contract.py."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pushes.names import Environment, Platform, Reason
from pushes.providers.base import (
    AccessToken,
    CredentialsError,
    HttpRequest,
    HttpResponse,
    MessageTooLargeError,
    PreparedMessage,
    TransportFailure,
)
from pushes.providers.fcm import CHECK_TOKEN, MAX_MESSAGE_BYTES, Fcm, FcmMessage
from pushes.providers.fcm_codes import MEANINGS
from pushes.values import Blame, Credentials, Notification, Outcome, Scope, Verdict
from tests.pushes.providers.key_files import P256, RSA, pem_of
from tests.pushes.providers.vendors import NO_TOKEN, SERVICE_ACCOUNT

NOW = 1_764_230_400
TOKEN = "dQ4w9:APA91b" + "x" * 150
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"

fcm = Fcm()


def sealed(**changes: object) -> Any:
    return fcm.sealed({"service_account": json.dumps({**SERVICE_ACCOUNT, **changes})})


def credentials(url: str = "") -> Credentials:
    access_id, secret = sealed()
    return Credentials("fcm", access_id, url, Platform.ANDROID, Environment.PRODUCTION, secret, "ya29.token")


def notification(**fields: Any) -> Notification:
    values: dict[str, Any] = {"title": "题", "content": "内容", "custom": {"type": 5}, "expire_seconds": 3600}
    return Notification(**values | fields)


def prepared(**fields: Any) -> FcmMessage:
    return fcm.prepare(credentials(), notification(**fields))


def request(token: str = TOKEN, **fields: Any) -> HttpRequest:
    return fcm.to_device(prepared(**fields), token, now=NOW)


def message(**fields: Any) -> Any:
    return json.loads(request(**fields).body)["message"]


def error(http_status: int, *details: dict[str, object], status: str = "", text: str = "no") -> HttpResponse:
    found = {"code": http_status, "message": text, "status": status, "details": list(details)}
    return HttpResponse(http_status, json.dumps({"error": found}).encode())


def of_fcm(code: object) -> dict[str, object]:
    return {"@type": FCM_ERROR, "errorCode": code}


def of_fields(*fields: str) -> dict[str, object]:
    return {"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "bad"} for field in fields]}


def of_quota(**violation: str) -> dict[str, object]:
    return {"@type": QUOTA_FAILURE, "violations": [violation]}


class TestKeys:
    def test_the_project_names_the_key(self):
        found = sealed()
        assert found.access_id == "higo-shop"
        assert json.loads(found.secret) == {
            name: SERVICE_ACCOUNT[name] for name in ("project_id", "client_email", "private_key_id", "private_key")
        }

    def test_a_project_of_a_domain_is_one(self):
        assert sealed(project_id="example.com:my-project").access_id == "example.com:my-project"

    def test_the_file_may_begin_with_a_mark_and_end_with_a_line(self):
        text = "\ufeff" + json.dumps(SERVICE_ACCOUNT, indent=2) + "\r\n"
        assert fcm.sealed({"service_account": text}) == sealed()

    @pytest.mark.parametrize("name", ["project_id", "client_email", "private_key", "private_key_id"])
    @pytest.mark.parametrize("value", [None, "", 7, []])
    def test_a_field_that_is_missing_is_named(self, name: str, value: object):
        with pytest.raises(CredentialsError, match=f"has no {name}"):
            sealed(**{name: value})

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("AAAAabc:APA91b", "not a JSON file"),
            ("<?xml version='1.0'?><plist></plist>", "not a JSON file"),
            (json.dumps(SERVICE_ACCOUNT)[:-10], "not a JSON file"),
            ("[" * 10_000, "not a JSON file"),
            (json.dumps({**SERVICE_ACCOUNT, "x": "y" * 30_000}), "not a JSON file"),
            ("[]", "not a JSON file"),
            ('"service_account"', "not a JSON file"),
            ('{"project_info": {"project_id": "higo-shop"}, "client": []}', "google-services.json"),
            ('{"installed": {"client_id": "x"}}', r"not a service account's key \(type: –\)"),
            ('{"type": "authorized_user", "client_id": "x"}', r"type: authorized_user"),
        ],
    )
    def test_another_file_is_told(self, text: str, words: str):
        with pytest.raises(CredentialsError, match=words) as caught:
            fcm.sealed({"service_account": text})
        assert caught.value.field == "service_account"

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"project_id": "../../evil"}, "not a valid project_id"),
            ({"project_id": "Higo Shop"}, "not a valid project_id"),
            ({"project_id": "a"}, "not a valid project_id"),
            ({"client_email": "nobody"}, "not a valid client_email"),
            ({"client_email": "a b@c.d"}, "not a valid client_email"),
            ({"private_key": "x"}, "not a key file"),
            ({"private_key": pem_of(P256)}, "an elliptic-curve key"),
            ({"private_key": pem_of(rsa.generate_private_key(65537, 1024))}, "1024 bits"),
            ({"private_key": pem_of(RSA)[:200] + "\n-----END PRIVATE KEY-----"}, "cannot be read"),
            ({"token_uri": "https://evil.example.com/token"}, "https://evil.example.com/token” is not Google's"),
            ({"token_uri": "http://oauth2.googleapis.com/token"}, "is not Google's"),
            ({"token_uri": "https://oauth2.googleapis.com@evil.example.com/token"}, "is not Google's"),
            ({"token_uri": ["https://oauth2.googleapis.com/token"]}, "is not Google's"),
        ],
    )
    def test_what_is_wrong_in_the_file_is_told(self, changes: dict[str, object], words: str):
        with pytest.raises(CredentialsError, match=words) as caught:
            sealed(**changes)
        assert pem_of(RSA)[100:120] not in str(caught.value)

    @pytest.mark.parametrize(
        "token_uri", ["https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token"]
    )
    def test_an_older_file_of_googles_is_taken(self, token_uri: str):
        assert sealed(token_uri=token_uri) == sealed()


class TestAccessTokens:
    def asked(self, url: str = "") -> HttpRequest:
        return fcm.access_token(credentials(url), now=NOW)

    def test_it_is_asked_for_with_a_signed_assertion(self):
        made = self.asked()
        assert made.url == "https://oauth2.googleapis.com/token"
        assert made.headers == ("Content-Type: application/x-www-form-urlencoded",)
        form = {name: values[0] for name, values in parse_qs(made.body.decode(), strict_parsing=True).items()}
        assert form.keys() == {"grant_type", "assertion"}
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in form["assertion"].split("."))
        assert json.loads(head) == {"alg": "RS256", "typ": "JWT", "kid": SERVICE_ACCOUNT["private_key_id"]}
        assert json.loads(claims) == {
            "iss": SERVICE_ACCOUNT["client_email"],
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "aud": "https://oauth2.googleapis.com/token",
            "iat": NOW - 30,
            "exp": NOW - 30 + 3600,
        }
        signed = form["assertion"].rpartition(".")[0].encode()
        RSA.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())

    def test_a_relay_is_asked_instead_of_google(self):
        made = self.asked("https://relay.example.com/fcm/")
        assert made.url == "https://relay.example.com/fcm/token"

    def read(self, status: int, **fields: object) -> AccessToken | Outcome:
        return fcm.read_access_token(HttpResponse(status, json.dumps(fields).encode()), now=NOW)

    def test_it_is_valid_as_long_as_google_says(self):
        found = self.read(200, access_token="ya29.x", expires_in=3599, token_type="Bearer")
        assert found == AccessToken("ya29.x", NOW, NOW + 3599)

    def test_it_is_not_believed_for_longer_than_an_hour(self):
        found = self.read(200, access_token="ya29.x", expires_in=10**9)
        assert found == AccessToken("ya29.x", NOW, NOW + 3600)

    @pytest.mark.parametrize("token", [None, "", 7, [], "a b", "a\r\nX-Evil: 1", "令牌", "x" * 5000])
    def test_what_cannot_stand_in_a_header_is_no_token(self, token: object):
        found = self.read(200, access_token=token, expires_in=3599)
        assert isinstance(found, Outcome)
        assert (found.verdict, found.scope) == (Verdict.RETRY, Scope.KEY)

    @pytest.mark.parametrize("seconds", [None, 0, -1, "3599", 3599.5, True, [], {}])
    def test_without_a_life_it_is_none(self, seconds: object):
        assert isinstance(self.read(200, access_token="ya29.x", expires_in=seconds), Outcome)

    @pytest.mark.parametrize(
        ("status", "code", "text", "verdict", "blame"),
        [
            (400, "invalid_grant", "Invalid JWT Signature.", Verdict.FAILED, Blame.CREDENTIALS),
            (400, "invalid_grant", "Invalid grant: account not found", Verdict.FAILED, Blame.CREDENTIALS),
            (
                400,
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim.",
                Verdict.FAILED,
                Blame.CLOCK,
            ),
            (401, "invalid_client", "The OAuth client was not found.", Verdict.FAILED, Blame.CREDENTIALS),
            (400, "invalid_scope", "", Verdict.FAILED, Blame.CREDENTIALS),
            (401, "unauthorized_client", "", Verdict.FAILED, Blame.CREDENTIALS),
            (401, "deleted_client", "", Verdict.FAILED, Blame.CREDENTIALS),
            (403, "disabled_client", "", Verdict.FAILED, Blame.CREDENTIALS),
            (403, "access_denied", "", Verdict.FAILED, Blame.CREDENTIALS),
            (400, "invalid_request", "", Verdict.FAILED, Blame.CREDENTIALS),
            (404, "", "", Verdict.FAILED, Blame.ENDPOINT),
            (429, "rate_limit_exceeded", "", Verdict.RETRY, None),
            (500, "internal_failure", "", Verdict.RETRY, None),
            (503, "", "", Verdict.RETRY, None),
            (503, "invalid_grant", "Invalid JWT Signature.", Verdict.RETRY, None),
        ],
    )
    def test_each_refusal_has_its_blame(self, status, code, text, verdict, blame):
        found = self.read(status, error=code, error_description=text)
        assert isinstance(found, Outcome)
        assert (found.verdict, found.scope, found.blame) == (verdict, Scope.KEY, blame)
        assert (found.code, found.http_status) == (code, status)

    def test_without_an_answer_it_is_asked_for_again(self):
        for was_sent in (True, False):
            found = fcm.read_access_token(TransportFailure(was_sent, "silence"), now=NOW)
            assert isinstance(found, Outcome)
            assert (found.verdict, found.scope, found.text) == (Verdict.RETRY, Scope.KEY, "silence")


class TestCalls:
    def test_a_push_to_a_device(self):
        made = request()
        assert made.url == "https://fcm.googleapis.com/v1/projects/higo-shop/messages:send"
        assert made.headers == ("authorization: Bearer ya29.token", "content-type: application/json")
        assert made.http2
        assert json.loads(made.body) == {
            "message": {
                "token": TOKEN,
                "notification": {"title": "题", "body": "内容"},
                "data": {"type": "5"},
                "android": {"priority": "HIGH", "ttl": "3600s", "notification": {"sound": "default"}},
            }
        }

    def test_all_that_it_can_say(self):
        full = {
            "badge": 0,
            "sound": "ding",
            "channel_id": "orders",
            "image": "https://img.example.com/1.jpg",
            "link": "higo://order/7",
            "replace_id": 9,
            "is_urgent": False,
        }
        found = message(**full)
        assert found["android"] == {
            "priority": "NORMAL",
            "ttl": "3600s",
            "notification": {
                "sound": "ding",
                "tag": "9",
                "channel_id": "orders",
                "image": "https://img.example.com/1.jpg",
                "notification_count": 0,
            },
        }
        assert found["data"] == {"type": "5", "link": "higo://order/7"}

    def test_it_is_kept_no_longer_than_it_may_be(self):
        assert message(expire_seconds=10**9)["android"]["ttl"] == "2419200s"
        assert message(expire_seconds=-5)["android"]["ttl"] == "1s"

    def test_data_is_text(self):
        custom = {"a": 1, "b": True, "c": None, "d": [1, {"e": "题"}], "f": 1.5, "g": "x", 7: "n", "h": 2**70}
        assert message(custom=custom)["data"] == {
            "a": "1",
            "b": "true",
            "c": "",
            "d": '[1,{"e":"题"}]',
            "f": "1.5",
            "g": "x",
            "7": "n",
            "h": str(2**70),
        }

    def test_names_that_fcm_keeps_are_moved_aside(self):
        names = ["from", "message_type", "collapse_key", "google.sent_time", "googlex", "gcm", "gcm.n.e", "fromage"]
        found = message(custom={**dict.fromkeys(names, "x"), "custom_from": "mine"})["data"]
        assert found == {
            "custom_custom_from": "x",
            "custom_from": "mine",
            "custom_message_type": "x",
            "custom_collapse_key": "x",
            "custom_google.sent_time": "x",
            "custom_googlex": "x",
            "custom_gcm": "x",
            "custom_gcm.n.e": "x",
            "fromage": "x",
        }

    def test_a_link_of_ours_stands_before_one_of_the_producers(self):
        assert message(custom={"link": "x"}, link="higo://y")["data"] == {"custom_link": "x", "link": "higo://y"}
        assert message(custom={"link": "x"})["data"] == {"link": "x"}

    def test_a_relay_is_called_in_whatever_protocol_it_speaks(self):
        made = fcm.to_device(fcm.prepare(credentials("https://relay.example.com"), notification()), TOKEN, now=NOW)
        assert made.url == "https://relay.example.com/v1/projects/higo-shop/messages:send"
        assert not made.http2

    def test_a_token_is_text_whatever_it_holds(self):
        made = request('a"},"topic":"all')
        assert json.loads(made.body)["message"]["token"] == 'a"},"topic":"all'
        assert "topic" not in json.loads(made.body)["message"]

    def test_everything_but_the_token_is_made_once(self):
        made = prepared()
        first, second = (fcm.to_device(made, token, now=NOW) for token in ("a" * 150, "b" * 150))
        assert first.headers is second.headers
        assert first.url is second.url
        assert first.body.replace(b"a" * 150, b"b" * 150) == second.body

    def test_a_message_of_another_provider_is_refused(self):
        with pytest.raises(TypeError, match="PreparedMessage"):
            fcm.to_device(PreparedMessage(credentials(), "{}"), TOKEN, now=NOW)

    def test_a_device_without_a_token_is_not_called(self):
        with pytest.raises(ValueError, match="token is empty"):
            request("")


class TestSize:
    def rest(self, **fields: Any) -> int:
        """The bytes of the message without its target."""
        found = message(**fields)
        del found["token"]
        return len(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode())

    def test_a_text_that_just_fits_is_whole(self):
        most = MAX_MESSAGE_BYTES - self.rest(content="")
        assert self.rest(content="x" * most) == MAX_MESSAGE_BYTES
        assert message(content="x" * most)["notification"]["body"] == "x" * most
        assert message(content="x" * (most + 1))["notification"]["body"] == "x" * (most - 3) + "…"

    @pytest.mark.parametrize("letter", ["x", "订", "😀", '"', "é", "👨‍👩‍👧"])
    def test_no_message_is_larger(self, letter: str):
        for count in (1000, 1365, 4000):
            assert self.rest(content=letter * count, title=letter * 20) <= MAX_MESSAGE_BYTES

    def test_the_content_gives_way_before_the_title(self):
        shown = message(title="题" * 1000, content="内" * 1000)["notification"]
        assert shown["title"] == "题" * 1000
        assert shown["body"].endswith("内…")

    def test_data_that_alone_is_too_large_is_told(self):
        with pytest.raises(MessageTooLargeError, match="too large for 4096 bytes"):
            prepared(custom={"x": "7" * 4096})


#: Every row of the table: HTTP status, details, words, and what it means.
_TOKEN = (Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET, None)
_MESSAGE = (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE, None)
_CALL = (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.TARGET, None)
_THROTTLED = (Verdict.RETRY, Reason.THROTTLED, Scope.KEY, None)
ARGUMENT, DEVICE = "INVALID_ARGUMENT", "Device message rate exceeded"
TABLE = [
    (404, "UNREGISTERED", [of_fcm("UNREGISTERED")], "Requested entity was not found.", *_TOKEN),
    (400, ARGUMENT, [of_fcm(ARGUMENT)], NO_TOKEN, *_TOKEN),
    (400, ARGUMENT, [of_fcm(ARGUMENT), of_fields("message.token")], "Request contains an invalid argument.", *_TOKEN),
    (400, ARGUMENT, [of_fields("message.token")], "no", *_TOKEN),
    (400, ARGUMENT, [of_fcm(ARGUMENT)], "Android message is too big", *_CALL),
    (400, ARGUMENT, [of_fields("message.data[0].value")], "Invalid value", *_MESSAGE),
    (400, ARGUMENT, [of_fields("message.token", "message.android.ttl")], "Invalid value", *_MESSAGE),
    (400, ARGUMENT, [of_fcm(ARGUMENT), of_fields("message")], "Recipient is not set", *_MESSAGE),
    (400, ARGUMENT, [], "Request contains an invalid argument.", *_MESSAGE),
    (403, "SENDER_ID_MISMATCH", [of_fcm("SENDER_ID_MISMATCH")], "SenderId mismatch", *_TOKEN),
    (
        *(401, "THIRD_PARTY_AUTH_ERROR", [of_fcm("THIRD_PARTY_AUTH_ERROR")], "Auth error from APNS or Web Push"),
        *(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, Blame.CERTIFICATE),
    ),
    (
        *(401, "APNS_AUTH_ERROR", [of_fcm("APNS_AUTH_ERROR")], "no"),
        *(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, Blame.CERTIFICATE),
    ),
    (
        *(401, "UNAUTHENTICATED", [], "Request had invalid authentication credentials."),
        *(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, Blame.CREDENTIALS),
    ),
    (
        *(403, "PERMISSION_DENIED", [], "Permission denied"),
        *(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, Blame.CREDENTIALS),
    ),
    (404, "NOT_FOUND", [], "no", Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, Blame.ENDPOINT),
    (429, "QUOTA_EXCEEDED", [of_fcm("QUOTA_EXCEEDED")], "Quota exceeded", *_THROTTLED),
    (429, "RESOURCE_EXHAUSTED", [], "Quota exceeded", *_THROTTLED),
    (
        *(
            429,
            "QUOTA_EXCEEDED",
            [of_fcm("QUOTA_EXCEEDED"), {"@type": QUOTA_FAILURE, "violations": [{"subject": DEVICE}]}],
        ),
        *("no", Verdict.RETRY, Reason.THROTTLED, Scope.TARGET, None),
    ),
    (
        *(500, "INTERNAL", [of_fcm("INTERNAL")], "Internal error encountered."),
        *(Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET, None),
    ),
    (
        *(503, "UNAVAILABLE", [of_fcm("UNAVAILABLE")], "The service is currently unavailable."),
        *(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY, None),
    ),
]


class TestAnswers:
    def test_the_table_is_whole(self):
        assert {code for _, code, *_ in TABLE} >= MEANINGS.keys()

    @pytest.mark.parametrize(("http_status", "code", "details", "text", "verdict", "reason", "scope", "blame"), TABLE)
    def test_each_error_has_its_meaning(self, http_status, code, details, text, verdict, reason, scope, blame):
        outcome = fcm.read(error(http_status, *details, status=code, text=text))
        found = (outcome.verdict, outcome.reason, outcome.scope, outcome.blame)
        assert found == (verdict, reason, scope, blame)
        assert (outcome.code, outcome.http_status) == (code, http_status)
        assert text in outcome.text
        assert outcome.is_token_stale == (code == "UNAUTHENTICATED")
        assert outcome.retry_after_seconds == (60.0 if http_status == 429 else None)

    def test_the_code_of_fcm_counts_more_than_the_status_of_google(self):
        outcome = fcm.read(error(404, of_fcm("UNREGISTERED"), status="NOT_FOUND"))
        assert (outcome.code, outcome.verdict) == ("UNREGISTERED", Verdict.BAD_TARGET)

    def test_a_code_of_fcm_without_its_detail_is_none(self):
        assert fcm.read(error(404, status="UNREGISTERED")).verdict is Verdict.FAILED

    def test_the_pause_that_google_wants_is_kept(self):
        answer = error(429, of_fcm("QUOTA_EXCEEDED"))
        answer = HttpResponse(429, answer.body, {"retry-after": "7"})
        assert fcm.read(answer).retry_after_seconds == 7.0
        assert fcm.read(HttpResponse(503, b"", {"retry-after": "9"})).retry_after_seconds == 9.0

    def test_a_projects_quota_stops_the_key_though_devices_are_spoken_of(self):
        failure = of_quota(subject="project:1", description="all devices")
        assert fcm.read(error(429, of_fcm("QUOTA_EXCEEDED"), failure)).scope is Scope.KEY

    @pytest.mark.parametrize("code", ["UNREGISTERED", "SENDER_ID_MISMATCH", "INVALID_ARGUMENT", "QUOTA_EXCEEDED"])
    def test_a_server_that_failed_says_nothing_else(self, code):
        assert fcm.read(error(500, of_fcm(code), text=NO_TOKEN)).verdict is Verdict.UNKNOWN
        assert fcm.read(error(503, of_fcm(code), text=NO_TOKEN)).reason is Reason.PROVIDER_BUSY

    @pytest.mark.parametrize(
        ("name", "push_id"),
        [
            ("projects/higo-shop/messages/0:17%31bd", "0:17%31bd"),
            ("projects/higo-shop/messages/fake_message_id", "fake_message_id"),
            ("projects/higo-shop/messages/<b>", ""),
        ],
    )
    def test_the_push_id_is_the_last_part_of_the_name(self, name, push_id):
        outcome = fcm.read(HttpResponse(200, json.dumps({"name": name}).encode()))
        assert (outcome.verdict, outcome.push_id) == (Verdict.ACCEPTED, push_id)

    @pytest.mark.parametrize("name", [None, "", 7, [], "messages/1", "projects/x/messages/", "projects/x/y/messages/1"])
    def test_without_a_name_nothing_is_known(self, name):
        assert fcm.read(HttpResponse(200, json.dumps({"name": name}).encode())).verdict is Verdict.UNKNOWN

    @pytest.mark.parametrize("details", [None, 7, "x", [None], [7], [{}], [{"@type": 7}], [{"@type": FCM_ERROR}], {}])
    def test_details_that_are_none_leave_the_status_to_speak(self, details):
        found = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": [], "details": details}}
        outcome = fcm.read(HttpResponse(403, json.dumps(found).encode()))
        assert (outcome.reason, outcome.scope) == (Reason.BAD_CREDENTIALS, Scope.KEY)

    @pytest.mark.parametrize("violations", [None, 7, "x", [None], [{}], [{"field": None}], {}])
    def test_fields_that_are_none_accuse_no_token(self, violations):
        detail = {"@type": BAD_REQUEST, "fieldViolations": violations}
        assert fcm.read(error(400, detail, status=ARGUMENT)).reason is Reason.BAD_PAYLOAD

    @pytest.mark.parametrize("found", [None, 7, "x", [], {"code": 404}])
    def test_an_error_that_is_none_leaves_the_status_to_speak(self, found):
        outcome = fcm.read(HttpResponse(404, json.dumps({"error": found}).encode()))
        assert (outcome.reason, outcome.blame) == (Reason.BAD_CREDENTIALS, Blame.ENDPOINT)


class TestCheck:
    def test_it_is_only_looked_at(self):
        made = fcm.check(credentials(), now=NOW)
        assert made.url == "https://fcm.googleapis.com/v1/projects/higo-shop/messages:send"
        found = json.loads(made.body)
        assert (found["validate_only"], found["message"]["token"]) == (True, CHECK_TOKEN)
        assert "notification" not in found["message"]

    @pytest.mark.parametrize("row", [row for row in TABLE if row[4:7] in (_TOKEN[:3], _CALL[:3])])
    def test_that_the_token_is_nobodys_means_that_the_key_is_right(self, row):
        http_status, code, details, text, *_ = row
        outcome = fcm.read_check(error(http_status, *details, status=code, text=text))
        assert (outcome.verdict, outcome.code) == (Verdict.ACCEPTED, code)

    @pytest.mark.parametrize("row", [row for row in TABLE if row[4:7] not in (_TOKEN[:3], _CALL[:3])])
    def test_every_other_error_is_told(self, row):
        http_status, code, details, text, verdict, *_ = row
        assert fcm.read_check(error(http_status, *details, status=code, text=text)).verdict is verdict

    def test_a_yes_is_one(self):
        answer = HttpResponse(200, b'{"name":"projects/higo-shop/messages/fake_message_id"}')
        assert fcm.read_check(answer).verdict is Verdict.ACCEPTED
