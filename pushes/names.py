"""The platform's vocabulary: every name that rows, queues, APIs and pages share.

The values are a contract with producers, client apps and operators; rename none of them.
"""

from functools import lru_cache
from typing import Any

from django.db.models import Choices, IntegerChoices, TextChoices
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

#: Replaces every chat text under CHAT_PRIVACY=hidden: on phones, at the provider, in the database.
HIDDEN_TEXT = "你收到一条新消息"


class App(TextChoices):
    HIGO = "higo", _("higo (buyers)")
    HIGIRL = "higirl", _("higirl (merchants)")


class Platform(TextChoices):
    ANDROID = "android", _("Android")
    IOS = "ios", _("iOS")
    #: HarmonyOS 5 and later, which runs no Android apps.
    HARMONY = "harmony", _("HarmonyOS")


class Environment(TextChoices):
    PRODUCTION = "production", _("production")
    LOCAL = "local", _("local (intranet test build)")


class Kind(TextChoices):
    """What kind of push; each kind has a lane of its own."""

    SYSTEM = "system", _("system")
    GROUP = "group", _("group chat")
    PRIVATE = "private", _("private chat")
    BROADCAST = "broadcast", _("broadcast")


class Channel(TextChoices):
    """Which service issued a device's token, and so which service can push to the device."""

    XINGE = "xinge", _("Xinge")
    TPNS = "tpns", _("TPNS")
    APNS = "apns", _("APNs")
    FCM = "fcm", _("FCM")
    JPUSH = "jpush", _("JPush")
    HUAWEI = "huawei", _("Huawei")


class ProviderKind(TextChoices):
    """The protocol that an app key speaks."""

    XINGE_V2 = "xinge_v2", _("Xinge REST v2")
    TPNS = "tpns", _("TPNS")
    APNS = "apns", _("APNs")
    FCM = "fcm", _("FCM HTTP v1")
    JPUSH = "jpush", _("JPush v3")
    HUAWEI_V3 = "huawei_v3", _("Huawei v3 (HarmonyOS)")
    HUAWEI_V1 = "huawei_v1", _("Huawei v1 (Android)")
    SANDBOX = "sandbox", _("sandbox")


#: What an app key speaks unless somebody says otherwise: what all keys of the legacy system do.
DEFAULT_PROVIDER = ProviderKind.XINGE_V2
#: The channel of what each protocol can push to.
CHANNELS = {
    ProviderKind.XINGE_V2: Channel.XINGE,
    ProviderKind.TPNS: Channel.TPNS,
    ProviderKind.APNS: Channel.APNS,
    ProviderKind.FCM: Channel.FCM,
    ProviderKind.JPUSH: Channel.JPUSH,
    ProviderKind.HUAWEI_V3: Channel.HUAWEI,
    ProviderKind.HUAWEI_V1: Channel.HUAWEI,
    ProviderKind.SANDBOX: Channel.XINGE,
}
#: How many characters a push's sound, category and Android channel may have, and those of its type.
MAX_WORD = 64
#: How many characters a device token may have, in any channel, and an installation id.
MAX_TOKEN, MAX_INSTALLATION = 512, 64
#: The platforms on which each channel issues tokens.
PLATFORMS = {
    Channel.XINGE: (Platform.ANDROID, Platform.IOS),
    Channel.TPNS: (Platform.ANDROID, Platform.IOS),
    Channel.APNS: (Platform.IOS,),
    Channel.FCM: (Platform.ANDROID,),
    Channel.JPUSH: (Platform.ANDROID, Platform.IOS, Platform.HARMONY),
    Channel.HUAWEI: (Platform.ANDROID, Platform.HARMONY),
}
#: Channels whose keys are numbers, which the client apps are built with.
WITH_ACCESS_IDS = (Channel.XINGE, Channel.TPNS)
#: The channel of a device that was registered before there were channels.
DEFAULT_CHANNEL = CHANNELS[DEFAULT_PROVIDER]


class PushType(IntegerChoices):
    """Numbers that producers send and client apps act on."""

    CHAT = 1, _("chat message")
    NEW_ORDER = 5, _("new order")
    GOODS_SOLDOUT = 6, _("sold out")
    GOODS_SENT = 7, _("goods shipped")
    BUYER_PAID = 8, _("buyer paid")
    BUYER_CONFIRM = 9, _("buyer confirmed receipt")
    SYS_CONFIRM = 10, _("receipt will be confirmed by the system")
    SHOP_SENDGOODS = 11, _("reminder to ship")
    SHOP_OK = 15, _("shop approved")
    SHOP_REJ = 16, _("shop rejected")
    GOODS_OFFSALE = 17, _("taken off sale")
    BUYER_PERMIT = 18, _("purchasing agent certified")
    BUYER_DENY = 19, _("purchasing agent refused")
    GOODS_DETAIL = 20, _("shared item")
    REPORTED = 30, _("user reported")
    DEFAULT = 55, _("default (no action in the app)")


