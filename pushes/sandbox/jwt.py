"""JSON web tokens, as those who receive them read them: by the public half of the key alone."""

import base64
import binascii
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

ES256, RS256, PS256 = "ES256", "RS256", "PS256"
_P256_BYTES = 32
_PADDINGS = {
    RS256: padding.PKCS1v15(),
    PS256: padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size),
}


class Jwt(NamedTuple):
    """A token that was taken apart, its signature not looked at yet. `signed` is what the signature is of."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    def number(self, name: str) -> int | None:
        """A claim that is a whole number, such as `iat`."""
        value = self.claims.get(name)
        return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


@lru_cache(maxsize=4096)
def read(text: str) -> Jwt | None:
    """None for what is no token."""
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims, signature = (base64.b64decode(_padded(part), b"-_", validate=True) for part in parts)
        said = orjson.loads(header), orjson.loads(claims)
    except (binascii.Error, ValueError):
        return None
    if not all(isinstance(part, dict) for part in said):
        return None
    return Jwt(*said, text.rpartition(".")[0].encode(), signature)


def is_signed(jwt: Jwt, algorithm: str, pem: str) -> bool:
    """Whether the owner of the private key in `pem` has signed the token by this algorithm and no other."""
    if jwt.header.get("alg") != algorithm:
        return False
    key = _public(pem)
    try:
        if algorithm == ES256 and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(_der(jwt.signature), jwt.signed, ec.ECDSA(hashes.SHA256()))
            return True
        if algorithm in _PADDINGS and isinstance(key, rsa.RSAPublicKey):
            key.verify(jwt.signature, jwt.signed, _PADDINGS[algorithm], hashes.SHA256())
            return True
    except (InvalidSignature, ValueError):
        return False
    return False


def _padded(part: str) -> str:
    """Base64url as tokens have it, without padding; with some it is none of theirs."""
    if "=" in part:
        raise ValueError("padding")
    return part + "=" * (-len(part) % 4)


def _der(signature: bytes) -> bytes:
    """Tokens carry the two numbers bare; ASN.1 is refused."""
    if len(signature) != 2 * _P256_BYTES:
        raise ValueError("the signature is not r and s")
    r, s = (int.from_bytes(half, "big") for half in (signature[:_P256_BYTES], signature[_P256_BYTES:]))
    return utils.encode_dss_signature(r, s)


@lru_cache(maxsize=256)
def _public(pem: str) -> Any:
    """None for what is no private key."""
    try:
        return serialization.load_pem_private_key(pem.encode(), None).public_key()
    except (ValueError, TypeError):
        return None
