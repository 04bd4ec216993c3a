"""The fixed scenario of `./push.sh demo --once`: the people, the events, and the required results.

This module derives the results from the platform's promises, without the platform: people and events on one side,
expected deliveries, phones and dead letters on the other.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import phpserialize

from higo_push.demo.people import ACCESS_IDS, Group, Person, Phone, android, iphone, on_every_channel
from pushes.names import App, Environment, Kind, Platform, PushType, Reason, Status

PEOPLE = (
    Person("1001", "小美", (android("mei"), iphone("mei"))),
    Person("1002", "小林", (android("lin"),)),
    Person("1003", "阿波", (iphone("bo"),), is_online=True),
    Person("1004", "老严", (android("yan"),), is_logged_in=False),
    Person("1005", "小吴", (android("wu"),), accepts_pushes=False),
    Person("1006", "小齐"),
    Person("1007", "小道", (android("dao"),), mutes=("group:g1",)),
    Person("1008", "旧机", (android("old", is_active=False),)),
    Person("1009", "多机", on_every_channel("duo")),
    Person("2001", "好店", (android("hao", App.HIGIRL), iphone("hao", App.HIGIRL))),
    Person("2002", "君君", (iphone("jun", App.HIGIRL, Environment.LOCAL),)),
)
NOBODY = "9999"
GROUPS = (
    Group("g1", "海淘闺蜜", "1001", ("1001", "1002", "1003", "1004", "1005", "1006", "1007", NOBODY)),
    Group("g2", "只有我", "1002", ("1002",)),
)
# Every push type asks for the login; these ask for more. Chat asks for everything.
RESPECTS_DO_NOT_DISTURB = {PushType.CHAT, PushType.GOODS_DETAIL, PushType.DEFAULT}
SKIPS_ONLINE = {PushType.CHAT}


@dataclass(frozen=True, slots=True)
class Push:
    """A message that the platform must accept. `shows` is a text that no other push of the scenario shows."""

    kind: Kind
    shows: str
    to: tuple[str, ...]
    app: App = App.HIGO
    push_type: PushType = PushType.CHAT
    platform: Platform | None = None
    conversation: str = ""


@dataclass(frozen=True, slots=True)
class Raw:
    """An element of the raw list, and what it must become: a push, a dead letter, or (with neither) a duplicate of an
    earlier push."""

    data: bytes = field(repr=False)
    push: Push | None = None
    dead_reason: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat document, and what it must become; a document with neither push nor reason is not for pushing."""

    kind: Kind
    document: dict[str, Any]
    push: Push | None = None
    dead_reason: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one push must do for one account: reach a phone, or be refused."""

    kind: Kind
    status: Status
    reason: Reason | None
    account_id: str
    phone: Phone | None = None


# --- what the producers send ------------------------------------------------------------------------


def orders() -> Iterator[Raw]:
    """Every push type once, for a phone owner in every situation, in the form of PHP's serialize()."""
    everyone = ("1001", "1002", "1003", "1004", "1005")
    for push_type in PushType:
        shows = f"系统消息{push_type.value:02}号"
        fields = {"type": int(push_type), "app": "higo", "to_id": list(everyone), "message": shows}
        yield Raw(php(fields), Push(Kind.SYSTEM, shows, everyone, push_type=push_type))
    yield from _variants()


def _variants() -> Iterator[Raw]:
    """Spellings that producers use, and recipients who cannot be reached."""
    yield _order("只给苹果手机", ("1001",), via="iphone", platform=Platform.IOS)
    yield _order("每个渠道各一次", ("1009",))
    yield _order("商家收到新订单", ("2001",), App.HIGIRL, title="新订单", data={"order_id": 77, "tags": ["a", "b"]})
    yield _order("没有密钥的测试包", ("2002",), App.HIGIRL)
    yield _order("没有手机的人", ("1006",))
    yield _order("手机已停用的人", ("1008",))
    yield _order("没有这个人", (NOBODY,))
    once = _order("带编号的订单", ("1002",), msg_id="order-42")
    yield once
    yield Raw(once.data)  # the producer tried again
    number_as_text = {"type": "8", "app": "HIGO", "to_id": "1002", "message": "数字写成文字"}
    yield Raw(php(number_as_text), Push(Kind.SYSTEM, "数字写成文字", ("1002",), push_type=PushType.BUYER_PAID))
    as_json = {"app": "higo", "to_id": 1002, "message": "用JSON写的"}
    yield Raw(orjson.dumps(as_json), Push(Kind.SYSTEM, "用JSON写的", ("1002",), push_type=PushType.DEFAULT))


