import pytest

from pushes.keys import access_ids
from pushes.names import Platform, ProviderKind

XINGE, TPNS, SANDBOX = ProviderKind.XINGE_V2, ProviderKind.TPNS, ProviderKind.SANDBOX
ANDROID, IOS = Platform.ANDROID, Platform.IOS


@pytest.mark.parametrize(
    ("provider", "platform", "access_id"),
    [
        (XINGE, ANDROID, 2100047733),
        (XINGE, ANDROID, 2199999999),
        (XINGE, IOS, 2200000000),
        (SANDBOX, IOS, 2200047738),
        (TPNS, ANDROID, 1500000001),
        (TPNS, IOS, 1600000001),
        (SANDBOX, ANDROID, 1500000001),
    ],
)
def test_an_access_id_of_its_own_range_raises_no_doubt(provider: str, platform: str, access_id: int):
    assert access_ids.doubt(provider, platform, access_id) == ""


@pytest.mark.parametrize(
    ("provider", "platform", "access_id", "words"),
    [
        (XINGE, ANDROID, 2200000000, "an iOS app, but this key is for Android"),
        (XINGE, IOS, 2199999999, "an Android app, but this key is for iOS"),
        (SANDBOX, ANDROID, 2200047738, "an iOS app"),
        (TPNS, ANDROID, 1600000001, "an iOS app"),
        (TPNS, IOS, 1500000001, "an Android app"),
        (TPNS, ANDROID, 2100047733, "not a valid TPNS access ID"),
        (XINGE, ANDROID, 1500000001, "looks like a TPNS access ID"),
    ],
)
def test_one_of_another_range_does(provider: str, platform: str, access_id: int, words: str):
    found = access_ids.doubt(provider, platform, access_id)
    assert words in found
    assert str(access_id) in found
