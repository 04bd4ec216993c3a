"""Made-up keys of every vendor, for demos: they open nothing but the sandbox."""

import json
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pushes.names import ProviderKind

KEY_ID, PROJECT, APP_KEY, HARMONY_PROJECT, APP_ID = "SAMPLE0001", "higo-sample", "5a" * 12, "900000001", "900000002"


def entered(kind: ProviderKind) -> dict[str, str]:
    """What an operator would enter for a key of this kind; private keys are made now. Raises KeyError for a kind whose
    keys have an access id and a secret."""
    return _ENTERED[kind]()


def _apns() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return {"key_file": _pem(key), "key_id": KEY_ID, "team_id": "SAMPLETEAM", "topic": "com.example.higo"}


def _fcm() -> dict[str, str]:
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "5a" * 20,
        "private_key": _pem(rsa.generate_private_key(65537, 2048)),
        "client_email": f"sample@{PROJECT}.iam.gserviceaccount.com",
    }
    return {"service_account": json.dumps(account)}


def _jpush() -> dict[str, str]:
    return {"app_key": APP_KEY, "master_secret": "a5" * 12}


def _huawei_v1() -> dict[str, str]:
    return {"app_id": APP_ID, "client_secret": "0123456789abcdef" * 4}


def _huawei_v3() -> dict[str, str]:
    account = {
        "project_id": HARMONY_PROJECT,
        "key_id": "5a" * 16,
        "sub_account": "900000003",
        "private_key": _pem(rsa.generate_private_key(65537, 2048)),
    }
    return {"service_account": json.dumps(account)}


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    style = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, style, serialization.NoEncryption()).decode()


_ENTERED: dict[ProviderKind, Callable[[], dict[str, str]]] = {
    ProviderKind.APNS: _apns,
    ProviderKind.FCM: _fcm,
    ProviderKind.JPUSH: _jpush,
    ProviderKind.HUAWEI_V3: _huawei_v3,
    ProviderKind.HUAWEI_V1: _huawei_v1,
}