def _order(
    shows: str, to: tuple[str, ...], app: App = App.HIGO, *, platform: Platform | None = None, **fields: Any
) -> Raw:
    push = Push(Kind.SYSTEM, shows, to, app, PushType.NEW_ORDER, platform)
    given = {"type": 5, "app": app.value, "to_id": list(to), "message": shows, **fields}
    return Raw(php(given), push)


def malformed() -> Iterator[Raw]:
    """Elements that must become dead letters, each with its reason, without harm to their neighbours."""
    whole = php({"type": 5, "app": "higo", "to_id": "1001", "message": "被截断"})
    deep: Any = "x"
    for _ in range(40):
        deep = {"a": deep}
    fields: dict[str, Any] = {"type": 5, "app": "higo", "to_id": "1001", "message": "不应出现"}
    yield Raw(whole[:-9], dead_reason="truncated")
    yield Raw(whole + b"i:1;", dead_reason="trailing_bytes")
    yield Raw(php(fields | {"data": deep}), dead_reason="too_deep")
    yield Raw(b'O:8:"stdClass":1:{s:4:"type";i:5;}', dead_reason="object")
    yield Raw(php(fields | {"data": {"x": "x" * 70_000}}), dead_reason="too_large")
    yield Raw(php(fields | {"message": b"\xff\xfe"}), dead_reason="bad_utf8")
    yield Raw(php("only text"), dead_reason="not_an_array")
    yield Raw(php(fields | {"type": 99}), dead_reason="unknown_type")
    yield Raw(php(fields | {"to_id": []}), dead_reason="no_recipient")
    yield Raw(php(fields | {"app": "hugo"}), dead_reason="unknown_app")
    yield Raw(php(fields | {"via": "pigeon"}), dead_reason="bad_via")
    yield Raw(b"no serialised value at all", dead_reason="malformed")


def chats() -> Iterator[Chat]:
    """A group conversation and private conversations, with documents in between that are not for pushing."""
    others = tuple(member for member in GROUPS[0].members if member != "1002")
    yield _group_chat("1002", "text", "晚上一起拼单吗", others)
    yield _group_chat("1002", "image", {"url": "a.jpg"}, others, shows="[图片]")
    yield _group_chat("1001", "text", "我要两份", tuple(m for m in GROUPS[0].members if m != "1001"))
    yield Chat(Kind.GROUP, _document("1001", "recall", "撤回了一条消息", group_id="g1"))
    yield Chat(Kind.GROUP, _document("1002", "text", "自言自语", group_id="g2"))
    yield Chat(Kind.GROUP, _document("1002", "text", "没有的群", group_id="g404"), dead_reason="unknown_group")
    yield Chat(Kind.GROUP, _document("1002", "hologram", "未知类型", group_id="g1"), dead_reason="unknown_type")
    for number, to in enumerate(("1001", "1003", "1004", "1005", "1006", NOBODY), start=1):
        yield _private_chat("1002", to, "text", f"私聊第{number}条")
    yield _private_chat("1001", "1002", "voice", {"seconds": 7}, shows="[语音]")


def before_first_start() -> list[Chat]:
    """Messages from before the first start of a scanner: never pushed."""
    return [
        Chat(Kind.GROUP, _document("1002", "text", "很久以前的群消息", group_id="g1")),
        Chat(Kind.PRIVATE, _document("1002", "text", "很久以前的私聊", to_user={"user_id": "1001"})),
    ]


