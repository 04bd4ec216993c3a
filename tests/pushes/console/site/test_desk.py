"""What all desks have in common."""

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from pushes.console.site.desk import Desk
from tests.make import make_app_key

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
DESKS = {model._meta.label_lower: desk for model, desk in admin.site._registry.items() if isinstance(desk, Desk)}
FILTERED = [name for name, desk in DESKS.items() if desk.list_filter]


@pytest.mark.parametrize("name", FILTERED)
def test_the_titles_of_filters_begin_with_a_capital_letter(administrator: Client, name: str) -> None:
    page = administrator.get(reverse("admin:{}_{}_changelist".format(*name.split("."))))
    titles = [str(spec.title) for spec in page.context["cl"].filter_specs]
    assert titles
    assert [title for title in titles if title[0].islower()] == []
    label = f" {titles[0]} "
    assert label in page.content.decode()


def test_the_search_of_pages_has_its_words_in_both_languages(administrator: Client) -> None:
    for language, words in (("en", "Search pages…"), ("zh-hans", "搜索页面……")):
        page = administrator.get("/admin/", headers={"accept-language": language}).content.decode()
        assert f'placeholder="{words}"' in page


def test_a_history_names_the_fields_in_the_reader_s_language(administrator: Client) -> None:
    key = make_app_key()
    user = get_user_model().objects.get()
    # As Django's admin stores a change: with the labels of the form, in English.
    stored = [{"changed": {"fields": ["Calls per second", "Endpoint URL", "Not a field"]}}, {"added": {}}]
    LogEntry.objects.log_actions(user.pk, [key], CHANGE, stored, single_object=True)
    LogEntry.objects.log_actions(user.pk, [key], CHANGE, "Paused.", single_object=True)
    address = reverse("admin:pushes_appkey_history", args=[key.pk])
    page = administrator.get(address, headers={"accept-language": "zh-hans"}).content.decode()
    assert "每秒请求数" in page
    assert "Calls per second" not in page
    assert "Not a field" in page
    assert "Paused." in page
    assert "Calls per second" in administrator.get(address).content.decode()
