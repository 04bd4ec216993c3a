"""Huawei Push Kit v1: Huawei phones with Android, HarmonyOS 4 and earlier. An app secret is exchanged for a token."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.names import Platform, ProviderKind, Reason
from pushes.providers import answers, huawei_answers, huawei_categories, huawei_codes, meanings
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
from pushes.values import Credentials, Notification, Outcome, Scope, Verdict

DEFAULT_URL, TOKEN_URL = "https://push-api.cloud.huawei.com", "https://oauth-login.cloud.huawei.com"
TOKEN_PATH = "/oauth2/v3/token"
MAX_TOKEN_SECONDS = 86_400
MAX_MESSAGE_BYTES = 4_096
#: Huawei takes 1,000. An answer names each token that it left out, and one of more than 64 KiB counts as none.
LIST_LIMIT = 400
MAX_BADGE = 99
#: Nobody's token, for the check.
NOBODYS_TOKEN = "HIGO-PUSH-KEY-CHECK"
#: What a tap does: run an intent, open a web page, start the app.
INTENT, WEB_PAGE, APP = 1, 2, 3

APP_ID = CredentialField(
    "app_id", gettext_lazy("App ID"), gettext_lazy("From AppGallery Connect, Project settings."), is_access_id=True
)
CLIENT_SECRET = CredentialField(
    "client_secret",
    gettext_lazy("Client secret"),
    gettext_lazy("That of the app (not of the project), on the same page."),
    is_secret=True,
)


class HuaweiV1(Provider):
    kind: ClassVar[ProviderKind] = ProviderKind.HUAWEI_V1
    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.ANDROID})
    credential_fields: ClassVar[tuple[CredentialField, ...]] = (APP_ID, CLIENT_SECRET)
    max_message_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    max_expire_seconds: ClassVar[int] = 1_296_000
    list_limit: ClassVar[int] = LIST_LIMIT
    lists_need_creation: ClassVar[bool] = False
    lists_name_bad_tokens: ClassVar[bool] = True
    own_urls: ClassVar[tuple[str, ...]] = (DEFAULT_URL, TOKEN_URL)
    needs_access_token: ClassVar[bool] = True

    def __init__(self, default_url: str = DEFAULT_URL) -> None:
        self.default_url = default_url

    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Prepare the message except its tokens."""
        ttl = self.expire_seconds(notification)
        room = MAX_MESSAGE_BYTES - len(_whole(_message(notification, "", "", ttl), []).encode())
        if room < 0:
            raise MessageTooLargeError(f"the data for the app is {-room} bytes too large for {MAX_MESSAGE_BYTES} bytes")
        title, content = fit_all([clean(notification.title), clean(notification.content)], room)
        return PreparedMessage(credentials, _message(notification, title, content, ttl))

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        return self._request(message, [token])

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return a list call. The outcome's `bad_tokens` names the tokens that were left out."""
        self.check_list(push_id, tokens)
        return self._request(message, tokens)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        """Return a call that Huawei only examines, to nobody."""
        message = self.prepare(credentials, Notification("check", "check", {}, 60))
        return self._request(message, [NOBODYS_TOKEN], is_check=True)

    def read_check(self, answer: Answer) -> Outcome:
        """Return the outcome of a check: who is told that nobody has this token was let in."""
        outcome = self.read(answer)
        if outcome.code != huawei_codes.NO_VALID_TOKEN or outcome.verdict is not Verdict.BAD_TARGET:
            return outcome
        return Outcome(Verdict.ACCEPTED, code=outcome.code, http_status=outcome.http_status)

    def read(self, answer: Answer) -> Outcome:
        return huawei_answers.read(answer)

    def access_token(self, credentials: Credentials, *, now: int) -> HttpRequest:
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": credentials.access_id,
                "client_secret": _client_secret(credentials.secret),
            }
        )
        base = (credentials.endpoint_url or self.default_url).rstrip("/")
        url = (TOKEN_URL if base == DEFAULT_URL else base) + TOKEN_PATH
        return HttpRequest(url, form.encode(), ("Content-Type: application/x-www-form-urlencoded",))

    def read_access_token(self, answer: Answer, *, now: int) -> AccessToken | Outcome:
        """Return the token. Asking pushes nothing, so a lost answer is asked for again; the request is always the same
        but for the credentials, so a refusal of it is theirs."""
        said = answers.parse(answer, codes=("error",), words=("error_description",))
        if isinstance(said, Outcome):
            return _in_vain(said)
        status, fields = said
        if error := answers.code_of(fields.get("error")):
            text = answers.shorten(fields.get("error_description", ""))
            return meanings.BAD_CREDENTIALS.outcome(status, str(error), text)
        token, seconds = fields.get("access_token"), answers.code_of(fields.get("expires_in"))
        if not _is_token(token) or seconds is None or seconds <= 0:
            return meanings.BUSY.outcome(status, "", "the answer has no access token")
        return AccessToken(str(token), now, now + min(seconds, MAX_TOKEN_SECONDS))

    def sealed(self, entered: Mapping[str, str]) -> Sealed:
        app_id, secret = (entered.get(field.name, "").strip() for field in self.credential_fields)
        if not (app_id.isascii() and app_id.isdigit()):
            raise CredentialsError(APP_ID.name, _("Enter the App ID: it has only digits."))
        if not secret:
            raise CredentialsError(CLIENT_SECRET.name, _("Enter the client secret."))
        if fault := super().secret_fault(secret):
            raise CredentialsError(CLIENT_SECRET.name, fault)
        return Sealed(app_id, to_json({CLIENT_SECRET.name: secret}))

    def secret_fault(self, secret: str) -> str:
        try:
            _client_secret(secret)
        except ValueError as error:
            return str(error)
        return ""

    def _request(self, message: PreparedMessage, tokens: Sequence[str], *, is_check: bool = False) -> HttpRequest:
        credentials = message.credentials
        base = (credentials.endpoint_url or self.default_url).rstrip("/")
        body = _whole(message.body, tokens, is_check=is_check)
        headers = ("Content-Type: application/json", f"Authorization: Bearer {credentials.access_token}")
        return HttpRequest(f"{base}/v1/{credentials.access_id}/messages:send", body.encode(), headers)


