"""What Huawei is told of a message's class."""

from typing import Any

import pytest

from pushes.names import MessageClass
from pushes.providers import huawei_categories
from pushes.values import Notification


def said(**fields: Any) -> tuple[str, str]:
    notification = Notification("t", "c", {}, 60, **fields)
    return huawei_categories.category(notification), huawei_categories.importance(notification)


def test_a_push_without_a_class_is_marketing():
    assert said() == ("MARKETING", "LOW")


def test_every_class_has_a_word_of_huaweis():
    found = {one: said(message_class=one) for one in MessageClass}
    assert found.pop(MessageClass.MARKETING) == ("MARKETING", "LOW")
    assert found[MessageClass.ORDER] == ("EXPRESS", "NORMAL")
    assert {loud for _word, loud in found.values()} == {"NORMAL"}


@pytest.mark.parametrize(
    ("category", "wanted"),
    [
        ("im", ("IM", "NORMAL")),
        ("ORDER", ("EXPRESS", "NORMAL")),
        ("TRAVEL", ("TRAVEL", "NORMAL")),
        # The buttons of an iPhone's app are no matter of Huawei's.
        ("SALE_BUTTONS", ("MARKETING", "LOW")),
    ],
)
def test_the_pushs_own_category_goes_before_the_class(category, wanted):
    assert said(category=category) == wanted


def test_a_service_type_may_send_marketing():
    assert said(category="MARKETING", message_class=MessageClass.ORDER) == ("MARKETING", "LOW")
