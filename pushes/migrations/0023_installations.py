"""Tokens that a newer one of their installation has replaced. Only choices: no table changes."""

from django.db import migrations, models

from pushes.names import DeviceEventKind, Reason


class Migration(migrations.Migration):
    dependencies = [("pushes", "0022_channels")]

    operations = [
        migrations.AlterField(
            model_name="deliveryresult",
            name="reason",
            field=models.CharField(blank=True, choices=Reason.choices, max_length=20, verbose_name="reason"),
        ),
        migrations.AlterField(
            model_name="device",
            name="deactivated_reason",
            field=models.CharField(
                blank=True, choices=Reason.choices, max_length=24, verbose_name="deactivation reason"
            ),
        ),
        migrations.AlterField(
            model_name="deviceevent",
            name="event",
            field=models.CharField(choices=DeviceEventKind.choices, max_length=12, verbose_name="event"),
        ),
        migrations.AlterField(
            model_name="deviceevent",
            name="reason",
            field=models.CharField(blank=True, choices=Reason.choices, max_length=24, verbose_name="reason"),
        ),
    ]
