"""One idea of what shows nothing, of what turns text, and of where a character ends."""

import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from pushes.text import characters
from pushes.text.characters import (
    MAX_CLUSTER,
    MAX_LEAD,
    MAX_MARKS,
    body,
    bounded,
    closed,
    cut,
    is_blank,
    name,
    shorten,
    shown_from,
)

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
ZALGO = "h" + "\u0301\u0489" * 100 + "i" + "\u0337" * 200
CLUSTERS = {
    "flag": "🇨🇳",
    "England": ENGLAND,
    "ki": "कि",
    "kshi": "क्षि",
    "Tamil": "நி",
    "Thai": "ที่",
    "keycap": "1\ufe0f\u20e3",
    "family": FAMILY,
    "skin tone": "👩🏽\u200d🚀",
    "heart": "❤\ufe0f",
    "accent": "e\u0301",
    "jamo": "\u1112\u1161\u11ab",
}
#: Text rich in what joins, marks and turns.
tricky = (
    st.text(st.sampled_from("ab 字…1\u0301\u0937\u094d\u093f\u200d\ufe0f\u20e3🇨🇳👩🏽🏴\U000e0067\U000e007f\r\n"))
    | st.text()
)
turning = st.text(st.sampled_from("ab字 \u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200f"))


def clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


# --- what shows nothing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "character",
    "\u200b\u200c\u200d\ufeff\u2060\u00ad\u3164\u115f\u1160\uffa0\u2800\u00a0\u3000\u034f\u061c\u180e\u17b4\ufe0f"
    "\U000e0001\U000e0041\U000e007f\U000e0100\u0301\u20e3\u202e\u2069\u206a\x00\x07\x7f\x85\t\n\u2028\U0001d173\U0001d159\ufffc",
    ids=lambda character: f"U+{ord(character):04X}",
)
def test_it_shows_nothing(character: str):
    assert is_blank(character)
    assert is_blank(character * 3 + " ")
    assert not is_blank(character + "好")


@pytest.mark.parametrize("text", ["a", "0", "。", "😀", "\U0001fae9", "\ufffd", "\ue000", "\u06dd", "ㅤ.", "ー"])
def test_it_shows_something(text: str):
    assert not is_blank(text)


@pytest.mark.parametrize("unseen", ["\u200b", "\u3164", "\u2800\n", "\u2067", "\ufeff\u202e"])
def test_what_shows_nothing_does_not_fill_a_text_or_name(unseen: str):
    assert body(unseen * 20_000 + "hi") == name(unseen * 20_000 + "hi") == "hi"


def test_a_few_unseen_characters_before_a_text_stay():
    assert body("\u2067שלום\u2069, hi") == "\u2067שלום\u2069, hi"


def test_only_a_long_lead_of_what_shows_nothing_is_taken_away():
    assert body("\u200b" * MAX_LEAD + "hi") == "\u200b" * MAX_LEAD + "hi"
    assert body("\u200b" * (MAX_LEAD + 1) + "hi") == "hi"


def test_an_empty_text_shows_nothing():
    assert is_blank("")


def test_the_short_cut_of_is_blank_says_the_same_as_the_whole_rule():
    everything = map(chr, range(0x110000))
    assert [one for one in everything if is_blank(one) == bool(shown_from(one))] == []


def test_a_text_begins_where_it_shows_something():
    assert shown_from("\u200b\u3164 \u202e" * 5_000 + "hi \u200b") == "hi \u200b"
    assert shown_from("\u2800" * 9) == ""


# --- what turns the text around it -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("plain", "plain"),
        ("\u202eabc", "\u202eabc\u202c"),
        ("\u2067abc", "\u2067abc\u2069"),
        ("\u2066a\u202bb\u2068c", "\u2066a\u202bb\u2068c\u2069\u202c\u2069"),
        ("\u202aa\u202cb", "\u202aa\u202cb"),
        ("a\u202cb\u2069", "ab"),
        ("\u2067a\u202cb", "\u2067ab\u2069"),
        ("\u2067a\u202eb\u2069c\u202c", "\u2067a\u202eb\u202c\u2069c"),
        ("\u200fa", "\u200fa"),
    ],
)
def test_what_a_text_opens_is_closed_and_what_closes_nothing_is_gone(text: str, made: str):
    assert closed(text) == made


def depth(text: str) -> int:
    """How many directions are open at its end. Raises ValueError for one that closes nothing or crosses another."""
    waiting: list[str] = []
    for character in text:
        if character in "\u202a\u202b\u202d\u202e":
            waiting.append("\u202c")
        elif character in "\u2066\u2067\u2068":
            waiting.append("\u2069")
        elif character in "\u202c\u2069" and (not waiting or waiting.pop() != character):
            raise ValueError(ascii(text))
    return len(waiting)


