"""APNs: keys, access tokens, calls and answers. What holds for every provider stands in test_contract.py."""

import base64
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pushes.names import Environment, Platform, Reason
from pushes.providers.apns import CHECK_TOKEN, DELAY_SECONDS, MAX_MESSAGE_BYTES, Apns, ApnsMessage
from pushes.providers.apns_codes import MEANINGS
from pushes.providers.base import (
    AccessToken,
    CredentialsError,
    HttpRequest,
    HttpResponse,
    MessageTooLargeError,
    PreparedMessage,
)
from pushes.values import Blame, Credentials, Notification, Outcome, Scope, Verdict
from tests.pushes.providers.key_files import P256, RSA, pem_of

NOW = 1_764_230_400
TOKEN = "0a" * 32
ENTERED = {"key_file": pem_of(P256), "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ", "topic": "com.higo.shop"}

apns = Apns()


def credentials(environment: Environment = Environment.PRODUCTION, url: str = "") -> Credentials:
    access_id, secret = apns.sealed(ENTERED)
    return Credentials("apns", access_id, url, Platform.IOS, environment, secret, "a.b.c")


def notification(**fields: Any) -> Notification:
    values: dict[str, Any] = {"title": "题", "content": "内容", "custom": {"type": 5}, "expire_seconds": 3600}
    return Notification(**values | fields)


def prepared(**fields: Any) -> ApnsMessage:
    return apns.prepare(credentials(), notification(**fields))


def request(**fields: Any) -> HttpRequest:
    return apns.to_device(prepared(**fields), TOKEN, now=NOW)


def body(**fields: Any) -> Any:
    return json.loads(request(**fields).body)


def headers(**fields: Any) -> dict[str, str]:
    return dict(header.split(": ", 1) for header in request(**fields).headers)


def read(status: int, reason: object = "", **fields: object) -> Outcome:
    return apns.read(HttpResponse(status, json.dumps({"reason": reason, **fields}).encode()))


class TestKeys:
    def test_the_key_id_names_the_key(self):
        sealed = apns.sealed(ENTERED)
        assert sealed.access_id == "ABC123DEFG"
        assert json.loads(sealed.secret) == {
            "key_id": "ABC123DEFG",
            "team_id": "DEF123GHIJ",
            "topic": "com.higo.shop",
            "pem": pem_of(P256),
        }

    def test_blanks_around_what_was_entered_do_not_count(self):
        spaced = {name: f" {value}\r\n" for name, value in ENTERED.items()}
        assert apns.sealed(spaced) == apns.sealed(ENTERED)

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("key_id", "ABC123DEF", "“ABC123DEF” is not a valid key ID"),
            ("key_id", "AuthKey_ABC123DEFG.p8", "not a valid key ID"),
            ("key_id", "ABC123DEF键", "not a valid key ID"),
            ("team_id", "DEF123GHIJK", "“DEF123GHIJK” is not a valid team ID"),
            ("team_id", "DEF 23GHIJ", "not a valid team ID"),
            ("topic", "shop", "“shop” is not a valid bundle ID"),
            ("topic", "com..shop", "not a valid bundle ID"),
            ("topic", "com.higo.shop\nx: y", "not a valid bundle ID"),
            ("topic", "com.higo/shop", "not a valid bundle ID"),
            ("topic", "com." + "x" * 200, "not a valid bundle ID"),
            ("key_file", "AuthKey_ABC123DEFG.p8", "not a key file"),
            ("key_file", pem_of(RSA), "an RSA key"),
            ("key_file", pem_of(ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
            (
                "key_file",
                P256.public_key()
                .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
                .decode(),
                "a public key",
            ),
            (
                "key_file",
                P256.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.BestAvailableEncryption(b"x"),
                ).decode(),
                "passphrase",
            ),
        ],
    )
    def test_what_is_wrong_is_told_with_its_field(self, name: str, value: str, words: str):
        with pytest.raises(CredentialsError, match=words) as caught:
            apns.sealed({**ENTERED, name: value})
        assert caught.value.field == name

    def test_a_key_in_the_wrong_field_is_not_repeated(self):
        for name in ("key_id", "team_id", "topic"):
            with pytest.raises(CredentialsError) as caught:
                apns.sealed({**ENTERED, name: pem_of(P256)})
            assert pem_of(P256)[40:60] not in str(caught.value)


