"""Simulated shoppers for the endless demo: they order, chat, connect and leave; sometimes a broadcast goes out."""

import random
import time
from collections.abc import Callable
from typing import Any

from higo_push.demo.crowd import BUYERS, GROUPS, MERCHANTS, PEOPLE
from higo_push.demo.producers import Surroundings
from higo_push.demo.scenario import Chat, php
from pushes.broadcasts import lifecycle
from pushes.models import Broadcast
from pushes.names import App, Kind, PushType

LINES = (
    "在吗？",
    "这件还有货吗",
    "已经拍下了",
    "尺码偏大吗？",
    "什么时候发货呀",
    "收到啦，很喜欢！",
    "能便宜点吗",
    "👍",
)
ORDERS = {
    PushType.NEW_ORDER: "您有一笔新订单，请尽快处理",
    PushType.BUYER_PAID: "买家已付款，请准备发货",
    PushType.SHOP_SENDGOODS: "付款已超过24小时，请尽快发货",
    PushType.GOODS_SENT: "您购买的商品已发货",
    PushType.BUYER_CONFIRM: "买家已确认收货",
    PushType.SYS_CONFIRM: "系统将在2天后自动确认收货",
    PushType.GOODS_SOLDOUT: "您收藏的商品已售罄",
    PushType.GOODS_DETAIL: "好友向您分享了一件单品",
}
TO_MERCHANTS = {PushType.NEW_ORDER, PushType.BUYER_PAID, PushType.SHOP_SENDGOODS, PushType.BUYER_CONFIRM}
BROADCAST_SECONDS = 120.0
REPORT_SECONDS = 10.0


class Shopping:
    """Draw the next events at random."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._chance = random.Random()
        self._online: set[str] = set()
        self.counts = {"orders": 0, "group messages": 0, "private messages": 0, "broadcasts": 0}

    def come_and_go(self) -> None:
        person = self._chance.choice(BUYERS)
        is_online = person.account_id not in self._online
        self._surroundings.set_presence(person, is_online=is_online)
        (self._online.add if is_online else self._online.discard)(person.account_id)

    def order(self) -> None:
        push_type, text = self._chance.choice(list(ORDERS.items()))
        app = App.HIGIRL if push_type in TO_MERCHANTS else App.HIGO
        person = self._chance.choice(MERCHANTS if app == App.HIGIRL else BUYERS)
        number = self._chance.randrange(10**8)
        fields: dict[str, Any] = {"type": int(push_type), "app": app.value, "to_id": person.account_id}
        fields |= {"message": text, "data": {"order_id": number}, "msg_id": f"demo-{time.time_ns()}"}
        self._surroundings.push_raw([php(fields)])
        self.counts["orders"] += 1

    def chat_in_group(self) -> None:
        group = self._chance.choice(GROUPS)
        document = self._document(self._chance.choice(group.members)) | {"group_id": group.group_id}
        self._surroundings.say(Chat(Kind.GROUP, document))
        self.counts["group messages"] += 1

    def chat_in_private(self) -> None:
        sender, recipient = self._chance.sample(BUYERS, 2)
        document = self._document(sender.account_id) | {"to_user": {"user_id": recipient.account_id}}
        self._surroundings.say(Chat(Kind.PRIVATE, document))
        self.counts["private messages"] += 1

    def broadcast(self) -> None:
        made = Broadcast.objects.create(title="限时活动", text="今晚八点，全场包邮", app=App.HIGO)
        lifecycle.launch(made.pk)
        self.counts["broadcasts"] += 1

    def _document(self, sender: str) -> dict[str, Any]:
        name = next(person.name for person in PEOPLE if person.account_id == sender)
        type_name, data = self._chance.choice([("text", self._chance.choice(LINES))] * 4 + [("image", "a.jpg")])
        return {"type": type_name, "data": data, "user": {"user_id": sender, "nickname": name}}


def play(surroundings: Surroundings, write: Callable[[str], object]) -> None:
    """Shop until the demo is stopped; report every few seconds."""
    shopping, chance = Shopping(surroundings), random.Random()
    events = [shopping.come_and_go, shopping.order, shopping.chat_in_group, shopping.chat_in_private]
    broadcast_at = time.monotonic() + BROADCAST_SECONDS / 4
    report_at = time.monotonic() + REPORT_SECONDS
    while True:
        chance.choice(events)()
        if time.monotonic() >= broadcast_at:
            shopping.broadcast()
            broadcast_at = time.monotonic() + BROADCAST_SECONDS
        if time.monotonic() >= report_at:
            write(", ".join(f"{number} {name}" for name, number in shopping.counts.items()))
            report_at = time.monotonic() + REPORT_SECONDS
        time.sleep(chance.expovariate(1.5))


def rest() -> None:
    """Wait until the demo is stopped."""
    while True:
        time.sleep(3_600)
