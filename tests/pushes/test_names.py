import pytest

from pushes.names import (
    ACCEPTED_PLATFORMS,
    CHANNELS,
    CLAIMABLE,
    PLATFORMS,
    TERMINAL,
    Channel,
    Platform,
    ProviderKind,
    PushType,
    Reason,
    Status,
    platform_of,
)


def test_push_types_keep_the_numbers_that_producers_send():
    assert sorted(PushType.values) == [1, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17, 18, 19, 20, 30, 55]


@pytest.mark.parametrize(
    ("value", "platform"),
    [
        ("android", Platform.ANDROID),
        ("ios", Platform.IOS),
        ("iphone", Platform.IOS),
        ("iPad", Platform.IOS),
        (" Android ", Platform.ANDROID),
        ("harmony", Platform.HARMONY),
    ],
)
def test_platforms_go_by_their_names_and_aliases(value: str, platform: Platform):
    assert platform_of(value) is platform


@pytest.mark.parametrize("value", ["", "windows", "androids"])
def test_an_unknown_platform_is_refused_by_its_value(value: str):
    with pytest.raises(ValueError, match=repr(value)):
        platform_of(value)


def test_every_channel_has_its_platforms_and_every_provider_its_channel():
    assert set(PLATFORMS) == set(Channel)
    assert set(CHANNELS) == set(ProviderKind)
    assert ACCEPTED_PLATFORMS == ("android", "ios", "harmony", "iphone", "ipad")


def test_every_status_is_terminal_claimable_or_sending():
    assert {*TERMINAL} | {*CLAIMABLE} | {Status.SENDING} == set(Status)
    assert len(TERMINAL) + len(CLAIMABLE) + 1 == len(Status)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_fits_its_column_and_is_explained(reason: Reason):
    assert len(reason.value) <= 20
    assert str(reason.label) != reason.value
