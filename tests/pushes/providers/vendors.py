"""What the contract has to know about each vendor: a key, a device token, and how the vendor says yes and no."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pushes.names import Platform, ProviderKind
from pushes.providers.base import HttpResponse
from tests.pushes.providers.key_files import OTHER_P256, OTHER_RSA, P256, RSA, pem_of

SECRET = "fedcba9876543210fedcba9876543210"


class Words(NamedTuple):
    """An answer of the vendor."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    @property
    def answer(self) -> HttpResponse:
        return HttpResponse(self.status, self.body, {name.lower(): value for name, value in self.headers.items()})

    def under(self, status: int) -> "Words":
        """Return the same words under another status."""
        return self._replace(status=status)


@dataclass(frozen=True)
class Vendor:
    """`yes` accepts a push; `bad_token`, `bad_key`, `bad_message` and `throttled` refuse it; `good_key` is what a
    `check` is answered when the key is right. `empty_is_yes`: an answer without a body accepts. `wrong` and `unknown`
    change what was entered: to a secret that is not the key's, and to a key that the vendor does not know. `has_clock`:
    calls say when they are made."""

    kind: ProviderKind
    platform: Platform
    entered: Mapping[str, str]
    token: str
    yes: Words
    bad_token: Words
    bad_key: Words
    bad_message: Words
    throttled: Words
    good_key: Words
    access_token: str = field(default="", repr=False)
    push_id: str = ""
    empty_is_yes: bool = False
    wrong: Mapping[str, str] = field(default_factory=dict, repr=False)
    unknown: Mapping[str, str] = field(default_factory=dict, repr=False)
    has_clock: bool = True

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.platform}"


def _said(status: int, **fields: object) -> Words:
    return Words(status, json.dumps(fields).encode(), {"Content-Type": "application/json"})


def _of_tencent(kind: ProviderKind, platform: Platform, access_id: str, length: int) -> Vendor:
    codes = (1008029, 1008003, 1008007, 1008028) if kind == ProviderKind.TPNS else (40, -3, -1, 76)
    bad_token, bad_key, bad_message, throttled = (
        _said(200, ret_code=code, err_msg="sign error" if code == -3 else "no") for code in codes
    )
    return Vendor(
        kind,
        platform,
        {"access_id": access_id, "secret": SECRET},
        "7" * length,
        yes=_said(200, ret_code=0, push_id="2854657652", result={"push_id": "2854657652"}),
        bad_token=bad_token,
        bad_key=bad_key,
        bad_message=bad_message,
        throttled=throttled,
        good_key=_said(200, ret_code=0),
        push_id="2854657652",
        wrong={"secret": SECRET[::-1]},
        unknown={"access_id": str(int(access_id) + 9_000)},
    )


def _fcm_error(http_status: int, code: str, text: str) -> Words:
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}
    return _said(http_status, error={"code": http_status, "message": text, "status": code, "details": [detail]})


SERVICE_ACCOUNT = {
    "type": "service_account",
    "project_id": "higo-shop",
    "private_key_id": "0123456789abcdef0123456789abcdef01234567",
    "private_key": pem_of(RSA),
    "client_email": "firebase-adminsdk-x1@higo-shop.iam.gserviceaccount.com",
    "client_id": "100000000000000000001",
    "token_uri": "https://oauth2.googleapis.com/token",
}
APNS_ID = "5F0C6A9B-3D4E-4F55-8A21-9C9B6D7E8F90"
NO_TOKEN = "The registration token is not a valid FCM registration token"

HUAWEI_ACCOUNT = {
    "project_id": "388421841222199046",
    "key_id": "abcdef0123456789abcdef0123456789",
    "private_key": pem_of(RSA),
    "sub_account": "105678901",
    "auth_uri": "https://oauth-login.cloud.huawei.com/oauth2/v3/authorize",
}
JPUSH_ID = "18100287008546151"


def _of_jpush(platform: Platform) -> Vendor:
    def error(status: int, code: int, text: str) -> Words:
        return _said(status, error={"code": code, "message": text})

    return Vendor(
        ProviderKind.JPUSH,
        platform,
        {"app_key": "0123456789abcdef01234567", "master_secret": "89abcdef0123456789abcdef"},
        "170976fa8aba0c3e5b1",
        yes=_said(200, sendno="0", msg_id=JPUSH_ID),
        bad_token=error(400, 1011, "cannot find user by this audience"),
        bad_key=error(401, 1004, "basic authentication failed"),
        bad_message=error(400, 1005, "too long"),
        throttled=error(429, 2002, "rate limit"),
        good_key=error(400, 1011, "cannot find user by this audience"),
        push_id=JPUSH_ID,
        wrong={"master_secret": "0" * 24},
        unknown={"app_key": "1" * 24},
        has_clock=False,
    )


