"""Push types, API tokens, operators and roles, job queues."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from pushes.console.operators import roles
from pushes.models import ApiToken, PushTypePolicy
from tests.pushes.console.conftest import SignIn, url

pytestmark = pytest.mark.django_db


def policy_table(client: Client) -> dict[str, object]:
    """The table's own fields and values, as a browser would send them back."""
    formset = client.get(url("pushtypepolicy_changelist")).context["cl"].formset
    sent: dict[str, object] = dict(formset.management_form.initial)
    sent = {f"form-{name}": value for name, value in sent.items()} | {"_save": "Save"}
    for form in formset:
        for field in form:
            value = field.value()
            if value is not False and value is not None:
                sent[field.html_name] = "on" if value is True else value
    return sent


def changed_row(number: int, **fields: object) -> dict[str, object]:
    at = list(PushTypePolicy.objects.values_list("push_type", flat=True)).index(number)
    return {f"form-{at}-{name}": value for name, value in fields.items()}


def test_the_table_shows_every_push_type(viewer: Client) -> None:
    assert viewer.get(url("pushtypepolicy_changelist")).context["cl"].result_count == 16


@pytest.mark.parametrize("nothing", ["", "\u200b", "\u3164", "\u202e\ufe0f"])
def test_a_default_title_shows_something(administrator: Client, nothing: str) -> None:
    page = administrator.get(url("pushtypepolicy_change", 5))
    fields = {name: value for name, value in page.context["adminform"].form.initial.items() if value}
    answer = administrator.post(url("pushtypepolicy_change", 5), fields | {"default_title": nothing})
    assert list(answer.context["adminform"].form.errors) == ["default_title"]


def test_rules_are_changed_in_the_table(administrator: Client) -> None:
    sent = policy_table(administrator) | changed_row(5, window="09:00-22:00", ttl_seconds=600)
    administrator.post(url("pushtypepolicy_changelist"), sent)
    policy = PushTypePolicy.objects.get(push_type=5)
    assert (policy.window, policy.ttl_seconds) == ("09:00-22:00", 600)


@pytest.mark.parametrize("window", ["9-22", "09:00", "25:00-26:00", "always"])
def test_a_window_that_is_none_is_refused(administrator: Client, window: str) -> None:
    sent = policy_table(administrator) | changed_row(5, window=window)
    page = administrator.post(url("pushtypepolicy_changelist"), sent).content.decode()
    assert "is not a valid delivery window" in page
    assert PushTypePolicy.objects.get(push_type=5).window == ""


@pytest.mark.parametrize("window", ["", "off", "22:00-06:00", "08:00-23:00"])
def test_a_window_is_accepted(administrator: Client, window: str) -> None:
    administrator.post(url("pushtypepolicy_changelist"), policy_table(administrator) | changed_row(1, window=window))
    assert PushTypePolicy.objects.get(push_type=1).window == window


def test_a_time_to_live_of_nothing_is_refused(administrator: Client) -> None:
    sent = policy_table(administrator) | changed_row(5, ttl_seconds=0)
    assert "Enter a time to live between" in administrator.post(url("pushtypepolicy_changelist"), sent).content.decode()


def test_an_operator_reads_the_rules_but_changes_none(operator: Client) -> None:
    operator.post(url("pushtypepolicy_changelist"), {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "_save": "1"})
    assert 'name="form-0-window"' not in operator.get(url("pushtypepolicy_changelist")).content.decode()
    assert not LogEntry.objects.exists()


def test_a_token_is_shown_once_and_kept_as_a_digest(key_manager: Client) -> None:
    page = key_manager.post(url("apitoken_add"), {"name": "backend", "scopes": ["push", "read"]})
    clear = re.search(r'id="clear-token">([^<]+)<', page.content.decode())
    assert clear is not None
    token = ApiToken.objects.get(digest=ApiToken.digest_of(clear[1]))
    assert token.scopes == ["push", "read"]
    assert "no-store" in page["Cache-Control"]
    assert clear[1] not in key_manager.get(url("apitoken_change", token.pk)).content.decode()
    assert clear[1] not in str(list(LogEntry.objects.values()))


@pytest.mark.parametrize("fields", [{"name": "x"}, {"scopes": ["push"]}, {"name": "x", "scopes": ["everything"]}])
def test_a_token_without_a_name_or_a_scope_is_refused(key_manager: Client, fields: dict[str, object]) -> None:
    key_manager.post(url("apitoken_add"), fields)
    assert not ApiToken.objects.exists()


def test_a_name_is_used_once(key_manager: Client) -> None:
    ApiToken.issue("backend", ["push"])
    page = key_manager.post(url("apitoken_add"), {"name": "backend", "scopes": ["push"]})
    assert list(page.context["adminform"].form.errors) == ["name"]
    assert ApiToken.objects.count() == 1


def test_a_token_is_disabled_and_enabled(key_manager: Client) -> None:
    token, _ = ApiToken.issue("backend", ["push"])
    key_manager.post(url("apitoken_disable_page", token.pk))
    token.refresh_from_db()
    assert not token.is_enabled
    key_manager.post(url("apitoken_enable_page", token.pk))
    token.refresh_from_db()
    assert token.is_enabled


def test_a_token_can_end_with_a_day(key_manager: Client) -> None:
    day = timezone.localtime() + timedelta(days=5)
    sent = {"name": "short", "scopes": ["push"], "expires_at": f"{day:%Y-%m-%d}"}
    assert "token “short” issued" in key_manager.post(url("apitoken_add"), sent).content.decode().lower()
    token = ApiToken.objects.get()
    assert token.expires_at is not None
    assert timezone.localtime(token.expires_at).replace(tzinfo=None) == day.replace(
        hour=23, minute=59, second=59, microsecond=0, tzinfo=None
    )
    page = key_manager.get(url("apitoken_changelist")).content.decode()
    assert "The token “short” expires on" in page
    assert f"Valid until {day:%Y-%m-%d}" in LogEntry.objects.get().change_message


