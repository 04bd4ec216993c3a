"""Roles and permissions as check-boxes in the reader's words."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import translation

from pushes.console.operators import permissions, roles

pytestmark = pytest.mark.django_db


def test_our_roles_are_translated_and_others_keep_their_names() -> None:
    with translation.override("zh-hans"):
        assert permissions.role_name(Group(name=roles.VIEWER)) == "查看员"
        assert permissions.role_name(Group(name="night shift")) == "night shift"


def test_permissions_are_named_by_their_desks() -> None:
    names = {permissions.permission_name(one) for one in permissions.offered()}
    assert {
        "Broadcasts: change",
        "Operators: add",
        "Broadcasts: send, pause, resume and cancel",
        "Job queues: open",
    } <= names


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_no_permission_is_called_what_the_database_calls_it(language: str) -> None:
    with translation.override(language):
        names = {one.name: permissions.permission_name(one) for one in permissions.offered()}
    assert [shown for name, shown in names.items() if name in shown] == []


def test_no_permission_without_a_desk_is_offered() -> None:
    apps = {one.content_type.app_label for one in permissions.offered()}
    assert apps == {"auth", "chatscan", "django_rq", "pushes"}


def test_a_role_is_made_of_ticked_permissions(administrator: Client) -> None:
    ticked = Permission.objects.get(codename="view_broadcast")
    administrator.post(reverse("admin:auth_group_add"), {"name": "night shift", "permissions": [ticked.pk]})
    assert list(Group.objects.get(name="night shift").permissions.all()) == [ticked]


def test_an_operator_gets_a_role_by_ticking_it(administrator: Client) -> None:
    user, role = User.objects.create_user("new", is_staff=True), Group.objects.get(name=roles.VIEWER)
    fields = {"username": "new", "is_active": "on", "is_staff": "on", "groups": [role.pk]}
    administrator.post(reverse("admin:auth_user_change", args=[user.pk]), fields)
    assert list(user.groups.all()) == [role]


def test_deleting_an_operator_lists_no_rows_that_only_tie(administrator: Client) -> None:
    user = User.objects.create_user("leaver")
    user.groups.add(Group.objects.get(name=roles.VIEWER))
    page = administrator.get(reverse("admin:auth_user_delete", args=[user.pk])).content.decode()
    assert "leaver" in page
    assert "User_groups" not in page
