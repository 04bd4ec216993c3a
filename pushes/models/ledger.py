"""Accepted messages and their deliveries: the truth that everything else serves."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from pushes.models.broadcasts import Broadcast
from pushes.models.fields import JsonField
from pushes.models.keys import AppKey
from pushes.models.people import mask_token
from pushes.names import (
    MAX_TOKEN,
    App,
    Environment,
    Kind,
    Platform,
    PushType,
    Reason,
    RecordStatus,
    Status,
    WindowPolicy,
)


class PushRecord(models.Model):
    """One accepted message for any audience. The dedupe key makes accepting it twice harmless."""

    dedupe_key = models.CharField(_("dedupe key"), max_length=32, unique=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    push_type = models.PositiveSmallIntegerField(_("push type"), choices=PushType)
    app = models.CharField(_("app"), max_length=8, choices=App)
    platform = models.CharField(_("platform"), max_length=8, choices=Platform, blank=True)
    source = models.CharField(_("source"), max_length=16)
    message_id = models.CharField(_("message ID"), max_length=128, blank=True)
    accounts = JsonField(_("accounts"), default=list)
    broadcast = models.ForeignKey(
        Broadcast, models.SET_NULL, null=True, blank=True, related_name="records", verbose_name=_("broadcast")
    )
    title = models.CharField(_("title"), max_length=128, blank=True)
    text = models.TextField(_("text"))
    data = JsonField(_("data"), default=dict)
    # What was said of `values.Presentation`, None when nothing was: not in the data, which is the client app's own.
    presentation = JsonField(_("presentation"), null=True, blank=True)
    conversation = models.CharField(_("conversation"), max_length=140, blank=True)
    sender_id = models.CharField(_("sender"), max_length=64, blank=True)
    sender_name = models.CharField(_("sender's name"), max_length=64, blank=True, default="", db_default="")
    shard = models.PositiveSmallIntegerField(_("shard"), default=0)
    # This push's own rule outside the delivery window; "" for the rule of its type.
    window_policy = models.CharField(
        _("outside the window"), max_length=8, choices=WindowPolicy, blank=True, default="", db_default=""
    )
    # A call for each device instead of lists: some providers silently drop a list's dead tokens.
    one_by_one = models.BooleanField(default=False, db_default=False)
    # Database defaults below and in DeliveryResult keep constant values out of the bulk inserts.
    status = models.CharField(
        _("status"),
        max_length=12,
        choices=RecordStatus,
        default=RecordStatus.PENDING,
        db_default=RecordStatus.PENDING.value,
    )
    status_detail = models.CharField(_("detail"), max_length=200, blank=True, default="", db_default="")
    occurred_at = models.DateTimeField(_("occurred at"))
    created_at = models.DateTimeField(_("accepted at"))
    distributed_at = models.DateTimeField(_("distributed at"), null=True)
    expires_at = models.DateTimeField(_("expires at"))
    # Deliveries that are unsent by then are never sent, not as a retry either.
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True)
    withdrawn_by = models.CharField(_("withdrawn by"), max_length=150, blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("push")
        verbose_name_plural = _("pushes")
        permissions = [("withdraw_pushrecord", gettext_noop("Can withdraw pushes that have not left"))]
        indexes = [
            models.Index(fields=["status", "created_at"], name="record_status_created"),
            models.Index(fields=["status", "kind", "shard"], name="record_status_lane"),
            models.Index(fields=["message_id"], name="record_message_id"),
            models.Index(fields=["conversation"], name="record_conversation"),
            models.Index(fields=["created_at"], name="record_created"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.message_id}".strip()


class DeliveryResult(models.Model):
    """One push to one device: its state now, and what the provider said.

    A recipient that is skipped before a device was chosen has one row with an empty token. Names and
    token are copied onto the row, so that the log can be searched without joins and outlives the device.
    """

    record = models.ForeignKey(
        PushRecord,
        models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="deliveries",
        verbose_name=_("push"),
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    push_type = models.PositiveSmallIntegerField(_("push type"), choices=PushType)
    shard = models.PositiveSmallIntegerField(default=0)
    app = models.CharField(_("app"), max_length=8, choices=App)
    platform = models.CharField(_("platform"), max_length=8, choices=Platform, blank=True)
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, blank=True)
    account_id = models.CharField(_("account"), max_length=64)
    device_id = models.BigIntegerField(_("device"), null=True)
    token = models.CharField(_("token"), max_length=MAX_TOKEN, blank=True)
    app_key_id = models.BigIntegerField(_("app key"), null=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.PENDING)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason, blank=True)
    # Set only while the row is live and belongs to a conversation: the earliest row of a key is sent first.
    order_key = models.BigIntegerField(null=True)
    due_at = models.DateTimeField(_("due at"))
    expires_at = models.DateTimeField(_("expires at"))
    claim = models.CharField(max_length=16, blank=True, default="", db_default="")
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, db_default=0)
    stands_for = models.PositiveIntegerField(_("messages"), default=1, db_default=1)
    # Shared by the rows of one burst: the waiting one, and those that were merged into it.
    burst = models.BigIntegerField(null=True)
    # Whether the result of an attempt was unknown, whatever later attempts returned.
    may_have_arrived = models.BooleanField(_("may have arrived"), default=False, db_default=False)
    # Of the last call; None before it, and where no answer came.
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    # NULL, too, is no code: the releases before channels write it, also on today's tables.
    provider_code = models.CharField(  # noqa: DJ001
        _("provider's code"), max_length=40, blank=True, null=True, default="", db_default=""
    )
    # The idempotency key of the last call, for providers that push once however often a call is made.
    call_key = models.CharField(max_length=63, blank=True, default="", db_default="")
    provider_text = models.CharField(_("provider's message"), max_length=200, blank=True, default="", db_default="")
    # 63: four bytes each stay below 256, so that MariaDB widens the column without copying the log.
    provider_push_id = models.CharField(_("provider's push ID"), max_length=63, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("created at"))
    sent_at = models.DateTimeField(_("last sent at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("delivery log")
        permissions = [
            ("resend_deliveryresult", gettext_noop("Can send failed pushes again")),
            ("export_deliveryresult", gettext_noop("Can export the delivery log")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["record", "account_id", "token"], name="one_delivery_per_target")
        ]
        # InnoDB and SQLite append the primary key to every index, so "newest first" costs nothing more.
        indexes = [
            models.Index(fields=["account_id"], name="delivery_account"),
            models.Index(fields=["token"], name="delivery_token"),
            models.Index(fields=["status", "due_at"], name="delivery_status_due"),
            models.Index(fields=["created_at"], name="delivery_created"),
            models.Index(fields=["order_key"], name="delivery_order"),
            models.Index(fields=["record"], name="delivery_record"),
            models.Index(fields=["provider_push_id"], name="delivery_push_id"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.account_id}"

    @property
    def masked_token(self) -> str:
        return mask_token(self.token)


class MultiPush(models.Model):
    """A message that was created once at the provider, and is sent to lists of tokens."""

    record = models.ForeignKey(PushRecord, models.CASCADE, related_name="multi_pushes")
    app_key = models.ForeignKey(AppKey, models.CASCADE, related_name="+")
    # With another count of coalesced messages it is another message to the provider.
    stands_for = models.PositiveIntegerField(default=1)
    push_id = models.CharField(_("provider's push ID"), max_length=63)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["record", "app_key", "stands_for"], name="one_multi_push_per_key")
        ]

    def __str__(self) -> str:
        return self.push_id


def live() -> models.Q:
    """Return the deliveries that are not in a terminal state."""
    return models.Q(status__in=(Status.PENDING, Status.HELD, Status.SENDING, Status.RETRYING))