class MessageClass(TextChoices):
    """What a push is to the phones' vendors, who count and silence marketing. All but the last are service messages."""

    IM = "IM", _("service: chat")
    ORDER = "ORDER", _("service: orders and delivery")
    FINANCE = "FINANCE", _("service: payments")
    ACCOUNT = "ACCOUNT", _("service: the account")
    WORK = "WORK", _("service: work and tasks")
    SUBSCRIPTION = "SUBSCRIPTION", _("service: what the user subscribed to")
    MARKETING = "MARKETING", _("marketing")


class RecordStatus(TextChoices):
    PENDING = "pending", _("waiting for distribution")
    DISTRIBUTED = "distributed", pgettext_lazy("state", "distributed")
    EXPIRED = "expired", _("expired before distribution")
    CANCELLED = "cancelled", _("cancelled")
    FAILED = "failed", _("could not be distributed")


class Status(TextChoices):
    """The state of one delivery."""

    PENDING = "pending", _("pending")
    HELD = "held", pgettext_lazy("state", "on hold")
    SENDING = "sending", _("sending")
    RETRYING = "retrying", _("waiting for a retry")
    ACCEPTED = "accepted", _("accepted by the provider")
    FAILED = "failed", _("failed")
    UNKNOWN = "unknown", _("outcome unknown")
    SKIPPED = "skipped", _("skipped")
    EXPIRED = "expired", _("expired")
    CANCELLED = "cancelled", _("cancelled")


#: Terminal states (an operator's resend makes a new record).
TERMINAL = (
    Status.ACCEPTED,
    Status.FAILED,
    Status.UNKNOWN,
    Status.SKIPPED,
    Status.EXPIRED,
    Status.CANCELLED,
)
#: States from which a delivery may be claimed for sending once it is due.
CLAIMABLE = (Status.PENDING, Status.RETRYING, Status.HELD)
#: States that are not terminal.
LIVE = (*CLAIMABLE, Status.SENDING)


class Reason(TextChoices):
    """Why a delivery was not sent, did not arrive, or waits. Stored on its row."""

    # refused before sending (status `skipped`)
    LOGGED_OUT = "logged_out", _("the account is logged out")
    ONLINE = "online", _("online: shown in the app instead")
    NO_ACCOUNT = "no_account", _("no such account")
    DO_NOT_DISTURB = "do_not_disturb", _("the account has turned pushes off")
    MUTED = "muted", _("the account has muted this conversation")
    BLOCKED = "blocked", _("the recipient has blocked the sender")
    READ = "read", _("the message was read before it was sent")
    NO_DEVICE = "no_device", _("the account has no active device in this app")
    NO_APP_KEY = "no_app_key", _("no enabled app key for this app, platform, environment and channel")
    OUTSIDE_WINDOW = "outside_window", _("outside the delivery window")
    COALESCED = "coalesced", _("merged into a later push")
    TYPE_DISABLED = "type_disabled", _("this push type is switched off")
    OWN_MESSAGE = "own_message", _("the account sent this message itself")
    DUPLICATE = "duplicate", _("already submitted under the same key")
    # why a device is no longer pushed to
    REPLACED = "replaced", _("the same installation has registered a newer token")
    # what became of the attempt
    BAD_TOKEN = "bad_token", _("the provider does not know this device token")
    BAD_PAYLOAD = "bad_payload", _("the provider refused the message itself")
    BAD_CREDENTIALS = "bad_credentials", _("the provider refused the app key")
    WRONG_CLOCK = "wrong_clock", _("the clock of the sending machine is wrong; another machine sends it")
    THROTTLED = "throttled", _("rate-limited")
    PROVIDER_BUSY = "provider_busy", _("the provider could not accept the push at that moment")
    UNREACHABLE = "unreachable", _("no connection to the provider")
    NO_ANSWER = "no_answer", _("the call was made, but there was no usable answer")
    PROVIDER_ERROR = "provider_error", _("the provider answered with a server error")
    ENDPOINT_REFUSED = "endpoint_refused", _("the app key's endpoint is not allowed")
    TOKENS_DOUBTED = "tokens_doubted", _("the provider refuses nearly every token of the app key")
    CUT_OFF = "cut_off", _("the sending process ended during the call")
    KEY_PAUSED = "key_paused", _("the app key is paused")
    BROADCAST_PAUSED = "broadcast_paused", _("the broadcast is paused")
    TOO_MANY_ATTEMPTS = "too_many_attempts", _("given up after the maximum number of attempts")
    TOO_LATE = "too_late", _("would have arrived after its expiry")
    CANCELLED = "cancelled", _("cancelled by an operator")
    # taken back while it waited (status `cancelled`)
    WITHDRAWN = "withdrawn", _("withdrawn before it was sent")
    RECALLED = "recalled", _("the message was recalled or deleted in the chat before it was sent")


