"""Operators: a role lets them in, whatever door it came through; nobody gives, or rules over, more than they may."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from pushes.console.operators import roles
from pushes.console.operators.roles import ADMINISTRATOR, OPERATOR, VIEWER
from pushes.models import SecondFactor
from tests.make import make_operator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
PASSWORD = "correct-Horse-7-battery"


@pytest.fixture
def administrator() -> User:
    return make_operator(ADMINISTRATOR)


@pytest.fixture
def desk(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture
def newcomer() -> User:
    return User.objects.create_user("newcomer", password=PASSWORD)


def role(name: str) -> Group:
    return Group.objects.get(name=name)


def staff(user: User) -> bool:
    return User.objects.get(pk=user.pk).is_staff


def log_in(name: str, password: str = PASSWORD) -> Any:
    answer: Any = Client().post("/admin/login/", {"username": name, "password": password})
    return answer


def change(desk: Client, user: User, **fields: Any) -> Any:
    """The operator's form, sent with these fields beside the name."""
    form = {"username": user.username, "is_active": "on", **fields}
    answer: Any = desk.post(f"/admin/auth/user/{user.pk}/change/", form, follow=True)
    return answer


def test_a_new_operator_with_a_role_gets_in(desk: Client) -> None:
    fields = {"username": "lin", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    page = desk.post("/admin/auth/user/add/", fields, follow=True).content.decode()
    assert "lin cannot log in yet: choose a role." in page
    lin = User.objects.get(username="lin")
    assert "Your account has no role yet. Ask an administrator for one." in log_in("lin").content.decode()
    page = change(desk, lin, groups=[role(OPERATOR).pk]).content.decode()
    assert "cannot log in yet" not in page
    assert log_in("lin").status_code == 302


def test_a_wrong_password_is_not_told_what_is_missing(newcomer: User) -> None:
    assert "no role yet" not in log_in("newcomer", "wrong").content.decode()


def test_the_last_role_taken_away_takes_the_login_away(desk: Client, newcomer: User) -> None:
    change(desk, newcomer, groups=[role(VIEWER).pk, role(OPERATOR).pk])
    change(desk, newcomer, groups=[role(VIEWER).pk])
    assert staff(newcomer)
    page = change(desk, newcomer).content.decode()
    assert not staff(newcomer)
    assert "newcomer cannot log in yet" in page


def by_bulk(user: User) -> None:
    through: Any = User.groups.through
    through.objects.bulk_create([through(user=user, group=role(VIEWER))])


DOORS: dict[str, Callable[[User], None]] = {
    "add": lambda user: user.groups.add(role(VIEWER)),
    "set": lambda user: user.groups.set([role(VIEWER)]),
    "from the role": lambda user: role(VIEWER).user_set.add(user),
    "set from the role": lambda user: role(VIEWER).user_set.set([user]),
    "past all signals": by_bulk,
}


@pytest.mark.parametrize("door", DOORS)
def test_a_role_lets_in_whatever_door_it_came_through(newcomer: User, door: str) -> None:
    DOORS[door](newcomer)
    assert log_in("newcomer").status_code == 302
    assert staff(newcomer)


def test_an_object_in_a_shell_does_not_take_it_back(newcomer: User) -> None:
    newcomer.groups.add(role(VIEWER))
    newcomer.first_name = "Lin"
    newcomer.save()
    assert staff(newcomer)


LOSSES: dict[str, Callable[[User], Any]] = {
    "remove": lambda user: user.groups.remove(role(VIEWER)),
    "clear": lambda user: user.groups.clear(),
    "removed from the role": lambda user: role(VIEWER).user_set.remove(user),
    "cleared from the role": lambda _user: role(VIEWER).user_set.clear(),
    "the role is deleted": lambda _user: role(VIEWER).delete(),
    "roles are deleted together": lambda _user: Group.objects.all().delete(),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_losing_the_last_role_ends_it(newcomer: User, loss: str) -> None:
    newcomer.groups.add(role(VIEWER))
    LOSSES[loss](newcomer)
    assert not staff(newcomer)
    assert log_in("newcomer").status_code == 200


@pytest.mark.parametrize("loss", LOSSES)
def test_a_superuser_needs_no_role(loss: str) -> None:
    root = User.objects.create_superuser("root")
    root.groups.add(role(VIEWER))
    LOSSES[loss](root)
    assert staff(root)


@pytest.mark.parametrize("weak", ["", "short-7", "horse-7-bat", "123456789012", "password1234"])
def test_no_door_takes_a_weak_password(desk: Client, monkeypatch: pytest.MonkeyPatch, weak: str) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", weak)
    with pytest.raises(CommandError, match=r"password|blank"):
        call_command("createsuperuser", "--noinput", "--username=rootroot", "--email=", verbosity=0)
    fields = {"username": "rootroot", "password1": weak, "password2": weak, "usable_password": "true"}
    desk.post("/admin/auth/user/add/", fields)
    assert not User.objects.filter(username="rootroot").exists()
    other = make_operator(VIEWER)
    form = {"password1": weak, "password2": weak, "usable_password": "true", "set-password": "1"}
    desk.post(f"/admin/auth/user/{other.pk}/password/", form)
    other.refresh_from_db()
    assert not other.has_usable_password()


@pytest.mark.parametrize(
    ("name", "value"), [("USERNAME", "correcthorsebattery"), ("EMAIL", "correct-horse-battery@example.com")]
)
def test_a_password_like_what_other_variables_say_is_weak(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    given = {"USERNAME": "rootroot", "EMAIL": "root@example.com", "PASSWORD": "correct-horse-battery", name: value}
    for variable, text in given.items():
        monkeypatch.setenv(f"DJANGO_SUPERUSER_{variable}", text)
    with pytest.raises(CommandError, match="DJANGO_SUPERUSER_PASSWORD"):
        call_command("createsuperuser", "--noinput", verbosity=0)
    assert not User.objects.filter(is_superuser=True).exists()


def test_superusers_are_staff_at_every_door(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--noinput", "--username=first", "--email=", verbosity=0)
    User.objects.create(username="second", is_superuser=True)
    assert set(User.objects.filter(is_superuser=True, is_staff=True).values_list("username", flat=True)) == {
        "first",
        "second",
    }


def test_who_is_no_superuser_any_more_and_has_no_role_is_out(newcomer: User) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    change(client, newcomer, is_superuser="on")
    assert staff(newcomer)
    change(client, newcomer)
    assert not staff(newcomer)


def test_the_page_shows_neither_hash_nor_boxes_of_others(desk: Client, newcomer: User) -> None:
    page = desk.get(f"/admin/auth/user/{newcomer.pk}/change/").content.decode()
    stored = User.objects.get(pk=newcomer.pk).password
    parts = [part for part in stored.split("$") if len(part) > 3]
    assert not [part for part in parts if part[:6] in page]
    assert "algorithm" not in page
    assert "is_superuser" not in page
    assert "is_staff" not in page
    assert "../password/" in page
    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    page = root.get(f"/admin/auth/user/{newcomer.pk}/change/").content.decode()
    assert 'name="is_superuser"' in page
    assert not [part for part in parts if part[:6] in page]


@pytest.mark.parametrize("forged", [{"is_superuser": "on"}, {"is_superuser": "on", "is_staff": "on"}])
def test_nobody_makes_a_superuser_who_is_none(desk: Client, administrator: User, newcomer: User, forged: Any) -> None:
    fields = {"username": "lin", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true", **forged}
    desk.post("/admin/auth/user/add/", fields)
    for user in (newcomer, administrator, User.objects.get(username="lin")):
        change(desk, user, groups=[role(ADMINISTRATOR).pk], **forged)
    assert not User.objects.filter(is_superuser=True).exists()


def test_a_superuser_is_changed_by_superusers_alone(desk: Client) -> None:
    root = User.objects.create_superuser("root", password=PASSWORD)
    SecondFactor.objects.create(user=root, name="console")
    address = f"/admin/auth/user/{root.pk}"
    form = {"password1": "another-Horse-8", "password2": "another-Horse-8", "usable_password": "true"}
    assert desk.get(f"{address}/change/").status_code == 200
    assert desk.post(f"{address}/password/", {**form, "set-password": "1"}).status_code == 403
    assert desk.post(f"{address}/change/", {"username": "mine", "is_active": ""}).status_code == 403
    assert desk.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    assert desk.post(f"{address}/reset-second-factor/").status_code == 403
    desk.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"})
    root.refresh_from_db()
    assert root.check_password(PASSWORD)
    assert SecondFactor.objects.exists()


@pytest.fixture
def helper() -> Client:
    """Somebody of a role of their own, who looks after viewers."""
    helpers = Group.objects.create(name="helpers")
    names = ["view_user", "add_user", "change_user", "delete_user", "view_group", "change_group", "add_group"]
    helpers.permissions.set(Permission.objects.filter(codename__in=names))
    helpers.permissions.add(*role(VIEWER).permissions.all())
    user = make_operator()
    user.groups.add(helpers)
    client = Client()
    client.force_login(user)
    return client


def test_nobody_gives_a_role_beyond_their_own(helper: Client, newcomer: User) -> None:
    change(helper, newcomer, groups=[role(ADMINISTRATOR).pk])
    assert not newcomer.groups.exists()
    change(helper, newcomer, groups=[role(VIEWER).pk])
    assert [group.name for group in newcomer.groups.all()] == [VIEWER]


def test_nobody_gives_themselves_a_role_beyond_their_own(helper: Client) -> None:
    own = User.objects.get(groups__name="helpers")
    change(helper, own, groups=[role(ADMINISTRATOR).pk, role("helpers").pk])
    assert [group.name for group in own.groups.all()] == ["helpers"]


def test_nobody_rules_over_who_may_more(helper: Client, administrator: User) -> None:
    address = f"/admin/auth/user/{administrator.pk}"
    for page in ("change/", "password/", "delete/", "reset-second-factor/"):
        assert helper.post(f"{address}/{page}", {"username": "mine", "post": "yes"}).status_code == 403
    assert User.objects.filter(pk=administrator.pk, username=administrator.username).exists()


def test_one_who_is_disabled_is_ruled_over_no_more_easily(helper: Client, administrator: User) -> None:
    User.objects.filter(pk=administrator.pk).update(is_active=False)
    assert helper.post(f"/admin/auth/user/{administrator.pk}/password/", {}).status_code == 403


def test_nobody_widens_a_role_beyond_their_own_rights(helper: Client) -> None:
    wanted = Permission.objects.get(codename="change_appkey").pk
    kept = list(role("helpers").permissions.values_list("pk", flat=True))
    helper.post(f"/admin/auth/group/{role('helpers').pk}/change/", {"name": "helpers", "permissions": [*kept, wanted]})
    helper.post("/admin/auth/group/add/", {"name": "new", "permissions": [wanted]})
    assert not Permission.objects.filter(pk=wanted, group__name__in=["helpers", "new"]).exists()
    answer = helper.post(f"/admin/auth/group/{role(ADMINISTRATOR).pk}/change/", {"name": "x", "permissions": []})
    assert answer.status_code == 403


def test_roles_beyond_those_of_an_administrator_stay_when_the_rest_is_changed(desk: Client) -> None:
    beyond = Group.objects.create(name="beyond")
    beyond.permissions.set(Permission.objects.filter(content_type__app_label="sessions"))
    user = make_operator(VIEWER)
    assert change(desk, user, groups=[role(OPERATOR).pk]).status_code == 200
    user.groups.add(beyond)
    change(desk, user, groups=[])
    assert {group.name for group in user.groups.all()} == {OPERATOR, "beyond"}


def test_the_list_says_who_cannot_log_in(desk: Client, newcomer: User) -> None:
    page = desk.get("/admin/auth/user/").content.decode()
    assert "no role" in page
    assert "can log in" in page


def test_a_list_of_many_asks_no_more_questions(
    desk: Client, django_assert_max_num_queries: Any, administrator: User
) -> None:
    for _ in range(20):
        make_operator(roles.VIEWER)
    with django_assert_max_num_queries(20):
        desk.get("/admin/auth/user/")
