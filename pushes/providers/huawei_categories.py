"""What Huawei calls the classes of messages: in its own services, and in JPush's words for Huawei's phones."""

from pushes.names import MessageClass
from pushes.values import Notification

#: Each needs a right that the app applies for, but for the last. From Huawei's list of categories.
_WORDS = {
    MessageClass.IM: "IM",
    MessageClass.ORDER: "EXPRESS",
    MessageClass.FINANCE: "FINANCE",
    MessageClass.ACCOUNT: "ACCOUNT",
    MessageClass.WORK: "WORK",
    MessageClass.SUBSCRIPTION: "SUBSCRIPTION",
    MessageClass.MARKETING: "MARKETING",
}
#: Huawei's categories that are none of our classes.
_OTHERS = frozenset({"CUSTOMER_SERVICE", "DEVICE_REMINDER", "EXPRESS", "HEALTH", "MAIL", "TRAVEL", "VOIP"})


def category(notification: Notification) -> str:
    """Return Huawei's word for the message. The push's own category counts if it is one of our classes or one of
    Huawei's; others are meant for other phones."""
    own = notification.category.upper()
    return own if own in _OTHERS else _WORDS[_message_class(notification)]


def is_marketing(notification: Notification) -> bool:
    return category(notification) == _WORDS[MessageClass.MARKETING]


def importance(notification: Notification) -> str:
    """Return how loud Huawei's and Honor's phones are: marketing makes no sound."""
    return "LOW" if is_marketing(notification) else "NORMAL"


def _message_class(notification: Notification) -> MessageClass:
    own = notification.category.upper()
    return MessageClass(own) if own in MessageClass.values else notification.message_class
