"""`Counter` is named for what a row is. Its table keeps its name, so nothing is copied, locked or moved."""

from typing import Any

from django.db import migrations

VERBS = ("add", "change", "delete", "view")


def rename_permissions(apps: Any, _schema_editor: Any) -> None:
    """Django renames the content type and leaves the permissions: whoever has one would keep it under a dead name."""
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="pushes")
    for verb in VERBS:
        renamed = {"codename": f"{verb}_minutecount", "name": f"Can {verb} minute count"}
        permissions.filter(codename=f"{verb}_counter").update(**renamed)


def restore_permissions(apps: Any, _schema_editor: Any) -> None:
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="pushes")
    for verb in VERBS:
        renamed = {"codename": f"{verb}_counter", "name": f"Can {verb} counter"}
        permissions.filter(codename=f"{verb}_minutecount").update(**renamed)


class Migration(migrations.Migration):
    dependencies = [
        ("pushes", "0019_own_permissions"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AlterModelTable("Counter", "pushes_counter"),
        migrations.RenameModel("Counter", "MinuteCount"),
        migrations.RunPython(rename_permissions, restore_permissions),
    ]
