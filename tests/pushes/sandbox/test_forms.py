from urllib.parse import parse_qsl, quote, unquote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.sandbox import forms

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXTS, TEXTS))
def test_what_urllib_encodes_is_decoded(params):
    assert forms.parse(urlencode(params).encode()) == params


@given(TEXTS)
def test_spaces_as_percent_20_and_lower_case_digits_are_decoded(text):
    assert forms.decode(quote(text, safe="").lower().encode()) == unquote_plus(quote(text, safe="").lower())


@pytest.mark.parametrize("value", ["a=b%3D", "a%0Ab\nc", "%", "%4", "%zz", "a%2", "100%25", "%3D%3D", "=", "=41"])
def test_odd_values_are_decoded_as_urllib_does(value):
    assert forms.decode(value.encode()) == unquote_plus(value)


def test_a_trailing_ampersand_is_tolerated():
    assert forms.parse(b"a=1&b=2&") == {"a": "1", "b": "2"}


def test_empty_values_are_kept():
    assert forms.parse(b"send_time=&x") == {"send_time": "", "x": ""}


def test_a_repeated_name_has_its_last_value():
    assert forms.parse(b"a=1&a=2") == dict(parse_qsl("a=1&a=2"))


def test_what_is_no_utf8_is_refused():
    with pytest.raises(UnicodeDecodeError):
        forms.parse(b"a=%ff")
