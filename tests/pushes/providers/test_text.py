import json
from urllib.parse import quote_plus as urllib_quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.providers.text import clean, encoded_size, fit, fit_all, quote_plus, to_json
from pushes.text.characters import closed

FAMILY = "👨\u200d👩\u200d👧"


@given(st.text())
def test_quoting_is_urllibs_to_the_byte(text):
    assert quote_plus(clean(text)) == urllib_quote_plus(clean(text))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_reads_back_as_it_was(value):
    assert json.loads(to_json(value)) == json.loads(json.dumps(value))


def test_json_is_compact_and_keeps_chinese():
    assert to_json({"a": ["订单", 1]}) == '{"a":["订单",1]}'


def test_whole_numbers_beyond_64_bits_are_written():
    assert to_json({"n": 2**70}) == f'{{"n":{2**70}}}'


def test_values_that_need_the_slower_writer_are_written_alike():
    assert to_json({"n": 2**70, "a": ["订单", 1.5], "b": None}) == f'{{"n":{2**70},"a":["订单",1.5],"b":null}}'


def test_a_lone_surrogate_in_a_value_is_replaced():
    assert to_json({"a": "x\ud800"}) == '{"a":"x\ufffd"}'


def test_surrogate_pairs_are_joined():
    assert clean("a\ud83d\ude00b") == "a😀b"


@pytest.mark.parametrize("text", ["", "plain", "订单", FAMILY])
def test_valid_text_is_left_alone(text):
    assert clean(text) == text


def test_text_that_fits_is_left_alone():
    assert fit("新订单", 9) == "新订单"


def test_text_is_cut_between_characters():
    assert fit("新订单", 8) == "新…"


def test_escapes_count_with_their_bytes():
    assert fit('""""', 7) == '""…'


def test_no_space_stands_before_the_ellipsis():
    assert fit("ab cdef", 6) == "ab…"


@pytest.mark.parametrize("most", [0, 1, 2])
def test_without_room_for_the_ellipsis_nothing_is_left(most):
    assert fit("abcd", most) == ""


@pytest.mark.parametrize(
    "cluster",
    [FAMILY, "e\u0301", "👍🏽", "🇨🇳", "❤\ufe0f", "🏴\U000e0067\U000e0062\U000e007f"],
    ids=["family", "accent", "skin tone", "flag", "variation", "regional flag"],
)
def test_what_people_see_as_one_character_is_not_cut_apart(cluster):
    text = "ab" + cluster + "cdefgh"
    for most in range(encoded_size(text)):
        kept = fit(text, most).removesuffix("…")
        assert kept in ("", "a", "ab") or kept.startswith("ab" + cluster)


def test_the_second_of_two_flags_is_cut_off_whole():
    assert fit("🇨🇳🇫🇷", 13) == "🇨🇳…"


def test_a_letter_under_hundreds_of_marks_neither_vanishes_nor_bursts_the_limit():
    for most in range(4, 40):
        fitted = fit("a" + "\u0301" * 500, most)
        assert fitted.startswith("a")
        assert encoded_size(fitted) <= most


@given(st.text(st.sampled_from('a字\u202e\u2067\u2069\u202c"👩\u200d\u0301')), st.integers(0, 60))
def test_directions_are_closed_within_the_limit(text, most):
    fitted = fit(closed(text), most)
    assert encoded_size(fitted) <= most
    assert closed(fitted) == fitted


@given(st.text(), st.integers(0, 60))
def test_what_is_fitted_fits(text, most):
    assert encoded_size(fit(clean(text), most)) <= most


@given(st.lists(st.text(max_size=30), max_size=4), st.integers(min_value=0, max_value=120))
def test_what_is_fitted_together_fits_together(texts, most):
    texts = [clean(text) for text in texts]
    fitted = fit_all(texts, most)
    assert len(fitted) == len(texts)
    assert sum(map(encoded_size, fitted)) <= most


@pytest.mark.parametrize(
    ("most", "fitted"),
    [
        (9, ["abc", "def", "ghi"]),
        (8, ["abc", "def", ""]),
        (6, ["abc", "def", ""]),
        (5, ["abc", "", ""]),
        (3, ["abc", "", ""]),
        (2, ["", "", ""]),
    ],
)
def test_of_several_texts_the_last_is_cut_first(most, fitted):
    assert fit_all(["abc", "def", "ghi"], most) == fitted
