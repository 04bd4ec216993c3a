import pytest

from pushes.names import CHANNELS, PLATFORMS, Channel, ProviderKind
from pushes.providers.registry import PROVIDERS, UnknownProviderError, max_message_bytes, provider, sandbox_kinds


@pytest.mark.parametrize("kind", ProviderKind.values)
def test_every_kind_has_its_provider(kind):
    assert provider(kind).kind == kind


def test_every_provider_is_registered_once():
    assert sorted(known.kind for known in PROVIDERS) == sorted(ProviderKind)


@pytest.mark.parametrize("channel", Channel)
def test_a_channel_is_on_the_platforms_that_its_providers_reach(channel):
    reached = [known.platforms for known in PROVIDERS if CHANNELS[known.kind] == channel]
    assert frozenset().union(*reached) == frozenset(PLATFORMS[channel])


def test_a_message_that_no_provider_cuts_has_so_many_bytes():
    assert max_message_bytes() == 3584
    assert max_message_bytes({"xinge_v2", "apns"}) == 4096


def test_only_the_sandbox_reaches_no_phone():
    assert sandbox_kinds() == (ProviderKind.SANDBOX,)


def test_a_provider_is_made_once():
    assert provider("tpns") is provider("tpns")


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(UnknownProviderError, match=r"provider='umeng' is unknown: it must be one of xinge_v2, tpns"):
        provider("umeng")
