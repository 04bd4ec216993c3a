"""The look-up of many keys."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pushes.models import DeadLetter

pytestmark = pytest.mark.django_db


def make_letters(count: int) -> list[int]:
    rows = [DeadLetter(source="test", position=f"p{n}", raw=b"x", reason="bad") for n in range(count)]
    return [row.pk for row in DeadLetter.objects.bulk_create(rows)]


def test_it_finds_the_named_rows_and_no_other() -> None:
    ids = make_letters(5)
    found = DeadLetter.objects.filter(id__among=ids[1:3]).values_list("id", flat=True)
    assert sorted(found) == ids[1:3]


def test_nothing_is_among_no_ids() -> None:
    make_letters(1)
    assert not DeadLetter.objects.filter(id__among=[]).exists()


def test_any_iterable_of_integers_will_do() -> None:
    ids = make_letters(2)
    assert DeadLetter.objects.filter(id__among=(pk for pk in ids)).count() == 2


def test_it_updates_too() -> None:
    ids = make_letters(3)
    assert DeadLetter.objects.filter(id__among=set(ids[:2])).update(detail="seen") == 2


@pytest.mark.parametrize("value", ["1", "1); DROP TABLE pushes_deadletter; --", 1.5, None, True])
def test_what_is_no_integer_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="integers only"):
        DeadLetter.objects.filter(id__among=[value])


def test_keys_stand_in_the_statement_and_not_beside_it() -> None:
    with CaptureQueriesContext(connection) as queries:
        list(DeadLetter.objects.filter(id__among=[7, 8]))
    assert "IN (7,8)" in queries[0]["sql"]


def test_text_is_looked_up_as_it_is() -> None:
    make_letters(3)
    asked = ["p1", "p2", "p1'); --", "%s", "没有"]
    found = DeadLetter.objects.filter(position__among=asked).values_list("position", flat=True)
    assert sorted(found) == ["p1", "p2"]


@pytest.mark.parametrize("value", [1, None, b"p1"])
def test_what_is_no_text_is_refused_among_text(value: object) -> None:
    with pytest.raises(TypeError, match="text only"):
        DeadLetter.objects.filter(position__among=["p1", value])