def _document(sender: str, type_name: str, data: object, **target: object) -> dict[str, Any]:
    return {"type": type_name, "data": data, "user": {"user_id": sender, "nickname": _name_of(sender)}, **target}


def _group_chat(sender: str, type_name: str, data: object, to: tuple[str, ...], *, shows: str = "") -> Chat:
    push = Push(Kind.GROUP, shows or str(data), to, conversation="group:g1")
    return Chat(Kind.GROUP, _document(sender, type_name, data, group_id="g1"), push)


def _private_chat(sender: str, to: str, type_name: str, data: object, *, shows: str = "") -> Chat:
    push = Push(Kind.PRIVATE, shows or str(data), (to,))
    return Chat(Kind.PRIVATE, _document(sender, type_name, data, to_user={"user_id": to}), push)


def _name_of(account_id: str) -> str:
    return next((person.name for person in PEOPLE if person.account_id == account_id), account_id)


#: One broadcast to every phone of the buyers' app.
BROADCAST = Push(
    Kind.BROADCAST,
    "周年庆全场八折",
    tuple(person.account_id for person in PEOPLE if any(p.app == App.HIGO and p.is_active for p in person.phones)),
    push_type=PushType.DEFAULT,
)


def php(value: object) -> bytes:
    """Write `value` as PHP's serialize() does."""
    return bytes(phpserialize.dumps(value))


# --- what must come of it ---------------------------------------------------------------------------


def accepted_pushes() -> list[Push]:
    """Every message that must become a push record."""
    raws = [*orders(), *malformed()]
    found = [raw.push for raw in raws if raw.push] + [chat.push for chat in chats() if chat.push]
    return [*found, BROADCAST]


def expected_deliveries() -> list[Expected]:
    return [one for push in accepted_pushes() for one in deliveries_of(push)]


def deliveries_of(push: Push) -> Iterator[Expected]:
    people = {person.account_id: person for person in PEOPLE}
    for account_id in push.to:
        person = people.get(account_id)
        reason = _refusal(push, person)
        phones = [] if person is None else _phones(push, person)
        if reason is None and not phones:
            reason = Reason.NO_DEVICE
        if reason is not None:
            yield Expected(push.kind, Status.SKIPPED, reason, account_id)
            continue
        for phone in phones:
            yield _to_phone(push, account_id, phone)


def _to_phone(push: Push, account_id: str, phone: Phone) -> Expected:
    if phone.environment != Environment.PRODUCTION:
        return Expected(push.kind, Status.SKIPPED, Reason.NO_APP_KEY, account_id, phone)
    return Expected(push.kind, Status.ACCEPTED, None, account_id, phone)


def _refusal(push: Push, person: Person | None) -> Reason | None:
    if person is None:
        return Reason.NO_ACCOUNT
    if not person.is_logged_in:
        return Reason.LOGGED_OUT
    if push.push_type in RESPECTS_DO_NOT_DISTURB and not person.accepts_pushes:
        return Reason.DO_NOT_DISTURB
    if push.conversation and push.conversation in person.mutes:
        return Reason.MUTED
    if push.push_type in SKIPS_ONLINE and person.is_online:
        return Reason.ONLINE
    return None


def _phones(push: Push, person: Person) -> list[Phone]:
    return [
        phone
        for phone in person.phones
        if phone.is_active and phone.app == push.app and push.platform in (None, phone.platform)
    ]


def expected_dead_letters() -> Counter[str]:
    letters: Iterable[Raw | Chat] = (*orders(), *malformed(), *chats())
    return Counter(letter.dead_reason for letter in letters if letter.dead_reason)


def expected_on_phones() -> Counter[tuple[str, str, str]]:
    """How often each (access id, token, text) must arrive: always once."""
    return Counter(
        (ACCESS_IDS[one.phone.key], one.phone.token, push.shows)
        for push in accepted_pushes()
        for one in deliveries_of(push)
        if one.status == Status.ACCEPTED and one.phone
    )
