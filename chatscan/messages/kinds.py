"""Kinds of chat message: which names documents use for them, whether they are pushed, how they are previewed.

Both tables are extended by settings: `CHAT_TYPES` (`1=text,2=image,99=silent`) and `CHAT_PREVIEWS`
(`image=[图片]`). Pure.
"""

from collections.abc import Mapping

TEXT, SILENT = "text", "silent"

#: What a message that is not text shows. For the TITLED kinds the title in its data follows.
PREVIEWS: dict[str, str] = {
    "image": "[图片]",
    "voice": "[语音]",
    "video": "[视频]",
    "location": "[位置]",
    "file": "[文件]",
    "sticker": "[表情]",
    "goods": "[商品]",
    "order": "[订单]",
    "link": "[链接]",
    "card": "[名片]",
    "red_packet": "[红包]",
    "transfer": "[转账]",
    "call": "[通话]",
    "forward": "[聊天记录]",
}
TITLED = frozenset({"location", "file", "goods", "order", "link", "card"})

_ALIASES: dict[str, str] = {
    TEXT: "text txt plain string at reply quote",
    "image": "image img picture pic photo",
    "voice": "voice audio sound speech",
    "video": "video movie",
    "location": "location position geo map",
    "file": "file document attachment",
    "sticker": "sticker emoji emoticon face gif expression",
    "goods": "goods product item goods_detail commodity",
    "order": "order",
    "link": "link url share",
    "card": "card contact vcard",
    "red_packet": "red_packet redpacket hongbao",
    "transfer": "transfer",
    "call": "call voice_call video_call",
    "forward": "forward merged chat_record",
    SILENT: "silent system sys notice notification tip tips recall revoke withdraw typing composing read receipt "
    "read_receipt ack command cmd control join leave kick presence heartbeat empty",
}
TYPES: dict[str, str] = {name: kind for kind, names in _ALIASES.items() for name in names.split()}


def type_name(raw: object) -> str:
    """A document's `type` as the tables spell it: lower case; whole numbers in digits. "" when unusable."""
    if isinstance(raw, bool) or raw is None:
        return ""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return str(raw).strip().lower() if isinstance(raw, str | int) else ""


def message_ok(kind: str) -> bool:
    """Whether messages of this kind are pushed at all."""
    return kind != SILENT


def unknown_kinds(types: Mapping[str, str], previews: Mapping[str, str]) -> list[str]:
    """Kinds that `types` leads to but nothing can show."""
    return sorted(set(types.values()) - set(previews) - {TEXT, SILENT})
