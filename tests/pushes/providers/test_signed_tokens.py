"""Signatures are held against the library's own verification, and against the vector of RFC 6979."""

import base64
import json
from functools import partial
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from pushes.providers import signed_tokens
from pushes.providers.signed_tokens import KeyUnusableError
from tests.pushes.providers.key_files import P256, RSA, pem_of

#: RFC 6979, A.2.5.
SCALAR = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
VECTOR = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQzEyM0RFRkcifQ.eyJpc3MiOiJERUYxMjNHSElKIiwiaWF0IjoxNzY0MjMwNDAwfQ."
    "wi3S-pxjonACSHlTsxDn7pmeU0nSs_dwotbpZVl7vbRu2zMfubSGcd9tZVIhkFkRmMPJLqobRpOuIjtkxe_j3w"
)
HEADER, CLAIMS = {"kid": "ABC123DEFG"}, {"iss": "DEF123GHIJ", "iat": 1764230400}


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    head, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    return json.loads(head), json.loads(claims), signature


def test_es256_gives_the_known_token():
    key = ec.derive_private_key(SCALAR, ec.SECP256R1())
    assert signed_tokens.es256(pem_of(key), HEADER, CLAIMS) == VECTOR


def test_es256_signs_with_raw_numbers_and_always_alike():
    token = signed_tokens.es256(pem_of(P256), HEADER, CLAIMS)
    assert token == signed_tokens.es256(pem_of(P256), HEADER, CLAIMS)
    raw = parts(token)[2]
    assert len(raw) == 64
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    P256.public_key().verify(der, token.rpartition(".")[0].encode(), ec.ECDSA(hashes.SHA256()))


def test_es256_pads_short_numbers():
    """One number in 256 has a leading zero byte, which the signature keeps."""
    tokens = [signed_tokens.es256(pem_of(P256), HEADER, {"iat": number}) for number in range(600)]
    signatures = [parts(token)[2] for token in tokens]
    assert {len(signature) for signature in signatures} == {64}
    assert any(signature[0] == 0 or signature[32] == 0 for signature in signatures)


def test_rs256_is_verified_by_the_public_key():
    token = signed_tokens.rs256(pem_of(RSA), HEADER, CLAIMS)
    head, claims, signature = parts(token)
    assert (head, claims) == ({"alg": "RS256", "kid": "ABC123DEFG"}, CLAIMS)
    RSA.public_key().verify(signature, token.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256())


def test_ps256_is_verified_with_a_salt_of_32_bytes():
    token = signed_tokens.ps256(pem_of(RSA), {**HEADER, "typ": "JWT"}, CLAIMS)
    head, claims, signature = parts(token)
    assert (head, claims) == ({"alg": "PS256", "kid": "ABC123DEFG", "typ": "JWT"}, CLAIMS)
    verify = partial(RSA.public_key().verify, signature, token.rpartition(".")[0].encode())
    verify(padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        verify(padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256())
    assert token != signed_tokens.ps256(pem_of(RSA), {**HEADER, "typ": "JWT"}, CLAIMS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem,
        lambda pem: "﻿" + pem.replace("\n", "\r\n"),
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", " "),
        lambda pem: pem.replace("\n", ""),
        lambda pem: f"Bag Attributes\n  friendlyName: x\n{pem}",
        lambda pem: f"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{pem}",
    ],
    ids=["as it is", "of Windows", "out of JSON", "in one line", "without line ends", "with words", "with parameters"],
)
def test_a_key_is_read_however_it_was_copied(spoil):
    assert signed_tokens.p256_pem(spoil(pem_of(P256))) == pem_of(P256)


def test_the_old_format_of_elliptic_keys_is_read():
    old = P256.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    assert signed_tokens.es256(signed_tokens.p256_pem(old), HEADER, CLAIMS).startswith("eyJ")


def encrypted(style: serialization.PrivateFormat) -> str:
    secret = serialization.BestAvailableEncryption(b"x")
    return P256.private_bytes(serialization.Encoding.PEM, style, secret).decode()


def public() -> str:
    style = serialization.PublicFormat.SubjectPublicKeyInfo
    return P256.public_key().public_bytes(serialization.Encoding.PEM, style).decode()


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
FAULTS = [
    ("", "not a key file"),
    ("AuthKey_ABC123DEFG.p8", "not a key file"),
    (pem_of(P256)[:60], "not a key file"),
    ("x" * 30_000 + pem_of(P256), "not a key file"),
    (pem_of(P256).replace("MI", "xx", 1), "cannot be read"),
    (pem_of(P256).replace("MI", "€€", 1), "cannot be read"),
    ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", "cannot be read"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg==\n-----END OPENSSH PRIVATE KEY-----", "cannot be read"),
    (public(), "a public key"),
    (CERTIFICATE, "certificate"),
    (encrypted(serialization.PrivateFormat.PKCS8), "passphrase"),
    (encrypted(serialization.PrivateFormat.TraditionalOpenSSL), "passphrase"),
    (pem_of(ed25519.Ed25519PrivateKey.generate()), "neither an RSA key nor"),
]


@pytest.mark.parametrize(("text", "words"), FAULTS)
@pytest.mark.parametrize("read", [signed_tokens.p256_pem, signed_tokens.rsa_pem])
def test_what_is_no_private_key_is_told(text, words, read):
    with pytest.raises(KeyUnusableError, match=words) as caught:
        read(text)
    assert caught.value.__cause__ is None
    assert pem_of(P256)[40:60] not in str(caught.value)


def test_another_kind_of_key_is_told():
    with pytest.raises(KeyUnusableError, match="an RSA key"):
        signed_tokens.p256_pem(pem_of(RSA))
    with pytest.raises(KeyUnusableError, match="curve secp384r1"):
        signed_tokens.p256_pem(pem_of(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(KeyUnusableError, match="an elliptic-curve key"):
        signed_tokens.rsa_pem(pem_of(P256))
    with pytest.raises(KeyUnusableError, match="1024 bits"):
        signed_tokens.rsa_pem(pem_of(rsa.generate_private_key(65537, 1024)))


def test_no_token_is_signed_with_another_kind_of_key():
    with pytest.raises(KeyUnusableError, match="an RSA key"):
        signed_tokens.es256(pem_of(RSA), HEADER, CLAIMS)
    for sign in (signed_tokens.rs256, signed_tokens.ps256):
        with pytest.raises(KeyUnusableError, match="an elliptic-curve key"):
            sign(pem_of(P256), HEADER, CLAIMS)