class TestAccessTokens:
    def token(self, now: int) -> AccessToken:
        return apns.access_token(credentials(), now=now)

    def test_it_names_key_team_and_moment(self):
        head, claims, signature = self.token(NOW).text.split(".")
        assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "ES256", "kid": "ABC123DEFG"}
        made_at = self.token(NOW).made_at
        assert json.loads(base64.urlsafe_b64decode(claims + "==")) == {"iss": "DEF123GHIJ", "iat": made_at}
        assert len(signature) == 86

    def test_one_begins_every_forty_minutes_whoever_makes_it_and_whenever(self):
        """Every minute of a day: APNs wants no two tokens within 20 minutes, and none older than 60."""
        tokens = [self.token(now) for now in range(NOW, NOW + 86_400, 60)]
        changes = [number for number in range(1, len(tokens)) if tokens[number] != tokens[number - 1]]
        assert {after - before for before, after in pairwise(changes)} == {40}
        ages = [now - token.made_at for now, token in zip(range(NOW, NOW + 86_400, 60), tokens, strict=True)]
        assert (min(ages), max(ages)) == (DELAY_SECONDS, 2400)

    def test_it_is_renewed_at_four_fifths_of_its_life_which_is_when_the_next_begins(self):
        token = self.token(NOW)
        renewed_at = token.made_at + (token.expires_at - token.made_at) * 4 // 5
        assert self.token(renewed_at - 1) == token
        assert self.token(renewed_at).made_at == token.made_at + 2400
        assert token.expires_at - token.made_at < 3600

    def test_a_clock_that_is_a_little_ahead_signs_nothing_of_the_future(self):
        slot_begins = NOW // 2400 * 2400
        assert all(self.token(now).made_at <= now - 60 for now in range(slot_begins, slot_begins + 130))

    def test_it_is_not_shown(self):
        assert self.token(NOW).text not in repr(self.token(NOW))


class TestCalls:
    def test_a_push_to_a_device(self):
        made = request()
        assert made.url == f"https://api.push.apple.com/3/device/{TOKEN}"
        assert made.http2
        assert made.headers == (
            "authorization: bearer a.b.c",
            "apns-topic: com.higo.shop",
            "apns-push-type: alert",
            "apns-priority: 10",
            f"apns-expiration: {NOW + 3600}",
            "content-type: application/json",
        )
        assert body() == {"aps": {"alert": {"title": "题", "body": "内容"}, "sound": "default"}, "type": 5}

    def test_a_test_build_is_reached_through_apples_sandbox(self):
        message = apns.prepare(credentials(Environment.LOCAL), notification())
        assert apns.to_device(message, TOKEN, now=NOW).url == f"https://api.sandbox.push.apple.com/3/device/{TOKEN}"

    def test_all_that_it_can_say(self):
        full = {
            "subtitle": "副题",
            "badge": 0,
            "sound": "ding.caf",
            "thread": "group:7",
            "category": "CHAT",
            "image": "https://img.example.com/1.jpg",
            "link": "higo://order/7",
            "replace_id": 9,
        }
        assert body(**full) == {
            "aps": {
                "alert": {"title": "题", "subtitle": "副题", "body": "内容"},
                "badge": 0,
                "sound": "ding.caf",
                "thread-id": "group:7",
                "category": "CHAT",
                "mutable-content": 1,
            },
            "n_id": 9,
            "link": "higo://order/7",
            "image": "https://img.example.com/1.jpg",
            "type": 5,
        }
        assert headers(**full)["apns-collapse-id"] == "9"

    def test_keys_of_different_ids_use_different_connections(self):
        """By Apple's engineers, a connection is for one team and one key at a time."""
        ours, others = credentials(), replace(credentials(), access_id="OTHER67890")
        messages = [apns.prepare(one, notification()) for one in (ours, others)]
        words = [apns.to_device(message, TOKEN, now=NOW).connection for message in messages]
        assert words == [ours.access_id, "OTHER67890"]
        assert apns.check(others, now=NOW).connection == "OTHER67890"

    def test_what_can_wait_is_sent_to_save_power(self):
        assert headers(is_urgent=False)["apns-priority"] == "5"

    def test_it_is_kept_no_longer_than_it_may_be(self):
        assert headers(expire_seconds=10**9)["apns-expiration"] == str(NOW + 2_592_000)
        assert headers(expire_seconds=-5)["apns-expiration"] == str(NOW + 1)

    def test_own_keys_override_nothing(self):
        found = body(custom={"aps": 1, "n_id": 2, "link": 3, "image": 4}, link="higo://x", replace_id=9)
        assert found["aps"]["alert"] == {"title": "题", "body": "内容"}
        own = {name: value for name, value in found.items() if name != "aps"}
        assert own == {
            "n_id": 9,
            "link": "higo://x",
            "custom_aps": 1,
            "custom_n_id": 2,
            "custom_link": 3,
            "image": 4,  # nobody else's, as long as the push has no image
        }

    def test_everything_but_the_address_is_made_once(self):
        message = prepared()
        first, second = (apns.to_device(message, token, now=NOW) for token in (TOKEN, "0b" * 32))
        assert first.body is second.body
        assert first.headers is second.headers
        assert first.url != second.url

    def test_a_message_of_another_provider_is_refused(self):
        with pytest.raises(TypeError, match="PreparedMessage"):
            apns.to_device(PreparedMessage(credentials(), "{}"), TOKEN, now=NOW)

    def test_a_device_without_a_token_is_not_called(self):
        with pytest.raises(ValueError, match="token is empty"):
            apns.to_device(prepared(), "", now=NOW)


