"""The verdict as a decision table: every combination of facts against the order of reasons."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from pushes.distribution.eligibility import verdict
from pushes.names import Environment, Platform, Reason
from pushes.values import AccountFacts, DeviceTarget, Policy, Recipient

POLICY = Policy(
    push_type=1,
    default_title="新消息",
    ttl_seconds=60,
    requires_login=True,
    respects_do_not_disturb=True,
    skips_online=True,
    is_enabled=True,
    window_policy="hold",
    window="off",
    unknown_policy="keep",
)
FACTS = AccountFacts("u1", is_logged_in=True, accepts_pushes=True)
DEVICE = DeviceTarget(1, "u1", Platform.ANDROID, Environment.PRODUCTION, "t" * 40)
WILLING = Recipient("u1", FACTS, is_online=False, devices=(DEVICE,))
CHAT = {"conversation": "group:7", "sender_id": "u2"}
#: What belongs to no conversation, and comes from nobody.
NO_CHAT = {"conversation": "", "sender_id": ""}


def test_a_willing_recipient_is_accepted():
    assert verdict(WILLING, POLICY, **CHAT) is None


# Each thing that can be wrong, alone, in the order in which it is told.
WRONG: list[tuple[Reason, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (Reason.TYPE_DISABLED, {}, {"is_enabled": False}, {}),
    (Reason.OWN_MESSAGE, {}, {}, {"sender_id": "u1"}),
    (Reason.NO_ACCOUNT, {"facts": None}, {}, {}),
    (Reason.LOGGED_OUT, {"facts": {"is_logged_in": False}}, {}, {}),
    (Reason.DO_NOT_DISTURB, {"facts": {"accepts_pushes": False}}, {}, {}),
    (Reason.MUTED, {"facts": {"muted": frozenset({"group:7"})}}, {}, {}),
    (Reason.BLOCKED, {"facts": {"blocked": frozenset({"u1", "u2"})}}, {}, {}),
    (Reason.ONLINE, {"is_online": True}, {}, {}),
    (Reason.NO_DEVICE, {"devices": ()}, {}, {}),
]


def judged(*faults: tuple[Reason, dict[str, Any], dict[str, Any], dict[str, Any]]) -> Reason | None:
    """The verdict on a willing recipient with all of these faults at once."""
    recipient, policy, chat = WILLING, POLICY, dict(CHAT)
    facts: AccountFacts | None = FACTS
    for _, person, rules, message in faults:
        changed = person.get("facts", {})
        facts = None if changed is None or facts is None else facts._replace(**changed)
        recipient = recipient._replace(**{name: value for name, value in person.items() if name != "facts"})
        policy, chat = replace(policy, **rules), chat | message
    return verdict(recipient._replace(facts=facts), policy, **chat)


@pytest.mark.parametrize("fault", WRONG, ids=lambda fault: str(fault[0].value))
def test_each_fault_alone_is_named(fault):
    assert judged(fault) is fault[0]


def test_of_several_faults_the_first_in_the_order_is_named():
    for size in range(2, len(WRONG) + 1):
        for faults in itertools.combinations(WRONG, size):
            assert judged(*faults) is faults[0][0], [fault[0] for fault in faults]


@pytest.mark.parametrize(
    ("flag", "fault"),
    [
        ("requires_login", WRONG[3]),
        ("respects_do_not_disturb", WRONG[4]),
        ("skips_online", WRONG[7]),
    ],
)
def test_a_policy_may_not_care(flag: str, fault):
    assert judged(fault, (Reason.READ, {}, {flag: False}, {})) is None


def test_all_combinations_of_policy_and_state_agree_with_the_table():
    """2^3 policies × 2^4 states: the first unmet demand in the contract's order, or none."""
    for login, quiet, presence, logged_in, accepts, online, has_device in itertools.product([False, True], repeat=7):
        policy = replace(POLICY, requires_login=login, respects_do_not_disturb=quiet, skips_online=presence)
        facts = FACTS._replace(is_logged_in=logged_in, accepts_pushes=accepts)
        expected = [
            (login and not logged_in, Reason.LOGGED_OUT),
            (quiet and not accepts, Reason.DO_NOT_DISTURB),
            (presence and online, Reason.ONLINE),
            (not has_device, Reason.NO_DEVICE),
            (True, None),
        ]
        recipient = Recipient("u1", facts, online, (DEVICE,) if has_device else ())
        assert verdict(recipient, policy, **NO_CHAT) is next(reason for holds, reason in expected if holds)


def test_a_mute_concerns_its_own_conversation_only():
    facts = FACTS._replace(muted=frozenset({"group:8"}))
    assert verdict(WILLING._replace(facts=facts), POLICY, **CHAT) is None


def test_outside_conversations_nothing_is_muted_blocked_or_ones_own():
    facts = FACTS._replace(muted=frozenset({""}), blocked=frozenset({""}))
    assert verdict(WILLING._replace(account_id="", facts=facts), POLICY, **NO_CHAT) is None
