"""PATCH /accounts/{id}, and PUT and DELETE /presence/{account_id}."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpResponse

from pushes.api.endpoint import Call, answer, no_content
from pushes.api.errors import ApiError, invalid
from pushes.api.fields import integer, object_of
from pushes.distribution import grace
from pushes.inbound.orders import shown
from pushes.models import Account
from pushes.people import directory, mutes
from pushes.people.mutes import InvalidEntryError, ListChange
from pushes.storage import shared_redis
from pushes.text import ids

MAX_BODY = 256 * 1024
FLAGS = ("login_status", "push_status")
#: For each list: the fields that replace it, add to it and remove from it, and the check of an entry.
MUTED = ("muted_conversations", "mute", "unmute")
BLOCKED = ("blocked_accounts", "block", "unblock")
FIELDS = (*FLAGS, *MUTED, *BLOCKED)
DEFAULT_TTL, MAX_TTL = 60, 86_400


def change(call: Call, account_id: str) -> HttpResponse:
    """Set the given fields. An unknown account is created, so that a "do not disturb" before the account's first device
    is not lost."""
    account_id = _checked(account_id)
    body = object_of(call.body, FIELDS)
    if not body:
        raise ApiError(422, "invalid", f"At least one of {', '.join(FIELDS)} is required.")
    values: dict[str, Any] = {name: integer(body[name], name, least=0, most=1) for name in FLAGS if name in body}
    muted = _list_change(body, MUTED, mutes.conversation)
    blocked = _list_change(body, BLOCKED, mutes.account)
    with transaction.atomic():
        account, _ = Account.objects.update_or_create(account_id=account_id, defaults=values)
        if muted or blocked:
            account = _changed(account_id, muted, blocked)
    return answer(200, _shown(account))


def _changed(account_id: str, muted: ListChange, blocked: ListChange) -> Account:
    try:
        return mutes.change(account_id, muted, blocked)
    except InvalidEntryError as error:
        raise invalid(MUTED[0] if muted else BLOCKED[0], f"{error}.") from None


def _list_change(body: dict[str, Any], names: tuple[str, str, str], read: Callable[[str], str]) -> ListChange:
    replace, add, remove = (_entries(body, name, read) for name in names)
    return ListChange(replace, add or (), remove or ())


def _entries(body: dict[str, Any], name: str, read: Callable[[str], str]) -> tuple[str, ...] | None:
    """Return the entries of a list field as they are stored; None when the field is not given."""
    if name not in body:
        return None
    values = body[name]
    if not isinstance(values, list):
        raise invalid(name, f"{shown(values)} is not a list.")
    if len(values) > mutes.MAX_ENTRIES:
        raise invalid(name, f"{len(values)} entries are too many; the maximum is {mutes.MAX_ENTRIES}.")
    return tuple(_entry(value, name, read) for value in values)


def _entry(value: Any, name: str, read: Callable[[str], str]) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise invalid(name, f"{shown(value)} is not a string.")
    try:
        return read(str(value))
    except InvalidEntryError as error:
        raise invalid(name, f"{error}.") from None


def _shown(account: Account) -> dict[str, Any]:
    muted, blocked = mutes.lists(account)
    return {
        "account_id": account.account_id,
        "login_status": account.login_status,
        "push_status": account.push_status,
        "muted_conversations": muted,
        "blocked_accounts": blocked,
    }


def appear(call: Call, account_id: str) -> HttpResponse:
    """Mark the account as online for the next `ttl_seconds`."""
    account_id = _checked(account_id)
    body = object_of(call.body or {}, ("ttl_seconds",))
    ttl = integer(body.get("ttl_seconds", DEFAULT_TTL), "ttl_seconds", least=1, most=MAX_TTL)
    shared_redis.connection().set(directory.presence_key(account_id), b"1", ex=ttl)
    return answer(200, {"account_id": account_id, "is_online": True, "ttl_seconds": ttl})


def leave(_call: Call, account_id: str) -> HttpResponse:
    """Mark the account as offline; a second call does nothing. Chat pushes that waited for this reader are sent now."""
    account_id = _checked(account_id)
    shared_redis.connection().delete(directory.presence_key(account_id))
    grace.left(account_id)
    return no_content()


def _checked(account_id: str) -> str:
    try:
        return ids.account_id(account_id)
    except ids.InvalidIdError as error:
        raise invalid("account_id", f"{error.shown} is not a valid account id: {error.reason}.") from None
