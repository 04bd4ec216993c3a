"""One UPDATE gives each row a value of its own."""

import pytest

from pushes.models import DeliveryResult
from pushes.storage.each import of_each
from tests.pushes.rows import make_delivery

pytestmark = pytest.mark.django_db


def ids(number: int) -> list[int]:
    return [make_delivery(call_key="old").pk for _ in range(number)]


def keys() -> list[str]:
    return list(DeliveryResult.objects.order_by("id").values_list("call_key", flat=True))


def test_each_row_gets_its_own_value_and_others_keep_theirs():
    first, second, _third = ids(3)
    values = {first: "a'b%s", second: "中"}
    DeliveryResult.objects.update(call_key=of_each(values, column="call_key"))
    assert keys() == ["a'b%s", "中", "old"]


def test_equal_values_are_written_to_the_named_rows_alone():
    first, second, _third = ids(3)
    DeliveryResult.objects.update(call_key=of_each({first: "new", second: "new"}, column="call_key"))
    assert keys() == ["new", "new", "old"]


def test_without_a_column_equal_values_need_no_case():
    assert of_each({1: "same", 2: "same"}) == "same"
