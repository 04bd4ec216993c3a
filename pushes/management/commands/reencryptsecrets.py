"""Have every stored secret under the newest encryption key, so that older ones can be taken away."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Field, Model

from pushes import vault

SUFFIX = "_encrypted"


class Command(BaseCommand):
    help = (
        "Re-encrypt every stored secret with the first of ENCRYPTION_KEYS; then the others can be removed. Safe to "
        "run twice, and while the platform is running. Exits with 1 when a secret cannot be read."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        done, unreadable = 0, 0
        for model, field in _encrypted_fields():
            for pk, stored in list(model._default_manager.exclude(**{field: ""}).values_list("pk", field)):
                try:
                    fresh = vault.reencrypt(stored)
                except vault.SecretUnreadableError as error:
                    unreadable += 1
                    self.stdout.write(f"{model._meta.verbose_name} {pk} {field}: {error}")
                    continue
                # Not if somebody has entered another secret meanwhile: that one is under the newest key already.
                done += model._default_manager.filter(**{"pk": pk, field: stored}).update(**{field: fresh})
        self.stdout.write(f"{done} secrets are encrypted with the newest key.")
        if unreadable:
            raise CommandError(f"{unreadable} secrets could not be read; keep the older ENCRYPTION_KEYS for now.")


def _encrypted_fields() -> Iterator[tuple[type[Model], str]]:
    """Every column that holds what `pushes.vault` has encrypted: by convention its name ends so."""
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, Field) and field.name.endswith(SUFFIX):
                yield model, field.name
