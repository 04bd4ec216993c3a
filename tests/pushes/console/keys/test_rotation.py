"""The pages that change which secret of a key is in use, against the sandbox provider."""

import time
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from pushes.console.operators import roles
from pushes.keys import rotation
from pushes.models import AppKey
from pushes.text.notes import said
from tests.make import make_app_key, make_secret
from tests.pushes.console.conftest import SignIn, url
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db
OLD, NEW = make_secret(), make_secret()
PAGES = ("rotate_page", "end_old_page", "go_back_page", "note_page")


@pytest.fixture
def key(sandbox: Sandbox) -> AppKey:
    """A key of the sandbox, which takes the new secret now."""
    key = make_app_key(secret=OLD, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), NEW)
    return key


@pytest.fixture
def rotated(key: AppKey) -> AppKey:
    rotation.rotate(key, NEW)
    return again(key)


def again(key: AppKey) -> AppKey:
    return AppKey.objects.get(pk=key.pk)


def post(client: Client, key: AppKey, page: str, **data: str) -> Any:
    return client.post(url(f"appkey_{page}", key.pk), data, follow=True)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def entries() -> list[str]:
    return list(LogEntry.objects.order_by("id").values_list("change_message", flat=True))


def test_a_new_secret_is_checked_before_anything_changes(key_manager: Client, key: AppKey) -> None:
    page = text(post(key_manager, key, "rotate_page", secret=NEW))
    assert "the provider accepted these credentials" in page
    assert "Nothing has been changed yet" in page
    assert NEW not in page
    assert again(key).credentials().secret == OLD


def test_a_confirmed_secret_is_used_and_the_old_one_kept(key_manager: Client, key: AppKey) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    page = text(post(key_manager, key, "rotate_page", confirm="1"))
    assert "The new secret is in use." in page
    assert (again(key).credentials().secret, again(key).old_credentials().secret) == (NEW, OLD)
    assert "old secret kept" in text(key_manager.get(url("appkey_changelist")))


def test_a_second_confirmation_does_nothing(key_manager: Client, key: AppKey) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    post(key_manager, key, "rotate_page", confirm="1")
    assert "Nothing was changed" in text(post(key_manager, key, "rotate_page", confirm="1"))
    assert again(key).old_credentials().secret == OLD


def test_every_step_is_in_the_history_and_no_secret_is(key_manager: Client, key: AppKey) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    post(key_manager, key, "rotate_page", confirm="1")
    post(key_manager, key, "end_old_page")
    assert entries() == [
        "New secret checked: the provider accepted these credentials",
        "The secret was rotated; the old one is kept.",
        "The old secret is discarded.",
    ]
    history = text(key_manager.get(url("appkey_history", key.pk)))
    assert OLD not in history
    assert NEW not in history


def test_a_secret_that_the_provider_refuses_cannot_be_used(key_manager: Client, key: AppKey) -> None:
    answer = post(key_manager, key, "rotate_page", secret=make_secret())
    assert "refused: check the credentials" in text(answer)
    assert 'name="confirm"' not in text(answer)
    assert answer.status_code == 422
    assert "Nothing was changed" in text(post(key_manager, key, "rotate_page", confirm="1"))
    assert again(key).credentials().secret == OLD


def test_a_secret_that_could_not_be_checked_cannot_be_used(key_manager: Client) -> None:
    key = make_app_key(secret=OLD, endpoint_url="http://127.0.0.1:1")
    assert "no connection to the provider" in text(post(key_manager, key, "rotate_page", secret=NEW))
    assert again(key).credentials().secret == OLD


def test_a_refused_check_takes_back_the_one_before_it(key_manager: Client, key: AppKey) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    post(key_manager, key, "rotate_page", secret=make_secret())
    assert "Nothing was changed" in text(post(key_manager, key, "rotate_page", confirm="1"))


@pytest.mark.parametrize(
    ("secret", "complaint"), [("", "Enter the secret"), ("a b", "spaces"), (OLD, "already in use")]
)
def test_what_cannot_be_a_new_secret_is_refused_unasked(
    key_manager: Client, key: AppKey, secret: str, complaint: str
) -> None:
    answer = post(key_manager, key, "rotate_page", secret=secret)
    assert (answer.status_code, complaint in text(answer)) == (422, True)
    assert not entries()


