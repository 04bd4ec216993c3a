import pytest
from django.test import Client
from pytest_django import Settings
from redis import Redis, RedisError

from pushes.models import Device
from pushes.names import Channel, ProviderKind
from pushes.people import coverage
from tests.make import make_account, make_app_key, make_device

pytestmark = pytest.mark.django_db
PAGE = "/admin/pushes/device/coverage/"
REFRESH = 'hx-get="?part"'


@pytest.fixture
def people(redis_client: Redis) -> None:
    make_app_key(provider=ProviderKind.FCM)
    both, old = make_account("1"), make_account("2")
    for account, channel in ((both, Channel.XINGE), (both, Channel.FCM), (old, Channel.XINGE)):
        make_device(account, channel=channel)


def text(client: Client, path: str = PAGE) -> str:
    return client.get(path).content.decode()


@pytest.mark.usefixtures("people")
def test_the_page_counts_by_refreshing_itself(viewer: Client):
    first = text(viewer)
    assert REFRESH in first
    part = text(viewer, f"{PAGE}?part")
    assert REFRESH not in part
    assert "Xinge" in part
    assert "Of these, 1 cannot be reached" in part
    assert REFRESH not in text(viewer)


@pytest.mark.usefixtures("people")
def test_its_links_lead_to_the_channels_devices(viewer: Client):
    text(viewer, f"{PAGE}?part")
    query = "app__exact=higo&platform__exact=android&environment__exact=production&channel__exact=fcm"
    assert query.replace("&", "&amp;") in text(viewer)
    page = viewer.get(f"/admin/pushes/device/?{query}&is_active__exact=1")
    assert [row.channel for row in page.context["cl"].result_list] == ["fcm"]


@pytest.mark.usefixtures("people")
def test_it_is_counted_again_when_asked(viewer: Client):
    text(viewer, f"{PAGE}?part")
    Device.objects.all().delete()
    assert viewer.post(PAGE).status_code == 302
    assert "cannot be reached" not in text(viewer, f"{PAGE}?part")


def test_without_devices_and_keys_it_says_so(viewer: Client, redis_client: Redis):
    assert "There are no devices and no app keys yet." in text(viewer, f"{PAGE}?part")


def test_devices_in_a_database_of_ones_own_are_not_counted(viewer: Client, settings: Settings):
    settings.DIRECTORY = "pushes.people.sql_directory.SqlDirectory"
    assert "your own database" in text(viewer)


@pytest.mark.usefixtures("people")
def test_it_speaks_chinese(viewer: Client):
    coverage.count_on(60)
    viewer.cookies.load({"django_language": "zh-hans"})
    found = text(viewer)
    assert "通道覆盖" in found
    assert "信鸽" in found


@pytest.mark.usefixtures("people")
def test_the_app_keys_lead_to_it(viewer: Client):
    assert PAGE in text(viewer, "/admin/pushes/appkey/")


def test_without_redis_the_page_says_so_and_its_part_tries_again(viewer: Client, monkeypatch: pytest.MonkeyPatch):
    def away(_seconds: float) -> None:
        raise RedisError("gone")

    monkeypatch.setattr(coverage, "count_on", away)
    assert viewer.get(f"{PAGE}?part").status_code == 503
    assert "Redis does not answer" in viewer.get(PAGE, follow=True).content.decode()
