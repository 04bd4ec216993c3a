"""What an access id says by itself: vendors number the apps of each platform in a span of their own."""

import pytest

from pushes.names import Platform, ProviderKind
from pushes.providers.registry import provider

XINGE, TPNS, SANDBOX = ProviderKind.XINGE_V2, ProviderKind.TPNS, ProviderKind.SANDBOX
ANDROID, IOS = Platform.ANDROID, Platform.IOS


@pytest.mark.parametrize(
    ("kind", "platform", "access_id"),
    [
        (XINGE, ANDROID, "2100047733"),
        (XINGE, ANDROID, "2199999999"),
        (XINGE, IOS, "2200000000"),
        (SANDBOX, IOS, "2200047738"),
        (TPNS, ANDROID, "1500000001"),
        (TPNS, IOS, "1600000001"),
        (SANDBOX, ANDROID, "1500000001"),
        (SANDBOX, IOS, "1600000001"),
        (XINGE, ANDROID, "1"),
    ],
)
def test_an_access_id_of_its_own_span_raises_no_doubt(kind: str, platform: Platform, access_id: str):
    assert provider(kind).doubt(access_id, platform) == ""


@pytest.mark.parametrize(
    ("kind", "platform", "access_id", "words"),
    [
        (XINGE, ANDROID, "2200000000", "an iOS app, but this key is for Android"),
        (XINGE, IOS, "2199999999", "an Android app, but this key is for iOS"),
        (SANDBOX, ANDROID, "2200047738", "an iOS app"),
        (TPNS, ANDROID, "1600000001", "an iOS app"),
        (TPNS, IOS, "1500000001", "an Android app"),
        (TPNS, ANDROID, "2100047733", "not a valid TPNS access ID"),
        (XINGE, ANDROID, "1500000001", "looks like a TPNS access ID"),
    ],
)
def test_one_of_another_span_does(kind: str, platform: Platform, access_id: str, words: str):
    found = provider(kind).doubt(access_id, platform)
    assert words in found
    assert access_id in found
