"""What becomes of a chat push to one device: presence, grace, wishes, window and key, in every combination."""

import itertools
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pytest_django import Settings

from pushes.distribution.distribute import Batch, drafts_for
from pushes.distribution.planned import Pending
from pushes.distribution.windows import SEND_NOW, Decision
from pushes.names import Environment, Platform, Reason, Status
from pushes.values import AccountFacts, DeviceTarget, Policy, Recipient

NOW = datetime(2026, 11, 24, 22, 59, tzinfo=timezone.utc)
EXPIRES = NOW + timedelta(hours=12)
GRACE = 90.0
POLICY = Policy(1, "新消息", 43_200, True, True, True, True, "hold", "08:00-23:00", "keep")
DEVICE = DeviceTarget(1, "u", Platform.ANDROID, Environment.PRODUCTION, "t" * 40)
OPENING = NOW + timedelta(hours=9)
WINDOWS: dict[str, Decision] = {
    "open": SEND_NOW,
    "hold": Decision(hold_until=OPENING),
    "hold beyond expiry": Decision(hold_until=EXPIRES),
    "drop": Decision(is_dropped=True),
}
WISHES: dict[str, tuple[dict[str, Any], Reason | None]] = {
    "none": ({}, None),
    "logged out": ({"is_logged_in": False}, Reason.LOGGED_OUT),
    "quiet": ({"accepts_pushes": False}, Reason.DO_NOT_DISTURB),
    "muted": ({"muted": frozenset({"group:7"})}, Reason.MUTED),
    "blocked": ({"blocked": frozenset({"wang"})}, Reason.BLOCKED),
}


def expected(
    wish: Reason | None, is_online: bool, has_grace: bool, has_device: bool, window: str, has_key: bool
) -> tuple[Status, Reason | None, datetime]:
    """The table, in words that do not look at the code."""
    waits = is_online and has_grace
    refusals = [
        (wish is not None, wish),
        (is_online and not (has_grace and has_device), Reason.ONLINE),
        (not has_device, Reason.NO_DEVICE),
        (not has_key, Reason.NO_APP_KEY),
        (window in ("hold beyond expiry", "drop"), Reason.OUTSIDE_WINDOW),
    ]
    for is_refused, reason in refusals:
        if is_refused:
            return Status.SKIPPED, reason, NOW
    if window == "hold":
        return Status.HELD, Reason.OUTSIDE_WINDOW, OPENING
    return (Status.HELD, Reason.ONLINE, NOW + timedelta(seconds=GRACE)) if waits else (Status.PENDING, None, NOW)


@pytest.mark.parametrize("kind", ["group", "private"])
def test_every_combination_ends_as_the_table_says(settings: Settings, kind: str) -> None:
    record = Pending(1, kind, 1, 1, "higo", "", ["u"], "group:7", "wang", EXPIRES, None)
    flags = [False, True]
    for wish, is_online, has_grace, has_device, window, has_key in itertools.product(
        WISHES, flags, flags, flags, WINDOWS, flags
    ):
        changes, reason = WISHES[wish]
        settings.GRACE_SECONDS = {kind: GRACE} if has_grace else {}
        facts = AccountFacts("u", **({"is_logged_in": True, "accepts_pushes": True} | changes))
        recipient = Recipient("u", facts, is_online, (DEVICE,) if has_device else ())
        keys = {("higo", "android", "production", "xinge"): 5} if has_key else {}
        [draft] = drafts_for(record, recipient, Batch(NOW, {1: POLICY}, keys, {1: WINDOWS[window]}))
        case = (wish, is_online, has_grace, has_device, window, has_key)
        found = (draft.status, draft.reason, draft.due_at)
        assert found == expected(reason, is_online, has_grace, has_device, window, has_key), case
        assert (draft.order_key is None) == (draft.status is Status.SKIPPED), case


def test_a_grace_of_the_other_kind_counts_for_nothing(settings: Settings) -> None:
    settings.GRACE_SECONDS = {"private": GRACE}
    record = Pending(1, "group", 1, 1, "higo", "", ["u"], "group:7", "wang", EXPIRES, None)
    recipient = Recipient("u", AccountFacts("u", True, True), True, (DEVICE,))
    [draft] = drafts_for(record, recipient, Batch(NOW, {1: POLICY}, {}, {1: SEND_NOW}))
    assert (draft.status, draft.reason) == (Status.SKIPPED, Reason.ONLINE)