class TestSize:
    def size(self, **fields: Any) -> int:
        return len(request(**fields).body)

    def test_a_text_that_just_fits_is_whole(self):
        room = MAX_MESSAGE_BYTES - self.size(content="")
        most = room - len(',"body":""')
        assert self.size(content="x" * most) == MAX_MESSAGE_BYTES
        assert body(content="x" * most)["aps"]["alert"]["body"] == "x" * most

    def test_one_byte_more_is_cut(self):
        most = MAX_MESSAGE_BYTES - self.size(content="") - len(',"body":""')
        found = body(content="x" * (most + 1))["aps"]["alert"]["body"]
        assert found == "x" * (most - 3) + "…"

    @pytest.mark.parametrize("letter", ["x", "订", "😀", '"', "\\", "é", "👨‍👩‍👧"])
    @pytest.mark.parametrize("subtitle", ["", "副题"])
    def test_no_message_is_larger(self, letter: str, subtitle: str):
        for count in (1000, 1365, 4000):
            size = self.size(content=letter * count, subtitle=subtitle)
            assert size <= MAX_MESSAGE_BYTES
            assert size > 3000 - 30 or letter * count == body(content=letter * count)["aps"]["alert"]["body"]

    def test_the_content_gives_way_before_the_subtitle_and_that_before_the_title(self):
        alert = body(title="题" * 600, subtitle="副" * 900, content="内" * 600)["aps"]["alert"]
        assert alert["title"] == "题" * 600
        assert alert["subtitle"].endswith("副…")
        assert len(alert.get("body", "")) <= 1

    def test_data_that_alone_is_too_large_is_told(self):
        with pytest.raises(MessageTooLargeError, match="too large for 4096 bytes"):
            prepared(custom={"x": "7" * 4096})

    def test_broken_text_is_made_whole(self):
        assert body(title="\ud83d\ude00", content="\ud800", custom={"a": "\ud800"})["aps"]["alert"] == {
            "title": "😀",
            "body": "\ufffd",
        }


