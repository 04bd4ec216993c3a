"""An app key's change of secret: what may follow what, and that of two steps at once one is done."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from pushes.keys import pausing, rotation
from pushes.models import AppKey, DeliveryResult
from pushes.names import Platform, Reason, Status
from pushes.sending.job import deliver
from pushes.text.notes import said
from pushes.upkeep.sweep import sweep
from pushes.values import Blame, Outcome, Scope, Verdict
from tests.make import make_account, make_app_key, make_device, make_secret
from tests.pushes.rows import make_delivery
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db
OLD, NEW = make_secret(), make_secret()


def refusal(blame: Blame = Blame.CREDENTIALS, text: str = "sign error") -> Outcome:
    return Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, "-103", text, blame=blame)


@pytest.fixture
def key() -> AppKey:
    return make_app_key(secret=OLD)


@pytest.fixture
def rotated(key: AppKey) -> AppKey:
    assert rotation.rotate(key, NEW)
    return again(key)


def again(key: AppKey) -> AppKey:
    return AppKey.objects.get(pk=key.pk)


def in_use(key: AppKey) -> str:
    return again(key).credentials().secret


def judged(key: AppKey, outcome: Outcome) -> AppKey:
    """The key after a worker that holds `key` was answered so."""
    pausing.answer_refusal(key, outcome)
    return again(key)


def test_a_new_secret_is_used_and_the_old_one_kept(rotated: AppKey):
    assert (rotated.credentials().secret, rotated.old_credentials().secret) == (NEW, OLD)
    assert rotated.secret_since is not None
    assert timezone.now() - rotated.secret_since < timedelta(minutes=1)


def test_no_secret_is_stored_in_clear(rotated: AppKey):
    stored = str(AppKey.objects.values().get())
    assert OLD not in stored
    assert NEW not in stored


def test_while_an_old_secret_is_kept_there_is_no_next_one(rotated: AppKey):
    assert not rotation.rotate(rotated, make_secret())
    assert in_use(rotated) == NEW


def test_a_key_that_has_changed_meanwhile_is_not_rotated(key: AppKey):
    other = again(key)
    other.set_secret(make_secret())
    other.save()
    assert not rotation.rotate(key, NEW)
    assert in_use(key) == other.credentials().secret


def test_ending_the_old_secret_leaves_no_way_back(rotated: AppKey):
    assert rotation.end_old(rotated)
    assert in_use(rotated) == NEW
    assert not again(rotated).has_old_secret
    assert not rotation.end_old(rotated)
    assert not rotation.go_back(rotated)


def test_an_operator_goes_back_without_an_alert(rotated: AppKey):
    assert rotation.go_back(rotated)
    found = again(rotated)
    assert (found.credentials().secret, found.has_old_secret, found.fell_back_at) == (OLD, False, None)


def test_without_an_old_secret_there_is_no_way_back(key: AppKey):
    assert not rotation.go_back(key)
    assert not rotation.fall_back(key, said("refused"))
    assert in_use(key) == OLD


def test_an_alert_is_noted_once(rotated: AppKey):
    rotation.fall_back(rotated, said("-103 sign error"))
    assert rotation.note(rotated)
    assert not rotation.note(rotated)
    assert (again(rotated).fell_back_at, again(rotated).fell_back_reason) == (None, "")


def test_the_next_rotation_ends_the_alert(rotated: AppKey):
    rotation.fall_back(rotated, said("-103 sign error"))
    assert rotation.rotate(again(rotated), make_secret())
    assert (again(rotated).fell_back_at, again(rotated).fell_back_reason) == (None, "")


def test_another_secret_typed_over_ends_the_old_one(rotated: AppKey):
    rotated.set_secret(OLD)
    rotated.save()
    assert not again(rotated).has_old_secret


def test_a_long_answer_is_cut(rotated: AppKey):
    rotation.fall_back(rotated, said("错" * 500))
    assert len(again(rotated).fell_back_reason) == 200


def test_a_step_changes_no_other_key(rotated: AppKey):
    other = make_app_key(secret=OLD, platform=Platform.IOS)
    assert rotation.rotate(other, NEW)
    assert rotation.go_back(rotated)
    assert in_use(other) == NEW
    assert rotation.fall_back(again(other), said("refused"))
    assert not rotation.note(rotated)
    assert rotation.rotate(again(rotated), NEW)
    assert rotation.end_old(again(rotated))
    assert again(other).fell_back_reason == "refused"


def test_a_step_changes_no_other_key_of_the_same_revision(key: AppKey):
    other = make_app_key(secret=OLD, platform=Platform.IOS)
    AppKey.objects.update(revision=key.revision)
    assert rotation.rotate(key, NEW)
    assert in_use(other) == OLD


def test_every_step_but_the_end_of_the_old_secret_is_a_new_revision(key: AppKey):
    revisions = [key.revision]
    for step in (lambda: rotation.rotate(again(key), NEW), lambda: rotation.go_back(again(key))):
        assert step()
        revisions.append(again(key).revision)
    assert len(set(revisions)) == 3
    assert rotation.rotate(again(key), NEW)
    before = again(key).revision
    assert rotation.end_old(again(key))
    assert again(key).revision == before


def test_a_step_says_when_it_was_done(rotated: AppKey):
    steps = (rotation.end_old, lambda found: rotation.rotate(found, OLD), rotation.go_back)
    earlier = timezone.now() - timedelta(days=9)
    for step, is_another_secret in zip(steps, (False, True, True), strict=True):
        AppKey.objects.update(updated_at=earlier, secret_since=earlier)
        assert step(again(rotated))
        found = again(rotated)
        assert timezone.now() - found.updated_at < timedelta(minutes=1)
        assert found.secret_since is not None
        assert (timezone.now() - found.secret_since < timedelta(minutes=1)) is is_another_secret


# --- what the provider's answer leads to ------------------------------------------------------


def test_a_refused_new_secret_gives_way_to_the_old_one(rotated: AppKey, caplog: pytest.LogCaptureFixture):
    found = judged(rotated, refusal())
    assert (found.credentials().secret, found.has_old_secret, found.is_paused) == (OLD, False, False)
    assert (found.fell_back_reason, found.fell_back_at is not None) == ("-103 sign error", True)
    assert "falling back to the old one" in caplog.text
    assert NEW not in caplog.text


def test_when_the_old_secret_is_refused_too_the_key_is_paused(rotated: AppKey):
    found = judged(judged(rotated, refusal()), refusal(text="still no"))
    assert (found.is_paused, found.paused_reason) == (True, "-103 still no")


@pytest.mark.parametrize("blame", [blame for blame in Blame if blame is not Blame.CREDENTIALS])
def test_what_no_secret_can_help_against_pauses_and_keeps_both(rotated: AppKey, blame: Blame):
    found = judged(rotated, refusal(blame))
    assert (found.is_paused, found.has_old_secret) == (True, True)
    assert in_use(found) == NEW


def test_of_two_workers_one_falls_back_and_the_other_does_nothing(rotated: AppKey):
    other = again(rotated)
    judged(rotated, refusal())
    found = judged(other, refusal())
    assert (found.is_paused, found.credentials().secret) == (False, OLD)


def test_an_answer_to_former_credentials_pauses_nothing(key: AppKey):
    slow_worker = again(key)
    key.set_secret(NEW)
    key.save()
    assert not judged(slow_worker, refusal()).is_paused


def test_an_answer_after_the_old_secret_was_ended_pauses(rotated: AppKey):
    worker = again(rotated)
    rotation.end_old(rotated)
    assert judged(worker, refusal()).is_paused


# --- against the sandbox ----------------------------------------------------------------------


@pytest.fixture
def served(sandbox: Sandbox, redis_client: object) -> AppKey:
    """A rotated key whose new secret the provider has taken away again."""
    key = make_app_key(secret=OLD, endpoint_url=sandbox.url)
    assert rotation.rotate(key, NEW)
    sandbox.add_key(int(key.access_id), OLD)
    return again(key)


def states(rows: list[DeliveryResult]) -> set[tuple[str, str]]:
    return {(row.status, row.reason) for row in DeliveryResult.objects.filter(pk__in=[row.pk for row in rows])}


@pytest.mark.django_db(transaction=True)
def test_pushes_refused_with_the_new_secret_go_out_with_the_old_one(
    served: AppKey, sandbox: Sandbox, run_jobs: Callable[..., int]
):
    rows = [make_delivery(None, make_device(make_account()), app_key_id=served.pk) for _ in range(150)]
    deliver([row.pk for row in rows])
    assert states(rows) == {(Status.RETRYING, Reason.BAD_CREDENTIALS)}
    assert not again(served).is_paused
    sweep()
    run_jobs()
    assert states(rows) == {(Status.ACCEPTED, "")}
    assert len(sandbox.received()) == len(rows)
    assert again(served).fell_back_at is not None
