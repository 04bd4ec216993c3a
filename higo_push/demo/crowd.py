"""The simulated shoppers of the endless demo: invented, and the same in every run. Pure data."""

import random
from collections.abc import Iterator

from higo_push.demo.people import Group, Person, android, iphone
from pushes.names import App

SURNAMES, NAMES = "王李张刘陈杨赵黄周吴", "雅静敏丽强磊洋艳勇杰"


def _people() -> Iterator[Person]:
    """Sixty buyers and ten merchants. Some are logged out, some do not want to be disturbed, some have two phones or
    none."""
    chance = random.Random(20)
    for number in range(70):
        is_merchant = number >= 60
        app = App.HIGIRL if is_merchant else App.HIGO
        account_id = str(50_000 + number)
        phones = [make(account_id, app) for make in (android, iphone) if chance.random() < 0.6]
        yield Person(
            account_id,
            chance.choice(SURNAMES) + chance.choice(NAMES),
            tuple(phones),
            is_logged_in=chance.random() < 0.9,
            accepts_pushes=chance.random() < 0.9,
        )


PEOPLE = tuple(_people())
BUYERS, MERCHANTS = PEOPLE[:60], PEOPLE[60:]
GROUPS = tuple(
    Group(f"shop{number}", name, BUYERS[number].account_id, tuple(p.account_id for p in BUYERS[number * 12 :][:15]))
    for number, name in enumerate(("代购拼单群", "韩国直邮", "母婴好物", "运动户外"))
)