#: Every row of the table: status, reason, verdict, reason in our words, what it reaches, who is to blame.
KEY, TARGET, MESSAGE = Scope.KEY, Scope.TARGET, Scope.MESSAGE
_TOKEN = (Verdict.BAD_TARGET, Reason.BAD_TOKEN, TARGET, None)
_MESSAGE = (Verdict.FAILED, Reason.BAD_PAYLOAD, MESSAGE, None)
_CALL = (Verdict.FAILED, Reason.BAD_PAYLOAD, TARGET, None)
_KEY = (Verdict.FAILED, Reason.BAD_CREDENTIALS, KEY, Blame.CREDENTIALS)
TABLE = [
    (400, "BadDeviceToken", *_TOKEN),
    (400, "DeviceTokenNotForTopic", *_TOKEN),
    (400, "BadTopic", *_KEY),
    (400, "MissingTopic", *_KEY),
    (400, "TopicDisallowed", *_KEY),
    (400, "BadCollapseId", *_MESSAGE),
    (400, "BadExpirationDate", *_MESSAGE),
    (400, "BadMessageId", *_MESSAGE),
    (400, "BadPriority", *_MESSAGE),
    (400, "DuplicateHeaders", *_MESSAGE),
    (400, "InvalidPushType", *_MESSAGE),
    (400, "MissingDeviceToken", *_CALL),
    (400, "PayloadEmpty", *_MESSAGE),
    (400, "IdleTimeout", Verdict.RETRY, Reason.PROVIDER_BUSY, TARGET, None),
    (403, "ExpiredProviderToken", Verdict.FAILED, Reason.BAD_CREDENTIALS, KEY, Blame.CLOCK),
    (403, "InvalidProviderToken", *_KEY),
    (403, "MissingProviderToken", *_KEY),
    (403, "Forbidden", *_KEY),
    (403, "BadCertificate", *_KEY),
    (403, "BadCertificateEnvironment", *_KEY),
    (403, "UnrelatedKeyIdInToken", *_KEY),
    (403, "BadEnvironmentKeyIdInToken", *_KEY),
    (404, "BadPath", *_CALL),
    (405, "MethodNotAllowed", *_MESSAGE),
    (410, "Unregistered", *_TOKEN),
    (410, "ExpiredToken", *_TOKEN),
    (413, "PayloadTooLarge", *_MESSAGE),
    (429, "TooManyProviderTokenUpdates", Verdict.RETRY, Reason.THROTTLED, KEY, None),
    (429, "TooManyRequests", Verdict.RETRY, Reason.THROTTLED, TARGET, None),
    (500, "InternalServerError", Verdict.UNKNOWN, Reason.PROVIDER_ERROR, TARGET, None),
    (503, "ServiceUnavailable", Verdict.RETRY, Reason.PROVIDER_BUSY, KEY, None),
    (503, "Shutdown", Verdict.RETRY, Reason.PROVIDER_BUSY, KEY, None),
]


