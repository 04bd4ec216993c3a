import csv
import io
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.http import QueryDict
from django.test import Client
from django.utils import timezone, translation

from pushes.console.delivery_log.exports import frozen
from pushes.console.operators import roles
from pushes.history import export_rows, exports
from pushes.history.export_rows import cells, read
from pushes.models import DeliveryResult, Export, PushRecord
from pushes.names import ExportStatus, Kind, Reason, Status
from pushes.text import notes
from pushes.text.sentences import Sentence
from tests.make import make_app_key, make_delivery, make_operator, make_record, make_token
from tests.pushes.console.conftest import SignIn, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def ask(client: Client, query: str = "", **data: str) -> Export:
    answer = client.post(f"{url('deliveryresult_export_page')}?{query}", data)
    assert answer.status_code == 302
    return Export.objects.latest("pk")


def written(export: Export) -> Export:
    while exports.write(export.pk):
        export.refresh_from_db()
        if export.status not in exports.LIVE:
            break
    return export


def table(client: Client, export: Export) -> list[dict[str, str]]:
    answer: Any = client.get(url("export_download_page", export.pk))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def exporter() -> Client:
    """Somebody of a group of the house's own: may export the log, and may not see whole tokens."""
    user = make_operator()
    names = ("view_deliveryresult", "export_deliveryresult")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def test_the_question_says_what_will_be_in_the_file(operator: Client) -> None:
    make_app_key(pk=2)
    page = text_of(
        operator.get(url("deliveryresult_export_page"), {"status__exact": "failed", "key": "2", "from": "2026-01-01"})
    )
    for words in ("failed", "higo android production", "2026-01-01", "up to 500,000"):
        assert words in page
    assert not Export.objects.exists()


def test_without_filters_it_warns(operator: Client) -> None:
    page = text_of(operator.get(url("deliveryresult_export_page")))
    assert "none: the entire log" in page
    assert "narrow it by time" in page


def test_the_file_holds_what_the_list_shows(operator: Client) -> None:
    record = make_record(message_id="order-7", title="标题", conversation="group:1", kind=Kind.GROUP, push_type=1)
    wanted = [make_delivery(record, status=Status.FAILED, reason="bad_token", provider_code="-3") for _ in range(2)]
    make_delivery(record)
    export = written(ask(operator, "status__exact=failed"))
    lines = table(operator, export)
    assert [line["number"] for line in lines] == [str(row.pk) for row in reversed(wanted)]
    first = lines[0]
    assert (first["status"], first["reason"], first["title"]) == ("failed", "bad_token", "标题")
    assert (first["message id"], first["conversation"], first["provider's code"]) == ("order-7", "group:1", "-3")
    assert first["token"] == wanted[1].masked_token


@pytest.mark.parametrize("query", ["q=100007", "q=account:100007", "record={record}", "within=1h&kind__exact=system"])
def test_searches_and_filters_hold_for_the_file_too(operator: Client, query: str) -> None:
    row = make_delivery(account_id="100007")
    make_delivery(created_at=timezone.now() - timedelta(days=2), account_id="other", kind=Kind.GROUP)
    export = written(ask(operator, query.format(record=row.record_id)))
    assert [line["account"] for line in table(operator, export)] == ["100007"]


