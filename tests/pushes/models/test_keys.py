"""An app key's access ID: a text, and beside it the number that releases before channels read and write."""

import pytest

from pushes.models import AppKey
from pushes.names import ProviderKind
from tests.make import make_app_key, make_secret

pytestmark = pytest.mark.django_db


def stored(key: AppKey) -> tuple[str, int]:
    """What its two columns hold."""
    return AppKey.objects.values_list("access_id", "access_number").get(pk=key.pk)


@pytest.mark.parametrize("provider", [ProviderKind.XINGE_V2, ProviderKind.TPNS, ProviderKind.SANDBOX])
def test_the_former_release_finds_the_number_of_a_key_that_it_can_use(provider: ProviderKind):
    assert stored(make_app_key(provider=provider, access_id="2100000009")) == ("2100000009", 2_100_000_009)


@pytest.mark.parametrize("access_id", ["", "shop-1", "0012", "12 ", "-5", "\u0663\u0664", "9" * 19, "9" * 128])
def test_what_no_column_of_numbers_holds_as_it_is_has_no_number(access_id: str):
    key = make_app_key(access_id=access_id)
    assert stored(key) == (access_id, 0)
    assert AppKey.objects.get().access_id == access_id


def test_a_key_of_another_channel_has_no_number():
    """Its ID may change with its secret, by a statement that knows one column."""
    key = AppKey(app="higo", platform="android", provider=ProviderKind.JPUSH, access_id="1234567890")
    key.set_secret(make_secret())
    key.save()
    assert stored(key) == ("1234567890", 0)


@pytest.mark.parametrize("before", ["", "2100000001"])
def test_what_the_former_release_writes_counts(before: str):
    key = make_app_key()
    AppKey.objects.filter(pk=key.pk).update(access_id=before, access_number=2_100_000_002)
    found = AppKey.objects.get()
    assert (found.access_id, found.credentials().access_id) == ("2100000002", "2100000002")
    found.save()
    assert stored(key) == ("2100000002", 2_100_000_002)


def test_a_key_without_that_column_is_read_all_the_same():
    make_app_key(access_id="2100000009")
    assert AppKey.objects.only("app").get().app == "higo"


def test_a_changed_id_changes_both_columns():
    key = make_app_key(access_id="2100000009")
    key.access_id = "2100000010"
    key.save(update_fields=["access_id"])
    assert stored(key) == ("2100000010", 2_100_000_010)
    key.access_id = "shop-1"
    key.save(update_fields=["access_id"])
    assert stored(key) == ("shop-1", 0)
    assert AppKey.objects.get().access_id == "shop-1"


def test_what_else_is_changed_leaves_the_id_alone():
    key = make_app_key(access_id="2100000009")
    stale = AppKey.objects.get()
    key.access_id = "2100000010"
    key.save()
    stale.rate_per_second = 5
    stale.save(update_fields=["rate_per_second"])
    assert stored(key) == ("2100000010", 2_100_000_010)
