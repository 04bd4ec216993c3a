from typing import Any

import pytest
from pytest_django import Settings

from pushes.models import Device, DeviceEvent
from pushes.names import App, Channel, DeviceEventKind, Environment, Platform, ProviderKind, Reason
from pushes.people import device_csv, devices, installations, tags
from pushes.people.installations import Changes, Token
from pushes.text import notes
from pushes.values import DeviceTarget
from tests.make import make_app_key

PHONE, OTHER_PHONE = "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "installation-2"
XINGE, FCM, JPUSH = "xinge-token-1", "fcm:token_1-a", "jpush-token-1"


def target(device_id: int, channel: Channel, installation_id: str = "i" * 8, **changes: Any) -> DeviceTarget:
    made = DeviceTarget(
        device_id, "7", Platform.ANDROID, Environment.PRODUCTION, f"token-{device_id:04}", channel, installation_id
    )
    return made._replace(**changes)


def chosen(*targets: DeviceTarget, keys: tuple[Channel, ...] = tuple(Channel)) -> list[int | None]:
    return [device.device_id for device in installations.one_each(targets, lambda device: device.channel in keys)]


# --- one push for each installation -------------------------------------------------------------


def test_of_several_channels_the_preferred_one_is_taken(settings: Settings):
    settings.CHANNEL_PREFERENCE = ["fcm", "xinge", "jpush"]
    assert chosen(target(1, Channel.XINGE), target(2, Channel.JPUSH), target(3, Channel.FCM)) == [3]
    settings.CHANNEL_PREFERENCE = ["xinge", "fcm", "jpush"]
    assert chosen(target(1, Channel.XINGE), target(2, Channel.JPUSH), target(3, Channel.FCM)) == [1]


def test_a_channel_without_an_app_key_is_passed_over():
    both = target(1, Channel.XINGE), target(2, Channel.FCM)
    assert chosen(*both, keys=(Channel.XINGE,)) == [1]
    assert chosen(*both, keys=()) == [2]


def test_a_channel_that_the_preference_does_not_name_comes_last(settings: Settings):
    settings.CHANNEL_PREFERENCE = ["jpush"]
    assert chosen(target(1, Channel.FCM), target(2, Channel.JPUSH)) == [2]


def test_of_two_tokens_of_one_channel_the_newer_one_is_taken():
    assert chosen(target(1, Channel.FCM), target(5, Channel.FCM), target(3, Channel.FCM)) == [5]


def test_phones_without_an_installation_each_get_it():
    devices_ = [target(number, Channel.FCM, "") for number in (1, 2)]
    assert chosen(*devices_) == [1, 2]
    assert chosen(*devices_, target(3, Channel.FCM), target(4, Channel.XINGE)) == [1, 2, 3]


def test_two_installations_each_get_it():
    assert chosen(target(1, Channel.FCM), target(2, Channel.FCM, "another1")) == [1, 2]


# --- registering --------------------------------------------------------------------------------


def token(number: int, channel: str = "fcm", account_id: str = "7", installation_id: str = PHONE) -> Token:
    return Token(number, "higo", installation_id, channel, account_id)


@pytest.mark.parametrize(
    ("registered", "others", "expected"),
    [
        ([token(2)], [token(1), token(2)], Changes([1], {})),
        ([token(2)], [token(1, "xinge"), token(2)], Changes([], {})),
        ([token(2)], [token(1, installation_id=OTHER_PHONE)], Changes([], {})),
        ([token(2)], [Token(1, "higirl", PHONE, "fcm", "7")], Changes([], {})),
        ([token(2, account_id="8")], [token(1, "xinge")], Changes([], {1: ("7", "8")})),
        ([token(1), token(2)], [token(1), token(2)], Changes([1], {})),
        ([token(2), token(1)], [token(1), token(2)], Changes([2], {})),
    ],
)
def test_what_a_registration_means_for_the_other_tokens(
    registered: list[Token], others: list[Token], expected: Changes
):
    assert installations.changes(registered, others) == expected


def register(token: str, channel: str = "fcm", account_id: str = "7", **changes: Any) -> Device:
    values: dict[str, Any] = {"installation_id": PHONE, "channel": channel} | changes
    return devices.register(account_id, App.HIGO, Platform.ANDROID, Environment.PRODUCTION, token, **values)[0]


def active() -> set[str]:
    return set(Device.objects.filter(is_active=True).values_list("token", flat=True))


@pytest.mark.django_db
def test_a_new_token_of_the_same_installation_and_channel_retires_the_old_one():
    old = register("fcm:token_1-old")
    register(XINGE, "xinge")
    register(FCM)
    assert active() == {XINGE, FCM}
    old.refresh_from_db()
    assert old.deactivated_reason == Reason.REPLACED
    last = DeviceEvent.objects.filter(device=old).order_by("-id").first()
    assert last
    assert (last.event, last.reason) == (DeviceEventKind.DEACTIVATED, Reason.REPLACED)


@pytest.mark.django_db
def test_a_token_that_comes_back_retires_the_one_that_replaced_it():
    for one in (FCM, "fcm:token_2-b", FCM):
        register(one)
    assert active() == {FCM}