def test_large_lists_come_in_pieces(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE_ROWS", 3)
    monkeypatch.setattr("pushes.history.pages.SPAN_ROWS", 2)
    record = make_record()
    rows = [
        make_delivery(record, account_id="1", status=Status.FAILED if n % 2 else Status.ACCEPTED) for n in range(20)
    ]
    by_status = written(ask(operator, "status__exact=failed"))
    by_account = written(ask(operator, "q=account:1"))
    assert [line["number"] for line in table(operator, by_status)] == [
        str(r.pk) for r in rows[::-1] if r.status == "failed"
    ]
    assert [line["number"] for line in table(operator, by_account)] == [str(r.pk) for r in rows[::-1]]


def test_a_slow_walk_stores_how_far_it_has_come(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushes.history.pages.SPAN_ROWS", 2)
    for _ in range(6):
        make_delivery()
    export = ask(operator, "status__exact=failed")
    piece = read(export, 10, -1)
    assert (list(piece.rows), piece.is_last) == ([], False)
    assert export.oldest_id < piece.cursor < export.newest_id


def test_rows_that_come_later_are_not_in_it(operator: Client) -> None:
    row = make_delivery()
    export = ask(operator)
    make_delivery()
    assert [line["number"] for line in table(operator, written(export))] == [str(row.pk)]


def test_a_span_is_fixed_when_the_export_is_asked_for() -> None:
    query = QueryDict(frozen(QueryDict("within=1h&status__exact=failed&before=7")))
    assert (query["status__exact"], "within" in query, "before" in query) == ("failed", False, False)
    assert query["from"] < f"{timezone.localtime():%Y-%m-%d %H:%M:%S}"
    late = f"{timezone.localtime():%Y-%m-%d %H:%M}:00"
    assert QueryDict(frozen(QueryDict(f"within=1h&from={late}")))["from"] == late


def test_whole_tokens_need_a_permission_and_a_tick(exporter: Client, administrator: Client) -> None:
    row = make_delivery(token=make_token())
    (masked,) = table(exporter, written(ask(exporter, shows_tokens="on")))
    assert masked["token"] == row.masked_token
    (default,) = table(administrator, written(ask(administrator)))
    assert default["token"] == row.masked_token
    (whole,) = table(administrator, written(ask(administrator, shows_tokens="on")))
    assert whole["token"] == row.token


def test_no_cell_of_a_file_is_a_formula(operator: Client) -> None:
    make_delivery(make_record(title="=cmd|' /C calc'!A0"), account_id="@x")
    (line,) = table(operator, written(ask(operator)))
    assert (line["title"], line["account"]) == ("'=cmd|' /C calc'!A0", "'@x")


def test_a_file_is_for_whoever_asked_and_for_administrators(
    sign_in: SignIn, operator: Client, administrator: Client
) -> None:
    make_delivery()
    export = written(ask(operator))
    other = sign_in(roles.OPERATOR)
    for name in ("export_change", "export_download_page", "export_cancel_page"):
        assert other.get(url(name, export.pk)).status_code in (302, 404)
    assert other.get(url("export_download_page", export.pk)).status_code == 404
    assert list(other.get(url("export_changelist")).context["cl"].result_list) == []
    assert table(administrator, export)


def test_whole_tokens_are_not_for_every_reader_of_a_file(administrator: Client, exporter: Client) -> None:
    make_delivery()
    export = written(ask(administrator, shows_tokens="on"))
    user_id = int(exporter.session["_auth_user_id"])
    Export.objects.filter(pk=export.pk).update(created_by=user_id)
    assert exporter.get(url("export_download_page", export.pk)).status_code == 403


def test_the_page_shows_how_far_it_is(operator: Client) -> None:
    make_delivery()
    export = ask(operator, "status__exact=accepted")
    page = text_of(operator.get(url("export_change", export.pk)))
    assert 'hx-get="?part=1"' in page
    assert "accepted by the provider" in page
    written(export)
    part = text_of(operator.get(url("export_change", export.pk), {"part": "1"}))
    assert "hx-get" not in part
    assert 'aria-valuenow="100"' in part
    assert "<html" not in part


def test_a_file_that_was_cut_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_ROWS", 1)
    for _ in range(2):
        make_delivery()
    page = text_of(operator.get(url("export_change", written(ask(operator)).pk)))
    assert "Stopped at the limit of 1 rows" in page


def test_it_is_cancelled_once(operator: Client) -> None:
    export = ask(operator)
    assert "Cancel the export" in text_of(operator.get(url("export_cancel_page", export.pk)))
    operator.post(url("export_cancel_page", export.pk))
    export.refresh_from_db()
    assert export.status == ExportStatus.CANCELLED
    assert "The export had already ended." in text_of(operator.post(url("export_cancel_page", export.pk), follow=True))
    assert "There is no file" in text_of(operator.get(url("export_download_page", export.pk), follow=True))


def test_too_many_at_once_are_refused(operator: Client) -> None:
    for _ in range(exports.MAX_WAITING):
        ask(operator)
    page = operator.post(url("deliveryresult_export_page"), follow=True)
    assert "exports in progress" in text_of(page)
    assert Export.objects.count() == exports.MAX_WAITING


def test_asking_and_fetching_stand_in_the_history(operator: Client) -> None:
    export = written(ask(operator))
    operator.get(url("export_download_page", export.pk))
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == ["Requested.", "Downloaded."]


def test_who_has_lost_the_permission_meanwhile_gets_no_file(operator: Client) -> None:
    export = ask(operator)
    export.created_by.groups.clear()
    written(export)
    export.refresh_from_db()
    assert export.status == ExportStatus.FAILED
    assert notes.code(export.detail) is Sentence.MAY_NOT_EXPORT


def test_a_viewer_exports_nothing(viewer: Client) -> None:
    make_delivery()
    assert viewer.post(url("deliveryresult_export_page")).status_code == 403
    assert viewer.get(url("export_changelist")).status_code == 403
    assert "Export these rows" not in text_of(viewer.get(url("deliveryresult_changelist")))


def test_the_log_leads_to_the_export_with_its_filters(operator: Client) -> None:
    make_delivery(status=Status.FAILED)
    page = text_of(operator.get(url("deliveryresult_changelist"), {"status__exact": "failed"}))
    assert f"{url('deliveryresult_export_page')}?status__exact=failed" in page


def test_the_list_of_exports_leads_to_the_files(operator: Client) -> None:
    export = written(ask(operator))
    assert url("export_download_page", export.pk) in text_of(operator.get(url("export_changelist")))


def test_a_row_without_its_push_is_a_line_all_the_same() -> None:
    row = make_delivery(token="", push_type=99)
    row.record.delete()
    export = Export(created_by=make_operator(), language="zh-hans")
    (line,) = cells(export, [DeliveryResult.objects.prefetch_related("record").get()])
    assert len(line) == len(export_rows.head("zh-hans"))
    assert (line[5], line[14], *line[-2:]) == ("", None, 0, "")


@pytest.mark.django_db(transaction=True)
def test_a_worker_writes_the_file(operator: Client, run_jobs: Callable[..., int]) -> None:
    row = make_delivery()
    export = ask(operator, "status__exact=accepted")
    run_jobs()
    assert [line["number"] for line in table(operator, export)] == [str(row.pk)]


def test_every_word_of_the_file_is_in_the_exporter_s_language() -> None:
    """Words, not promises of words: those would be kept in the worker's own language."""
    row = make_delivery(make_record(kind=Kind.GROUP), status=Status.SKIPPED, reason=Reason.MUTED)
    (line,) = cells(Export(created_by=make_operator(), language="zh-hans"), [row])
    with translation.override("zh-hans"):
        words = {str(word) for word in (Kind.GROUP.label, Status.SKIPPED.label, Reason.MUTED.label)}
    assert words <= {cell for cell in line if isinstance(cell, str)}


def copied(row: Any, **changes: Any) -> Any:
    other = copy(row)
    other.pk = None
    for name, value in changes.items():
        setattr(other, name, value)
    return other


@pytest.mark.parametrize("query", ["", "kind__exact=system", "status__exact=accepted", "reason__exact=too_late"])
def test_a_file_of_very_many_distinct_pushes_is_written(operator: Client, query: str) -> None:
    """Each of them is looked up by its key: more than one statement can name."""
    fields = {"status": Status.EXPIRED, "reason": Reason.TOO_LATE} if "reason" in query else {}
    record = make_record(text="x")
    records = [copied(record, dedupe_key=f"many{number:028x}") for number in range(2_100)]
    delivery = make_delivery(record, **fields)
    PushRecord.objects.bulk_create(records)
    DeliveryResult.objects.bulk_create([copied(delivery, record=one) for one in records])
    delivery.delete()
    export = written(ask(operator, query))
    assert (export.status, export.rows, export.detail) == (ExportStatus.DONE, 2_100, "")


def test_its_page_has_the_filters_in_the_reader_s_language(administrator: Client) -> None:
    make_delivery(status="failed")
    export = ask(administrator, "status__exact=failed")
    assert "Status: failed" in export.understood
    address = url("export_change", export.pk)
    page = text_of(administrator.get(address, headers={"accept-language": "zh-hans"}))
    assert "状态: 失败" in page
    assert "Status: failed" not in page
    assert "Status: failed" in text_of(administrator.get(address))
