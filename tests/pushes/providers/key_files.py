"""Private keys as vendors hand them out, made anew for each run of the tests."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

P256, OTHER_P256 = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))


def pem_of(key: PrivateKeyTypes) -> str:
    """Return the key as a plain PEM file (PKCS#8), such as Apple's .p8."""
    style = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, style, serialization.NoEncryption()).decode()