@given(turning, st.integers(0, 12))
def test_no_text_leaves_a_direction_open(text: str, most: int):
    assert depth(closed(text)) == depth(body(text)) == depth(shorten(closed(text), most)) == 0


@given(turning)
def test_closing_twice_is_closing_once(text: str):
    assert closed(closed(text)) == closed(text)


@given(turning | tricky)
def test_a_name_turns_nothing(text: str):
    assert not {unicodedata.bidirectional(c) for c in name(text)} & {"LRE", "RLE", "LRO", "RLO", "PDF"}
    assert not set(name(text)) & set("\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


@pytest.mark.parametrize("text", ["", "\u202e\u200b", "\u3164", "\u2066\u2069 "])
def test_a_name_or_text_that_shows_nothing_is_none(text: str):
    assert name(text) == body(text) == ""


# --- one character ------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_it_is_cut_off_whole_or_kept_whole(cluster: str):
    text = f"ab{cluster}{cluster}cd"
    wholes = ["", "a", "ab", f"ab{cluster}", f"ab{cluster}{cluster}", f"ab{cluster}{cluster}c"]
    for most in range(1, len(text)):
        assert shorten(text, most).removesuffix("…") in wholes
    assert shorten(text, len(text)) == text


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_half_of_the_first_one_is_none(cluster: str):
    assert shorten(cluster + "abcdefghijklmnop", len(cluster)) == "…"


@pytest.mark.parametrize("most", range(2, 60))
def test_a_defaced_letter_remains(most: int):
    assert shorten(ZALGO, most).startswith("h")
    assert len(shorten(ZALGO, most)) <= most


@pytest.mark.parametrize("mark", ["\u0301", "\u0489", "\u200d", "\u094d", "\ufe0f", "\U000e0067", "🏿"])
def test_a_letter_bears_few_marks(mark: str):
    assert bounded(f"字{mark * 200}b") == f"字{mark * MAX_MARKS}b"


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_no_real_character_is_touched(cluster: str):
    assert body(cluster) == name(cluster) == bounded(cluster) == cluster


@pytest.mark.parametrize("endless", ["👨" + "\u200d👨" * 500, "\u1100" * 500, "क" + "\u094dक" * 500])
def test_a_character_without_end_is_cut_anywhere(endless: str):
    assert 30 <= len(shorten(endless, 60)) <= 60
    assert "\u200d…" not in shorten(endless, 60)


@given(tricky, st.integers(0, 40))
def test_what_is_cut_has_its_length_and_whole_characters(text: str, most: int):
    found = shorten(text, most)
    assert len(found) <= most
    whole = clusters(bounded(text))
    kept = clusters(found.removesuffix("…"))
    if found and len(text) > most and all(len(one) <= 9 for one in whole[:1]) and bounded(text) == text:
        assert kept == whole[: len(kept)] or found.removesuffix("…") == "".join(whole[: len(kept)]).rstrip()


@given(tricky | turning, st.integers(0, 60))
def test_what_is_cut_by_bytes_fits(text: str, most: int):
    def fits(head: str) -> bool:
        return len(head.encode("utf-8", "surrogatepass")) <= most

    assert fits(cut(text, fits))


def test_plain_text_is_cut_where_it_is_full():
    assert shorten("长" * 100, 60) == "长" * 59 + "…"
    assert characters.shorten("ab cdef", 4) == "ab…"


@pytest.mark.parametrize("text", ["a", "ab", "订单", "a\u0301"])
def test_what_just_fits_is_left_alone(text: str):
    assert shorten(text, len(text)) == text


def test_a_letter_that_is_cut_from_its_joiners_ends_without_one():
    assert shorten("👨" + "\u200d" * 100 + "字", 5) == "👨…"


def test_joiners_that_join_nothing_leave_nothing():
    assert shorten("\u200d" * 100 + "字", 3) == "…"


@pytest.mark.parametrize("before", range(0, 60, 7))
def test_a_later_character_is_cut_off_whole_wherever_it_stands(before: int):
    assert shorten("字" * before + FAMILY + "字" * 9, before + 4) == "字" * before + "…"


def test_a_character_of_the_greatest_length_is_whole_and_a_longer_one_is_cut_apart():
    assert shorten("ab" + "\u1100" * MAX_CLUSTER + "cd", 20) == "ab…"
    assert shorten("ab" + "\u1100" * (MAX_CLUSTER + 1) + "cd", 20) == "ab" + "\u1100" * 17 + "…"


def test_of_a_crowd_of_marks_on_a_later_letter_nothing_remains():
    assert shorten("字" + "h" + "\u0301" * 100, 5) == "字…"
