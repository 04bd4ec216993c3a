"""RQ's own pages in the reader's language, zone and title."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from pushes.console import job_queue_words

PAGE = """<html><head><title> Queues</title><script>$("tr input.action-select").actions();</script></head><body>
<h1><span class="console-crumb" aria-current="page">Welcome root</span></h1><h1>Failed jobs in hg_queue</h1>
<th>Enqueued</th><td>Enqueued by hand</td><input type="submit" value="Yes, I'm sure" />
<time datetime="2026-05-01T00:00:00+00:00" title="UTC: 2026-05-01 00:00:00">2026-05-01 08:00:00</time></body></html>"""


def test_known_texts_are_translated_and_others_left_alone() -> None:
    with translation.override("zh-hans"):
        page = job_queue_words.translated(PAGE, "任务队列")
    assert "<th>入队时间</th><td>Enqueued by hand</td>" in page
    assert "hg_queue 中失败的任务" in page
    assert 'value="是的，我确定"' in page


def test_the_title_names_the_console_and_nobody_is_greeted() -> None:
    page = job_queue_words.translated(PAGE, "Job queues")
    assert "<title>Queues | HIGO Push</title>" in page
    assert "Welcome" not in page
    assert "actions()" not in page


def test_times_are_in_the_reader_s_zone() -> None:
    with timezone.override("Europe/Berlin"):
        assert ">2026-05-01 02:00:00</time>" in job_queue_words.translated(PAGE, "Job queues")


@pytest.mark.django_db
@pytest.mark.usefixtures("redis_client")
def test_the_library_s_page_is_in_chinese(administrator: Client) -> None:
    page = administrator.get(reverse("admin:django_rq_dashboard_changelist"), headers={"Accept-Language": "zh-hans"})
    text = page.content.decode()
    assert "排队的任务" in text
    assert "Queued Jobs" not in text
