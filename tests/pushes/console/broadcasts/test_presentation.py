"""How a broadcast looks: composed, refused, reviewed, copied, and carried by its pushes."""

from typing import Any

import pytest
from django.test import Client

from pushes.broadcasts import lifecycle
from pushes.console.broadcasts import review
from pushes.models import Broadcast, PushRecord
from tests.make import make_app_key, make_broadcast, make_device, make_record
from tests.pushes.console.broadcasts.test_desk import compose, filled
from tests.pushes.console.conftest import url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
LOOK: dict[str, Any] = {
    "image": "https://img.example.com/hero.jpg",
    "link": "higo://sale/11",
    "subtitle": "Tonight only",
    "sound": "ding.caf",
    "badge": 0,
    "category": "ACCOUNT",
    "android_channel": "sales",
}


def test_what_is_composed_goes_with_its_pushes(operator: Client) -> None:
    make_app_key()
    make_device()
    compose(operator, **LOOK)
    broadcast = Broadcast.objects.get()
    assert broadcast.presentation == LOOK
    lifecycle.launch(broadcast.pk)
    assert PushRecord.objects.get().presentation == LOOK


def test_nothing_is_stored_of_fields_that_are_left_blank(operator: Client) -> None:
    compose(operator, **dict.fromkeys(LOOK, " "))
    assert Broadcast.objects.get().presentation is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("image", "http://a/1.jpg"), ("link", "javascript:x"), ("badge", "-1"), ("sound", "a b"), ("subtitle", "x" * 129)],
)
def test_what_no_push_could_have_is_refused_at_its_field(operator: Client, field: str, value: str) -> None:
    answer = operator.post(url("broadcast_add"), filled(**{field: value}))
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not Broadcast.objects.exists()


def test_it_counts_against_the_providers_limit(operator: Client) -> None:
    fields = {"text": "x" * 3_000, "link": "higo://" + "x" * 1_000}
    assert "4011 bytes is too long" in compose(operator, **fields)
    compose(operator, **fields | {"link": ""})
    assert Broadcast.objects.exists()


def test_a_draft_is_edited_field_by_field(operator: Client) -> None:
    broadcast = make_broadcast(presentation=LOOK)
    form = operator.get(url("broadcast_change", broadcast.pk)).context["adminform"].form
    assert {name: form[name].value() for name in LOOK} == LOOK
    operator.post(url("broadcast_change", broadcast.pk), filled(link="higo://sale/12", badge="0"))
    broadcast.refresh_from_db()
    assert broadcast.presentation == {"link": "higo://sale/12", "badge": 0}


def test_a_copy_takes_it_over(operator: Client) -> None:
    broadcast = make_broadcast(presentation=LOOK)
    page = operator.get(url("broadcast_copy_page", broadcast.pk), follow=True)
    form = page.context["adminform"].form
    assert {name: form[name].value() for name in LOOK} == LOOK


def test_the_review_shows_it_and_notices_a_change() -> None:
    broadcast = make_broadcast(presentation=LOOK)
    facts = {str(label): value for label, value in review.facts(broadcast, {})}
    assert (facts["Link"], facts["Image"], facts["Badge"]) == (LOOK["link"], LOOK["image"], 0)
    before = review.fingerprint(broadcast)
    broadcast.presentation = LOOK | {"link": "higo://sale/12"}
    assert review.fingerprint(broadcast) != before


def test_a_forgotten_placeholder_is_noticed_there_too() -> None:
    broadcast = make_broadcast(presentation={"subtitle": "Hi {{nickname}}"})
    assert "{{nickname}}" in " ".join(review.doubts(broadcast, {}))


def test_who_may_only_look_sees_it_on_a_draft(viewer: Client) -> None:
    broadcast = make_broadcast(presentation=LOOK)
    assert LOOK["link"] in viewer.get(url("broadcast_change", broadcast.pk)).content.decode()


@pytest.mark.parametrize(("look", "shown"), [(LOOK, "Link: higo://sale/11"), (None, "–")])
def test_a_pushs_page_shows_it(viewer: Client, look: Any, shown: str) -> None:
    record = make_record(presentation=look)
    assert shown in viewer.get(url("pushrecord_change", record.pk)).content.decode()
