"""The fixed scenario is worth something only if it covers what it claims to, and its checks can fail."""

from collections import Counter

import pytest

from higo_push.demo import crowd, evidence, report, scenario
from higo_push.demo.people import ACCESS_IDS
from pushes.names import Kind, PushType, Reason, Status


def test_every_push_type_is_ordered():
    ordered = {raw.push.push_type for raw in scenario.orders() if raw.push}
    assert ordered == set(PushType)


def test_every_kind_of_push_reaches_a_phone():
    reached = {one.kind for one in scenario.expected_deliveries() if one.status == Status.ACCEPTED}
    assert reached == set(Kind)


def test_every_refusal_of_the_verdict_occurs():
    reasons = {one.reason for one in scenario.expected_deliveries()}
    assert reasons >= {
        Reason.LOGGED_OUT,
        Reason.ONLINE,
        Reason.NO_ACCOUNT,
        Reason.DO_NOT_DISTURB,
        Reason.MUTED,
        Reason.NO_DEVICE,
        Reason.NO_APP_KEY,
    }


def test_no_text_is_part_of_another():
    texts = [push.shows for push in scenario.accepted_pushes()]
    assert not [(one, other) for one in texts for other in texts if one is not other and one in other]


def test_nothing_is_expected_twice_on_a_phone():
    assert set(scenario.expected_on_phones().values()) == {1}


def test_the_sender_of_a_group_message_gets_nothing():
    for chat in scenario.chats():
        assert chat.push is None or chat.document["user"]["user_id"] not in chat.push.to


def test_tokens_and_access_ids_are_distinct():
    tokens = [phone.token for person in (*scenario.PEOPLE, *crowd.PEOPLE) for phone in person.phones]
    assert len(set(tokens)) == len(tokens)
    assert len(set(ACCESS_IDS.values())) == len(ACCESS_IDS)


@pytest.mark.django_db
def test_the_checks_fail_when_nothing_happened(sandbox):
    checks = evidence.checks(sandbox.url)
    assert len(checks) == 4
    assert all(check.differences for check in checks)


def test_a_difference_names_what_was_expected_and_found():
    check = evidence.compare(
        "x", Counter({("system", "accepted", ""): 2}), Counter({("system", "failed", "bad_token"): 1})
    )
    assert check.differences == (
        "system / accepted: 2 expected, 0 found",
        "system / failed / bad_token: 0 expected, 1 found",
    )


def test_the_verdict_lines_mark_what_differs():
    lines = report.verdict_lines(
        [evidence.Check("a", 1, 1, ()), evidence.Check("b", 2, 1, ("b: 2 expected, 1 found",))]
    )
    assert lines == ["✓ a: 1 of 1", "✗ b: 1 of 2", "    b: 2 expected, 1 found"]


def test_a_table_aligns_chinese_and_english():
    lines = report.table([["名", "n"], ["ab", "10"]]).splitlines()
    assert lines == ["名   n", "------", "ab  10"]
