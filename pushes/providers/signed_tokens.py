"""Tokens that we sign with a vendor's private key (JSON web tokens), and the key files that vendors hand out."""

import base64
import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from django.utils.translation import gettext as _

from pushes.providers.text import to_json

#: A key file has two or three thousand characters; more is another file.
MAX_FILE = 20_000
MIN_RSA_BITS = 2048
_P256_BYTES = 32
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
#: Line ends may be gone, or be written as two characters, when a key was copied out of another file.
_LINE_ENDS = re.compile(r"\\[nr]|\s+")
_LINE = 64

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyUnusableError(ValueError):
    """A text is not the private key that is needed. The message says why, in the reader's language, and repeats nothing
    of the text."""


def p256_pem(text: str) -> str:
    """Return the private key in `text` as a plain PEM file, for `es256`. Raises KeyUnusableError."""
    pem = _private_block(text)
    key = _key(pem)
    if isinstance(key, rsa.RSAPrivateKey):
        raise KeyUnusableError(_("This is an RSA key. An elliptic-curve key (P-256) is needed."))
    if not isinstance(key.curve, ec.SECP256R1):
        words = {"curve": key.curve.name}
        raise KeyUnusableError(_("This key is on the curve %(curve)s. A key on P-256 is needed.") % words)
    return pem


def rsa_pem(text: str) -> str:
    """Return the private key in `text` as a plain PEM file, for `rs256` and `ps256`. Raises KeyUnusableError."""
    pem = _private_block(text)
    key = _key(pem)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyUnusableError(_("This is an elliptic-curve key. An RSA key is needed."))
    if key.key_size < MIN_RSA_BITS:
        words = {"have": key.key_size, "want": MIN_RSA_BITS}
        raise KeyUnusableError(_("This RSA key has %(have)s bits. At least %(want)s are needed.") % words)
    return pem


def es256(pem: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Return a token signed on P-256. The same key, header and claims always give the same token. Raises
    KeyUnusableError."""
    key = _key(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyUnusableError(_("This is an RSA key. An elliptic-curve key (P-256) is needed."))
    signed = _unsigned("ES256", header, claims)
    der = key.sign(signed.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    raw = b"".join(number.to_bytes(_P256_BYTES, "big") for number in utils.decode_dss_signature(der))
    return f"{signed}.{_base64url(raw)}"


def rs256(pem: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Return a token signed by RSA. The same key, header and claims always give the same token. Raises
    KeyUnusableError."""
    return _signed_by_rsa(pem, "RS256", header, claims, padding.PKCS1v15())


def ps256(pem: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Return a token signed by RSA with a random salt (PSS): each is different. Raises KeyUnusableError."""
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return _signed_by_rsa(pem, "PS256", header, claims, salted)


def _signed_by_rsa(
    pem: str,
    algorithm: str,
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    padded: padding.PKCS1v15 | padding.PSS,
) -> str:
    key = _key(pem)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyUnusableError(_("This is an elliptic-curve key. An RSA key is needed."))
    signed = _unsigned(algorithm, header, claims)
    return f"{signed}.{_base64url(key.sign(signed.encode(), padded, hashes.SHA256()))}"


def _unsigned(algorithm: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return ".".join(_base64url(to_json(part).encode()) for part in ({"alg": algorithm, **header}, dict(claims)))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _private_block(text: str) -> str:
    """Return the private key's block of a PEM file, with the lines that it should have. Raises KeyUnusableError."""
    blocks = [(match[1], match[2]) for match in _BLOCK.finditer(text[: MAX_FILE + 1])]
    if len(text) > MAX_FILE or not blocks:
        raise KeyUnusableError(_("This is not a key file: a line -----BEGIN PRIVATE KEY----- is missing in it."))
    label, body = next((block for block in blocks if block[0].endswith("PRIVATE KEY")), blocks[0])
    if label.startswith("ENCRYPTED") or ",ENCRYPTED" in body:
        raise KeyUnusableError(_("This key is protected by a passphrase. Enter the key without a passphrase."))
    if label.endswith("PUBLIC KEY"):
        raise KeyUnusableError(_("This is a public key. Enter the private key."))
    if not label.endswith("PRIVATE KEY"):
        words = {"label": label.lower()}
        raise KeyUnusableError(_("This file holds no private key, but: %(label)s.") % words)
    digits = _LINE_ENDS.sub("", body)
    lines = (digits[start : start + _LINE] for start in range(0, len(digits), _LINE))
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


@lru_cache(maxsize=256)
def _key(pem: str) -> PrivateKey:
    """Read a key. Cached, because reading takes longer than signing. Raises KeyUnusableError."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        raise KeyUnusableError(_("The private key cannot be read. Copy the whole file again.")) from None
    if isinstance(key, PrivateKey):
        return key
    raise KeyUnusableError(_("This is neither an RSA key nor an elliptic-curve key."))