#: What a reason means of a delivery that still waits: it has not been answered in the app, nor merged into another.
_WHILE_ON_HOLD = {
    Reason.COALESCED: _("gathering messages of the same conversation"),
    Reason.ONLINE: _("online: sent unless the message is read in the app"),
}


def reason_words(status: str, reason: str) -> str:
    """Return what `reason` means for a delivery in this state, in the reader's language; an unknown reason as it is."""
    if reason not in Reason.values:
        return reason
    known = Reason(reason)
    return str((_WHILE_ON_HOLD.get(known) if status == Status.HELD else None) or known.label)


def label(choices: type[Choices], value: Any) -> str:
    """What `value` is called, in the reader's language; itself when it is none of the choices.

    A model's own `get_…_display` translates every choice of the field to find the one, each time.
    """
    return _labels(choices, get_language()).get(value) or str(value)


@lru_cache(maxsize=128)
def _labels(choices: type[Choices], _language: str | None) -> dict[Any, str]:
    return {value: str(text) for value, text in choices.choices}


class PauseCode(TextChoices):
    """Why the platform paused an app key, where operators are offered more than to resume it."""

    TOKENS_DOUBTED = (
        "tokens_doubted",
        _("The provider refuses nearly every device token: check environment, app and access ID."),
    )


#: The source of pushes that are an operator's second try of a delivery, and of what came on the producers' raw list.
RESEND_SOURCE, INTAKE_SOURCE = "resend", "intake"
#: The lease that only the sweeper at work holds.
SWEEPER_LEASE = "sweeper"
#: The reason of a dead letter whose id belongs to a different push.
CONFLICT = "conflict"
#: Why one that could be read cannot be stored: by our own rules, or by the database's.
INVALID, UNSTORABLE = "invalid", "unstorable"


class WindowPolicy(TextChoices):
    """What happens to a push outside its delivery window."""

    HOLD = "hold", _("hold until the window opens")
    DROP = "drop", _("drop")
    SEND = "send", _("send at any hour")


class UnknownPolicy(TextChoices):
    """What happens to a push whose result cannot be known."""

    KEEP = "keep", _("keep as unknown: better lost than duplicated")
    RESEND = "resend", _("send again: better duplicated than lost")


class BroadcastStatus(TextChoices):
    DRAFT = "draft", _("draft")
    WAITING = "waiting", _("waiting for approval")
    SCHEDULED = "scheduled", _("scheduled")
    SENDING = "sending", _("sending")
    PAUSED = "paused", _("paused")
    FINISHED = "finished", pgettext_lazy("state", "finished")
    CANCELLED = "cancelled", _("cancelled")


class BroadcastPhase(TextChoices):
    """How far a broadcast with a canary is. A broadcast without a canary has no phase."""

    CANARY = "canary", _("canary")
    HALTED = "halted", _("stopped automatically")
    REST = "rest", _("main send")


class DeadLetterStatus(TextChoices):
    NEW = "new", _("new")
    REPLAYED = "replayed", _("replayed")
    DISCARDED = "discarded", _("discarded")


class ExportStatus(TextChoices):
    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("being written")
    DONE = "done", _("ready")
    CANCELLED = "cancelled", _("cancelled")
    FAILED = "failed", _("failed")


class JobRefusal(TextChoices):
    """Why a worker did not run a job that it found in a queue."""

    FUNCTION = "function", _("calls an unknown function")
    ARGUMENTS = "arguments", _("arguments are not row numbers")
    EXTRAS = "extras", _("has callbacks, retries or dependencies")
    SETTINGS = "settings", _("settings are not valid")
    QUEUE = "queue", _("belongs to another queue")
    UNREADABLE = "unreadable", _("cannot be read")


class DeviceEventKind(TextChoices):
    REGISTERED = "registered", _("registered")
    MOVED = "moved", _("moved to another account")
    CORRECTED = "corrected", _("platform, environment or channel changed")
    DEACTIVATED = "deactivated", _("deactivated")
    REACTIVATED = "reactivated", _("reactivated")


_PLATFORM_ALIASES = {"iphone": Platform.IOS, "ipad": Platform.IOS}
#: What `platform_of` takes, for error messages.
ACCEPTED_PLATFORMS = (*Platform.values, *_PLATFORM_ALIASES)


def platform_of(value: str) -> Platform:
    """A platform by its name, or the producers' `iphone` and `ipad`, which mean `ios`. Raises ValueError."""
    name = value.strip().lower()
    return _PLATFORM_ALIASES.get(name) or Platform(name)
