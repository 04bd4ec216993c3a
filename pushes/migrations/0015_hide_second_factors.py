"""App keys move into the vault, backup codes become keyed digests; roles make staff of whoever has one.

Nobody has to enrol anew: the same app and the same unused codes go on working.
"""

import secrets

from django.db import migrations
from django.db.models import Q

from pushes import vault


def hide(apps, schema_editor):
    totp_device = apps.get_model("otp_totp", "TOTPDevice")
    static_device = apps.get_model("otp_static", "StaticDevice")
    second_factor = apps.get_model("pushes", "SecondFactor")
    done = set(second_factor.objects.values_list("user_id", flat=True))
    # The console asked the first confirmed one alone.
    for device in totp_device.objects.filter(confirmed=True).order_by("pk"):
        if device.user_id not in done:
            done.add(device.user_id)
            _hide_one(apps, device)
    totp_device.objects.all().delete()
    static_device.objects.all().delete()


def _hide_one(apps, device):
    codes_key = secrets.token_urlsafe(32)
    factor = apps.get_model("pushes", "SecondFactor").objects.create(
        user_id=device.user_id,
        name=device.name,
        confirmed=True,
        last_used_at=device.last_used_at,
        key_encrypted=vault.encrypt(device.key),
        last_step=device.last_t,
        drift=device.drift,
        codes_key_encrypted=vault.encrypt(codes_key),
    )
    tokens = apps.get_model("otp_static", "StaticToken").objects.filter(device__user_id=device.user_id)
    backup_code = apps.get_model("pushes", "BackupCode")
    backup_code.objects.bulk_create(
        backup_code(factor=factor, digest=vault.keyed_digest(codes_key, token.lower()))
        for token in tokens.values_list("token", flat=True)
    )


def show(apps, schema_editor):
    """Back to the former version: the apps go on working; backup codes cannot be read any more, and are void."""
    totp_device = apps.get_model("otp_totp", "TOTPDevice")
    for factor in apps.get_model("pushes", "SecondFactor").objects.all():
        totp_device.objects.create(
            user_id=factor.user_id,
            name=factor.name,
            confirmed=factor.confirmed,
            key=vault.decrypt(factor.key_encrypted),
            last_t=factor.last_step,
            drift=factor.drift,
        )


def make_staff(apps, schema_editor):
    """Whoever was given a role and not the tick beside it could not log in."""
    user = apps.get_model("auth", "User")
    has_role = Q(groups__isnull=False) | Q(is_superuser=True)
    people = user.objects.filter(has_role, is_staff=False).values_list("pk", flat=True)
    user.objects.filter(pk__in=list(people)).update(is_staff=True)


class Migration(migrations.Migration):
    dependencies = [
        ("pushes", "0014_second_factor_and_token_expiry"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("otp_totp", "0003_add_timestamps"),
        ("otp_static", "0003_add_timestamps"),
    ]

    operations = [
        migrations.RunPython(hide, show),
        migrations.RunPython(make_staff, migrations.RunPython.noop),
    ]
