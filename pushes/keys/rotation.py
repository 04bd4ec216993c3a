"""Rotate an app key's secret: the old secret is kept beside the new one until an operator discards it. Each has its
access id, which some vendors give anew to every secret.

    one secret ──rotate──▶ new in use, old kept ──end_old──▶ one secret (the new one)
                                 │  └──go_back (an operator)──▶ one secret (the old one)
                                 └──fall_back (a refusal)──▶ one secret (the old one), and an alert

Every step is one conditional update: of two simultaneous steps one succeeds, and the other returns False. A discarded
secret is not kept anywhere.
"""

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from pushes import vault
from pushes.models import AppKey
from pushes.models.keys import new_revision
from pushes.storage import clocks
from pushes.text import notes
from pushes.text.notes import Note


def rotate(key: AppKey, secret: str, access_id: str = "") -> bool:
    """Use `secret` from now on, with its access id if that is another one, and keep the previous one. False when the
    credentials have changed since `key` was read, or an older secret is still kept."""
    # In this order: MariaDB assigns from left to right, and reads values that it has just assigned.
    return _changed(
        _unchanged(key).filter(old_secret_encrypted=""),
        old_secret_encrypted=F("secret_encrypted"),
        old_access_id=F("access_id"),
        secret_encrypted=vault.encrypt(secret),
        access_id=access_id or F("access_id"),
        secret_since=clocks.now(),
        fell_back_at=None,
        fell_back_reason="",
    )


def end_old(key: AppKey) -> bool:
    """Discard the old secret; a rollback is no longer possible. False when it is gone already."""
    # The credentials in use stay the same, and so does the revision.
    return bool(_with_old(key).update(old_secret_encrypted="", old_access_id="", updated_at=clocks.now()))


def go_back(key: AppKey) -> bool:
    """Use the old secret again, and discard the new one. False when there is no old secret, or another one."""
    # There is no alert to end: the rotation that kept the old secret has ended it.
    return _to_old(key)


def fall_back(key: AppKey, reason: Note) -> bool:
    """Do the same because the provider refused the credentials of `key`; an alert shows it until it is acknowledged."""
    return _to_old(key, fell_back_at=clocks.now(), fell_back_reason=notes.stored(reason, most=200))


def note(key: AppKey) -> bool:
    """Acknowledge the alert. False when it was gone already."""
    fallen = AppKey.objects.filter(pk=key.pk, fell_back_at__isnull=False)
    return bool(fallen.update(fell_back_at=None, fell_back_reason=""))


def _to_old(key: AppKey, **changes: object) -> bool:
    # In this order: MariaDB assigns from left to right, and reads values that it has just assigned.
    return _changed(
        _with_old(key),
        secret_encrypted=F("old_secret_encrypted"),
        access_id=Coalesce(NullIf("old_access_id", Value("")), "access_id"),
        old_secret_encrypted="",
        old_access_id="",
        secret_since=clocks.now(),
        **changes,
    )


def _unchanged(key: AppKey) -> "QuerySet[AppKey]":
    return AppKey.objects.filter(pk=key.pk, revision=key.revision)


def _with_old(key: AppKey) -> "QuerySet[AppKey]":
    return _unchanged(key).exclude(old_secret_encrypted="")


def _changed(rows: "QuerySet[AppKey]", **changes: object) -> bool:
    return bool(rows.update(revision=new_revision(), updated_at=clocks.now(), **changes))
