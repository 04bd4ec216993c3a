"""Plain helpers that make the rows tests start from. Every argument has a sensible default."""

import itertools
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from pushes.ledger import tallies
from pushes.models import Account, AppKey, Broadcast, BroadcastTally, DeadLetter, DeliveryResult, Device, PushRecord
from pushes.names import App, Environment, Kind, Platform, ProviderKind, PushType, RecordStatus, Status

_numbers = itertools.count(1)


def make_app_key(
    app: App = App.HIGO,
    platform: Platform = Platform.ANDROID,
    *,
    environment: Environment = Environment.PRODUCTION,
    secret: str = "",
    **fields: Any,
) -> AppKey:
    """A sandbox key; access ids are made up, distinct, and of the platform's own range."""
    first = 2_200_000_000 if platform == Platform.IOS else 2_100_000_000
    fields = {"provider": ProviderKind.SANDBOX, "access_id": first + next(_numbers)} | fields
    key = AppKey(app=app, platform=platform, environment=environment, **fields)
    key.set_secret(secret or make_secret())
    key.save()
    return key


def make_secret() -> str:
    """32 hex characters that are plainly made up."""
    return f"{next(_numbers):032x}"


def make_account(account_id: str = "", **fields: Any) -> Account:
    """Logged in and accepting pushes, unless told otherwise."""
    return Account.objects.create(account_id=account_id or f"user{next(_numbers)}", **fields)


def make_device(account: Account | None = None, app: App = App.HIGO, *, token: str = "", **fields: Any) -> Device:
    """An active Android device of `account` (or of a new one)."""
    fields = {"platform": Platform.ANDROID} | fields
    owner = account or make_account()
    return Device.objects.create(account=owner, app=app, token=token or make_token(), **fields)


def make_token() -> str:
    """A device token as Xinge gives them: 40 characters."""
    return f"{next(_numbers):040x}"


def make_record(**fields: Any) -> PushRecord:
    """A distributed system push."""
    number, now = next(_numbers), timezone.now()
    fields = {
        "dedupe_key": f"{number:032x}",
        "kind": Kind.SYSTEM,
        "push_type": PushType.NEW_ORDER,
        "app": App.HIGO,
        "source": "test",
        "message_id": f"message-{number}",
        "accounts": ["1"],
        "text": "a new order",
        "status": RecordStatus.DISTRIBUTED,
        "occurred_at": now,
        "created_at": now,
        "expires_at": now + timedelta(days=1),
    } | fields
    return PushRecord.objects.create(**fields)


def make_delivery(record: PushRecord | None = None, **fields: Any) -> DeliveryResult:
    """An accepted delivery to a device of its own token; tallied, if it is a broadcast's."""
    record = record or make_record()
    fields = {
        "kind": record.kind,
        "push_type": record.push_type,
        "app": record.app,
        "platform": Platform.ANDROID,
        "environment": Environment.PRODUCTION,
        "account_id": "1",
        "token": make_token(),
        "status": Status.ACCEPTED,
        "due_at": record.created_at,
        "expires_at": record.expires_at,
        "created_at": record.created_at,
    } | fields
    row = DeliveryResult.objects.create(record=record, **fields)
    if record.broadcast_id is not None:
        ends = {(record.pk, BroadcastTally.MADE, ""): 1, (record.pk, row.status, row.reason): 1}
        tallies.add(ends, row.finished_at or timezone.now())
    return row


def make_broadcast(**fields: Any) -> Broadcast:
    """A draft to every device of the buyers' app."""
    return Broadcast.objects.create(**({"title": "Sale", "text": "Everything 30 % off", "app": App.HIGO} | fields))


def make_dead_letter(raw: bytes = b"not a payload", **fields: Any) -> DeadLetter:
    fields = {"source": "test", "position": f"test:{next(_numbers)}", "reason": "truncated"} | fields
    return DeadLetter.objects.create(raw=raw, **fields)


def make_operator(role: str = "", **fields: Any) -> User:
    """A member of staff with one role (or none)."""
    user = User.objects.create_user(f"operator{next(_numbers)}", **({"is_staff": True} | fields))
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user
