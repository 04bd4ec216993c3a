"""Provider credentials."""

import secrets
from collections.abc import Collection
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from pushes import vault
from pushes.names import (
    CHANNELS,
    DEFAULT_CHANNEL,
    DEFAULT_PROVIDER,
    MAX_TOKEN,
    WITH_ACCESS_IDS,
    App,
    Channel,
    Environment,
    PauseCode,
    Platform,
    ProviderKind,
)
from pushes.values import Credentials


def new_revision() -> str:
    return secrets.token_hex(8)


class AppKey(models.Model):
    """Provider credentials of one app, platform, environment and channel. Secrets are stored encrypted.

    After a rotation the old secret is kept beside the new one until it is discarded (see `pushes.keys.rotation`).
    """

    app = models.CharField(_("app"), max_length=8, choices=App)
    platform = models.CharField(_("platform"), max_length=8, choices=Platform)
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, default=Environment.PRODUCTION)
    provider = models.CharField(_("provider"), max_length=12, choices=ProviderKind, default=DEFAULT_PROVIDER)
    # That of the provider; kept here so that a database constraint and the distribution can use it.
    channel = models.CharField(
        _("channel"),
        max_length=12,
        choices=Channel,
        default=DEFAULT_CHANNEL,
        db_default=DEFAULT_CHANNEL.value,
        editable=False,
    )
    access_id = models.CharField(_("access ID"), max_length=128, default="", db_default="", db_column="access_name")
    # The access ID as the releases before channels know it, 0 if it is no number. What they write here counts.
    access_number = models.PositiveBigIntegerField(default=0, db_default=0, editable=False, db_column="access_id")
    secret_encrypted = models.TextField(_("secret (encrypted)"), editable=False)
    # A refusal concerns only the credentials of the call: another revision means other credentials.
    revision = models.CharField(max_length=16, editable=False, default=new_revision)
    secret_since = models.DateTimeField(_("secret in use since"), null=True, editable=False)
    # Empty: there is no secret to roll back to.
    old_secret_encrypted = models.TextField(_("old secret (encrypted)"), editable=False, blank=True, default="")
    # Of the old secret: some vendors name every secret anew.
    old_access_id = models.CharField(
        _("old access ID"), max_length=128, editable=False, blank=True, default="", db_default=""
    )
    # Set when the provider refused the new secret and sending fell back to the old one.
    fell_back_at = models.DateTimeField(_("went back to the old secret at"), null=True, editable=False)
    fell_back_reason = models.CharField(
        _("went back to the old secret because"), max_length=200, editable=False, blank=True, default=""
    )
    endpoint_url = models.URLField(_("endpoint URL"), blank=True, help_text=_("Blank: the provider's default address."))
    is_enabled = models.BooleanField(_("enabled"), default=True)
    rate_per_second = models.PositiveIntegerField(
        _("calls per second"), null=True, blank=True, help_text=_("Shared by all workers. Blank: no limit.")
    )
    paused_reason = models.CharField(_("pause reason"), max_length=200, blank=True)
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True)
    # Set besides the reason where operators are offered more than to resume the key.
    paused_code = models.CharField(
        max_length=20, choices=PauseCode, editable=False, blank=True, default="", db_default=""
    )
    # The last period in which nearly all tokens were refused: its deactivations can be undone, also later.
    doubted_since = models.DateTimeField(_("tokens in doubt since"), null=True, editable=False)
    doubted_until = models.DateTimeField(_("tokens in doubt until"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("app key")
        verbose_name_plural = _("app keys")
        permissions = [("verify_appkey", gettext_noop("Can have the provider check an app key"))]
        ordering = ["app", "platform", "environment", "channel"]
        constraints = [
            models.UniqueConstraint(fields=["app", "platform", "environment", "channel"], name="one_key_per_channel")
        ]

    def __str__(self) -> str:
        return f"{self.app} {self.platform} {self.environment} {self.channel} ({self.access_id})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.channel = CHANNELS[ProviderKind(self.provider)] if self.provider in ProviderKind.values else self.channel
        self.access_number = _as_number(str(self.access_id)) if self.channel in WITH_ACCESS_IDS else 0
        if {"access_id", "provider"} & set(kwargs.get("update_fields") or ()):
            kwargs["update_fields"] = {*kwargs["update_fields"], "channel", "access_number"}
        super().save(*args, **kwargs)

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> "AppKey":
        key = super().from_db(db, field_names, values, **options)
        if key.__dict__.get("access_number"):
            key.access_id = str(key.access_number)
        return key

    @property
    def scope(self) -> tuple[str, str, str, str]:
        """The devices that the key pushes to: by app, platform, environment and channel."""
        return self.app, self.platform, self.environment, self.channel

    @property
    def is_paused(self) -> bool:
        return self.paused_at is not None

    @property
    def has_old_secret(self) -> bool:
        return bool(self.old_secret_encrypted)

    def set_secret(self, secret: str, access_id: str = "") -> None:
        """Encrypt and set `secret`, and its access id if that is another one, and drop all others; the caller saves."""
        self.access_id = access_id or self.access_id
        self.secret_encrypted = vault.encrypt(secret)
        self.secret_since = timezone.now()
        self.end_old_credentials()

    def end_old_credentials(self) -> None:
        """Start new credentials: answers to the former ones do not concern them, and there is no rollback. The caller
        saves."""
        self.revision = new_revision()
        self.old_secret_encrypted = self.old_access_id = ""
        self.fell_back_at, self.fell_back_reason = None, ""

    def credentials(self) -> Credentials:
        """Return the credentials. Raises vault.SecretUnreadableError when the secret's encryption key is gone."""
        return self.credentials_with(vault.decrypt(self.secret_encrypted))

    def old_credentials(self) -> Credentials:
        """Return the credentials with the old secret, while it is kept. Raises vault.SecretUnreadableError."""
        return self.credentials_with(vault.decrypt(self.old_secret_encrypted), self.old_access_id)

    def credentials_with(self, secret: str, access_id: str = "") -> Credentials:
        """Return the key's credentials with a secret that is not stored, and its access id if that is another one."""
        return Credentials(
            provider=self.provider,
            access_id=str(access_id or self.access_id),
            endpoint_url=self.endpoint_url,
            platform=Platform(self.platform),
            environment=Environment(self.environment),
            secret=secret,
        )


def _as_number(access_id: str) -> int:
    """Return the number that is written like this; 0 if there is none that a column can hold."""
    number = int(access_id) if access_id.isascii() and access_id.isdecimal() and len(access_id) < 19 else 0
    return number if str(number) == access_id else 0


class SuspectToken(models.Model):
    """A device token that the provider refused under one set of credentials, before these are known to be right. It is
    deactivated once enough other tokens are accepted, see `pushes.keys.belief`."""

    app_key_id = models.BigIntegerField()
    revision = models.CharField(max_length=16)
    token = models.CharField(max_length=MAX_TOKEN)
    account_id = models.CharField(max_length=64)
    # None: a custom directory's device.
    device_id = models.BigIntegerField(null=True)
    detail = models.CharField(max_length=200, blank=True)
    # How many other tokens were accepted since.
    taken = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["app_key_id", "revision", "token"], name="one_suspicion_per_token")
        ]
        indexes = [models.Index(fields=["created_at"], name="suspect_created")]

    def __str__(self) -> str:
        return f"{self.app_key_id}: {self.created_at:%Y-%m-%d %H:%M}"
