import pytest

from pushes.models import DeviceTag
from pushes.names import App, DeviceEventKind, Environment, Platform
from pushes.people import tags
from pushes.people.devices import register
from pushes.people.tags import InvalidTagError, clean, clean_all
from tests.make import make_account, make_device, make_token


@pytest.mark.parametrize(
    ("given", "cleaned"), [("VIP", "vip"), (" city:上海 ", "city:上海"), ("a_b-c.d", "a_b-c.d"), ("x" * 32, "x" * 32)]
)
def test_a_tag_is_written_in_one_way(given: str, cleaned: str):
    assert clean(given) == cleaned


@pytest.mark.parametrize("given", ["", " ", "x" * 33, "a b", "a,b", "a|b", "v!p", "a\nb", "😀"])
def test_what_is_no_tag_is_refused_with_what_is(given: str):
    with pytest.raises(InvalidTagError, match="is not a valid tag: 1 to 32 letters"):
        clean(given)


def test_a_device_has_at_most_twenty_tags():
    with pytest.raises(InvalidTagError, match="21 tags: a device has at most 20"):
        clean_all(f"t{number}" for number in range(21))


def test_the_same_tag_twice_is_one():
    assert clean_all(["VIP", "new", "vip "]) == ("new", "vip")


def test_devices_have_exactly_the_tags_that_they_are_given(db: None):
    one, two = make_device(), make_device(app=App.HIGIRL)
    assert tags.replace({one.pk: ["a", "b"], two.pk: ["b"]}) == 2
    assert tags.replace({one.pk: ["b", "c"], two.pk: ["b"]}) == 1
    assert tags.of_device(one.pk) == ["b", "c"]
    assert list(DeviceTag.objects.filter(device=two).values_list("app", "tag")) == [("higirl", "b")]
    assert tags.replace({one.pk: []}) == 1
    assert tags.of_device(one.pk) == []


def test_a_device_that_is_gone_gets_no_tags(db: None):
    assert tags.replace({7: ["a"]}) == 0
    assert not DeviceTag.objects.exists()


def test_few_queries_tag_many_devices(db: None, django_assert_max_num_queries):
    devices = [make_device() for _ in range(30)]
    with django_assert_max_num_queries(6):
        tags.replace({device.pk: ["a", "b"] for device in devices})
    assert DeviceTag.objects.count() == 60


def test_the_known_tags_of_an_app_are_listed_in_order_and_once(db: None):
    devices = [make_device() for _ in range(3)]
    tags.replace({device.pk: ["vip", "a"] for device in devices} | {make_device(app=App.HIGIRL).pk: ["other"]})
    assert tags.known("higo") == ["a", "vip"]
    assert tags.known("higo", most=1) == ["a"]


def registered(account_id: str, token: str, words: list[str] | None) -> DeviceEventKind | None:
    _, event = register(account_id, App.HIGO, Platform.ANDROID, Environment.PRODUCTION, token, wanted_tags=words)
    return event


def test_a_device_registers_with_its_tags_and_keeps_them(db: None):
    token = make_token()
    registered("7", token, ["VIP"])
    assert registered("7", token, None) is None
    assert list(DeviceTag.objects.values_list("tag", flat=True)) == ["vip"]
    registered("7", token, [])
    assert not DeviceTag.objects.exists()


def test_a_device_that_moves_leaves_its_former_user_s_tags_behind(db: None):
    token = make_token()
    registered("7", token, ["vip"])
    assert registered("8", token, None) == DeviceEventKind.MOVED
    assert not DeviceTag.objects.exists()
    registered("9", token, ["new"])
    assert DeviceTag.objects.get().tag == "new"


def test_a_bad_tag_registers_nothing(db: None):
    make_account("7")
    with pytest.raises(InvalidTagError):
        registered("7", make_token(), ["v!p"])
    assert not DeviceTag.objects.exists()


@pytest.mark.django_db
def test_tags_are_added_and_taken_away_and_the_others_left():
    one, two = make_device(), make_device(app=App.HIGIRL)
    tags.replace({one.pk: ["vip", "old"], two.pk: ["shop"]})
    assert tags.change([one.pk, two.pk], add=["New", "vip"], remove=["old"]) == 2
    assert [tags.of_device(device.pk) for device in (one, two)] == [["new", "vip"], ["new", "shop", "vip"]]
    assert tags.change([one.pk, two.pk], add=["new"]) == 0


@pytest.mark.django_db
def test_nobody_is_changed_when_one_would_have_too_many():
    one, two = make_device(), make_device()
    tags.replace({two.pk: [f"t{number}" for number in range(20)]})
    with pytest.raises(InvalidTagError, match="21 tags"):
        tags.change([one.pk, two.pk], add=["vip"])
    assert tags.of_device(one.pk) == []