@pytest.mark.django_db
def test_the_spelling_of_an_installation_is_one():
    register(FCM)
    register("fcm:token_2-b", installation_id=f" {PHONE.upper()} ")
    assert active() == {"fcm:token_2-b"}


@pytest.mark.django_db
def test_the_old_channels_token_follows_the_phone_to_its_new_user():
    old = register(XINGE, "xinge")
    tags.replace({old.pk: ["vip"]})
    register(FCM, account_id="8")
    old.refresh_from_db()
    assert (old.account_id, old.is_active, tags.of_device(old.pk)) == ("8", True, [])
    moved = DeviceEvent.objects.get(device=old, event=DeviceEventKind.MOVED)
    assert notes.english(moved.detail) == "from 7 to 8"


@pytest.mark.django_db
def test_a_new_token_of_an_installation_has_its_tags():
    tags.replace({register(XINGE, "xinge").pk: ["vip", "上海"]})
    assert tags.of_device(register(FCM).pk) == ["vip", "上海"]
    assert tags.of_device(register(JPUSH, "jpush", wanted_tags=[]).pk) == []


@pytest.mark.django_db
def test_a_registration_without_an_installation_keeps_the_one_that_is_known():
    register(FCM)
    assert register(FCM, installation_id="").installation_id == PHONE


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [
        "short",
        "x" * 65,
        "unknown1 2",
        "undefined",
        "00000000-0000-0000-0000-000000000000",
        "(none-none)",
        "安装标识安装标识",
    ],
)
def test_an_id_that_many_phones_could_share_is_refused(name: str):
    with pytest.raises(devices.InvalidDeviceError) as caught:
        register(FCM, installation_id=name)
    assert caught.value.field == "installation_id"


@pytest.mark.django_db
def test_a_file_retires_and_moves_in_the_order_of_its_lines():
    old = register(XINGE, "xinge", account_id="6")
    head = "account_id,app,platform,token,channel,installation_id"
    lines = [f"7,higo,android,fcm:token_{number},fcm,{PHONE}" for number in (1, 2, 3)]
    parsed = device_csv.parse([head, *lines, f"7,higo,android,other-token,fcm,{OTHER_PHONE}"])
    assert parsed.bad == []
    device_csv.store(parsed.rows)
    assert active() == {XINGE, "fcm:token_3", "other-token"}
    old.refresh_from_db()
    assert old.account_id == "7"
    device_csv.store(device_csv.parse([head, lines[0]]).rows)
    assert active() == {XINGE, "fcm:token_1", "other-token"}


# --- the channel of what is registered -----------------------------------------------------------


@pytest.mark.django_db
def test_a_device_that_does_not_name_its_channel_gets_the_keys():
    make_app_key(provider=ProviderKind.JPUSH)
    assert register(JPUSH, "").channel == Channel.JPUSH


@pytest.mark.django_db
def test_a_known_device_keeps_its_channel_while_that_has_a_key():
    make_app_key()
    make_app_key(provider=ProviderKind.FCM)
    register(FCM)
    assert register(FCM, "").channel == Channel.FCM
    make_app_key(App.HIGIRL, provider=ProviderKind.JPUSH)
    assert register(JPUSH, "jpush").channel == Channel.JPUSH
    assert register(JPUSH, "").channel == Channel.XINGE


@pytest.mark.django_db
def test_an_iphone_that_changes_its_channel_is_the_same_device():
    """Xinge's token of an iPhone is Apple's own."""
    apple = "0A1B" * 16
    first, _ = devices.register("7", App.HIGO, Platform.IOS, Environment.PRODUCTION, apple, channel="xinge")
    again, event = devices.register("7", App.HIGO, Platform.IOS, Environment.PRODUCTION, apple, channel="apns")
    assert (again.pk, again.channel, event) == (first.pk, Channel.APNS, DeviceEventKind.CORRECTED)
    last = DeviceEvent.objects.filter(device=first).latest("id")
    assert notes.english(last.detail) == "(changed: xinge → apns)"


@pytest.mark.django_db
def test_only_apples_own_tokens_are_hexadecimal_on_an_iphone():
    mixed = "cAbC:APA91b" + "Xy_-" * 40
    found, _ = devices.register("7", App.HIGO, Platform.IOS, Environment.PRODUCTION, mixed, channel="jpush")
    assert found.token == mixed
    with pytest.raises(devices.InvalidDeviceError, match="hexadecimal"):
        devices.register("7", App.HIGO, Platform.IOS, Environment.PRODUCTION, mixed, channel="apns")


@pytest.mark.django_db
def test_a_file_corrects_the_channel_and_says_so():
    register(JPUSH, "xinge", installation_id="")
    head = "账号,应用,平台,令牌,通道,安装标识"
    assert device_csv.store(device_csv.parse([head, f"7,higo,android,{JPUSH},jpush,{PHONE}"]).rows)["corrected"] == 1
    device = Device.objects.get()
    assert (device.channel, device.installation_id) == ("jpush", PHONE)
    assert device_csv.store(device_csv.parse([head, f"7,higo,android,{JPUSH},jpush,"]).rows)["unchanged"] == 1
    assert (
        device_csv.store(device_csv.parse([head, f"7,higo,android,{JPUSH},jpush,{OTHER_PHONE}"]).rows)["corrected"] == 1
    )
