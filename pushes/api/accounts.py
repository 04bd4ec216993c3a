"""PATCH /accounts/{id}, and PUT and DELETE /presence/{account_id}."""

from typing import Any

from django.http import HttpResponse

from pushes import directory, queues
from pushes.api.endpoint import Call, answer, no_content
from pushes.api.errors import ApiError
from pushes.api.fields import integer, object_of
from pushes.models import Account

MAX_BODY = 4 * 1024
MAX_ACCOUNT_ID = 64
FIELDS = ("login_status", "push_status")
DEFAULT_TTL, MAX_TTL = 60, 86_400


def change(call: Call, account_id: str) -> HttpResponse:
    """Set what is given. An unknown account is created, so that no "do not disturb" is lost because it
    came before the account's first device."""
    _check_id(account_id)
    body = object_of(call.body, FIELDS)
    if not body:
        raise ApiError(422, "invalid", f"At least one of {', '.join(FIELDS)} is needed.")
    values: dict[str, Any] = {name: integer(value, name, least=0, most=1) for name, value in body.items()}
    account, _ = Account.objects.update_or_create(account_id=account_id, defaults=values)
    return answer(
        200,
        {"account_id": account_id, "login_status": account.login_status, "push_status": account.push_status},
    )


def appear(call: Call, account_id: str) -> HttpResponse:
    """The account is online for the next `ttl_seconds`, unless it says so again or leaves."""
    _check_id(account_id)
    body = object_of(call.body or {}, ("ttl_seconds",))
    ttl = integer(body.get("ttl_seconds", DEFAULT_TTL), "ttl_seconds", least=1, most=MAX_TTL)
    queues.connection().set(directory.presence_key(account_id), b"1", ex=ttl)
    return answer(200, {"account_id": account_id, "is_online": True, "ttl_seconds": ttl})


def leave(_call: Call, account_id: str) -> HttpResponse:
    """The account is offline; saying so twice is fine."""
    _check_id(account_id)
    queues.connection().delete(directory.presence_key(account_id))
    return no_content()


def _check_id(account_id: str) -> None:
    if not account_id.strip() or len(account_id) > MAX_ACCOUNT_ID:
        raise ApiError(422, "invalid", f"An account id has 1 to {MAX_ACCOUNT_ID} characters.", field="account_id")
