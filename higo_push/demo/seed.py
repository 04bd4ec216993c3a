"""Make the demo's first rows: app keys under the sandbox, people with their phones, an operator."""

import secrets
from collections.abc import Iterable

import requests
from django.contrib.auth import get_user_model
from django.db import transaction

from higo_push.demo.people import ACCESS_IDS, Person
from pushes.models import Account, AppKey, Device
from pushes.names import CHANNELS, DEFAULT_CHANNEL, WITH_ACCESS_IDS, Channel, Environment, Platform, ProviderKind
from pushes.providers.registry import provider
from pushes.sandbox import sample_keys

OPERATOR = "admin"


def seed_keys(sandbox_url: str) -> None:
    """Make a production key for each app, platform and channel, and register it with the sandbox. Raises
    requests.RequestException."""
    for (app, platform, channel), access_id in ACCESS_IDS.items():
        key = AppKey(app=app, platform=platform, environment=Environment.PRODUCTION, access_id=access_id)
        key.endpoint_url = sandbox_url
        secret = secrets.token_hex(16)
        if channel != DEFAULT_CHANNEL:
            key.provider = next(kind for kind in ProviderKind if _pushes(kind, platform, channel))
            _, secret = provider(key.provider).sealed(sample_keys.entered(ProviderKind(key.provider)))
        name = int(access_id) if channel in WITH_ACCESS_IDS else access_id
        known = {"access_id": name, "secret": secret}
        requests.post(f"{sandbox_url}/_sandbox/keys", json=known, timeout=10).raise_for_status()
        key.set_secret(secret)
        key.save()


def _pushes(kind: ProviderKind, platform: Platform, channel: Channel) -> bool:
    return CHANNELS[kind] == channel and platform in provider(kind).platforms


@transaction.atomic
def seed_people(people: Iterable[Person]) -> None:
    known = list(people)
    Account.objects.bulk_create(
        Account(
            account_id=person.account_id,
            login_status=int(person.is_logged_in),
            push_status=int(person.accepts_pushes),
            muted_conversations=list(person.mutes),
        )
        for person in known
    )
    Device.objects.bulk_create(
        Device(
            account_id=person.account_id,
            app=phone.app,
            platform=phone.platform,
            environment=phone.environment,
            token=phone.token,
            is_active=phone.is_active,
            channel=phone.channel,
        )
        for person in known
        for phone in person.phones
    )


def seed_operator() -> str:
    """Make an administrator. Returns the password, which is drawn at random."""
    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser(OPERATOR, password=password)
    return password
