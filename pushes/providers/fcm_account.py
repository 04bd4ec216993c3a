"""The key file of a Google service account: what is taken from it, and what is wrong with it."""

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from pushes.providers import answers, signed_tokens
from pushes.providers.signed_tokens import KeyUnusableError

#: Where an assertion becomes an access token. A key file may name another, which is never called: it may be anybody's.
TOKEN_URL = "https://oauth2.googleapis.com/token"
#: What key files have named in the course of time.
TOKEN_URIS = frozenset(
    {TOKEN_URL, "https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token"}
)
_PROJECT = re.compile(r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_EMAIL = re.compile(r"[!-?A-~]{1,200}@[!-?A-~]{3,200}")
_BYTE_ORDER_MARK = "\ufeff"


class ServiceAccount(NamedTuple):
    """What an app key's secret holds."""

    project_id: str
    client_email: str
    private_key_id: str
    private_key: str

    def __repr__(self) -> str:
        return f"ServiceAccount({self.project_id!r}, {self.client_email!r})"


def entered(text: str) -> ServiceAccount:
    """Read the file of a service account. Raises KeyUnusableError."""
    found = _object_in(text)
    if "project_info" in found or "client" in found:
        raise KeyUnusableError(
            _("This is google-services.json, which belongs in the client app. Enter a service account's key.")
        )
    if found.get("type") != "service_account":
        words = {"type": answers.shorten(found.get("type") or "–")[:40]}
        raise KeyUnusableError(_("This is not a service account's key (type: %(type)s).") % words)
    missing = [name for name in ServiceAccount._fields if not (isinstance(found.get(name), str) and found[name])]
    if missing:
        raise KeyUnusableError(_("The file has no %(names)s. Enter the whole file.") % {"names": ", ".join(missing)})
    account = ServiceAccount(*(found[name].strip() for name in ServiceAccount._fields))
    if not _PROJECT.fullmatch(account.project_id):
        words = {"found": answers.shorten(account.project_id)[:40]}
        raise KeyUnusableError(_("“%(found)s” is not a valid project_id.") % words)
    if not _EMAIL.fullmatch(account.client_email):
        words = {"found": answers.shorten(account.client_email)[:40]}
        raise KeyUnusableError(_("“%(found)s” is not a valid client_email.") % words)
    token_uri = str(found.get("token_uri", TOKEN_URL))
    if token_uri not in TOKEN_URIS:
        words = {"found": answers.shorten(token_uri)[:80]}
        raise KeyUnusableError(
            _("The token_uri “%(found)s” is not Google's. Enter the file as Firebase generated it.") % words
        )
    return account._replace(private_key=signed_tokens.rsa_pem(account.private_key))


def _object_in(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text.removeprefix(_BYTE_ORDER_MARK)) if len(text) <= signed_tokens.MAX_FILE else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise KeyUnusableError(_("This is not a JSON file. Enter the service account's key file, all of it."))
    return found


@lru_cache(maxsize=256)
def stored(secret: str) -> ServiceAccount:
    """Read what the provider has sealed. Raises ValueError."""
    try:
        found = json.loads(secret)
        account = ServiceAccount(**{name: found[name] for name in ServiceAccount._fields})
    except (ValueError, TypeError, KeyError):
        account = None
    if account is None or not all(isinstance(part, str) and part for part in account):
        raise ValueError(_("The stored key of FCM cannot be read. Enter it again."))
    return account
