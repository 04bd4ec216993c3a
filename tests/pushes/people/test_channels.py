import itertools

import pytest

from pushes.models import Device
from pushes.names import CHANNELS, PLATFORMS, App, Channel, Environment, Platform, ProviderKind
from pushes.people import channels
from pushes.people.channels import ChannelError, Known
from pushes.providers.registry import PROVIDERS
from tests.make import make_app_key, make_delivery, make_device

ANDROID, IOS, HARMONY = Platform.ANDROID, Platform.IOS, Platform.HARMONY


@pytest.mark.parametrize(
    ("fitting", "platform", "expected"),
    [
        ((), ANDROID, Channel.XINGE),
        ((), IOS, Channel.XINGE),
        ((), HARMONY, Channel.HUAWEI),
        ((Channel.FCM,), ANDROID, Channel.FCM),
        ((Channel.JPUSH,), HARMONY, Channel.JPUSH),
        ((Channel.FCM, Channel.TPNS), ANDROID, Channel.TPNS),
        ((Channel.TPNS, Channel.XINGE), ANDROID, Channel.XINGE),
        ((Channel.HUAWEI, Channel.FCM, Channel.XINGE), ANDROID, Channel.XINGE),
    ],
)
def test_where_no_channel_is_said_one_is_meant(fitting: tuple[Channel, ...], platform: Platform, expected: Channel):
    assert channels.meant(fitting, platform) == expected


def test_of_several_new_channels_none_is_guessed():
    with pytest.raises(ChannelError, match="several app keys fit: fcm, huawei"):
        channels.meant((Channel.HUAWEI, Channel.FCM), ANDROID)


@pytest.mark.django_db
def test_disabled_keys_count_and_those_of_other_scopes_do_not():
    make_app_key(provider=ProviderKind.FCM, is_enabled=False)
    make_app_key(App.HIGIRL, provider=ProviderKind.JPUSH)
    make_app_key(platform=IOS, provider=ProviderKind.APNS)
    make_app_key(environment=Environment.LOCAL, provider=ProviderKind.TPNS)
    assert Known.read().fitting(App.HIGO, ANDROID, Environment.PRODUCTION) == (Channel.FCM,)
    assert Known.read().fitting(App.HIGO, HARMONY, Environment.PRODUCTION) == ()


@pytest.mark.parametrize(("text", "platform"), [("apns", IOS), (" FCM ", ANDROID), ("Huawei", HARMONY)])
def test_a_channel_is_named_in_any_letter_case(text: str, platform: Platform):
    assert channels.named(text, platform) == text.strip().lower()


@pytest.mark.parametrize(("text", "platform"), [("apns", ANDROID), ("xinge", HARMONY), ("wechat", IOS), ("", IOS)])
def test_a_channel_that_issues_no_tokens_on_the_platform_is_refused(text: str, platform: Platform):
    with pytest.raises(ChannelError, match=f"one of .* for {platform}"):
        channels.named(text, platform)


@pytest.mark.parametrize(
    ("kind", "platform"), list(itertools.product([known.kind for known in PROVIDERS], Platform)), ids=str
)
def test_what_a_provider_pushes_to_its_channel_has_tokens_of(kind: ProviderKind, platform: Platform):
    known = next(provider for provider in PROVIDERS if provider.kind == kind)
    assert platform not in known.platforms or platform in PLATFORMS[CHANNELS[kind]]


@pytest.mark.django_db
def test_a_delivery_took_the_channel_of_its_key_or_else_of_its_device(django_assert_num_queries):
    key = make_app_key(provider=ProviderKind.FCM)
    device = make_device(channel=Channel.TPNS)
    by_key, by_device = make_delivery(app_key_id=key.pk, device_id=device.pk), make_delivery(device_id=device.pk)
    gone, unknown = make_delivery(app_key_id=987, device_id=device.pk), make_delivery()
    with django_assert_num_queries(2):
        found = channels.of_deliveries([by_key, by_device, gone, unknown])
    assert found == {by_key.pk: "fcm", by_device.pk: "tpns", gone.pk: "tpns"}
    with django_assert_num_queries(0):
        assert channels.of_deliveries([]) == {}
    assert Device.objects.count() == 1
