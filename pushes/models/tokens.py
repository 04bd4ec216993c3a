"""The tokens of the HTTP API."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _


class ApiToken(models.Model):
    """A bearer token of the HTTP API. Only its digest is kept."""

    SCOPES = ("push", "read", "devices", "accounts", "presence", "metrics")
    EXPIRY_NOTICE = timedelta(days=14)
    LONGEST = timedelta(days=3_650)

    name = models.CharField(_("name"), max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)
    # Empty: it does not expire.
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def digest_of(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(cls, name: str, scopes: list[str], expires_at: datetime | None = None) -> tuple["ApiToken", str]:
        """A new token and its clear text, which cannot be had again."""
        clear = f"higo_{secrets.token_urlsafe(32)}"
        digest = cls.digest_of(clear)
        return cls.objects.create(name=name, digest=digest, scopes=scopes, expires_at=expires_at), clear

    def is_expired(self, now: datetime) -> bool:
        """It is good until that moment, and not in it."""
        return self.expires_at is not None and self.expires_at <= now

    def expires_soon(self, now: datetime) -> bool:
        """Whether it ends within EXPIRY_NOTICE, so that somebody had better issue another."""
        return self.expires_at is not None and now < self.expires_at <= now + self.EXPIRY_NOTICE
