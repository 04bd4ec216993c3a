"""A refused form begins with a summary of every error: of its fields, of the whole form, of a table's rows."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from pushes.models import PushTypePolicy
from tests import djangos_words
from tests.make import make_app_key
from tests.pushes.console.conftest import url
from tests.pushes.console.test_push_types import place, table

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def summary(answer: Any) -> list[tuple[str, str]]:
    """Where each line of the summary leads, and what it says."""
    page = answer.content.decode()
    note = page[page.index("errornote") :]
    note = note[: note.index("</ul>")]
    lines = re.findall(r"<li>(?:<a href=\"#([^\"]*)\">)?(.*?)(?:</a>)?</li>", note, re.S)
    return [(link, html.unescape(text).strip()) for link, text in lines]


def test_every_field_is_named_and_linked(operator: Client) -> None:
    sent = {"title": "", "text": "", "data": "{", "canary_percent": "99", "scheduled_at_0": "x", "scheduled_at_1": "y"}
    found = dict(summary(operator.post(url("broadcast_add"), sent)))
    assert {"id_title", "id_text", "id_data", "id_canary_percent", "id_scheduled_at_0", "id_app"} <= set(found)
    assert found["id_title"] == f"Title: {djangos_words.REQUIRED}"


def test_an_error_of_the_whole_form_is_among_them_and_stands_once(administrator: Client) -> None:
    key = make_app_key()
    sent = {"app": key.app, "platform": key.platform, "environment": key.environment, "provider": "sandbox"}
    answer = administrator.post(url("appkey_add"), sent | {"access_id": "-5", "rate_per_second": "x"})
    found = summary(answer)
    (whole,) = (text for link, text in found if not link)
    assert any(link == "id_access_id" for link, _text in found)
    assert html.unescape(answer.content.decode()).count(whole) == 1


def test_the_rows_of_a_table_are_named(administrator: Client) -> None:
    first, second = place(5), place(7)
    sent = table(**{f"form-{first}-window": "9-22", f"form-{second}-ttl_seconds": 0, f"form-{second}-window": "x"})
    found = summary(administrator.post(url("pushtypepolicy_changelist"), sent))
    assert [link for link, _text in found] == [
        f"id_form-{first}-window",
        f"id_form-{second}-window",
        f"id_form-{second}-ttl_seconds",
    ]
    assert found[0][1].startswith(f"{PushTypePolicy.objects.get(push_type=5)} · Delivery window: ")


def test_a_password_s_errors_are_listed(administrator: Client) -> None:
    sent = {"old_password": "x", "new_password1": "a", "new_password2": "b"}
    found = summary(administrator.post("/admin/password_change/", sent))
    assert {"id_old_password", "id_new_password2"} <= {link for link, _text in found}
