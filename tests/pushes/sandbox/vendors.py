"""Keys of the vendors, made as an operator makes them, and calls that share nothing with `pushes.providers`."""

import json
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import jwt
import pycurl

from pushes.names import ProviderKind
from pushes.providers.base import Sealed
from pushes.providers.registry import provider
from tests.pushes.providers.key_files import P256, RSA, pem_of
from tests.pushes.providers.vendors import VENDORS
from tests.sandbox_process import Sandbox


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


def entered(kind: ProviderKind) -> Mapping[str, str]:
    return next(vendor.entered for vendor in VENDORS if vendor.kind == kind)


def known(sandbox: Sandbox, kind: ProviderKind, **changes: str) -> Sealed:
    """A key of this kind that the sandbox knows."""
    sealed = provider(kind).sealed({**entered(kind), **changes})
    sandbox.add_key(sealed.access_id, sealed.secret)
    return sealed


def call(
    url: str,
    body: bytes | str,
    headers: Mapping[str, str],
    *,
    http2: bool = False,
    ca_file: str = "",
    method: str = "POST",
    seconds: int = 10,
) -> Answer:
    """One call by libcurl. Over a plain URL, HTTP/2 by prior knowledge."""
    curl, found, heads = pycurl.Curl(), BytesIO(), BytesIO()
    plain = pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE if url.startswith("http:") else pycurl.CURL_HTTP_VERSION_2TLS
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.HTTP_VERSION, plain if http2 else pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.CUSTOMREQUEST, method)
    curl.setopt(pycurl.POSTFIELDS, body)
    curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
    curl.setopt(pycurl.WRITEDATA, found)
    curl.setopt(pycurl.HEADERFUNCTION, heads.write)
    curl.setopt(pycurl.TIMEOUT, seconds)
    if ca_file:
        curl.setopt(pycurl.CAINFO, ca_file)
    try:
        curl.perform()
        status = curl.getinfo(pycurl.RESPONSE_CODE)
    finally:
        curl.close()
    lines = [line.partition(":") for line in heads.getvalue().decode().splitlines() if ":" in line]
    said = {name.strip().lower(): value.strip() for name, _, value in lines}
    return Answer(status, json.loads(found.getvalue()) if found.getvalue().startswith(b"{") else None, said)


def apns_token(key: str = "", key_id: str = "ABC123DEFG", team: str = "DEF123GHIJ", iat: float | None = None) -> str:
    claims = {"iss": team, "iat": int(time.time() if iat is None else iat)}
    return jwt.encode(claims, key or pem_of(P256), algorithm="ES256", headers={"kid": key_id})


def huawei_token(account: Mapping[str, str], *, seconds: int = 3600, iat: float | None = None, key: str = "") -> str:
    made_at = int(time.time() if iat is None else iat)
    audience = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
    claims = {"iss": account["sub_account"], "aud": audience, "iat": made_at, "exp": made_at + seconds}
    return jwt.encode(claims, key or pem_of(RSA), algorithm="PS256", headers={"kid": account["key_id"]})


def google_assertion(account: Mapping[str, str], *, key: str = "", **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    }
    header = {"kid": account["private_key_id"]}
    return jwt.encode(claims | changes, key or pem_of(RSA), algorithm="RS256", headers=header)
