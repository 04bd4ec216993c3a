import pytest
from pytest_django import Settings
from redis import Redis, RedisError

from pushes import directory
from pushes.directory import TableDirectory, presence_key
from pushes.names import App, Environment, Platform
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