def test_a_token_of_yesterday_is_not_issued(key_manager: Client) -> None:
    day = timezone.localtime() - timedelta(days=1)
    sent = {"name": "late", "scopes": ["push"], "expires_at": f"{day:%Y-%m-%d}"}
    assert "This day has passed. Choose a later day." in key_manager.post(url("apitoken_add"), sent).content.decode()
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_token_ends_within_ten_years(key_manager: Client, day: str) -> None:
    """At the end of all days another zone's clock cannot show it."""
    sent = {"name": "long", "scopes": ["push"], "expires_at": day}
    assert ("within ten years" in key_manager.post(url("apitoken_add"), sent).content.decode()) == (day > "1")
    assert not ApiToken.objects.exists()


def test_the_end_of_a_token_is_moved_and_shown(key_manager: Client) -> None:
    token, _ = ApiToken.issue("backend", ["push"], timezone.now() - timedelta(hours=30))
    assert "expired" in key_manager.get(url("apitoken_changelist")).content.decode()
    sent = {"name": "backend", "scopes": ["push"], "expires_at": ""}
    key_manager.post(url("apitoken_change", token.pk), sent)
    token.refresh_from_db()
    assert token.expires_at is None


def test_a_day_that_nobody_touched_keeps_its_hour(key_manager: Client) -> None:
    ends = timezone.now() + timedelta(days=30)
    token, _ = ApiToken.issue("backend", ["push"], ends)
    day = timezone.localtime(ends)
    key_manager.post(
        url("apitoken_change", token.pk), {"name": "renamed", "scopes": ["push"], "expires_at": f"{day:%Y-%m-%d}"}
    )
    token.refresh_from_db()
    assert (token.name, token.expires_at) == ("renamed", ends)


def test_the_form_says_what_read_opens(key_manager: Client) -> None:
    assert "it sees the pushes of all producers" in key_manager.get(url("apitoken_add")).content.decode()


def test_an_operator_issues_no_tokens(operator: Client) -> None:
    assert operator.post(url("apitoken_add"), {"name": "x", "scopes": ["push"]}).status_code == 403
    assert operator.get(url("apitoken_changelist")).status_code == 403


def test_every_role_exists_with_its_permissions() -> None:
    assert set(Group.objects.values_list("name", flat=True)) == set(roles.ROLES)
    operator = Group.objects.get(name=roles.OPERATOR)
    assert operator.permissions.filter(codename="send_broadcast").exists()
    assert not operator.permissions.filter(codename="change_appkey").exists()


def test_migrating_sets_the_roles_back() -> None:
    viewer = Group.objects.get(name=roles.VIEWER)
    viewer.permissions.add(Permission.objects.get(codename="delete_appkey"))
    call_command("migrate", verbosity=0)
    assert not viewer.permissions.filter(codename="delete_appkey").exists()


def test_a_role_cannot_name_what_is_no_permission() -> None:
    with pytest.raises(KeyError, match="no_such"):
        roles.matching(["pushes.view_device"], ["pushes.no_such"])


@pytest.mark.parametrize(
    ("role", "page", "status"),
    [
        (roles.VIEWER, "appkey_changelist", 200),
        (roles.VIEWER, "appkey_add", 403),
        (roles.VIEWER, "broadcast_add", 403),
        (roles.VIEWER, "apitoken_changelist", 403),
        (roles.VIEWER, "auth_user_changelist", 403),
        (roles.OPERATOR, "broadcast_add", 200),
        (roles.OPERATOR, "appkey_add", 403),
        (roles.OPERATOR, "auth_user_changelist", 403),
        (roles.APPROVER, "broadcast_changelist", 200),
        (roles.APPROVER, "broadcast_add", 403),
        (roles.KEY_MANAGER, "appkey_import_page", 200),
        (roles.KEY_MANAGER, "apitoken_add", 200),
        (roles.KEY_MANAGER, "broadcast_add", 403),
        (roles.ADMINISTRATOR, "auth_user_changelist", 200),
        (roles.ADMINISTRATOR, "auth_group_changelist", 200),
        (roles.ADMINISTRATOR, "broadcast_add", 200),
    ],
)
def test_a_role_opens_what_it_is_for(sign_in: SignIn, role: str, page: str, status: int) -> None:
    assert sign_in(role).get(url(page)).status_code == status


def test_an_administrator_adds_an_operator(administrator: Client) -> None:
    password = "a-long-Password-7"
    fields = {"username": "lin", "password1": password, "password2": password, "usable_password": "true"}
    administrator.post(url("auth_user_add"), fields)
    assert User.objects.filter(username="lin").exists()


@pytest.mark.parametrize(("role", "status"), [(roles.OPERATOR, 403), (roles.ADMINISTRATOR, 200)])
def test_the_job_queues_open_for_administrators_alone(
    sign_in: SignIn, redis_client: object, role: str, status: int
) -> None:
    assert sign_in(role).get(reverse("admin:django_rq_dashboard_changelist")).status_code == status
    assert sign_in(role).get(reverse("admin:django_rq_jobs", args=(0,))).status_code == status


def test_looking_at_a_queue_does_not_empty_it(administrator: Client, redis_client: object) -> None:
    page = administrator.get(reverse("admin:django_rq_clear", args=(0,)))
    assert "Are you sure" in page.content.decode()
