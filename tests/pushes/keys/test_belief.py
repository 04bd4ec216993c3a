"""Which refused tokens are believed dead: the whole send job against the real sandbox, in every lane."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from pushes import submit
from pushes.broadcasts import canary
from pushes.keys import belief, pausing, rotation
from pushes.models import AppKey, DeliveryResult, Device, DeviceEvent, PushRecord, SuspectToken
from pushes.names import App, Kind, PauseCode, Platform, ProviderKind, Reason, Status
from pushes.people import devices
from pushes.sending.job import deliver
from pushes.upkeep.sweep import sweep
from tests.make import make_account, make_app_key, make_device, make_secret, make_token
from tests.needs import needs
from tests.pushes.rows import make_delivery, make_message, make_record
from tests.sandbox_process import Sandbox
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
WAITS, FAILED = (Status.RETRYING, Reason.TOKENS_DOUBTED), (Status.FAILED, Reason.BAD_TOKEN)
ACCEPTED = (Status.ACCEPTED, "")


@pytest.fixture
def key(sandbox: Sandbox) -> AppKey:
    return make_key(sandbox)


def make_key(sandbox: Sandbox, **fields: Any) -> AppKey:
    secret = make_secret()
    made = make_app_key(endpoint_url=sandbox.url, secret=secret, **fields)
    sandbox.add_key(int(made.access_id), secret)
    return made


def bad() -> str:
    return "dead0000" + make_token()[8:]


def due(key: AppKey, token: str = "", **fields: Any) -> DeliveryResult:
    """A delivery of a message of its own to a device of its own."""
    kind = fields.pop("kind", Kind.SYSTEM)
    device = make_device(make_account(), token=token, platform=key.platform, app=App(key.app))
    return make_delivery(make_record(kind=kind, app=key.app), device, app_key_id=key.pk, **fields)


def send(*rows: DeliveryResult) -> list[tuple[str, str]]:
    deliver([row.pk for row in rows])
    return states(rows)


def states(rows: Sequence[DeliveryResult]) -> list[tuple[str, str]]:
    for row in rows:
        row.refresh_from_db()
    return [(row.status, row.reason) for row in rows]


def inactive() -> set[str]:
    return set(Device.objects.filter(is_active=False).values_list("token", flat=True))


# --- a key that is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Kind))
def test_a_wrong_key_takes_no_device_and_its_pushes_wait(key: AppKey, kind: Kind):
    rows = [due(key, bad(), kind=kind) for _ in range(60)]
    assert set(send(*rows)) == {WAITS}
    assert inactive() == set()
    key.refresh_from_db()
    assert (key.is_paused, key.paused_code) == (True, PauseCode.TOKENS_DOUBTED)
    assert key.doubted_since
    assert {row.attempts for row in rows} == {0}
    assert send(due(key)) == [(Status.RETRYING, Reason.KEY_PAUSED)]


def test_one_after_the_other_it_is_noticed_as_well(key: AppKey):
    found = [send(due(key, bad()))[0] for _ in range(60)]
    assert found == [FAILED] * 9 + [WAITS] + [(Status.RETRYING, Reason.KEY_PAUSED)] * 50
    assert inactive() == set()


def test_a_few_phones_of_developers_that_it_suits_do_not_make_it_right(key: AppKey):
    """Every thirtieth is accepted: in one window, and one by one."""
    rows = [due(key, "" if number % 30 == 0 else bad()) for number in range(60)]
    found = send(*rows)
    assert (found.count(ACCEPTED), found.count(WAITS)) == (2, 58)
    assert inactive() == set()


@pytest.mark.parametrize("at_once", [1, 4])
def test_one_phone_that_is_accepted_again_and_again_does_not_make_it_right(key: AppKey, at_once: int):
    """Three refused, then the same phone, over and over: one by one, and in windows of four."""
    phone = make_device(make_account(), platform=key.platform, app=App(key.app))
    AppKey.objects.filter(pk=key.pk).update(updated_at=timezone.now() - timedelta(hours=1))
    for _ in range(8):
        rows = [due(key, bad()) for _ in range(3)]
        rows.append(make_delivery(make_record(app=key.app), phone, app_key_id=key.pk))
        for some in (rows[start : start + at_once] for start in range(0, 4, at_once)):
            send(*some)
    key.refresh_from_db()
    assert key.paused_code == PauseCode.TOKENS_DOUBTED
    assert len(inactive()) < belief.MIN_TO_DOUBT
    assert key.doubted_since
    devices.restore(key.scope, key.doubted_since, timezone.now(), by="operator")
    assert inactive() == set()


def test_and_once_it_is_right_what_was_said_before_no_longer_counts(key: AppKey):
    test_one_phone_that_is_accepted_again_and_again_does_not_make_it_right(key, 1)
    pausing.resume_key(key)
    dead = due(key, bad())
    assert send(dead, due(key)) == [FAILED, ACCEPTED]
    assert inactive() == {dead.token}


def test_of_a_key_that_becomes_wrong_in_the_middle_of_much_traffic_a_window_is_lost_at_most(key: AppKey):
    for _ in range(5):
        assert set(send(*[due(key) for _ in range(40)])) == {ACCEPTED}
    for _ in range(30):
        send(*[due(key, bad()) for _ in range(2)])
    assert inactive() == set()
    key.refresh_from_db()
    assert key.paused_code == PauseCode.TOKENS_DOUBTED


def test_what_waited_goes_out_once_the_key_is_right(key: AppKey, sandbox: Sandbox):
    sandbox.set_profile("bad_token", access_id=int(key.access_id))
    rows = [due(key) for _ in range(20)]
    assert set(send(*rows)) == {WAITS}
    sandbox.set_profile("ok", access_id=int(key.access_id))
    pausing.resume_key(key)
    sweep()
    assert set(send(*rows)) == {ACCEPTED}
    assert {row.attempts for row in rows} == {1}
    key.refresh_from_db()
    assert (key.is_paused, key.paused_code) == (False, "")
    assert key.doubted_since, "the spell is remembered for the undoing"


def test_resumed_without_being_right_it_is_paused_again(key: AppKey):
    rows = [due(key, bad()) for _ in range(20)]
    for _ in range(3):
        assert set(send(*rows)) == {WAITS}
        pausing.resume_key(key)
        DeliveryResult.objects.update(status=Status.PENDING, due_at=timezone.now())
    assert inactive() == set()


def test_what_one_spell_left_is_not_believed_after_the_credentials_were_changed(key: AppKey):
    send(*[due(key, bad()) for _ in range(5)])
    assert rotation.rotate(key, make_secret())
    key.refresh_from_db()
    assert belief.weigh(key, []).believed == ()
    assert SuspectToken.objects.count() == 5


@pytest.mark.parametrize("is_named", [True, False])
def test_lists_of_tokens(sandbox: Sandbox, is_named: bool):
    """TPNS names the dead tokens of a list, Xinge drops them: its yes to a list says nothing for the key."""
    kind = ProviderKind.TPNS if is_named else ProviderKind.XINGE_V2
    key = make_key(sandbox, provider=kind, access_id=1500000777 if is_named else 2100000777)
    record = make_record()
    tokens = ["dead0000" + make_token()[-(28 if is_named else 32) :] for _ in range(60)]
    rows = [make_delivery(record, make_device(token=token), app_key_id=key.pk) for token in tokens]
    assert set(send(*rows)) == {WAITS if is_named else ACCEPTED}
    if not is_named:
        assert set(send(*[due(key, bad()) for _ in range(30)])) == {WAITS}
    assert inactive() == set()
    key.refresh_from_db()
    assert key.paused_code == PauseCode.TOKENS_DOUBTED


def test_an_illegal_token_spoils_no_list_and_is_judged_alone(key: AppKey):
    record = make_record()
    tokens = [f"no-token-{number}" for number in range(30)]
    rows = [make_delivery(record, make_device(token=token), app_key_id=key.pk) for token in tokens]
    assert set(send(*rows)) == {WAITS}
    assert inactive() == set()


def test_devices_that_only_a_directory_of_its_own_knows(key: AppKey):
    rows = [make_delivery(token=bad(), app_key_id=key.pk, account_id=f"other{number}") for number in range(30)]
    assert set(send(*rows)) == {WAITS}
    assert not Device.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_judge_together(key: AppKey):
    needs("mariadb")  # SQLite has one writer at a time
    rows = [[due(key, bad()) for _ in range(8)] for _ in range(4)]
    together([partial(send, *part) for part in rows])
    key.refresh_from_db()
    assert key.paused_code == PauseCode.TOKENS_DOUBTED
    assert inactive() == set()


# --- a key that is right ------------------------------------------------------------------------


def test_of_a_healthy_key_every_dead_token_is_believed_at_once(key: AppKey):
    rows = [due(key, bad() if number % 20 == 0 else "") for number in range(1000)]
    found = send(*rows)
    assert (found.count(FAILED), found.count(ACCEPTED)) == (50, 950)
    assert inactive() == {row.token for row in rows if row.status == Status.FAILED}
    assert DeviceEvent.objects.filter(event="deactivated", reason=Reason.BAD_TOKEN).count() == 50
    assert not SuspectToken.objects.exists()
    key.refresh_from_db()
    assert (key.is_paused, key.doubted_since) == (False, None)


@pytest.mark.parametrize("share", [2, 3, 4])
def test_an_old_list_with_many_dead_tokens_is_believed(key: AppKey, share: int):
    rows = [due(key, "" if number % share == 0 else bad()) for number in range(48)]
    assert WAITS not in send(*rows)
    assert len(inactive()) == 48 - 48 // share


def test_a_dead_token_alone_waits_for_the_next_that_is_accepted(key: AppKey):
    dead = due(key, bad())
    assert send(dead) == [FAILED]
    assert inactive() == set()
    assert send(due(key)) == [ACCEPTED]
    assert inactive() == {dead.token}
    assert DeviceEvent.objects.get().detail.startswith(str(dead.provider_code))


def test_the_same_dead_token_again_and_again_is_one(key: AppKey):
    device = make_device(make_account(), token=bad())
    for _ in range(25):
        assert send(make_delivery(make_record(), device, app_key_id=key.pk)) == [FAILED]
    key.refresh_from_db()
    assert not key.is_paused


def test_two_of_two_prove_nothing(key: AppKey):
    assert send(due(key, bad()), due(key, bad())) == [FAILED] * 2
    assert inactive() == set()
    key.refresh_from_db()
    assert not key.is_paused


def test_a_suspicion_that_nothing_confirms_is_forgotten(key: AppKey):
    send(due(key, bad()))
    sweep()
    assert SuspectToken.objects.count() == 1
    SuspectToken.objects.update(created_at=timezone.now() - timedelta(days=1, minutes=1))
    belief.forget_old(timezone.now())
    assert send(due(key)) == [ACCEPTED]
    assert inactive() == set()


def test_a_phone_that_registered_again_meanwhile_is_alive(key: AppKey):
    dead = due(key, bad())
    send(dead)
    Device.objects.filter(token=dead.token).update(seen_at=timezone.now() + timedelta(seconds=1))
    assert send(due(key)) == [ACCEPTED]
    assert inactive() == set()
    assert not SuspectToken.objects.exists()


def test_one_key_says_nothing_of_another(key: AppKey, sandbox: Sandbox):
    other = make_key(sandbox, app=App.HIGIRL)
    send(*[due(other) for _ in range(20)])
    assert set(send(*[due(key, bad()) for _ in range(20)])) == {WAITS}
    other.refresh_from_db()
    assert not other.is_paused


def test_losing_redis_changes_no_verdict(key: AppKey, redis_client: Any):
    send(*[due(key) for _ in range(20)])
    redis_client.flushdb()
    assert send(due(key, bad()), due(key)) == [FAILED, ACCEPTED]
    assert len(inactive()) == 1
    redis_client.flushdb()
    assert set(send(*[due(key, bad()) for _ in range(20)])) == {WAITS}


# --- the whole pipeline -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_from_accepted_message_to_paused_key_and_back(key: AppKey, run_jobs: Any, sandbox: Sandbox):
    """Sixty shoppers, each with one phone, each with an order of his own."""
    sandbox.set_profile("bad_token", access_id=int(key.access_id))
    accounts = [make_account() for _ in range(60)]
    for account in accounts:
        make_device(account, platform=Platform(key.platform))
    submit.submit([make_message(account.account_id) for account in accounts])
    run_jobs()
    call_command("runsweeper", once=True)
    run_jobs()
    assert set(DeliveryResult.objects.values_list("status", "reason")) <= {WAITS, (Status.RETRYING, Reason.KEY_PAUSED)}
    assert (sandbox.received(), inactive()) == ([], set())
    key.refresh_from_db()
    assert key.paused_code == PauseCode.TOKENS_DOUBTED
    sandbox.set_profile("ok", access_id=int(key.access_id))
    pausing.resume_key(key)
    call_command("runsweeper", once=True)
    run_jobs()
    assert set(DeliveryResult.objects.values_list("status", "reason")) == {ACCEPTED}
    assert len({entry["token"] for entry in sandbox.received()}) == len(sandbox.received()) == 60


@pytest.mark.django_db(transaction=True)
def test_a_canary_that_meets_a_wrong_key_stops_its_broadcast(key: AppKey):
    record = make_record(kind=Kind.BROADCAST)
    rows = [make_delivery(record, make_device(token=bad()), app_key_id=key.pk) for _ in range(25)]
    PushRecord.objects.update(one_by_one=True)
    assert set(send(*rows)) == {WAITS}
    found = canary.tally([record.pk])
    assert (found.bad_tokens, found.errors, found.accepted) == (25, 0, 0)
    objection = canary.objection(found, canary.limits(), is_over=False)
    assert objection
    assert objection.why == canary.BAD_TOKENS
