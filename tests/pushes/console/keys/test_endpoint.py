"""Where a key's calls go is chosen by whoever runs the machine; a key manager picks among that, with the secret."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from pushes import checks
from pushes.console.overview import alerts
from pushes.console.site import attention
from pushes.history import vitals
from pushes.models import AppKey
from pushes.names import App, Platform, ProviderKind
from tests.make import make_app_key, make_secret
from tests.pushes.console.conftest import url
from tests.pushes.console.keys.test_desk import filled, ini

pytestmark = pytest.mark.django_db
PAIR = {"ios_higo_appid": "2200047738", "ios_higo_skey": "0123456789abcdef0123456789abcdef"}
REFUSED = [
    "http://169.254.169.254/latest/meta-data",
    "http://localhost:6379",
    "http://10.0.0.7",
    "https://user:s3cret@gateway.example.com/",
    "http://api.tpns.tencent.com",
    "https://gateway.example.com:9999",
]


@pytest.fixture(autouse=True)
def listed(settings: Settings) -> None:
    settings.PROVIDER_HOSTS = [
        "gateway.example.com:8443",
        "http://gateway.example.com:8443",
        "127.0.0.1:8790",
        "xn--fsqu00a.test",
    ]


@pytest.fixture
def key() -> AppKey:
    return make_app_key(App.HIGO, Platform.IOS, provider=ProviderKind.XINGE_V2, access_id=2200047738)


@pytest.mark.parametrize("endpoint", REFUSED)
def test_a_host_that_is_not_allowed_is_refused_when_it_is_typed(key_manager: Client, key: AppKey, endpoint: str):
    page = key_manager.post(url("appkey_change", key.pk), filled(endpoint_url=endpoint))
    assert page.status_code == 200
    assert page.context["adminform"].form.errors["endpoint_url"]
    key.refresh_from_db()
    assert key.endpoint_url == ""


@pytest.mark.parametrize("endpoint", REFUSED)
def test_and_for_a_new_key(key_manager: Client, endpoint: str):
    key_manager.post(url("appkey_add"), filled(endpoint_url=endpoint))
    assert not AppKey.objects.exists()


@pytest.mark.parametrize(
    ("endpoint", "stored"),
    [
        ("https://gateway.example.com:8443/xg", "https://gateway.example.com:8443/xg"),
        ("http://127.0.0.1:8790", "http://127.0.0.1:8790"),
        ("https://例子.test/xg", "https://xn--fsqu00a.test/xg"),
        ("https://openapi.xg.qq.com", "https://openapi.xg.qq.com"),
    ],
)
def test_one_that_is_allowed_is_kept(key_manager: Client, key: AppKey, endpoint: str, stored: str):
    key_manager.post(url("appkey_change", key.pk), filled(endpoint_url=endpoint))
    key.refresh_from_db()
    assert key.endpoint_url == stored


def test_at_another_host_the_secret_is_asked_for_again(key_manager: Client, key: AppKey):
    answer = key_manager.post(url("appkey_change", key.pk), filled(secret="", endpoint_url="http://127.0.0.1:8790"))
    assert "Enter the secret again" in answer.content.decode()
    key.refresh_from_db()
    assert key.endpoint_url == ""


@pytest.mark.parametrize(
    ("before", "after", "is_asked"),
    [
        ("https://gateway.example.com:8443", "https://gateway.example.com:8443/xg", False),
        ("https://gateway.example.com:8443", "https://GATEWAY.example.com:8443", False),
        ("https://gateway.example.com:8443", "http://gateway.example.com:8443", True),
        ("https://gateway.example.com:8443", "https://openapi.xg.qq.com", True),
        ("https://gateway.example.com:8443", "", True),
        ("http://openapi.xg.qq.com", "", False),
        ("http://gone.example.com", "http://127.0.0.1:8790", True),
    ],
)
def test_only_another_host_asks_for_it(key_manager: Client, key: AppKey, before: str, after: str, is_asked: bool):
    AppKey.objects.update(endpoint_url=before)
    key_manager.post(url("appkey_change", key.pk), filled(secret="", endpoint_url=after))
    key.refresh_from_db()
    assert key.endpoint_url == (before if is_asked else after)


@pytest.mark.parametrize(
    ("before", "after", "endpoint", "is_asked"),
    [
        (ProviderKind.TPNS, ProviderKind.XINGE_V2, "", True),
        (ProviderKind.TPNS, ProviderKind.SANDBOX, "", True),
        (ProviderKind.TPNS, ProviderKind.XINGE_V2, "https://gateway.example.com:8443", False),
    ],
)
def test_another_provider_at_its_own_address_is_another_host(
    key_manager: Client, key: AppKey, before: str, after: str, endpoint: str, is_asked: bool
):
    AppKey.objects.update(provider=before, endpoint_url=endpoint)
    key_manager.post(url("appkey_change", key.pk), filled(secret="", provider=after, endpoint_url=endpoint))
    key.refresh_from_db()
    assert key.provider == (before if is_asked else after)


@pytest.mark.parametrize(("field", "value"), [("environment", "local"), ("platform", "android")])
def test_what_was_said_of_tokens_elsewhere_no_longer_counts(key_manager: Client, key: AppKey, field: str, value: str):
    key_manager.post(url("appkey_change", key.pk), filled(**{"secret": "", field: value}))
    changed = AppKey.objects.get(pk=key.pk)
    assert (getattr(changed, field), changed.revision != key.revision) == (value, True)


def test_the_overview_and_the_badge_tell_of_a_key_that_may_not_be_called(key_manager: Client, key: AppKey, rf: Any):
    request = rf.get("/admin/")
    request.user = key_manager.get("/admin/").wsgi_request.user
    AppKey.objects.update(endpoint_url="http://10.0.0.7")
    raised = alerts.raised(request, None, vitals.key_states(), vitals.Waiting(None, None), timezone.now())
    [alert] = [one for one in raised if one.name.startswith("end")]
    assert ("10.0.0.7" in alert.text, "PROVIDER_HOSTS" in alert.advice, alert.is_urgent) == (True, True, True)
    assert attention.at_desk("appkey", request.user) == 1
    AppKey.objects.update(is_enabled=False)
    assert attention.at_desk("appkey", request.user) == 0
    AppKey.objects.update(is_enabled=True, paused_at=timezone.now())
    assert attention.at_desk("appkey", request.user) == 1
    AppKey.objects.update(paused_at=None, endpoint_url="http://127.0.0.1:8790")
    assert attention.at_desk("appkey", request.user) == 0


@pytest.mark.parametrize("endpoint", REFUSED)
def test_the_import_page_refuses_it(key_manager: Client, endpoint: str):
    page = key_manager.post(url("appkey_import_page"), {"file": ini(**PAIR), "provider": "", "endpoint_url": endpoint})
    assert page.status_code == 422
    assert "endpoint_url" in page.context["form"].errors


@pytest.mark.parametrize("endpoint", REFUSED)
def test_the_import_command_refuses_it(tmp_path: Path, endpoint: str):
    file = tmp_path / "keys.ini"
    file.write_text("".join(f"{name} = {value}\n" for name, value in PAIR.items()))
    with pytest.raises(CommandError, match="--endpoint=") as caught:
        call_command("importappkeys", str(file), "--endpoint", endpoint)
    assert "s3cret" not in str(caught.value)
    assert not AppKey.objects.exists()


def test_a_key_from_before_is_named_by_the_check_and_on_its_page(key_manager: Client, key: AppKey):
    AppKey.objects.update(endpoint_url="http://10.0.0.7")
    [found] = checks.check_endpoints(databases=["default"])
    assert (found.id, str(key) in found.msg, "10.0.0.7" in found.msg) == ("pushes.W010", True, True)
    page = key_manager.get(url("appkey_change", key.pk)).content.decode()
    assert "Pushes under this key cannot be sent from here: 10.0.0.7" in page
    AppKey.objects.update(endpoint_url="http://127.0.0.1:8790")
    assert checks.check_endpoints(databases=["default"]) == []
    assert checks.check_endpoints() == []


def test_verifying_it_calls_nobody_and_says_why(key_manager: Client, key: AppKey):
    AppKey.objects.update(endpoint_url="http://10.0.0.7")
    page = key_manager.post(url("appkey_verify_page", key.pk), follow=True).content.decode()
    assert "not checked: the endpoint is not allowed" in page


def test_a_rotation_calls_nobody_either(key_manager: Client, key: AppKey):
    AppKey.objects.update(endpoint_url="http://10.0.0.7")
    page = key_manager.post(url("appkey_rotate_page", key.pk), {"secret": make_secret()}).content.decode()
    assert "not checked: the endpoint is not allowed" in page
