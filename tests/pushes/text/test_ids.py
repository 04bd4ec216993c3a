"""What an account id may be, for every door."""

import pytest

from pushes.text import ids
from pushes.text.ids import InvalidIdError

INVISIBLE = [
    "\u200b", "\ufeff", "\u00ad", "\u2060", "\u200e", "\0", "\x7f", "\r", "\n", "\u00a0", "\u202e", "\u2028",
    "\u3000", "\u3164", "\uffa0", "\u115f", "\u034f", "\ufe0f", "\U000e0101", "\u180b", "\u2800", "\ud800",
    "\ue000", "\t", "\x85", "\u061c", "\U000e0041", "\u2003",
]  # fmt: skip


@pytest.mark.parametrize("character", INVISIBLE)
def test_what_cannot_be_seen_is_refused_inside_an_id_and_named(character: str):
    with pytest.raises(InvalidIdError) as caught:
        ids.account_id(f"100{character}86")
    assert f"U+{ord(character):04X}" in caught.value.reason
    assert caught.value.shown.isprintable()
    assert character not in str(caught.value)


@pytest.mark.parametrize(
    "character", ["\u200b", "\ufeff", "\u00ad", "\u2060", "\u200e", "\0", "\x7f", "\u3164", "\ufe0f"]
)
def test_around_an_id_only_white_space_is_an_accident(character: str):
    for value in (f"{character}10086", f"10086{character}"):
        with pytest.raises(InvalidIdError):
            ids.account_id(value)


@pytest.mark.parametrize("space", [" ", "\t", "\r\n", "\u00a0", "\u3000"])
def test_white_space_around_an_id_is_taken_off(space: str):
    assert ids.account_id(f"{space}10086{space}") == "10086"


@pytest.mark.parametrize("value", ["10086", "user-1@example.com", "shop/7/west", "小明", "a b", "x" * 64, "é", "1e5"])
def test_other_ids_stay_as_they_are(value: str):
    assert ids.account_id(value) == value


@pytest.mark.parametrize("value", ["", "  ", "x" * 65, "１００８６", "1００86", "٣", "ｕser", "/7", "7/"])
def test_what_matches_nothing_is_refused(value: str):
    with pytest.raises(InvalidIdError):
        ids.account_id(value)
    assert ids.found(value) == ""


def test_somebody_who_looks_for_an_id_may_have_copied_more_than_it():
    assert ids.typed("\ufeff 100\u200b86\n") == "10086"


def test_a_value_is_shown_short_and_with_escapes():
    assert ids.shown("7\u200b\u3164\U000e0101") == r"'7\u200b\u3164\U000e0101'"
    assert len(ids.shown("x" * 500)) == 60
    assert ids.shown(["7"]) == "a list"
