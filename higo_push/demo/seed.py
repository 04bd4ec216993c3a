"""The rows that the demo starts from: app keys under the sandbox, people with their phones, an operator."""

import secrets
from collections.abc import Iterable

import requests
from django.contrib.auth import get_user_model
from django.db import transaction

from higo_push.demo.people import ACCESS_IDS, Person
from pushes.models import Account, AppKey, Device
from pushes.names import Environment

OPERATOR = "admin"


def seed_keys(sandbox_url: str) -> None:
    """One production key for each app and platform, known to the sandbox. Raises requests.RequestException."""
    for (app, platform), access_id in ACCESS_IDS.items():
        secret = secrets.token_hex(16)
        answer = requests.post(
            f"{sandbox_url}/_sandbox/keys", json={"access_id": access_id, "secret": secret}, timeout=10
        )
        answer.raise_for_status()
        key = AppKey(app=app, platform=platform, environment=Environment.PRODUCTION, access_id=access_id)
        key.endpoint_url = sandbox_url
        key.set_secret(secret)
        key.save()


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
        )
        for person in known
        for phone in person.phones
    )


def seed_operator() -> str:
    """An administrator. Returns the password, which is made up on the spot."""
    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser(OPERATOR, password=password)
    return password