def _of_huawei(
    kind: ProviderKind,
    platform: Platform,
    entered: Mapping[str, str],
    *,
    wrong: Mapping[str, str],
    unknown: Mapping[str, str],
) -> Vendor:
    def answer(code: str, text: str, status: int = 200) -> Words:
        return _said(status, code=code, msg=text, requestId="167000000000000000000001")

    return Vendor(
        kind,
        platform,
        entered,
        "IQAAAACy0" + "x" * 100,
        yes=answer("80000000", "Success"),
        bad_token=answer("80300007", "All the tokens are invalid", 400),
        bad_key=answer("80200001", "Authentication Error", 401),
        bad_message=answer("80300008", "Push message size is too long", 400),
        throttled=answer("80300029", "the api request exceed limit", 400),
        good_key=answer("80300007", "All the tokens are invalid", 400),
        access_token="a.huawei.token",
        wrong=wrong,
        unknown=unknown,
        has_clock=kind == ProviderKind.HUAWEI_V3,
    )


VENDORS = [
    _of_tencent(ProviderKind.XINGE_V2, Platform.ANDROID, "2100000101", 40),
    _of_tencent(ProviderKind.XINGE_V2, Platform.IOS, "2200000101", 64),
    _of_tencent(ProviderKind.SANDBOX, Platform.ANDROID, "2100000102", 40),
    _of_tencent(ProviderKind.SANDBOX, Platform.IOS, "2200000102", 64),
    _of_tencent(ProviderKind.TPNS, Platform.ANDROID, "1500000101", 36),
    _of_tencent(ProviderKind.TPNS, Platform.IOS, "1600000101", 36),
    Vendor(
        ProviderKind.APNS,
        Platform.IOS,
        {"key_file": pem_of(P256), "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ", "topic": "com.higo.shop"},
        "7a" * 32,
        yes=Words(200, b"", {"apns-id": APNS_ID}),
        bad_token=_said(400, reason="BadDeviceToken"),
        bad_key=_said(403, reason="InvalidProviderToken"),
        bad_message=_said(413, reason="PayloadTooLarge"),
        throttled=_said(429, reason="TooManyProviderTokenUpdates"),
        good_key=_said(400, reason="BadDeviceToken"),
        access_token="an.access.token",
        push_id=APNS_ID,
        empty_is_yes=True,
        wrong={"key_file": pem_of(OTHER_P256)},
        unknown={"key_id": "ZZZ999ZZZZ"},
    ),
    Vendor(
        ProviderKind.FCM,
        Platform.ANDROID,
        {"service_account": json.dumps(SERVICE_ACCOUNT)},
        "dQ4w9:APA91b" + "x" * 150,
        yes=_said(200, name="projects/higo-shop/messages/0:1700000000000000%31bd1c9631bd1c96"),
        bad_token=_fcm_error(404, "UNREGISTERED", "Requested entity was not found."),
        bad_key=_said(403, error={"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}),
        bad_message=_said(400, error={"code": 400, "message": "invalid", "status": "INVALID_ARGUMENT"}),
        throttled=_fcm_error(429, "QUOTA_EXCEEDED", "Quota exceeded."),
        good_key=_fcm_error(400, "INVALID_ARGUMENT", NO_TOKEN),
        access_token="ya29.an-access-token",
        push_id="0:1700000000000000%31bd1c9631bd1c96",
        wrong={"service_account": json.dumps(SERVICE_ACCOUNT | {"private_key": pem_of(OTHER_RSA)})},
        unknown={"service_account": json.dumps(SERVICE_ACCOUNT | {"client_email": "x@y.iam.gserviceaccount.com"})},
    ),
    _of_jpush(Platform.ANDROID),
    _of_jpush(Platform.IOS),
    _of_jpush(Platform.HARMONY),
    _of_huawei(
        ProviderKind.HUAWEI_V3,
        Platform.HARMONY,
        {"service_account": json.dumps(HUAWEI_ACCOUNT)},
        wrong={"service_account": json.dumps(HUAWEI_ACCOUNT | {"private_key": pem_of(OTHER_RSA)})},
        unknown={"service_account": json.dumps(HUAWEI_ACCOUNT | {"project_id": "99"})},
    ),
    _of_huawei(
        ProviderKind.HUAWEI_V1,
        Platform.ANDROID,
        {"app_id": "100234567", "client_secret": SECRET * 2},
        wrong={"client_secret": SECRET},
        unknown={"app_id": "99"},
    ),
]
