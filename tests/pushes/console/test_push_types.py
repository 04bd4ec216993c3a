"""A push type is switched off by a page that asks, with its traffic and a reason, whichever door was tried."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pushes.models import AppKey, PushTypePolicy
from pushes.names import MessageClass
from tests.make import make_app_key, make_record
from tests.pushes.console.conftest import url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
BOXES = ("requires_login", "respects_do_not_disturb", "skips_online")


def table(**changes: Any) -> dict[str, Any]:
    """The whole table as a browser sends it, but for `changes`: a box that is None is not ticked."""
    rows = list(PushTypePolicy.objects.all())
    data: dict[str, Any] = {"form-TOTAL_FORMS": len(rows), "form-INITIAL_FORMS": len(rows), "_save": "Save"}
    for at, row in enumerate(rows):
        data |= {f"form-{at}-{name}": getattr(row, name) for name in ("window_policy", "window", "ttl_seconds")}
        data |= {f"form-{at}-push_type": row.pk, f"form-{at}-unknown_policy": row.unknown_policy}
        data |= {f"form-{at}-{name}": "on" for name in (*BOXES, "is_enabled") if getattr(row, name)}
    return {name: value for name, value in (data | changes).items() if value is not None}


def form(push_type: int, **changes: Any) -> dict[str, Any]:
    row = PushTypePolicy.objects.get(push_type=push_type)
    names = ("default_title", "window_policy", "window", "ttl_seconds", "unknown_policy", "message_class")
    data: dict[str, Any] = {name: getattr(row, name) for name in names}
    data |= {name: "on" for name in (*BOXES, "is_enabled") if getattr(row, name)}
    return {name: value for name, value in (data | changes).items() if value is not None}


def place(push_type: int) -> int:
    return list(PushTypePolicy.objects.values_list("push_type", flat=True)).index(push_type)


def is_on(push_type: int) -> bool:
    return PushTypePolicy.objects.get(push_type=push_type).is_enabled


def page_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_table_s_box_leads_to_the_question(administrator: Client) -> None:
    make_record(push_type=5)
    at = place(5)
    changes = {f"form-{at}-is_enabled": None, f"form-{at}-ttl_seconds": 3600}
    answer = administrator.post(url("pushtypepolicy_changelist"), table(**changes), follow=True)
    assert "Switch off “5 new order”?" in page_of(answer)
    assert "1 push in the last 24 hours" in page_of(answer)
    assert is_on(5)
    assert PushTypePolicy.objects.get(push_type=5).ttl_seconds == 3600


def test_several_types_are_asked_about_together(administrator: Client) -> None:
    changes = {f"form-{place(number)}-is_enabled": None for number in (5, 6, 7)}
    answer = administrator.post(url("pushtypepolicy_changelist"), table(**changes), follow=True)
    assert "Switch off 3 push types?" in page_of(answer)
    assert all(is_on(number) for number in (5, 6, 7))
    asked_at = answer.request["PATH_INFO"] + "?" + answer.request["QUERY_STRING"]
    administrator.post(asked_at, {"reason": "sold out"})
    assert not any(is_on(number) for number in (5, 6, 7))


def test_the_form_leads_to_the_question_and_saves_the_rest(administrator: Client) -> None:
    sent = form(5, is_enabled=None, default_title="New")
    answer = administrator.post(url("pushtypepolicy_change", 5), sent, follow=True)
    assert "Switch off “5 new order”?" in page_of(answer)
    assert is_on(5)
    assert PushTypePolicy.objects.get(push_type=5).default_title == "New"
    assert "Enabled" not in LogEntry.objects.get().get_change_message()


@pytest.mark.parametrize("sent", [{}, {"reason": "  "}, {"is_enabled": "", "confirm": "1"}])
def test_without_a_reason_it_stays_on(administrator: Client, sent: dict[str, str]) -> None:
    answer = administrator.post(f"{url('pushtypepolicy_switch_off_page')}?type=5", sent)
    assert answer.status_code == 422
    assert is_on(5)


def test_off_is_audited_and_stays_an_alert_until_it_is_on(administrator: Client) -> None:
    administrator.post(f"{url('pushtypepolicy_switch_off_page')}?type=5", {"reason": "a flood of orders"})
    assert not is_on(5)
    assert LogEntry.objects.get().get_change_message() == "Switched off: a flood of orders"
    overview = page_of(administrator.get("/admin/"))
    assert 'data-alert="off-5"' in overview
    assert "a flood of orders" in overview
    assert '<li class="is-well">' not in overview
    administrator.post(url("pushtypepolicy_on_page", 5))
    policy = PushTypePolicy.objects.get(push_type=5)
    assert (policy.is_enabled, policy.disabled_reason, policy.disabled_at) == (True, "", None)
    assert 'data-alert="off-5"' not in page_of(administrator.get("/admin/"))


def test_ticking_it_in_the_table_is_enough_to_switch_it_on(administrator: Client) -> None:
    PushTypePolicy.objects.filter(push_type=5).update(is_enabled=False, disabled_reason="x")
    administrator.post(url("pushtypepolicy_changelist"), table(**{f"form-{place(5)}-is_enabled": "on"}))
    policy = PushTypePolicy.objects.get(push_type=5)
    assert (policy.is_enabled, policy.disabled_reason) == (True, "")


def test_saving_something_else_leaves_a_type_off(administrator: Client) -> None:
    PushTypePolicy.objects.filter(push_type=5).update(is_enabled=False, disabled_reason="x")
    administrator.post(url("pushtypepolicy_changelist"), table(**{f"form-{place(6)}-ttl_seconds": 60}))
    policy = PushTypePolicy.objects.get(push_type=5)
    assert (policy.is_enabled, policy.disabled_reason) == (False, "x")


def as_shown(client: Client, address: str) -> dict[str, Any]:
    """What a browser sends of a page's form when nothing was touched."""
    context = client.get(address).context
    forms = context["cl"].formset.forms if "cl" in context else [context["adminform"].form]
    sent: dict[str, Any] = {}
    for one in forms:
        for box in one:
            value = box.value()
            sent |= {} if value is False else {box.html_name: "on" if value is True else value or ""}
        sent[one["is_enabled"].html_initial_name] = str(one["is_enabled"].value())
    return sent


