"""Huawei Push Kit v3: phones with HarmonyOS 5 and later. Calls carry a token that we sign with the service account."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.names import Platform, ProviderKind
from pushes.providers import huawei_answers, huawei_categories, huawei_codes, signed_tokens
from pushes.providers.base import (
    AccessToken,
    Answer,
    CredentialField,
    CredentialsError,
    HttpRequest,
    MessageTooLargeError,
    PreparedMessage,
    Provider,
    Sealed,
)
from pushes.providers.text import clean, fit_all, to_json
from pushes.values import Credentials, Notification, Outcome, Verdict

DEFAULT_URL = "https://push-api.cloud.huawei.com"
#: Whom our tokens are for. It is a name, and is never called.
AUDIENCE = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
TOKEN_SECONDS = 3_600
MAX_MESSAGE_BYTES = 4_096
#: Huawei takes 1,000. An answer names each token that it left out, and one of more than 64 KiB counts as none.
LIST_LIMIT = 400
#: The kind of push that shows a notification.
ALERT = "push-type: 0"
MAX_BADGE = 99
#: Nobody's token, for the check.
NOBODYS_TOKEN = "HIGO-PUSH-KEY-CHECK"
#: The answers that say of the check: the credentials are good, and nobody has this token.
LET_IN = frozenset({huawei_codes.PARTLY, huawei_codes.NO_VALID_TOKEN})

ACCOUNT = CredentialField(
    "service_account",
    gettext_lazy("Service account key"),
    gettext_lazy("The JSON file that Huawei Developers hands out under API Console, Credentials, Service account key."),
    is_secret=True,
    is_file=True,
)
#: What the file must have.
NEEDED = ("project_id", "key_id", "sub_account", "private_key")
MAX_FILE = 20_000


class Account(NamedTuple):
    """What signing needs of a service account."""

    key_id: str
    sub_account: str
    private_key: str


class HuaweiV3(Provider):
    kind: ClassVar[ProviderKind] = ProviderKind.HUAWEI_V3
    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.HARMONY})
    credential_fields: ClassVar[tuple[CredentialField, ...]] = (ACCOUNT,)
    access_id_label = gettext_lazy("Project ID")
    max_message_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    max_expire_seconds: ClassVar[int] = 1_296_000
    list_limit: ClassVar[int] = LIST_LIMIT
    lists_need_creation: ClassVar[bool] = False
    lists_name_bad_tokens: ClassVar[bool] = True
    own_urls: ClassVar[tuple[str, ...]] = (DEFAULT_URL,)
    needs_access_token: ClassVar[bool] = True

    def __init__(self, default_url: str = DEFAULT_URL) -> None:
        self.default_url = default_url

    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Prepare the whole body of the call except its tokens."""
        ttl = self.expire_seconds(notification)
        frame = _whole(_body(_notification(notification, "", ""), ttl), [])
        room = MAX_MESSAGE_BYTES - len(frame.encode())
        if room < 0:
            raise MessageTooLargeError(f"the data for the app is {-room} bytes too large for {MAX_MESSAGE_BYTES} bytes")
        title, content = fit_all([clean(notification.title), clean(notification.content)], room)
        return PreparedMessage(credentials, _body(_notification(notification, title, content), ttl))

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        return self._request(message, [token])

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return a list call. The outcome's `bad_tokens` names the tokens that were left out."""
        self.check_list(push_id, tokens)
        return self._request(message, tokens)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        """Return a test message to nobody: v3 has no call that only examines one."""
        notification = _notification(Notification("check", "check", {}, 60), "check", "check")
        message = PreparedMessage(credentials, _body(notification, 60, is_test=True))
        return self._request(message, [NOBODYS_TOKEN])

    def read_check(self, answer: Answer) -> Outcome:
        """Return the outcome of a check: who is told that nobody has this token was let in."""
        outcome = self.read(answer)
        is_let_in = outcome.code in LET_IN and outcome.verdict in (Verdict.ACCEPTED, Verdict.BAD_TARGET)
        return Outcome(Verdict.ACCEPTED, code=outcome.code, http_status=outcome.http_status) if is_let_in else outcome

    def read(self, answer: Answer) -> Outcome:
        return huawei_answers.read(answer)

    def access_token(self, credentials: Credentials, *, now: int) -> AccessToken:
        account = _account(credentials.secret)
        expires_at = now + TOKEN_SECONDS
        header = {"kid": account.key_id, "typ": "JWT"}
        claims = {"aud": AUDIENCE, "iss": account.sub_account, "iat": now, "exp": expires_at}
        return AccessToken(signed_tokens.ps256(account.private_key, header, claims), now, expires_at)

    def sealed(self, entered: Mapping[str, str]) -> Sealed:
        found = _file(entered.get(ACCOUNT.name, "").strip())
        try:
            private_key = signed_tokens.rsa_pem(found["private_key"])
        except signed_tokens.KeyUnusableError as error:
            raise CredentialsError(ACCOUNT.name, f"private_key: {error}") from None
        if not (found["project_id"].isascii() and found["project_id"].isdigit()):
            words = {"name": "project_id", "value": found["project_id"][:40]}
            raise CredentialsError(ACCOUNT.name, _("%(name)s is not a number: %(value)s.") % words)
        account = Account(found["key_id"], found["sub_account"], private_key)
        return Sealed(found["project_id"], to_json(account._asdict()))

    def secret_fault(self, secret: str) -> str:
        try:
            signed_tokens.rsa_pem(_account(secret).private_key)
        except ValueError as error:
            return str(error)
        return ""

    def _request(self, message: PreparedMessage, tokens: Sequence[str]) -> HttpRequest:
        credentials = message.credentials
        base = (credentials.endpoint_url or self.default_url).rstrip("/")
        body = _whole(message.body, tokens)
        headers = ("Content-Type: application/json", ALERT, f"Authorization: Bearer {credentials.access_token}")
        return HttpRequest(f"{base}/v3/{credentials.access_id}/messages:send", body.encode(), headers)


