"""How a push looks: what every door takes, and what it says of the rest."""

from typing import Any

import pytest

from pushes.text import presentation
from pushes.text.presentation import PresentationError, as_json, as_stored, read, stored
from pushes.values import PLAIN, Presentation

FULL: dict[str, Any] = {
    "subtitle": "仅限今晚",
    "link": "higo://order/77",
    "image": "https://img.example.com/a.jpg?w=600",
    "sound": "ding.caf",
    "badge": 3,
    "category": "ORDER",
    "android_channel": "orders",
}


def test_all_that_can_be_said_is_read_and_comes_back():
    said = read(FULL | {"title": "T"})
    assert said == Presentation(**FULL)
    assert stored(as_stored(said)) == said
    assert set(FULL) == set(presentation.FIELDS)


@pytest.mark.parametrize("nothing", [{}, dict.fromkeys(FULL), dict.fromkeys(FULL, ""), {"subtitle": "\u200b"}])
def test_nothing_said_is_nothing_stored(nothing: dict[str, Any]):
    assert read(nothing) == PLAIN
    assert (as_json(read(nothing)), as_stored(read(nothing)), stored(None)) == (None, None, PLAIN)


@pytest.mark.parametrize(("badge", "wanted"), [(0, 0), ("7", 7), (7.0, 7), (99_999, 99_999)])
def test_a_badge_may_be_text_and_may_be_zero(badge: Any, wanted: int):
    said = read({"badge": badge})
    assert said.badge == wanted
    assert stored(as_stored(said)).badge == wanted


@pytest.mark.parametrize(
    "link",
    [
        "https://higo.example/sale?id=1",
        "HTTPS://higo.example",
        "higo://order/77",
        "intent:#Intent;component=com.higo/.Order;end",
        "com.higo.app:page",
        "https://" + "a" * 1016,
    ],
)
def test_a_link_is_a_page_or_the_apps_own(link: str):
    assert read({"link": link}).link == link


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (
            "link",
            [
                *(
                    "http://higo.example/",
                    "javascript:alert(1)",
                    "JavaScript:alert(1)",
                    "data:text/html,x",
                    "file:///x",
                ),
                *("/order/77", "higo", "higo:", "https://", "https:///x", "https://[x", "//higo.example", "a b:c"),
                *("higo://订单", "higo://a\nb", "higo://" + "x" * 1020, 7, True, ["a:b"], {"a": 1}),
            ],
        ),
        (
            "image",
            ["http://a/1.jpg", "higo://1.jpg", "https://", "a.jpg", "https://例.cn/1.jpg", "https://a/ b.jpg", 1],
        ),
        ("sound", ["a b", "../ding.caf", "叮", "x" * 65, True, 1.5]),
        ("badge", [-1, "-1", 1.5, True, "x", 100_000, "9" * 30, [1], "１"]),
        ("category", ["a b", "IM;", "x" * 65, []]),
        ("android_channel", ["订单", "a/b", "x" * 65]),
        ("subtitle", ["x" * 129, ["a"], True, "\ud800"]),
    ],
)
def test_what_cannot_be_used_names_the_field(field: str, values: list[Any]):
    for value in values:
        with pytest.raises(PresentationError) as caught:
            read({field: value})
        assert caught.value.field == field, value
        assert str(caught.value).isprintable()


def test_an_error_names_the_value_and_what_is_accepted():
    with pytest.raises(PresentationError, match=r"image: 'http://a/1.jpg' .* begins with https://"):
        read({"image": "http://a/1.jpg"})
    with pytest.raises(PresentationError, match="badge: '-1' is not a badge; write a whole number from 0 to 99999"):
        read({"badge": -1})


def test_an_error_repeats_no_text_of_a_message():
    with pytest.raises(PresentationError) as caught:
        read({"subtitle": "秘密" * 100})
    assert "秘密" not in str(caught.value)
