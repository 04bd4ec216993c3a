"""Secrets at rest: Fernet with rotatable keys (`ENCRYPTION_KEYS`, newest first)."""

import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadableError(Exception):
    """A stored secret was encrypted under a key that is no longer in ENCRYPTION_KEYS."""


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def encrypt(secret: str) -> str:
    """Encrypt `secret` with the newest key, as ASCII text."""
    return _fernet().encrypt(secret.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Return the decrypted secret. Raises SecretUnreadableError."""
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise SecretUnreadableError(
            "this secret cannot be decrypted: put the key that it was stored under back into "
            "ENCRYPTION_KEYS (after the newest one), or enter the secret again"
        ) from None


def reencrypt(encrypted: str) -> str:
    """Re-encrypt a secret with the newest key. Raises SecretUnreadableError."""
    return encrypt(decrypt(encrypted))


def keyed_digest(key: str, secret: str) -> str:
    """Return 64 hexadecimal digits that identify `secret`; without `key` they do not even allow guessing it."""
    return hmac.new(key.encode(), secret.encode(), hashlib.sha256).hexdigest()
