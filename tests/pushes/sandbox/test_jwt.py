import base64

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pushes.sandbox import jwt
from tests.pushes.providers.key_files import OTHER_P256, OTHER_RSA, P256, RSA, pem_of

CLAIMS = {"iss": "x", "iat": 1}
KEYS = {"ES256": (pem_of(P256), pem_of(OTHER_P256)), "RS256": (pem_of(RSA), pem_of(OTHER_RSA))}
KEYS["PS256"] = KEYS["RS256"]


def read(text: str) -> jwt.Jwt:
    found = jwt.read(text)
    assert found is not None
    return found


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signature_is_of_its_key_and_algorithm(algorithm):
    own, other = KEYS[algorithm]
    token = read(pyjwt.encode(CLAIMS, own, algorithm=algorithm, headers={"kid": "k"}))
    assert (token.header["kid"], token.claims) == ("k", CLAIMS)
    assert jwt.is_signed(token, algorithm, own)
    assert not jwt.is_signed(token, algorithm, other)
    assert not jwt.is_signed(token._replace(claims={}, signed=token.signed + b"x"), algorithm, own)
    for another in KEYS.keys() - {algorithm}:
        assert not jwt.is_signed(token, another, own)


def test_a_token_without_a_signature_is_not_signed():
    token = read(pyjwt.encode(CLAIMS, "", algorithm="none"))
    assert not jwt.is_signed(token, "ES256", KEYS["ES256"][0])
    assert not jwt.is_signed(token, "none", KEYS["ES256"][0])


def test_a_signature_in_asn1_is_refused():

    token = read(pyjwt.encode(CLAIMS, KEYS["ES256"][0], algorithm="ES256"))
    der = P256.sign(token.signed, ec.ECDSA(hashes.SHA256()))
    assert not jwt.is_signed(token._replace(signature=der), "ES256", KEYS["ES256"][0])


def test_what_is_no_key_has_signed_nothing():
    token = read(pyjwt.encode(CLAIMS, KEYS["ES256"][0], algorithm="ES256"))
    assert not jwt.is_signed(token, "ES256", "no key")


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "W10.W10.W10", "e30=.e30.e30"])
def test_what_is_no_token_is_none(text):
    assert jwt.read(text) is None


def test_a_claim_is_a_number_or_none():
    parts = (
        base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (b"{}", b'{"a":1.5,"b":true,"c":"1"}', b"")
    )
    token = read(".".join(parts))
    assert [token.number(name) for name in "abcd"] == [1, None, None, None]
