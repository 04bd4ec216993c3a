from datetime import datetime
from datetime import timezone as tz

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from pushes.models import AppKey
from pushes.names import App, Environment, Platform
from tests.make import make_app_key, make_secret
from tests.pushes.console.conftest import url
from tests.pushes.rows import leave_redis
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db
ONE_DAY = datetime(2026, 5, 1, tzinfo=tz.utc)


def filled(**fields: object) -> dict[str, object]:
    return {
        "app": "higo",
        "platform": "ios",
        "environment": "production",
        "provider": "xinge_v2",
        "access_id": 2200047738,
        "secret": make_secret(),
        "endpoint_url": "",
        "rate_per_second": "",
        "is_enabled": "on",
    } | fields


def ini(**values: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("keys.ini", "".join(f"{k} = {v}\n" for k, v in values.items()).encode())


def test_the_grid_shows_keys_and_gaps(viewer: Client) -> None:
    make_app_key(App.HIGO, Platform.ANDROID, access_id=2100047733)
    page = viewer.get(url("appkey_changelist")).content.decode()
    assert "2100047733" in page
    assert page.count("Devices of this build receive no pushes.") == 11


def test_a_gap_offers_a_form_for_its_own_scope(key_manager: Client) -> None:
    page = key_manager.get(url("appkey_changelist")).content.decode()
    assert "?app=higirl&amp;platform=ios&amp;environment=local" in page


def test_a_key_is_added_with_its_secret_encrypted(key_manager: Client) -> None:
    secret = make_secret()
    key_manager.post(url("appkey_add"), filled(secret=secret))
    key = AppKey.objects.get()
    assert key.credentials().secret == secret
    assert secret not in key.secret_encrypted


def test_a_new_key_without_a_secret_is_refused(key_manager: Client) -> None:
    page = key_manager.post(url("appkey_add"), filled(secret=""))
    assert "Enter the secret of the new key." in page.content.decode()
    assert not AppKey.objects.exists()


@pytest.mark.parametrize(
    ("secret", "complaint"), [("abc", "this one has 3"), ("a b" * 11, "spaces"), ("密" * 32, "spaces or characters")]
)
def test_a_secret_that_cannot_be_one_is_refused(key_manager: Client, secret: str, complaint: str) -> None:
    page = key_manager.post(url("appkey_add"), filled(secret=secret)).content.decode()
    assert complaint in page
    assert secret not in page


def test_an_access_id_of_zero_is_refused(key_manager: Client) -> None:
    page = key_manager.post(url("appkey_add"), filled(access_id=0))
    assert "positive number" in page.content.decode()


def test_the_secret_is_on_no_page(key_manager: Client) -> None:
    secret = make_secret()
    key = make_app_key(secret=secret)
    for name in ("appkey_change", "appkey_history"):
        page = key_manager.get(url(name, key.pk)).content.decode()
        assert secret not in page
        assert key.secret_encrypted not in page


def test_an_empty_secret_keeps_the_stored_one(key_manager: Client) -> None:
    secret = make_secret()
    key = make_app_key(App.HIGO, Platform.IOS, secret=secret, provider="xinge_v2")
    key_manager.post(url("appkey_change", key.pk), filled(secret="", access_id=7))
    key.refresh_from_db()
    assert (key.access_id, key.credentials().secret) == ("7", secret)


def test_a_typed_secret_replaces_the_stored_one(key_manager: Client) -> None:
    key, secret = make_app_key(App.HIGO, Platform.IOS), make_secret()
    key_manager.post(url("appkey_change", key.pk), filled(secret=secret))
    key.refresh_from_db()
    assert key.credentials().secret == secret


def test_the_history_names_the_secret_but_not_its_value(key_manager: Client) -> None:
    key, secret = make_app_key(App.HIGO, Platform.IOS), make_secret()
    key_manager.post(url("appkey_change", key.pk), filled(secret=secret))
    entry = LogEntry.objects.get()
    assert "Secret key" in entry.get_change_message()
    assert secret not in entry.change_message


def test_a_second_key_of_a_scope_is_refused(key_manager: Client) -> None:
    make_app_key(App.HIGO, Platform.IOS)
    key_manager.post(url("appkey_add"), filled())
    assert AppKey.objects.count() == 1


def test_a_viewer_sees_no_secret_field(viewer: Client) -> None:
    page = viewer.get(url("appkey_change", make_app_key().pk)).content.decode()
    assert 'name="secret"' not in page


def test_pausing_asks_for_a_reason(key_manager: Client) -> None:
    key = make_app_key()
    answer = key_manager.post(url("appkey_pause_page", key.pk), {"reason": ""})
    key.refresh_from_db()
    assert answer.status_code == 422
    assert not key.is_paused


def test_a_key_is_paused_and_resumed_with_an_entry_each(key_manager: Client) -> None:
    key = make_app_key()
    key_manager.post(url("appkey_pause_page", key.pk), {"reason": "rotation at noon"})
    key.refresh_from_db()
    assert (key.is_paused, key.paused_reason) == (True, "rotation at noon")
    key_manager.post(url("appkey_resume_page", key.pk))
    key.refresh_from_db()
    assert not key.is_paused
    assert LogEntry.objects.count() == 2


def test_looking_at_the_pause_page_pauses_nothing(key_manager: Client) -> None:
    key = make_app_key()
    key_manager.get(url("appkey_pause_page", key.pk))
    key.refresh_from_db()
    assert not key.is_paused


def test_a_key_is_disabled_and_enabled(key_manager: Client) -> None:
    key = make_app_key()
    key_manager.post(url("appkey_disable_page", key.pk))
    key.refresh_from_db()
    assert not key.is_enabled
    key_manager.post(url("appkey_enable_page", key.pk))
    key.refresh_from_db()
    assert key.is_enabled


def test_only_the_buttons_that_apply_are_offered(key_manager: Client) -> None:
    page = key_manager.get(url("appkey_change", make_app_key().pk)).content.decode()
    assert "/pause/" in page
    assert "/resume/" not in page


def test_an_import_shows_what_would_change_and_stores_nothing(key_manager: Client) -> None:
    secret = make_secret()
    file = ini(ios_higo_appid="2200047738", ios_higo_skey=secret)
    page = key_manager.post(url("appkey_import_page"), {"file": file, "provider": "", "endpoint_url": ""})
    assert "higo ios production" in page.content.decode()
    assert secret not in page.content.decode()
    assert not AppKey.objects.exists()


def test_a_doubtful_access_id_is_shown_before_the_import(key_manager: Client) -> None:
    file = ini(ios_higo_appid="2100047738", ios_higo_skey=make_secret())
    page = key_manager.post(url("appkey_import_page"), {"file": file, "provider": "", "endpoint_url": ""})
    assert "2100047738 is the access ID of an Android app, but this key is for iOS." in page.content.decode()


def test_a_kept_provider_is_not_doubted(key_manager: Client) -> None:
    make_app_key(App.HIGO, Platform.IOS, provider="tpns", access_id=1600000001)
    file = ini(ios_higo_appid="1600000002", ios_higo_skey=make_secret())
    page = key_manager.post(url("appkey_import_page"), {"file": file, "provider": "", "endpoint_url": ""})
    assert "not a valid TPNS access ID" not in page.content.decode()
    assert "looks like" not in page.content.decode()


def test_a_confirmed_import_stores_the_keys_once(key_manager: Client) -> None:
    secret = make_secret()
    file = ini(local_ios_higirl_appid="2200052868", local_ios_higirl_skey=secret)
    key_manager.post(url("appkey_import_page"), {"file": file, "provider": "sandbox", "endpoint_url": ""})
    key_manager.post(url("appkey_import_page"), {"confirm": "1"})
    key = AppKey.objects.get(app=App.HIGIRL, environment=Environment.LOCAL)
    assert (key.credentials().secret, key.provider) == (secret, "sandbox")
    again = key_manager.post(url("appkey_import_page"), {"confirm": "1"}, follow=True)
    assert "Nothing was imported" in again.content.decode()


def test_a_file_with_an_error_offers_no_import(key_manager: Client) -> None:
    file = ini(ios_higo_appid="2200047738")
    page = key_manager.post(url("appkey_import_page"), {"file": file, "provider": "", "endpoint_url": ""})
    assert "ios_higo_skey is missing" in page.content.decode()
    assert 'name="confirm"' not in page.content.decode()


def test_the_waiting_file_is_encrypted_in_the_session(key_manager: Client) -> None:
    secret = make_secret()
    file = ini(ios_higo_appid="2200047738", ios_higo_skey=secret)
    key_manager.post(url("appkey_import_page"), {"file": file, "provider": "", "endpoint_url": ""})
    assert secret not in str(dict(key_manager.session.items()))


@pytest.mark.parametrize("name", ["appkey_pause_page", "appkey_resume_page", "appkey_disable_page"])
def test_an_operator_may_not_touch_keys(operator: Client, name: str) -> None:
    assert operator.post(url(name, make_app_key().pk), {"reason": "x"}).status_code == 403


def test_a_key_that_the_provider_accepts_is_verified(key_manager: Client, sandbox: Sandbox) -> None:
    secret = make_secret()
    key = make_app_key(secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), secret)
    page = key_manager.post(url("appkey_verify_page", key.pk), follow=True)
    assert "the provider accepted these credentials" in page.content.decode()


