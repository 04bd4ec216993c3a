"""The check of the app keys against the client apps, and the doubts about access ids."""

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from pushes.models import AppKey
from pushes.names import App, Platform, ProviderKind
from tests.make import make_app_key, make_secret
from tests.pushes.console.conftest import url

pytestmark = pytest.mark.django_db
XINGE = ProviderKind.XINGE_V2


@pytest.fixture
def keys() -> None:
    make_app_key(App.HIGO, Platform.ANDROID, access_id=2100047733, provider=XINGE)
    make_app_key(App.HIGO, Platform.IOS, access_id=2200047738, provider=XINGE)


def compare(client: Client, listed: str = "", file: bytes | None = None) -> str:
    data: dict[str, object] = {"listed": listed}
    if file is not None:
        data["file"] = SimpleUploadedFile("apps.txt", file)
    return client.post(url("appkey_match_page"), data).content.decode()


def test_the_grid_leads_to_the_check(viewer: Client) -> None:
    assert url("appkey_match_page") in viewer.get(url("appkey_changelist")).content.decode()


def test_all_that_match_is_said_in_one_sentence(viewer: Client, keys: None) -> None:
    assert "All match" in compare(viewer, "higo android 2100047733\nhigo ios 2200047738")


def test_a_difference_is_said_before_the_table(viewer: Client, keys: None) -> None:
    page = compare(viewer, "higo android 2100047734\nhigo ios 2200047738")
    assert "Some access IDs differ" in page
    assert "2100047733" in page
    assert "2100047734" in page
    assert "differs" in page


def test_builds_and_keys_that_only_one_side_has(viewer: Client, keys: None) -> None:
    page = compare(viewer, "higo android 2100047733\nhigirl android 2100052867")
    assert "no app key here" in page
    assert "not in the list" in page


def test_a_list_with_faults_is_no_clean_verdict(viewer: Client, keys: None) -> None:
    page = compare(viewer, "higo android 2100047733\nhigo ios 2200047738\nhigo palm 5")
    assert "some items could not be compared" in page
    assert "line 3" in page


def test_nothing_on_either_side(viewer: Client) -> None:
    assert "There is nothing to compare" in compare(viewer, "; empty")


def test_the_old_ini_can_be_uploaded_and_its_secrets_go_nowhere(viewer: Client, keys: None) -> None:
    secret = make_secret()
    ini = f"android_higo_appid = 2100047733\nandroid_higo_skey = {secret}\nios_higo_appid = 2200047738\n"
    page = compare(viewer, file=ini.encode("gb18030"))
    assert "All match" in page
    assert "1 line with a secret was ignored" in page
    assert secret not in page
    assert secret not in str(list(viewer.session.items()))
    assert not LogEntry.objects.exists()


def test_a_paused_or_disabled_key_is_remarked(viewer: Client, keys: None) -> None:
    AppKey.objects.filter(platform="ios").update(is_enabled=False)
    AppKey.objects.filter(platform="android").update(paused_at=timezone.now())
    page = compare(viewer, "higo android 2100047733\nhigo ios 2200047738")
    assert "devices of this build receive no pushes" in page
    assert "its pushes wait" in page


@pytest.mark.parametrize(
    ("listed", "file", "complaint"),
    [
        ("  ", None, "Paste the list"),
        ("x", b"\xff\xff\xff", "neither UTF-8 nor GB 18030"),
        ("x", b"\xff\xfe\xff", "the file is truncated"),
        ("x", b"x" * 70_000, "larger than 64 KB"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(viewer: Client, listed: str, file: bytes | None, complaint: str) -> None:
    assert complaint in compare(viewer, listed, file)


def test_a_refused_list_is_shown_again_without_secrets(viewer: Client) -> None:
    secret = make_secret()
    page = compare(viewer, f"android_higo_appid = 2100047733\nandroid_higo_skey = {secret}", b"\xff\xfe\xff")
    assert "android_higo_appid = 2100047733" in page
    assert secret not in page


# --- doubts -----------------------------------------------------------------------------------


def test_an_ios_access_id_in_an_android_key_is_doubted_when_it_is_saved(key_manager: Client) -> None:
    fields = {
        "app": "higo", "platform": "android", "environment": "production", "provider": "xinge_v2",
        "access_id": 2200047738, "secret": make_secret(), "is_enabled": "on",
    }  # fmt: skip
    page = key_manager.post(url("appkey_add"), fields, follow=True).content.decode()
    assert page.count("2200047738 is the access ID of an iOS app, but this key is for Android.") == 2
    key = AppKey.objects.get()
    assert "of an iOS app" in key_manager.get(url("appkey_change", key.pk)).content.decode()


def test_a_right_access_id_is_not_doubted(key_manager: Client, keys: None) -> None:
    assert "is the access ID of" not in key_manager.get(url("appkey_changelist")).content.decode()
