import pytest

from pushes.names import ProviderKind
from pushes.providers.registry import UnknownProviderError, provider


@pytest.mark.parametrize("kind", ProviderKind.values)
def test_every_kind_has_its_provider(kind):
    assert provider(kind).kind == kind


def test_a_provider_is_made_once():
    assert provider("tpns") is provider("tpns")


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(UnknownProviderError, match=r"provider='apns' is unknown: it must be one of xinge_v2, tpns"):
        provider("apns")