def test_a_wrong_secret_is_refused_by_the_provider(key_manager: Client, sandbox: Sandbox) -> None:
    key = make_app_key(endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), make_secret())
    page = key_manager.post(url("appkey_verify_page", key.pk), follow=True)
    assert "refused: check the credentials" in page.content.decode()


def test_looking_at_the_verify_page_calls_nobody(key_manager: Client) -> None:
    key = make_app_key(endpoint_url="http://127.0.0.1:1")
    assert key_manager.get(url("appkey_verify_page", key.pk)).status_code == 200
    assert not LogEntry.objects.exists()


def test_a_provider_that_cannot_be_reached_is_said_and_kept(key_manager: Client) -> None:
    key = make_app_key(endpoint_url="http://127.0.0.1:1")
    page = key_manager.post(url("appkey_verify_page", key.pk), follow=True).content.decode()
    assert "no connection to the provider" in page
    assert "no connection to the provider" in LogEntry.objects.get().change_message


def test_an_operator_may_not_have_a_key_verified(operator: Client) -> None:
    assert operator.post(url("appkey_verify_page", make_app_key().pk)).status_code == 403


@pytest.mark.parametrize(
    ("page", "fields", "words"),
    [
        ("pause_page", {"paused_reason": "wrong clock", "paused_at": ONE_DAY}, "already paused: wrong clock"),
        ("resume_page", {}, "The key was not paused."),
        ("disable_page", {"is_enabled": False}, "already disabled"),
        ("enable_page", {}, "already enabled"),
    ],
)
def test_what_is_done_already_is_said_and_not_written_down(
    key_manager: Client, page: str, fields: dict[str, object], words: str
) -> None:
    key = make_app_key()
    AppKey.objects.update(**fields)
    answer = key_manager.post(url(f"appkey_{page}", key.pk), {"reason": "again"}, follow=True)
    assert words in answer.content.decode()
    assert not LogEntry.objects.exists()


def test_a_key_is_resumed_while_redis_is_away(key_manager: Client, settings: Settings) -> None:
    key = make_app_key(paused_at=timezone.now())
    leave_redis(settings)
    page = key_manager.post(url("appkey_resume_page", key.pk), follow=True).content.decode()
    key.refresh_from_db()
    assert "Redis does not answer" in page
    assert not key.is_paused


def test_the_verify_page_says_which_secret_is_asked_about(key_manager: Client) -> None:
    page = key_manager.get(url("appkey_verify_page", make_app_key().pk)).content.decode()
    assert "Secret in use since" in page
