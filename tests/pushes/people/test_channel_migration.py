"""Migration 0022 on filled tables, and what may be done to the delivery log before it."""

from importlib import import_module

import pytest
from django.apps import apps

from pushes.models import AppKey, Device
from pushes.names import App, Channel, Environment, Platform, ProviderKind
from tests.environment import PROJECT
from tests.make import make_app_key, make_device

migration = import_module("pushes.migrations.0022_channels")


@pytest.mark.django_db
def test_keys_and_their_devices_get_the_channel_of_the_provider():
    tpns, xinge = make_app_key(provider=ProviderKind.TPNS), make_app_key(App.HIGIRL, provider=ProviderKind.XINGE_V2)
    of_tpns, of_xinge = make_device(), make_device(app=App.HIGIRL)
    others = [make_device(platform=Platform.IOS), make_device(environment=Environment.LOCAL)]
    AppKey.objects.update(channel=Channel.XINGE, access_id="")
    migration.set_keys(apps, None)
    assert dict(AppKey.objects.values_list("pk", "channel")) == {tpns.pk: "tpns", xinge.pk: "xinge"}
    assert dict(AppKey.objects.values_list("access_id", "access_number")) == {
        str(key.access_id): int(key.access_id) for key in (tpns, xinge)
    }
    assert set(Device.objects.filter(channel=Channel.TPNS)) == {of_tpns}
    assert set(Device.objects.filter(channel=Channel.XINGE)) == {of_xinge, *others}


def test_the_statement_for_a_running_platform_is_the_migrations():
    lines = (PROJECT / "deploy" / "log-columns.sql").read_text().splitlines()
    statement = " ".join(" ".join(line for line in lines if not line.startswith("--")).split())
    assert statement == " ".join(migration.ONE_PASS.split()) + ";"
