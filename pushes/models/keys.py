"""Provider credentials."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from pushes import vault
from pushes.names import App, Environment, Platform, ProviderKind
from pushes.values import Credentials


class AppKey(models.Model):
    """Provider credentials of one app, platform and environment. The secret is stored encrypted."""

    app = models.CharField(_("app"), max_length=8, choices=App)
    platform = models.CharField(_("platform"), max_length=8, choices=Platform)
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, default=Environment.PRODUCTION)
    provider = models.CharField(_("provider"), max_length=12, choices=ProviderKind, default=ProviderKind.XINGE_V2)
    access_id = models.PositiveBigIntegerField(_("access id"))
    secret_encrypted = models.TextField(_("secret (encrypted)"), editable=False)
    endpoint_url = models.URLField(_("endpoint URL"), blank=True, help_text=_("Empty: the provider's own address."))
    is_enabled = models.BooleanField(_("enabled"), default=True)
    rate_per_second = models.PositiveIntegerField(
        _("calls per second"), null=True, blank=True, help_text=_("Shared by all workers. Empty: no limit.")
    )
    paused_reason = models.CharField(_("paused because"), max_length=200, blank=True)
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("app key")
        verbose_name_plural = _("app keys")
        ordering = ["app", "platform", "environment"]
        constraints = [models.UniqueConstraint(fields=["app", "platform", "environment"], name="one_key_per_scope")]

    def __str__(self) -> str:
        return f"{self.app} {self.platform} {self.environment} ({self.access_id})"

    @property
    def is_paused(self) -> bool:
        return self.paused_at is not None

    def set_secret(self, secret: str) -> None:
        """Encrypt and keep `secret`; the caller saves."""
        self.secret_encrypted = vault.encrypt(secret)

    def credentials(self) -> Credentials:
        """Raises vault.SecretUnreadableError when the secret's encryption key is gone."""
        return Credentials(
            provider=self.provider,
            access_id=self.access_id,
            endpoint_url=self.endpoint_url,
            platform=Platform(self.platform),
            environment=Environment(self.environment),
            secret=vault.decrypt(self.secret_encrypted),
        )