@lru_cache(maxsize=64)
def _client_secret(secret: str) -> str:
    """Return the client secret in what `sealed` made. Raises ValueError, in the reader's language."""
    found = answers.object_of(secret.encode(errors="replace")) or {}
    if not _is_token(found.get(CLIENT_SECRET.name)):
        raise ValueError(_("The stored key of Huawei cannot be read. Enter it again."))
    return str(found[CLIENT_SECRET.name])


def _whole(message: str, tokens: Sequence[str], *, is_check: bool = False) -> str:
    """Return the whole body of a call: `message` is JSON without its tokens."""
    mode = "true" if is_check else "false"
    return f'{{"validate_only":{mode},"message":{{"token":{to_json(list(tokens))},{message[1:]}}}'


def _in_vain(outcome: Outcome) -> Outcome:
    """Return what a failed exchange means for the key."""
    if outcome.verdict is Verdict.UNKNOWN:
        return replace(outcome, verdict=Verdict.RETRY, reason=Reason.PROVIDER_BUSY, scope=Scope.KEY)
    if outcome.scope is Scope.MESSAGE:
        return meanings.BAD_CREDENTIALS.outcome(outcome.http_status or 0, outcome.code, outcome.text)
    return outcome


def _is_token(text: object) -> bool:
    """Whether a text can stand in a header."""
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and " " not in text


def _message(notification: Notification, title: str, content: str, ttl: int) -> str:
    """Return the message's JSON without its tokens. The data for the app is text, which the app finds in the intent
    that starts it."""
    android = {
        "ttl": f"{ttl}s",
        "category": huawei_categories.category(notification),
        "notification": _notification(notification, title, content),
    }
    return to_json({"data": to_json(dict(notification.custom)), "android": android})


def _notification(notification: Notification, title: str, content: str) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "title": title,
        "body": content,
        "click_action": _click(notification.link),
        "foreground_show": True,
        "importance": huawei_categories.importance(notification),
    }
    if notification.channel_id:
        parts["channel_id"] = notification.channel_id
    if notification.image:
        parts["image"] = notification.image
    if notification.thread:
        parts["group"] = notification.thread
    if notification.badge is not None:
        parts["badge"] = {"set_num": max(0, min(notification.badge, MAX_BADGE))}
    if notification.replace_id:
        parts["notify_id"] = notification.replace_id % 2**31
    return parts


def _click(link: str) -> dict[str, Any]:
    if not link:
        return {"type": APP}
    if link.partition(":")[0].lower() in ("http", "https"):
        return {"type": WEB_PAGE, "url": link}
    return {"type": INTENT, "intent": link}