def _file(text: str) -> dict[str, str]:
    """Return the needed parts of a service account's file. Raises CredentialsError."""
    if not text:
        raise CredentialsError(ACCOUNT.name, _("Choose the JSON file of the service account."))
    try:
        found = json.loads(text) if len(text) <= MAX_FILE else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CredentialsError(ACCOUNT.name, _("This is not the JSON file of a service account."))
    if fault := _other_file(found):
        raise CredentialsError(ACCOUNT.name, fault)
    missing = [name for name in NEEDED if not (isinstance(found.get(name), str) and found[name].strip())]
    if missing:
        words = {"names": ", ".join(missing)}
        raise CredentialsError(ACCOUNT.name, _("The file has no %(names)s. Download the key file again.") % words)
    return {name: found[name].strip() for name in NEEDED}


def _other_file(found: Mapping[str, Any]) -> str:
    """Return why a file of JSON is another one than a service account of Huawei, in the reader's language."""
    if {"agcgw", "configuration_version"} & found.keys():
        return _("This is agconnect-services.json, which belongs in the app. The service account's key file is needed.")
    if "client_email" in found:
        return _("This is a service account of Google. One of Huawei is needed.")
    return ""


@lru_cache(maxsize=64)
def _account(secret: str) -> Account:
    """Read what `sealed` made. Raises ValueError, in the reader's language."""
    try:
        account = Account(**json.loads(secret))
    except (ValueError, TypeError):
        account = Account("", "", "")
    if not all(account) or not all(isinstance(part, str) for part in account):
        raise ValueError(_("The stored key of Huawei cannot be read. Enter it again."))
    return account


def _body(notification: Mapping[str, Any], ttl: int, *, is_test: bool = False) -> str:
    """Return the call's JSON up to its tokens."""
    options = to_json({"testMessage": is_test, "ttl": ttl})
    return f'{{"payload":{{"notification":{to_json(notification)}}},"pushOptions":{options},'


def _whole(body: str, tokens: Sequence[str]) -> str:
    return f'{body}"target":{{"token":{to_json(list(tokens))}}}}}'


def _notification(notification: Notification, title: str, content: str) -> dict[str, Any]:
    is_page = bool(notification.link)
    action = {"actionType": 1, "uri": notification.link} if is_page else {"actionType": 0}
    parts: dict[str, Any] = {
        "category": huawei_categories.category(notification),
        "title": title,
        "body": content,
        "clickAction": action | {"data": dict(notification.custom)},
        "foregroundShow": True,
    }
    if notification.image:
        parts["image"] = notification.image
    if notification.badge is not None:
        parts["badge"] = {"setNum": max(0, min(notification.badge, MAX_BADGE))}
    if notification.replace_id:
        parts["notifyId"] = notification.replace_id % 2**31
    return parts
