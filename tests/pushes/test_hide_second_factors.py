"""What the former version kept readable is hidden by the migration, and the same app and codes go on working."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

import pushes.migrations
from pushes.console.login import second_factor
from pushes.console.login.second_factor import Source
from pushes.console.operators import roles
from pushes.models import BackupCode, SecondFactor

pytestmark = pytest.mark.django_db
HERE = Source("192.0.2.1")
KEY = "3132333435363738393031323334353637383930"


@pytest.fixture
def migration() -> Any:
    [path] = Path(str(pushes.migrations.__file__)).parent.glob("*_hide_second_factors.py")
    return import_module(f"pushes.migrations.{path.stem}")


def digits(key: str, steps: int = 0) -> str:
    return f"{totp(bytes.fromhex(key), t0=-30 * steps):06d}"


def enrolled_formerly(name: str, key: str = KEY, **fields: Any) -> User:
    user = User.objects.create_user(name)
    TOTPDevice.objects.create(user=user, name="console", key=key, confirmed=True, **fields)
    paper = StaticDevice.objects.create(user=user, name="console")
    StaticToken.objects.bulk_create(StaticToken(device=paper, token=f"code{name[:2]}{n}a") for n in range(9))
    return user


def test_the_same_app_and_the_same_codes_go_on_working(migration: Any) -> None:
    user = enrolled_formerly("wang")
    migration.hide(apps, None)
    assert second_factor.codes_left(user) == 9
    assert second_factor.check(user, digits(KEY), HERE).factor
    assert second_factor.check(user, "CODE-wa4a", HERE).factor
    assert not second_factor.check(user, "codewa4a", HERE).factor
    assert second_factor.codes_left(user) == 8


def test_what_was_used_up_stays_used_up(migration: Any) -> None:
    now = digits(KEY)
    user = enrolled_formerly("wang")
    device = TOTPDevice.objects.get()
    assert device.verify_token(now)
    StaticToken.objects.filter(token="codewa0a").delete()
    migration.hide(apps, None)
    assert not second_factor.check(user, now, HERE).factor
    assert not second_factor.check(user, "codewa0a", HERE).factor


def test_a_clock_that_was_known_to_be_off_still_is(migration: Any) -> None:
    user = enrolled_formerly("wang", drift=4)
    migration.hide(apps, None)
    assert second_factor.check(user, digits(KEY, 4), HERE).factor


def test_nothing_readable_is_left(migration: Any) -> None:
    for name in ("wang", "lin", "zhao"):
        enrolled_formerly(name, key=f"{name.encode().hex():0>40}")
    migration.hide(apps, None)
    assert not TOTPDevice.objects.exists()
    assert not StaticDevice.objects.exists()
    assert not StaticToken.objects.exists()
    stored = str([list(SecondFactor.objects.values()), list(BackupCode.objects.values())])
    assert not [text for text in ("codewa", "codeli", b"wang".hex(), b"zhao".hex()) if text in stored]
    assert SecondFactor.objects.count() == 3
    assert BackupCode.objects.count() == 27


def test_half_a_set_up_and_a_second_device_are_no_second_factor(migration: Any) -> None:
    user = User.objects.create_user("lin")
    TOTPDevice.objects.create(user=user, name="console", key=KEY, confirmed=False)
    twice = enrolled_formerly("wang")
    TOTPDevice.objects.create(user=twice, name="other", key="00" * 20, confirmed=True)
    migration.hide(apps, None)
    assert not second_factor.has_one(user)
    assert second_factor.check(twice, digits(KEY), HERE).factor


def test_the_way_back_keeps_the_app(migration: Any) -> None:
    user = enrolled_formerly("wang")
    migration.hide(apps, None)
    migration.show(apps, None)
    device = TOTPDevice.objects.get(user=user)
    assert device.key == KEY
    assert device.verify_token(digits(KEY))


def test_whoever_had_a_role_without_the_tick_may_log_in_now(migration: Any) -> None:
    people = {name: User.objects.create_user(name) for name in ("role", "none", "root")}
    people["role"].groups.add(Group.objects.get(name=roles.VIEWER))
    User.objects.filter(username="role").update(is_staff=False)
    User.objects.filter(username="root").update(is_superuser=True)
    migration.make_staff(apps, None)
    assert set(User.objects.filter(is_staff=True).values_list("username", flat=True)) == {"role", "root"}
