"""Configured queries: values as parameters, and columns of every kind that a schema may have."""

from decimal import Decimal

import pytest

from pushes.people.sql_source import bound, is_on, text


def test_values_become_parameters_and_never_text():
    query = "SELECT '%' WHERE app = {app} AND uid IN ({ids})"
    sql, parameters = bound(query, {"ids": ["1'; DROP TABLE x", "2"], "app": ["higo"]})
    assert sql == "SELECT '%%' WHERE app = %s AND uid IN (%s, %s)"
    assert parameters == ["higo", "1'; DROP TABLE x", "2"]


def test_a_place_may_stand_twice():
    assert bound("{ids} {ids}", {"ids": ["a", "b"]}) == ("%s, %s %s, %s", ["a", "b", "a", "b"])


@pytest.mark.parametrize("value", [1, 1.0, "1", b"1", b"\x01", True, Decimal(1)])
def test_on(value: object):
    assert is_on(value)


@pytest.mark.parametrize("value", [0, 2, "0", "", "yes", b"\x00", False, None])
def test_off(value: object):
    assert not is_on(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, "7"),
        (b"ab", "ab"),
        (None, ""),
        ("x", "x"),
        (Decimal("7.00"), "7"),
        (Decimal("2026112722001412345678901234"), "2026112722001412345678901234"),
        (Decimal("7.50"), "7.50"),
        (7.0, "7"),
        (7.5, "7.5"),
    ],
)
def test_a_column_as_text(value: object, shown: str):
    assert text(value) == shown