class TestAnswers:
    def test_the_table_is_whole(self):
        assert [reason for _, reason, *_ in TABLE if reason not in MEANINGS] == []
        assert MEANINGS.keys() == {reason for _, reason, *_ in TABLE}

    @pytest.mark.parametrize(("status", "why", "verdict", "reason", "scope", "blame"), TABLE)
    def test_each_reason_has_its_meaning(self, status, why, verdict, reason, scope, blame):
        outcome = read(status, why)
        found = (outcome.verdict, outcome.reason, outcome.scope, outcome.blame)
        assert found == (verdict, reason, scope, blame)
        assert (outcome.code, outcome.http_status) == (why, status)
        assert outcome.is_token_stale == (why == "ExpiredProviderToken")

    def test_an_accepted_push_has_apples_id(self):
        answer = HttpResponse(200, b"", {"apns-id": "5F0C6A9B-3D4E-4F55-8A21-9C9B6D7E8F90"})
        assert apns.read(answer).push_id == "5F0C6A9B-3D4E-4F55-8A21-9C9B6D7E8F90"

    @pytest.mark.parametrize(("value", "kept"), [("", ""), ("a b", ""), ("<b>", ""), ("推送", "")])
    def test_an_id_that_is_none_is_not_kept(self, value, kept):
        outcome = apns.read(HttpResponse(200, b"", {"apns-id": value}))
        assert (outcome.verdict, outcome.push_id) == (Verdict.ACCEPTED, kept)

    def test_too_many_tokens_mean_a_pause_of_twenty_minutes(self):
        assert read(429, "TooManyProviderTokenUpdates").retry_after_seconds == 1200

    def test_a_device_that_gets_too_many_pushes_is_left_alone_for_a_minute(self):
        assert read(429, "TooManyRequests").retry_after_seconds == 60

    def test_a_dead_token_is_dead_since_the_moment_that_is_named(self):
        assert read(410, "Unregistered", timestamp=1_764_230_400_123).dead_since == 1_764_230_400.123

    @pytest.mark.parametrize("moment", [None, "1764230400123", 0, -5, True, 1.5, [], {}, 2**60])
    def test_a_moment_that_is_none_is_not_believed(self, moment):
        outcome = read(410, "Unregistered", timestamp=moment)
        assert (outcome.verdict, outcome.dead_since) == (Verdict.BAD_TARGET, None)

    def test_only_a_410_tells_since_when(self):
        assert read(400, "BadDeviceToken", timestamp=1_764_230_400_123).dead_since is None

    @pytest.mark.parametrize("status", [400, 403, 404, 410, 429])
    @pytest.mark.parametrize("reason", ["SomethingNew", "", None, 7, [], {"a": 1}, "x" * 100, "<b>x</b>"])
    def test_a_reason_that_nobody_knows_leaves_the_status_to_speak(self, status, reason):
        known = {400: Scope.MESSAGE, 403: Scope.KEY, 404: Scope.KEY, 410: Scope.KEY, 429: Scope.KEY}
        outcome = read(status, reason)
        assert outcome.scope is known[status]
        assert outcome.verdict is not Verdict.BAD_TARGET
        assert outcome.code == ("SomethingNew" if reason == "SomethingNew" else "")

    @pytest.mark.parametrize("reason", ["BadDeviceToken", "Unregistered", "InvalidProviderToken", "BadTopic"])
    def test_a_server_that_failed_says_nothing_of_token_or_key(self, reason):
        assert read(500, reason).verdict is Verdict.UNKNOWN
        assert read(503, reason).reason is Reason.PROVIDER_BUSY

    def test_busy_under_a_wrong_status_is_not_believed(self):
        assert read(400, "Shutdown").reason is Reason.BAD_PAYLOAD

    @pytest.mark.parametrize("body", [b"{}", b'{"ok":true}', b" ", b"<html>", b'{"reason":""}'])
    def test_a_200_with_a_body_is_not_apples(self, body):
        assert apns.read(HttpResponse(200, body)).verdict is Verdict.UNKNOWN


class TestCheck:
    def test_it_shows_nothing_to_nobody(self):
        made = apns.check(credentials(), now=NOW)
        assert made.url == f"https://api.push.apple.com/3/device/{CHECK_TOKEN}"
        assert len(CHECK_TOKEN) == 64
        assert json.loads(made.body) == {"aps": {"content-available": 1}}
        found = dict(header.split(": ", 1) for header in made.headers)
        assert found["apns-push-type"] == "background"
        assert found["apns-priority"] == "5"
        assert found["apns-topic"] == "com.higo.shop"
        assert found["apns-expiration"] == str(NOW)

    @pytest.mark.parametrize("why", ["BadDeviceToken", "Unregistered", "ExpiredToken"])
    def test_that_the_token_is_nobodys_means_that_the_key_is_right(self, why):
        status = 400 if why == "BadDeviceToken" else 410
        outcome = apns.read_check(HttpResponse(status, json.dumps({"reason": why}).encode()))
        assert (outcome.verdict, outcome.code) == (Verdict.ACCEPTED, why)

    @pytest.mark.parametrize(
        "row", [row for row in TABLE if row[1] not in ("BadDeviceToken", "Unregistered", "ExpiredToken")]
    )
    def test_every_other_reason_is_told(self, row):
        status, why, verdict, *_ = row
        outcome = apns.read_check(HttpResponse(status, json.dumps({"reason": why}).encode()))
        assert (outcome.verdict, outcome.code) == (verdict, why)

    def test_a_busy_server_that_speaks_of_a_token_is_not_believed(self):
        outcome = apns.read_check(HttpResponse(500, b'{"reason":"BadDeviceToken"}'))
        assert outcome.verdict is Verdict.UNKNOWN