def test_a_table_that_was_opened_before_a_type_went_off_leaves_it_off(administrator: Client) -> None:
    opened = table() | as_shown(administrator, url("pushtypepolicy_changelist"))
    PushTypePolicy.objects.filter(push_type=5).update(is_enabled=False, disabled_reason="x")
    administrator.post(url("pushtypepolicy_changelist"), opened | {f"form-{place(6)}-ttl_seconds": 61})
    policy = PushTypePolicy.objects.get(push_type=5)
    assert (policy.is_enabled, policy.disabled_reason) == (False, "x")
    assert PushTypePolicy.objects.get(push_type=6).ttl_seconds == 61


def test_one_that_was_opened_before_a_type_went_on_asks_nothing(administrator: Client) -> None:
    PushTypePolicy.objects.filter(push_type=5).update(is_enabled=False)
    opened = table() | as_shown(administrator, url("pushtypepolicy_changelist"))
    PushTypePolicy.objects.filter(push_type=5).update(is_enabled=True)
    opened[f"form-{place(6)}-ttl_seconds"] = 61
    answer = administrator.post(url("pushtypepolicy_changelist"), opened)
    assert answer.headers["Location"].endswith(url("pushtypepolicy_changelist"))
    assert is_on(5)


@pytest.mark.parametrize("page", ["pushtypepolicy_changelist", "pushtypepolicy_change"])
def test_the_page_says_what_the_box_was(administrator: Client, page: str) -> None:
    shown = page_of(administrator.get(url(page, *([5] if page.endswith("change") else []))))
    assert re.search(r'name="initial-(form-0-)?is_enabled" value="True"', shown)


def test_an_app_key_s_page_that_was_opened_before_it_was_disabled_leaves_it_so(administrator: Client) -> None:
    key = make_app_key()
    opened = as_shown(administrator, url("appkey_change", key.pk)) | {"rate_per_second": 7}
    type(key).objects.update(is_enabled=False)
    administrator.post(url("appkey_change", key.pk), opened)
    key.refresh_from_db()
    assert (key.is_enabled, key.rate_per_second) == (False, 7)


def test_nobody_else_may(operator: Client) -> None:
    assert operator.post(f"{url('pushtypepolicy_switch_off_page')}?type=5", {"reason": "x"}).status_code == 403
    operator.post(url("pushtypepolicy_changelist"), table(**{f"form-{place(5)}-is_enabled": None}))
    assert is_on(5)


@pytest.mark.parametrize("query", ["", "?type=", "?type=x", "?type=99999999999", "?type=999"])
def test_a_question_about_nothing_leads_back(administrator: Client, query: str) -> None:
    answer = administrator.get(url("pushtypepolicy_switch_off_page") + query)
    assert answer.status_code == 302


def test_an_app_key_s_form_asks_before_it_disables(administrator: Client) -> None:
    key = make_app_key()
    sent = {"app": key.app, "platform": key.platform, "environment": key.environment, "provider": key.provider}
    sent |= {"access_id": str(key.access_id), "rate_per_second": "7"}
    answer = administrator.post(url("appkey_change", key.pk), sent, follow=True)
    assert "Disable higo" in page_of(answer)
    changed = AppKey.objects.get()
    assert (changed.is_enabled, changed.rate_per_second) == (True, 7)


def test_orders_are_service_messages_and_the_rest_is_marketing_from_the_start() -> None:
    found = dict(PushTypePolicy.objects.values_list("push_type", "message_class"))
    assert [found[number] for number in (1, 5, 8, 15, 17)] == ["IM", "ORDER", "ORDER", "ACCOUNT", "WORK"]
    assert {number for number, one in found.items() if one == MessageClass.MARKETING} == {20, 55}


def test_the_defaults_of_a_types_pushes_are_saved(administrator: Client) -> None:
    look = {"message_class": "FINANCE", "android_channel": "pay.v2", "sound": "coin.caf"}
    administrator.post(url("pushtypepolicy_change", 8), form(8, **look))
    assert PushTypePolicy.objects.filter(push_type=8, **look).exists()


@pytest.mark.parametrize(("field", "value"), [("sound", "a b"), ("android_channel", "订单"), ("message_class", "SPAM")])
def test_a_default_that_no_push_could_have_is_refused(administrator: Client, field: str, value: str) -> None:
    answer = administrator.post(url("pushtypepolicy_change", 8), form(8, **{field: value}))
    assert field in answer.context["adminform"].form.errors
