"""Keys of every provider in the console: their credentials, what is wrong with them, and their rotation."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from pushes.keys import access_tokens, entry, rotation
from pushes.models import AppKey
from pushes.names import App, Platform, ProviderKind
from pushes.text.notes import said
from tests.make import make_app_key, make_secret
from tests.pushes.console.conftest import url
from tests.pushes.management.test_addappkey import google_account, huawei_account
from tests.pushes.providers.key_files import P256, RSA, pem_of
from tests.pushes.token_server import Vendor, running_vendor, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HEX = "0123456789abcdef01234567"
P8 = pem_of(P256)
APNS = {"key_file": P8, "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ", "topic": "com.example.shop"}
CREDENTIALS: dict[str, tuple[str, dict[str, str]]] = {
    "xinge_v2": ("android", {"access_id": "2100047733", "secret": make_secret()}),
    "tpns": ("android", {"access_id": "1500000001", "secret": make_secret()}),
    "sandbox": ("android", {"access_id": "2100047733", "secret": make_secret()}),
    "apns": ("ios", APNS),
    "fcm": ("android", {"service_account": google_account()}),
    "jpush": ("ios", {"app_key": HEX, "master_secret": HEX[::-1]}),
    "huawei_v3": ("harmony", {"service_account": huawei_account()}),
    "huawei_v1": ("android", {"app_id": "100", "client_secret": make_secret()}),
}
ACCESS_IDS = {"apns": "ABC123DEFG", "fcm": "shop-1", "jpush": HEX, "huawei_v3": "4611", "huawei_v1": "100"}


def filled(kind: str, **fields: object) -> dict[str, object]:
    platform, credentials = CREDENTIALS[kind]
    scope = {"app": "higo", "platform": platform, "environment": "production", "provider": kind}
    return {**scope, **credentials, "endpoint_url": "", "rate_per_second": "", "is_enabled": "on", **fields}


def added(kind: str, **fields: Any) -> AppKey:
    platform, credentials = CREDENTIALS[kind]
    key = AppKey(app=App.HIGO, platform=platform, environment="production", provider=kind, **fields)
    sealed = entry.sealed(key, kind, credentials)
    key.set_secret(sealed.secret, sealed.access_id)
    key.save()
    return key


def text(answer: Any) -> str:
    return str(answer.content.decode())


def errors(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["adminform"].form.errors)


# --- a new key --------------------------------------------------------------------------------


def test_every_kind_is_offered_with_the_platforms_that_it_reaches(key_manager: Client) -> None:
    page = text(key_manager.get(url("appkey_add"), {"app": "higo", "platform": "ios"}))
    for kind in entry.kinds():
        assert f'value="{kind.value}"' in page
    assert "APNs – iOS" in page
    assert "JPush v3 – Android, iOS, HarmonyOS" in page


def test_a_provider_that_reaches_the_platform_is_proposed(key_manager: Client) -> None:
    page = text(key_manager.get(url("appkey_add"), {"app": "higo", "platform": "harmony", "environment": "local"}))
    assert '<option value="jpush" selected' in page


@pytest.mark.parametrize("kind", entry.kinds())
def test_the_second_step_asks_for_what_the_kind_needs(key_manager: Client, kind: ProviderKind) -> None:
    scope = {name: str(filled(kind)[name]) for name in ("app", "platform", "environment", "provider")}
    page = text(key_manager.get(url("appkey_add"), scope))
    asked = {field.name for field in entry.fields(kind)}
    for other in {field.name for one in entry.kinds() for field in entry.fields(one)}:
        assert (f'name="{other}"' in page) == (other in asked)
    assert "Stored encrypted and never shown again." in page


def test_a_kind_that_does_not_reach_the_platform_goes_no_further(key_manager: Client) -> None:
    scope = {"app": "higo", "platform": "android", "environment": "production", "provider": "apns"}
    answer = key_manager.get(url("appkey_add"), scope)
    assert (answer.status_code, "APNs pushes to iOS only." in text(answer)) == (422, True)
    answer = key_manager.post(url("appkey_add"), filled("apns", platform="android"))
    assert errors(answer)["platform"] == ["APNs pushes to iOS only."]


@pytest.mark.parametrize("kind", entry.kinds())
def test_a_key_of_every_kind_is_added_and_never_shown_again(key_manager: Client, kind: ProviderKind) -> None:
    key_manager.post(url("appkey_add"), filled(kind))
    key = AppKey.objects.get()
    assert (key.provider, key.access_id) == (kind, ACCESS_IDS.get(kind, key.access_id))
    secrets = [str(value) for name, value in CREDENTIALS[kind][1].items() if _is_secret(kind, name)]
    page = text(key_manager.get(url("appkey_change", key.pk))) + text(key_manager.get(url("appkey_history", key.pk)))
    assert key.access_id in page
    for secret in secrets:
        assert secret[-30:] not in page
        assert secret[-30:] not in str(AppKey.objects.values().get())
    assert not set(secrets) & set(LogEntry.objects.values_list("change_message", flat=True))


def _is_secret(kind: str, name: str) -> bool:
    return any(field.name == name and field.is_secret for field in entry.fields(kind))


def test_a_file_is_dropped_on_the_form(key_manager: Client) -> None:
    dropped = SimpleUploadedFile("shop.json", google_account().encode())
    key_manager.post(url("appkey_add"), filled("fcm", service_account="", service_account_file=dropped))
    assert AppKey.objects.get().access_id == "shop-1"


PUBLIC = P8.replace("PRIVATE", "PUBLIC")
FAULTS = [
    ("apns", {"key_file": "no key"}, "key_file", "This is not a key file"),
    ("apns", {"key_file": PUBLIC}, "key_file", "This is a public key"),
    ("apns", {"key_file": pem_of(ec.generate_private_key(ec.SECP384R1()))}, "key_file", "curve secp384r1"),
    ("apns", {"key_file": pem_of(RSA)}, "key_file", "This is an RSA key"),
    ("apns", {"key_file": "x" * 17_000}, "key_file", "at most 16 KB"),
    ("apns", {"key_file": ""}, "key_file", "not a key file"),
    ("apns", {"team_id": "x"}, "team_id", "not a valid team ID"),
    ("fcm", {"service_account": huawei_account()}, "service_account", ""),
    ("fcm", {"service_account": "{"}, "service_account", ""),
    ("huawei_v3", {"service_account": google_account()}, "service_account", "of Google"),
    ("jpush", {"app_key": HEX, "master_secret": HEX}, "master_secret", "This is the AppKey"),
    ("huawei_v1", {"app_id": "x"}, "app_id", "only digits"),
]


@pytest.mark.parametrize(("kind", "fields", "at", "words"), FAULTS)
def test_what_is_wrong_is_said_at_its_field(
    key_manager: Client, kind: str, fields: dict[str, str], at: str, words: str
) -> None:
    answer = key_manager.post(url("appkey_add"), filled(kind, **fields))
    [said] = errors(answer)[at]
    assert words in said
    assert not AppKey.objects.exists()
    for name, entered in fields.items():
        is_told = not _is_secret(kind, name) or len(entered) < 8 or entered == fields.get("app_key")
        assert is_told or entered not in text(answer)


@pytest.mark.parametrize(
    ("data", "words"), [(b"\xff\xfe", "not text"), (b"", "empty"), (b" " * 20_000, "at most 16 KB")]
)
def test_a_file_that_can_be_no_key_is_refused(key_manager: Client, data: bytes, words: str) -> None:
    dropped = SimpleUploadedFile("key.p8", data)
    answer = key_manager.post(url("appkey_add"), filled("apns", key_file="", key_file_file=dropped))
    assert words in str(errors(answer)["key_file"])


def test_keys_of_two_channels_stand_in_one_place_of_the_grid(key_manager: Client) -> None:
    make_app_key(App.HIGO, Platform.IOS)
    key_manager.post(url("appkey_add"), filled("apns"))
    page = text(key_manager.get(url("appkey_changelist")))
    assert "APNs" in page
    assert page.count("Devices of this build receive no pushes.") == 11
    assert "Add another provider" in page


def test_a_second_key_of_a_channel_is_refused_with_the_reason(key_manager: Client) -> None:
    added("apns")
    answer = key_manager.post(url("appkey_add"), filled("apns"))
    assert "There is already a key of higo ios production for APNs." in text(answer)
    assert AppKey.objects.count() == 1


# --- a stored key -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", entry.kinds())
def test_left_blank_the_credentials_stay(key_manager: Client, kind: ProviderKind) -> None:
    key = added(kind)
    blank = {field.name: "" for field in entry.fields(kind) if not field.is_access_id}
    key_manager.post(url("appkey_change", key.pk), filled(kind, **blank, rate_per_second=7))
    found = AppKey.objects.get()
    assert (found.rate_per_second, found.revision) == (7, key.revision)
    assert found.credentials() == key.credentials()


def test_new_credentials_replace_all_of_the_old_ones(key_manager: Client) -> None:
    key = added("apns")
    rotation.rotate(key, key.credentials().secret, "OLDOLDOLD1")
    key_manager.post(url("appkey_change", key.pk), filled("apns", key_id="XYZ123DEFG"))
    found = AppKey.objects.get()
    assert (found.access_id, found.has_old_secret, found.old_access_id) == ("XYZ123DEFG", False, "")
    assert "XYZ123DEFG" in found.credentials().secret


def test_a_key_stays_with_its_channel(key_manager: Client) -> None:
    key = added("jpush")
    answer = key_manager.post(url("appkey_change", key.pk), filled("apns"))
    assert "This key stays with JPush" in str(errors(answer)["provider"])
    assert AppKey.objects.get().provider == "jpush"


def test_the_file_of_another_project_is_refused(key_manager: Client) -> None:
    key = added("fcm")
    other = filled("fcm", service_account=google_account(project_id="shop-2"))
    answer = key_manager.post(url("appkey_change", key.pk), other)
    assert "This is of another project: shop-2. The key is of shop-1" in str(errors(answer)["service_account"])
    assert AppKey.objects.get().access_id == "shop-1"


@pytest.mark.parametrize("kind", entry.kinds())
def test_a_viewer_sees_the_access_id_and_no_field(viewer: Client, kind: ProviderKind) -> None:
    key = added(kind)
    page = text(viewer.get(url("appkey_change", key.pk)))
    assert key.access_id in page
    for field in entry.fields(kind):
        assert f'name="{field.name}"' not in page


# --- rotation ---------------------------------------------------------------------------------


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    access_tokens.forget()
    with running_vendor() as vendor:
        vendor.secret = CREDENTIALS["huawei_v1"][1]["client_secret"]
        yield vendor


def test_a_secret_that_is_exchanged_is_verified_and_rotated(key_manager: Client, vendor: Vendor) -> None:
    key = added("huawei_v1", endpoint_url=vendor.url)
    assert "Verified" in text(key_manager.post(url("appkey_verify_page", key.pk), follow=True))
    old, vendor.secret = vendor.secret, "the-new-secret"
    page = text(key_manager.post(url("appkey_verify_page", key.pk), follow=True))
    assert "access token: invalid client" in page
    rotate = url("appkey_rotate_page", key.pk)
    assert "accepted these credentials" in text(key_manager.post(rotate, {"client_secret": "the-new-secret"}))
    key_manager.post(rotate, {"confirm": "1"})
    found = AppKey.objects.get()
    assert (found.credentials().secret, found.old_credentials().secret) == (
        stored("the-new-secret"),
        stored(old),
    )
    assert found.access_id == "100"


def test_rotation_asks_for_all_but_an_access_id_that_stays(key_manager: Client) -> None:
    page = text(key_manager.get(url("appkey_rotate_page", added("jpush").pk)))
    assert 'name="master_secret"' in page
    assert 'name="app_key"' not in page
    AppKey.objects.all().delete()
    page = text(key_manager.get(url("appkey_rotate_page", added("apns").pk)))
    for name in APNS:
        assert f'name="{name}"' in page
    assert 'enctype="multipart/form-data"' in page


def test_what_is_wrong_with_a_new_file_is_said(key_manager: Client) -> None:
    key = added("fcm")
    rotate = url("appkey_rotate_page", key.pk)
    same = key_manager.post(rotate, {"service_account": google_account()})
    assert (same.status_code, "already in use" in text(same)) == (422, True)
    other = key_manager.post(rotate, {"service_account": google_account(project_id="shop-2")})
    assert "This is of another project: shop-2" in text(other)


def test_a_new_key_id_goes_with_its_secret_and_comes_back_with_the_old_one(key_manager: Client) -> None:
    key = added("apns", endpoint_url="http://127.0.0.1:9")
    sealed = entry.rotated(key, {**APNS, "key_id": "NEW4567890", "key_file": pem_of(P256)})
    assert rotation.rotate(key, sealed.secret, sealed.access_id)
    found = AppKey.objects.get()
    assert (found.access_id, found.old_access_id) == ("NEW4567890", "ABC123DEFG")
    assert found.old_credentials().access_id == "ABC123DEFG"
    page = text(key_manager.get(url("appkey_go_back_page", key.pk)))
    assert "ABC123DEFG" in page
    key_manager.post(url("appkey_go_back_page", key.pk))
    found = AppKey.objects.get()
    assert (found.access_id, found.old_access_id, found.has_old_secret) == ("ABC123DEFG", "", False)
    assert "ABC123DEFG" in found.credentials().secret


def test_a_fall_back_restores_the_access_id() -> None:
    key = added("apns")
    sealed = entry.rotated(key, {**APNS, "key_id": "NEW4567890"})
    rotation.rotate(key, sealed.secret, sealed.access_id)
    assert rotation.fall_back(AppKey.objects.get(), said("InvalidProviderToken"))
    found = AppKey.objects.get()
    assert (found.access_id, json.loads(found.credentials().secret)["key_id"]) == ("ABC123DEFG", "ABC123DEFG")


def test_the_old_access_id_goes_with_the_old_secret() -> None:
    key = added("apns")
    rotation.rotate(key, "new", "NEW4567890")
    rotation.end_old(AppKey.objects.get())
    found = AppKey.objects.get()
    assert (found.access_id, found.old_access_id) == ("NEW4567890", "")


LABELS = {
    "xinge_v2": ("Access ID", "Access ID"),
    "apns": ("Key ID", "密钥 ID"),
    "fcm": ("Project ID", "项目 ID"),
    "jpush": ("AppKey", "AppKey"),
    "huawei_v3": ("Project ID", "项目 ID"),
    "huawei_v1": ("App ID", "App ID"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_the_access_id_has_the_vendor_s_name(administrator: Client, viewer: Client, kind: str) -> None:
    key = added(kind)
    for reader in (administrator, viewer):
        for language, label in zip(("en", "zh-hans"), LABELS[kind], strict=True):
            page = text(reader.get(url("appkey_change", key.pk), headers={"accept-language": language}))
            assert label in re.sub(r"<[^>]*>", "", page)
            assert key.access_id in page
            if label not in ("Access ID", "AppKey", "App ID"):
                assert not re.search(r">\s*Access ID\s*<", page)
