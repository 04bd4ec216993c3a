"""One message from an operator to many devices."""

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from pushes.names import App, BroadcastPhase, BroadcastStatus, Platform, PushType, WindowPolicy

#: Instead of an app: devices of every app, each sent to with its own app's key.
BOTH_APPS = "both"
#: A canary is at most half of an audience.
MAX_CANARY_PERCENT = 50


class Broadcast(models.Model):
    """One message from an operator to many devices."""

    class AudienceKind(models.TextChoices):
        APP = "app", _("all active devices of the app")
        TAG = "tag", _("all active devices with a tag")
        ACCOUNTS = "accounts", _("a list of accounts")

    title = models.CharField(_("title"), max_length=64)
    text = models.TextField(_("text"))
    data = models.JSONField(_("payload (JSON)"), default=dict, blank=True)
    # As in PushRecord.
    presentation = models.JSONField(_("presentation"), null=True, blank=True, editable=False)
    app = models.CharField(_("app"), max_length=8, choices=[*App.choices, (BOTH_APPS, _("both apps"))])
    platform = models.CharField(
        _("platform"), max_length=8, choices=Platform, blank=True, help_text=_("Blank: all platforms.")
    )
    audience_kind = models.CharField(_("audience"), max_length=8, choices=AudienceKind, default=AudienceKind.APP)
    tag = models.CharField(_("tag"), max_length=32, blank=True)
    accounts = models.JSONField(_("accounts"), default=list, blank=True)
    # How many lines of the list repeated an account of an earlier line.
    repeated = models.PositiveIntegerField(default=0, editable=False)
    push_type = models.PositiveSmallIntegerField(_("push type"), choices=PushType, default=PushType.DEFAULT)
    status = models.CharField(
        _("status"), max_length=10, choices=BroadcastStatus, default=BroadcastStatus.DRAFT, editable=False
    )
    status_reason = models.CharField(_("reason"), max_length=200, blank=True, editable=False)
    scheduled_at = models.DateTimeField(_("send at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    window_policy = models.CharField(
        _("outside the delivery window"),
        max_length=8,
        choices=WindowPolicy,
        blank=True,
        help_text=_("Blank: as set for the push type."),
    )
    canary_percent = models.PositiveSmallIntegerField(
        _("canary (%)"), null=True, blank=True, validators=[MaxValueValidator(MAX_CANARY_PERCENT)]
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("by"),
    )
    # Who asked for approval: this person may not approve it.
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+")
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("approved by"),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    started_at = models.DateTimeField(_("started at"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)
    estimate = models.PositiveIntegerField(_("estimated devices"), null=True, editable=False)
    phase = models.CharField(_("phase"), max_length=8, choices=BroadcastPhase, blank=True, editable=False)
    # The canary's share of the audience in parts of 10,000, fixed at the start, and when all of it was listed.
    canary_share = models.PositiveSmallIntegerField(default=0, editable=False)
    canary_listed_at = models.DateTimeField(null=True, editable=False)
    # Why it was halted automatically (see `canary.Objection`). Empty again once an operator lets it continue: it is
    # watched from that moment, and `tolerated` has the accepted rate (in per cent) of each objection.
    objection = models.JSONField(default=dict, editable=False)
    watched_from = models.DateTimeField(null=True, editable=False)
    tolerated = models.JSONField(default=dict, editable=False)
    # How far the audience has been expanded into deliveries: the app that is being listed ("": the first), and in it
    # a device id or a position in `accounts`.
    listed_app = models.CharField(max_length=8, blank=True, default="", editable=False)
    cursor = models.PositiveBigIntegerField(default=0, editable=False)
    is_expanded = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name = _("broadcast")
        verbose_name_plural = _("broadcasts")
        permissions = [
            ("send_broadcast", gettext_noop("Can send, pause, resume and cancel broadcasts")),
            ("approve_broadcast", gettext_noop("Can approve a large broadcast of someone else")),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"#{self.pk} {self.title}"

    @property
    def apps(self) -> tuple[App, ...]:
        """The apps whose devices it is for, in the order of listing."""
        return tuple(App) if self.app == BOTH_APPS else (App(self.app),)

    @property
    def has_halted(self) -> bool:
        """Whether it was halted automatically, and waits for an operator."""
        return self.status == BroadcastStatus.PAUSED and bool(self.objection)