def test_a_short_secret_for_xinge_is_refused(key_manager: Client) -> None:
    key = make_app_key(provider="xinge_v2")
    assert "this one has 3" in text(post(key_manager, key, "rotate_page", secret="abc"))


def test_the_waiting_secret_is_encrypted_in_the_session(key_manager: Client, key: AppKey) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    assert "new_secret" in key_manager.session
    assert NEW not in str(dict(key_manager.session.items()))


def test_a_check_that_is_too_old_counts_no_more(
    key_manager: Client, key: AppKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    later = time.time() + 601
    monkeypatch.setattr("pushes.console.keys.sealed.time.time", lambda: later)
    assert "Nothing was changed" in text(post(key_manager, key, "rotate_page", confirm="1"))
    assert again(key).credentials().secret == OLD


def test_a_check_of_one_key_confirms_no_other(key_manager: Client, key: AppKey) -> None:
    other = make_app_key(environment="local", secret=OLD)  # type: ignore[arg-type]
    post(key_manager, key, "rotate_page", secret=NEW)
    assert "Nothing was changed" in text(post(key_manager, other, "rotate_page", confirm="1"))
    assert again(other).credentials().secret == OLD


def test_a_key_that_was_changed_after_the_check_is_left_alone(key_manager: Client, key: AppKey) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    other = make_secret()
    key.set_secret(other)
    key.save()
    assert "Nothing was changed" in text(post(key_manager, key, "rotate_page", confirm="1"))
    assert again(key).credentials().secret == other


def test_a_waiting_secret_whose_encryption_key_is_gone_is_asked_for_again(
    key_manager: Client, key: AppKey, settings: Any
) -> None:
    post(key_manager, key, "rotate_page", secret=NEW)
    settings.ENCRYPTION_KEYS = ["a" * 43 + "="]
    assert "Nothing was changed" in text(post(key_manager, key, "rotate_page", confirm="1"))


def test_no_third_secret_beside_two(key_manager: Client, rotated: AppKey) -> None:
    page = text(post(key_manager, rotated, "rotate_page", secret=make_secret()))
    assert "An old secret is still kept" in page
    assert again(rotated).credentials().secret == NEW


def test_a_paused_key_is_rotated_and_stays_paused(key_manager: Client, key: AppKey) -> None:
    key_manager.post(url("appkey_pause_page", key.pk), {"reason": "rotation"})
    post(key_manager, key, "rotate_page", secret=NEW)
    assert "resume it when you are ready" in text(post(key_manager, key, "rotate_page", confirm="1"))
    assert again(key).is_paused


def test_the_old_secret_is_ended_after_a_word_with_the_provider(key_manager: Client, rotated: AppKey) -> None:
    assert "The old secret is discarded." in text(post(key_manager, rotated, "end_old_page"))
    assert not again(rotated).has_old_secret
    assert "someone else" in text(post(key_manager, rotated, "end_old_page"))


def test_the_old_secret_is_kept_when_the_new_one_is_not_taken(
    key_manager: Client, rotated: AppKey, sandbox: Sandbox
) -> None:
    sandbox.add_key(int(rotated.access_id), OLD)
    assert "The old secret is kept" in text(post(key_manager, rotated, "end_old_page"))
    assert again(rotated).has_old_secret
    assert "refused: check the credentials" in entries()[0]


def test_an_operator_goes_back(key_manager: Client, rotated: AppKey, sandbox: Sandbox) -> None:
    sandbox.add_key(int(rotated.access_id), OLD)
    assert "the old secret is in use again" in text(post(key_manager, rotated, "go_back_page"))
    assert again(rotated).credentials().secret == OLD
    assert "There is no old secret to roll back to" in text(post(key_manager, rotated, "go_back_page"))


def test_nobody_goes_back_to_a_secret_that_is_refused(key_manager: Client, rotated: AppKey) -> None:
    assert "The new secret stays in use" in text(post(key_manager, rotated, "go_back_page"))
    assert again(rotated).credentials().secret == NEW


def test_going_back_needs_no_provider_that_answers(key_manager: Client, key: AppKey) -> None:
    AppKey.objects.update(endpoint_url="http://127.0.0.1:1")
    rotation.rotate(key, NEW)
    assert "the old secret is in use again" in text(post(key_manager, key, "go_back_page"))


def test_a_fall_back_is_an_alert_until_it_is_noted(key_manager: Client, rotated: AppKey, redis_client: object) -> None:
    rotation.fall_back(rotated, said("-103 sign error"))
    overview = reverse("admin:index")
    assert "sending rolled back to the old one" in text(key_manager.get(overview))
    assert "-103 sign error" in text(key_manager.get(url("appkey_change", rotated.pk)))
    assert "rolled back to the old secret" in text(key_manager.get(url("appkey_changelist")))
    assert "Acknowledged that the new secret was refused: -103" in text(post(key_manager, rotated, "note_page"))
    assert "sending rolled back" not in text(key_manager.get(overview))
    assert "already acknowledged" in text(post(key_manager, rotated, "note_page"))


def test_only_the_pages_that_apply_are_offered(key_manager: Client, key: AppKey) -> None:
    page = text(key_manager.get(url("appkey_change", key.pk)))
    assert "/rotate/" in page
    assert not any(name in page for name in ("/end-old/", "/go-back/", "/note/"))
    rotation.rotate(key, NEW)
    page = text(key_manager.get(url("appkey_change", key.pk)))
    assert "/rotate/" not in page
    assert "/end-old/" in page
    assert "/go-back/" in page


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("role", [roles.VIEWER, roles.OPERATOR, roles.APPROVER])
def test_no_other_role_touches_secrets(sign_in: SignIn, rotated: AppKey, role: str, page: str) -> None:
    client = sign_in(role)
    for answer in (client.get(url(f"appkey_{page}", rotated.pk)), client.post(url(f"appkey_{page}", rotated.pk))):
        assert answer.status_code == 403
    assert again(rotated).has_old_secret


@pytest.mark.parametrize("page", PAGES)
def test_looking_changes_nothing(key_manager: Client, rotated: AppKey, page: str) -> None:
    key_manager.get(url(f"appkey_{page}", rotated.pk))
    assert again(rotated).revision == rotated.revision
    assert not entries()


# --- the form beside it -----------------------------------------------------------------------


def form_of(key: AppKey, **fields: object) -> dict[str, object]:
    names = ("app", "platform", "environment", "provider", "access_id", "endpoint_url")
    return (
        {name: getattr(key, name) for name in names}
        | {"secret": "", "rate_per_second": "", "is_enabled": "on"}
        | fields
    )


def test_another_rate_touches_no_secret(key_manager: Client, rotated: AppKey) -> None:
    key_manager.post(url("appkey_change", rotated.pk), form_of(rotated, rate_per_second=7))
    found = again(rotated)
    assert (found.rate_per_second, found.has_old_secret, found.revision) == (7, True, rotated.revision)


@pytest.mark.parametrize("fields", [{"access_id": 2100000777}, {"secret": make_secret()}])
def test_other_credentials_end_the_old_secret_and_say_so(
    key_manager: Client, rotated: AppKey, fields: dict[str, object]
) -> None:
    page = text(key_manager.post(url("appkey_change", rotated.pk), form_of(rotated, **fields), follow=True))
    assert "also discards the old secret" in page
    assert not again(rotated).has_old_secret
    assert again(rotated).revision != rotated.revision


def test_a_form_that_was_open_undoes_nothing_of_the_workers(key_manager: Client, rotated: AppKey) -> None:
    opened = form_of(rotated, rate_per_second=9)
    rotation.fall_back(rotated, said("refused"))
    AppKey.objects.update(paused_reason="wrong clock")
    key_manager.post(url("appkey_change", rotated.pk), opened)
    found = again(rotated)
    assert (found.credentials().secret, found.paused_reason, found.rate_per_second) == (OLD, "wrong clock", 9)
