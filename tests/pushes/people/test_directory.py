import pytest
from django.db import connection
from pytest_django import Settings
from redis import Redis, RedisError

from pushes.names import App, Environment, Platform
from pushes.people import directory, tags
from pushes.people.directory import TableDirectory, presence_key
from pushes.values import AccountFacts, DeviceTarget
from tests.make import make_account, make_device
from tests.pushes.rows import leave_redis

pytestmark = pytest.mark.django_db


def test_the_facts_of_all_accounts_come_with_one_query(django_assert_num_queries):
    make_account("in", login_status=1, push_status=1)
    make_account("out", login_status=0, push_status=0, muted_conversations=["group:7"], blocked_accounts=["x", 7])
    with django_assert_num_queries(1):
        facts = TableDirectory().accounts(["in", "out", "nobody"])
    assert facts == {
        "in": AccountFacts("in", is_logged_in=True, accepts_pushes=True),
        "out": AccountFacts("out", False, False, frozenset({"group:7"}), frozenset({"x", "7"})),
    }


def test_the_active_devices_of_all_accounts_come_with_one_query(django_assert_num_queries):
    one, two = make_account("one"), make_account("two")
    phone = make_device(one, platform=Platform.IOS, environment=Environment.LOCAL)
    others = {make_device(two).token, make_device(two).token}
    make_device(one, is_active=False)
    make_device(one, App.HIGIRL)
    with django_assert_num_queries(1):
        found = TableDirectory().devices(["one", "two", "nobody"], App.HIGO)
    assert found["one"] == [DeviceTarget(phone.pk, "one", Platform.IOS, Environment.LOCAL, phone.token)]
    assert {device.token for device in found["two"]} == others
    assert "nobody" not in found


def test_who_has_a_presence_key_is_online(redis_client: Redis):
    redis_client.set(presence_key("here"), "")
    redis_client.set(presence_key("there"), "1", ex=60)
    assert directory.online(["here", "there", "away"]) == {"here", "there"}


def test_presence_of_nobody_is_not_asked(settings: Settings):
    leave_redis(settings)
    assert directory.online([]) == set()


def test_without_redis_presence_is_an_error_and_no_guess(settings: Settings):
    leave_redis(settings)
    with pytest.raises(RedisError):
        TableDirectory().online(["u1"])


def test_the_presence_key_is_a_setting(settings: Settings, redis_client: Redis):
    settings.PRESENCE_KEY = "im:{account_id}:up"
    redis_client.set("im:u1:up", 1)
    assert directory.online(["u1", "u2"]) == {"u1"}


class Elsewhere(TableDirectory):
    pass


def test_the_directory_is_found_by_its_dotted_path_and_kept(settings: Settings):
    settings.DIRECTORY = f"{__name__}.Elsewhere"
    found = directory.directory()
    assert isinstance(found, Elsewhere)
    assert directory.directory() is found


def tagged(tag: str, **fields: object) -> int:
    device = make_device(**fields)  # type: ignore[arg-type]
    tags.replace({device.pk: [tag]})
    return device.pk


def test_the_devices_with_a_tag_come_page_by_page_and_are_counted():
    wanted = [tagged("vip") for _ in range(5)]
    tagged("other"), tagged("vip", app=App.HIGIRL), tagged("vip", is_active=False), make_device()
    found, cursor = [], 0
    for _ in range(3):
        page = TableDirectory().page("higo", "", after=cursor, limit=2, tag="vip")
        found += [device.device_id for device in page.devices]
        cursor = page.cursor
    assert (found, page.is_last) == (wanted, True)
    assert TableDirectory().count("higo", "", tag="vip") == 5


def test_a_tag_and_a_platform_narrow_together():
    tagged("vip")
    wanted = tagged("vip", platform=Platform.IOS)
    page = TableDirectory().page("higo", "ios", after=0, limit=9, tag="vip")
    assert [device.device_id for device in page.devices] == [wanted]
    assert page.devices[0].platform == Platform.IOS
    assert TableDirectory().count("higo", "ios", tag="vip") == 1


def test_a_page_with_a_tag_is_one_query_on_its_index(django_assert_num_queries):
    tagged("vip")
    with django_assert_num_queries(1) as captured:
        TableDirectory().page("higo", "", after=0, limit=9, tag="vip")
    if connection.vendor != "sqlite":
        return  # a database with statistics reads a table of one row any way it likes
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + captured[0]["sql"])
        assert "app=? AND tag=? AND device_id>?" in str(cursor.fetchall())
