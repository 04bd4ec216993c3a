"""Creation times: scales, order, instants."""

from datetime import datetime, timedelta, timezone

import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from chatscan.messages.instants import Scale, bound, instant_of, places, scale_of, start_of
from tests.chatscan.making import TIMES

MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
SECONDS = st.integers(10**9, 10**10 - 2)


@pytest.mark.parametrize(
    ("value", "scale"),
    [
        ("1700000000", Scale.TEXT),
        ("1700000000000", Scale.TEXT),
        ("1700000000000000", Scale.TEXT),
        ("1700000000000000000", Scale.TEXT),
        ("1700000000.0", Scale.TEXT),
        (1700000000, Scale.SECONDS),
        (1700000000.0, Scale.SECONDS),
        (Decimal128("1700000000.000"), Scale.SECONDS),
        (1700000000000, Scale.MILLISECONDS),
        (Int64(1700000000000), Scale.MILLISECONDS),
        (1700000000000.0, Scale.MILLISECONDS),
        (MOMENT, Scale.DATE),
    ],
)
def test_every_usual_way_to_write_a_time_is_understood(value, scale):
    assert (scale_of(value), instant_of(value)) == (scale, MOMENT)


@pytest.mark.parametrize(
    "value",
    [
        None, True, "", "yesterday", "2023-11-14T22:13:20Z", "17000000", "170000000000", "-1700000000", " 1700000000",
        "1700000000x", "１７００００００００", 0, -1, 12, 10**11, 10**14, float("nan"), float("inf"), Decimal128("NaN"),
        datetime(1970, 1, 1, tzinfo=timezone.utc), {}, [1700000000], b"1700000000", ObjectId(),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_value(value):
    assert scale_of(value) is None
    with pytest.raises(ValueError, match="is not a creation time"):
        instant_of(value)


def test_a_huge_value_is_not_repeated_whole():
    with pytest.raises(ValueError, match="…") as caught:
        instant_of("x" * 10_000)
    assert len(str(caught.value)) < 120


@given(st.lists(st.tuples(SECONDS, st.integers(0, 999_999_999), st.sampled_from([0, 3, 6, 9])), min_size=2))
def test_text_sorts_as_time_does_whatever_its_length(parts):
    values = [f"{second}{f'{fraction:09d}'[:digits]}" for second, fraction, digits in parts]
    in_order = [instant_of(value) for value in sorted(values)]
    # Nine digits are finer than a datetime, which ends at microseconds.
    assert in_order == sorted(in_order)


@given(second=SECONDS, microsecond=st.integers(0, 999_999), time_as=st.sampled_from(sorted(TIMES)))
def test_the_bound_of_a_second_is_its_first_value(second, microsecond, time_as):
    value = TIMES[time_as](second + microsecond / 1_000_000 * 0.99)
    scale = scale_of(value)
    assert scale is not None
    assert bound(scale, second) <= value < bound(scale, second + 1)


@given(second=SECONDS, time_as=st.sampled_from(sorted(TIMES)))
def test_the_same_second_is_the_same_instant_in_every_scale(second, time_as):
    value = TIMES[time_as](second)
    assert instant_of(value) == datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=second)
    scale = scale_of(value)
    assert scale is not None
    assert value >= start_of(scale)


@pytest.mark.parametrize(
    ("first", "before", "scale"),
    [
        ("1000000000", "0999999999", Scale.TEXT),
        (10**9, 10**9 - 1, Scale.SECONDS),
        (10**12, 10**12 - 1, Scale.MILLISECONDS),
        (start_of(Scale.DATE), start_of(Scale.DATE) - timedelta(microseconds=1), Scale.DATE),
    ],
)
def test_a_scale_begins_with_ten_digits_of_seconds(first, before, scale):
    assert first == start_of(scale)
    assert scale_of(first) is scale
    assert scale_of(before) is None


@pytest.mark.parametrize(("last", "scale"), [(10**11 - 1, Scale.SECONDS), (10**14 - 1, Scale.MILLISECONDS)])
def test_a_scale_of_numbers_ends_before_the_next_digit(last, scale):
    assert scale_of(last) is scale
    assert scale_of(last + 1) is None


@pytest.mark.parametrize("value", ["1700000000.25", "1700000000250", 1700000000.25, 1700000000250])
def test_fractions_of_a_second_are_kept(value):
    assert instant_of(value) == MOMENT + timedelta(milliseconds=250)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (150, []),
        (10**9 + 5, [10**9 + 5]),
        (10**9, [10**9]),  # the low end belongs to it
        (10**9 + 10, []),  # the high end does not
        ([10**9 + 1, "1000000002", 10**9 + 3, None], [10**9 + 1, 10**9 + 3]),
    ],
)
def test_an_array_stands_in_the_index_with_each_of_its_elements(value, found):
    assert places(value, Scale.SECONDS, 10**9, 10**9 + 10) == found


@pytest.mark.parametrize(("length", "shown"), [(58, "'" + "x" * 58 + "'"), (59, "'" + "x" * 59 + "…")])
def test_a_refused_value_is_shown_up_to_sixty_characters(length, shown):
    with pytest.raises(ValueError, match="is not a creation time") as caught:
        instant_of("x" * length)
    assert str(caught.value) == f"{shown} is not a creation time"
