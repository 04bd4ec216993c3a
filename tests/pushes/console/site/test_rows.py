"""The quick table says what the theme's own would say."""

import re

import pytest
from django.test import Client
from unfold.templatetags import unfold_list

from pushes.console.site.rows import table
from pushes.models import DeliveryResult
from pushes.names import Reason, Status
from tests.make import make_account, make_dead_letter, make_delivery, make_device, make_record
from tests.pushes.console.conftest import url

pytestmark = pytest.mark.django_db
LISTS = ("deliveryresult", "pushrecord", "device", "account", "deadletter")


def ageless(html: str) -> str:
    """Without what a moment's title says: it grows older from one look to the next."""
    return re.sub(r'(<time [^>]*title=")[^"]*', r"\1", html)


@pytest.fixture
def rows() -> None:
    """Rows on each list, some of them with characters that mean something in HTML and in addresses."""
    record = make_record(title="<b>1 & 2</b>", text="")
    for account_id in ("100007", "a'<i>/&"):
        account = make_account(account_id)
        make_device(account)
        make_delivery(record, account_id=account_id, status=Status.FAILED, reason=Reason.BAD_TOKEN, provider_text="<x>")
        make_dead_letter(b"<raw>", position=account_id)
    DeliveryResult.objects.filter(account_id="100007").update(record_id=record.pk + 1)  # that push was removed


@pytest.mark.parametrize("query", [{}, {"q": "100007"}])
@pytest.mark.parametrize("model", LISTS)
def test_cells_and_headings_are_the_theme_s(
    administrator: Client, rows: None, model: str, query: dict[str, str]
) -> None:
    answer = administrator.get(url(f"{model}_changelist"), query)
    changelist = answer.context["cl"]
    quick = table(changelist)
    theirs = ["".join(unfold_list.items_for_result(changelist, row, None)) for row in changelist.result_list]
    assert [ageless(row) for row in quick.rows] == [ageless(row) for row in theirs]
    assert quick.headers == list(unfold_list.result_headers(changelist))
    assert all(ageless(row) in ageless(answer.content.decode()) for row in quick.rows)
    assert quick.rows or query


def test_a_row_leads_to_its_page_and_back_to_the_filtered_list(viewer: Client, rows: None) -> None:
    row = DeliveryResult.objects.filter(status=Status.FAILED).first()
    assert row is not None
    page = viewer.get(url("deliveryresult_changelist"), {"status__exact": "failed"}).content.decode()
    way = f"{url('deliveryresult_change', row.pk)}?_changelist_filters=status__exact%3Dfailed"
    assert f'href="{way}"' in page
    assert viewer.get(way).status_code == 200
