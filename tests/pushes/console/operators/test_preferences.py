"""Language and time zone of each operator: remembered, shown, and used for what is typed."""

import zoneinfo
from datetime import datetime, timedelta
from datetime import timezone as fixed
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from pushes.console.operators import preferences, roles
from pushes.models import Broadcast, OperatorPreferences
from tests.make import make_delivery, make_operator
from tests.pushes.console.broadcasts.test_desk import filled

pytestmark = pytest.mark.django_db
ACCOUNT = "/admin/me/"
BERLIN = "Europe/Berlin"


@pytest.fixture
def operator() -> User:
    return make_operator(roles.OPERATOR)


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def choose(user: User, **chosen: str) -> None:
    OperatorPreferences.objects.update_or_create(user=user, defaults=chosen)


def test_without_a_choice_it_is_the_platforms_zone(desk: Client) -> None:
    assert "Times in Asia/Shanghai" in desk.get("/admin/").content.decode()


def test_a_choice_is_stored_audited_and_shown(desk: Client, operator: User) -> None:
    answer = desk.post(ACCOUNT, {"language": "", "time_zone": BERLIN})
    assert answer["Location"] == ACCOUNT
    assert OperatorPreferences.objects.get(user=operator).time_zone == BERLIN
    assert LogEntry.objects.get().change_message == "Preferences changed."
    assert "Times in Europe/Berlin" in desk.get("/admin/").content.decode()


def test_an_unknown_zone_is_refused_with_its_name(desk: Client) -> None:
    answer = desk.post(ACCOUNT, {"language": "", "time_zone": "Mars/Olympus"})
    assert answer.status_code == 422
    assert "Mars/Olympus is not one of the available choices" in answer.content.decode()
    assert not OperatorPreferences.objects.exists()


def test_a_zone_that_is_gone_falls_back_to_the_platforms(desk: Client, operator: User) -> None:
    choose(operator, time_zone="Atlantis/Capital")
    assert "Times in Asia/Shanghai" in desk.get("/admin/").content.decode()
    choose(operator, time_zone="../etc")
    assert "Times in Asia/Shanghai" in desk.get("/admin/").content.decode()


def test_one_operators_zone_is_not_the_next_ones(desk: Client, operator: User) -> None:
    choose(operator, time_zone=BERLIN)
    desk.get("/admin/")
    assert timezone.get_current_timezone_name() == "Asia/Shanghai"
    other = Client()
    other.force_login(make_operator(roles.VIEWER))
    assert "Times in Asia/Shanghai" in other.get("/admin/").content.decode()


@pytest.mark.parametrize(("month", "hour"), [(7, 8), (1, 9)])
def test_a_schedule_is_meant_in_the_operators_zone(desk: Client, operator: User, month: int, hour: int) -> None:
    """Ten o'clock in Berlin is eight o'clock UTC in summer and nine in winter."""
    choose(operator, time_zone=BERLIN)
    year = timezone.now().year + 1
    schedule = {"scheduled_at_0": f"{year}-{month:02d}-05", "scheduled_at_1": "10:00:00"}
    desk.post("/admin/pushes/broadcast/add/", filled(**schedule))
    assert Broadcast.objects.get().scheduled_at == datetime(year, month, 5, hour, tzinfo=fixed.utc)
    page = desk.get(f"/admin/pushes/broadcast/{Broadcast.objects.get().pk}/change/").content.decode()
    assert 'value="10:00:00"' in page


def spring_forward(zone: str) -> datetime:
    """The next moment in `zone` when the clocks jump from two to three: half past two does not exist."""
    day = timezone.now().astimezone(zoneinfo.ZoneInfo(zone)).replace(hour=12, minute=0) + timedelta(days=2)
    while _distance(day - timedelta(days=1)) >= _distance(day):
        day += timedelta(days=1)
    return day


def _distance(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


def test_a_time_that_does_not_exist_is_refused_with_the_zone(desk: Client, operator: User) -> None:
    choose(operator, time_zone=BERLIN)
    schedule = {"scheduled_at_0": f"{spring_forward(BERLIN):%Y-%m-%d}", "scheduled_at_1": "02:30:00"}
    page = desk.post("/admin/pushes/broadcast/add/", filled(**schedule)).content.decode()
    assert "couldn’t be interpreted in time zone Europe/Berlin" in page
    assert not Broadcast.objects.exists()


def test_filters_by_time_mean_the_operators_zone(desk: Client, operator: User) -> None:
    """05:30 UTC is 13:30 in Shanghai and 07:30 in Berlin (in summer)."""
    row = make_delivery(account_id="77001", created_at=datetime(2026, 7, 1, 5, 30, tzinfo=fixed.utc))
    address = "/admin/pushes/deliveryresult/?from=2026-07-01 07:00&until=2026-07-01 08:00"
    assert row.account_id not in desk.get(address).content.decode()
    choose(operator, time_zone=BERLIN)
    page = desk.get(address).content.decode()
    assert row.account_id in page
    assert "2026-07-01 07:30:00" in page


def test_the_language_switch_is_remembered_for_the_operator(desk: Client, operator: User) -> None:
    desk.post("/i18n/setlang/", {"language": "zh-hans", "next": "/admin/"})
    assert OperatorPreferences.objects.get(user=operator).language == "zh-hans"
    elsewhere = Client()
    elsewhere.force_login(operator)
    answer = elsewhere.get("/admin/")
    assert answer["Content-Language"] == "zh-hans"
    assert '<html lang="zh-hans"' in answer.content.decode()


@pytest.mark.parametrize(("method", "language"), [("post", "tlh"), ("post", ""), ("get", "zh-hans")])
def test_no_other_language_is_remembered(desk: Client, method: str, language: str) -> None:
    getattr(desk, method)("/i18n/setlang/", {"language": language})
    assert not OperatorPreferences.objects.exists()


def test_a_stranger_may_switch_the_language_of_the_login(client: Client) -> None:
    client.post("/i18n/setlang/", {"language": "zh-hans"})
    assert client.get("/admin/login/")["Content-Language"] == "zh-hans"
    assert not OperatorPreferences.objects.exists()


def test_every_zone_can_be_chosen_and_shows_its_distance() -> None:
    summer = datetime(2026, 7, 1, tzinfo=fixed.utc)
    choices: dict[str, Any] = {
        name: label for _area, zones in preferences.zone_choices(summer) for name, label in zones
    }
    assert choices[BERLIN] == "Berlin (UTC+02:00)"
    assert choices["America/Argentina/Buenos_Aires"] == "Argentina/Buenos Aires (UTC-03:00)"
    assert choices["Asia/Shanghai"] == "Shanghai (UTC+08:00)"
    assert choices["UTC"] == "UTC (UTC+00:00)"
    assert len(choices) > 400


def test_preferences_read_as_what_was_chosen(operator: User) -> None:
    assert str(OperatorPreferences(user=operator)) == "– –"
    assert str(OperatorPreferences(user=operator, language="en", time_zone="UTC")) == "en UTC"
