"""Every figure beside a link is the number of rows behind that link, with rows that the stages themselves have made."""

import html
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from chatscan.models import ScannerPosition
from pushes.distribution.distribute import distribute
from pushes.inbound import dead_letters
from pushes.ledger import claims, counters, endings
from pushes.ledger.claims import Claimed
from pushes.models import AppKey, Broadcast, DeliveryResult, PushRecord, PushTypePolicy, policies
from pushes.names import App, BroadcastStatus, Kind, PushType, Reason, Status, WindowPolicy
from pushes.sending import outcomes
from pushes.submit import submit
from pushes.values import Content, Outcome, Scope, Verdict
from tests.make import make_account, make_app_key, make_broadcast, make_dead_letter, make_device
from tests.pushes.console.conftest import SignIn, url
from tests.pushes.rows import make_message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

ACCEPTED = Outcome(Verdict.ACCEPTED, code="0")
DEAD = Outcome(Verdict.BAD_TARGET, Reason.BAD_TOKEN, code="40", text="token does not exist")
BUSY = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY, code="500")
SILENT = Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER)
LINE = re.compile(
    r'<li><a class="console-link" href="([^"]+)"[^>]*>[^<]*</a>(?:(?!</li>).)*?<strong>([\d,]+)</strong>', re.S
)
TILE = re.compile(r'<a class="console-tile" href="([^"]+)">\s*<span class="console-tile-number">([\d,]+)</span>', re.S)
ALERT = re.compile(r"<strong>([\d,]+) new dead letter.*?href=\"([^\"]+)\"", re.S)


@pytest.fixture(autouse=True)
def sent_at_any_hour() -> Iterator[None]:
    cache.clear()
    PushTypePolicy.objects.update(window_policy=WindowPolicy.SEND)
    yield
    cache.clear()


@pytest.fixture
def key() -> AppKey:
    return make_app_key()


def figures(page: str) -> list[tuple[str, int]]:
    """Every link beside a number: its address, and the number."""
    found = [*LINE.findall(page), *TILE.findall(page), *((link, number) for number, link in ALERT.findall(page))]
    return [(html.unescape(link), int(number.replace(",", ""))) for link, number in found]


def rows_behind(client: Client, address: str) -> int:
    """The rows of a list, page after page to its end."""
    number = 0
    while True:
        changelist: Any = client.get(address).context["cl"]
        number += len(changelist.result_list)
        if not changelist.older_url:
            return number
        address = address.partition("?")[0] + changelist.older_url


def push(
    kind: Kind = Kind.SYSTEM, *, devices: int = 1, account: dict[str, Any] | None = None, **fields: Any
) -> list[int]:
    """A push to an account with so many devices, distributed; the ids of its deliveries."""
    person = make_account(**(account or {}))
    for _ in range(devices):
        make_device(person)
    message = make_message(person.account_id, push_type=PushType.NEW_ORDER)
    record_ids = submit([message]).record_ids
    distribute(record_ids)
    return list(DeliveryResult.objects.filter(record_id__in=record_ids).values_list("id", flat=True))


def settle(key: AppKey, delivery_ids: list[int], outcome: Outcome) -> None:
    """Claim the rows, begin their calls, and write down this outcome for all of them, as the job would."""
    now = timezone.now()
    token, claimed = claims.claim(delivery_ids, now=now, lease_seconds=60)
    claims.begin(delivery_ids, token, now=now, lease_seconds=60)
    records = PushRecord.objects.filter(deliveries__in=delivery_ids).values_list(*Content._fields)
    contents = {content.id: content for content in map(Content._make, records)}
    finished: list[tuple[Claimed, Outcome]] = [(row, outcome) for row in claimed]
    outcomes.settle(key, token, finished, policies(), contents)


def every_state(key: AppKey) -> None:
    settle(key, push(devices=3), ACCEPTED)
    settle(key, push(devices=2), DEAD)
    settle(key, push(devices=4), SILENT)
    settle(key, push(devices=5), BUSY)
    push(devices=2)  # stays pending
    push(account={"login_status": 0})
    push(devices=0)
    push(account={"push_status": 0}, devices=2)
    late = push(devices=2)
    endings.end(DeliveryResult.objects.filter(id__in=late), Status.EXPIRED, Reason.TOO_LATE, now=timezone.now())
    claims.claim(push(), now=timezone.now(), lease_seconds=60)
    for text in ("a", "b", "c", "d"):  # the first goes, two are replaced, the last gathers
        chat(text)
    PushTypePolicy.objects.filter(push_type=PushType.GOODS_SENT).update(is_enabled=False)
    person = make_account()
    make_device(person)
    distribute(submit([make_message(person.account_id, push_type=PushType.GOODS_SENT)]).record_ids)
    PushTypePolicy.objects.update(window_policy=WindowPolicy.HOLD, window=closed_window())
    push(devices=6)


def chat(text: str) -> None:
    account = make_account("reader") if text == "a" else None
    if account:
        make_device(account)
    message = make_message("reader", kind=Kind.GROUP, push_type=PushType.CHAT, text=text, conversation="group:7")
    distribute(submit([message]).record_ids)


def closed_window() -> str:
    """An hour that is far from now."""
    hour = (timezone.localtime().hour + 12) % 24
    return f"{hour:02}:00-{(hour + 1) % 24:02}:00"


def check(client: Client, address: str, *, least: int) -> None:
    page, base = client.get(address).content.decode(), address.partition("?")[0]
    found = figures(page)
    assert len(found) >= least, page
    assert dict(found) == {
        link: rows_behind(client, f"{base}{link}" if link.startswith("?") else link) for link, _ in found
    }


@pytest.mark.parametrize("span", ["1h", "24h", "7d"])
def test_every_number_of_the_overview_is_that_of_the_rows_behind_it(
    administrator: Client, key: AppKey, span: str
) -> None:
    every_state(key)
    for reason in ("truncated", "truncated", "unknown_type"):
        make_dead_letter(reason=reason)
    dead_letters.discard([make_dead_letter(reason="truncated").pk], by="x")
    check(administrator, f"/admin/?span={span}", least=15)


def test_what_moved_on_is_no_longer_counted_as_waiting(administrator: Client, key: AppKey) -> None:
    PushTypePolicy.objects.update(window_policy=WindowPolicy.HOLD, window=closed_window())
    held = push(devices=7)
    check(administrator, "/admin/", least=1)
    endings.end(DeliveryResult.objects.filter(id__in=held), Status.SKIPPED, Reason.LOGGED_OUT, now=timezone.now())
    page = administrator.get("/admin/").content.decode()
    assert "status__exact=held" not in page
    check(administrator, "/admin/", least=1)


def test_gathering_for_a_burst_is_called_so(administrator: Client, key: AppKey) -> None:
    for text in ("a", "b"):
        chat(text)
    page = administrator.get("/admin/").content.decode()
    assert "gathering messages of the same conversation" in page
    assert "delivery window" not in page
    held = DeliveryResult.objects.get(status=Status.HELD)
    shown = administrator.get(url("deliveryresult_change", held.pk)).content.decode()
    assert "gathering messages of the same conversation" in shown
    assert "merged into a later push" not in shown


def test_more_than_can_be_told_apart_is_one_number_and_no_more_than_is_counted(
    administrator: Client, key: AppKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(devices=9)
    monkeypatch.setattr("pushes.history.vitals.MAX_TOLD_APART", 5)
    check(administrator, "/admin/", least=1)
    monkeypatch.setattr("pushes.history.vitals.MAX_WAITING", 6)
    assert "<strong>6+</strong>" in administrator.get("/admin/").content.decode()


def test_older_ends_belong_to_the_longer_spans_alone(administrator: Client, key: AppKey) -> None:
    ids = push(devices=3)
    long_ago = timezone.now() - timedelta(days=2)
    endings.end(DeliveryResult.objects.filter(id__in=ids[:2]), Status.EXPIRED, Reason.TOO_LATE, now=long_ago)
    counters.roll_up(timezone.now())
    endings.end(DeliveryResult.objects.filter(id__in=ids[2:]), Status.EXPIRED, Reason.TOO_LATE, now=timezone.now())
    numbers = {span: _expired(administrator, span) for span in ("1h", "24h", "7d")}
    assert numbers == {"1h": 1, "24h": 1, "7d": 3}
    check(administrator, "/admin/?span=7d", least=1)


def _expired(client: Client, span: str) -> int:
    cache.clear()
    found = figures(client.get(f"/admin/?span={span}").content.decode())
    return next(number for link, number in found if "status__exact=expired" in link)


def test_a_scanner_s_page_agrees(administrator: Client, key: AppKey) -> None:
    for text in ("a", "b", "c", "d"):
        chat(text)
    person = make_account(login_status=0)
    for _n in range(3):
        distribute(submit([make_message(person.account_id, kind=Kind.GROUP, push_type=PushType.CHAT)]).record_ids)
    from_page = administrator.get(_scanner()).content.decode()
    assert len(figures(from_page)) >= 2
    check(administrator, _scanner(), least=2)


def _scanner() -> str:
    row, _ = ScannerPosition.objects.get_or_create(kind=Kind.GROUP)
    return f"/admin/chatscan/scannerposition/{row.pk}/change/"


def test_dead_letters_by_reason_agree(administrator: Client) -> None:
    for reason in ("truncated", "truncated", "unknown_type"):
        make_dead_letter(reason=reason)
    check(administrator, url("deadletter_changelist"), least=2)


# --- the success rate --------------------------------------------------------------------------


def test_a_key_that_fails_everything_is_not_green(administrator: Client, key: AppKey) -> None:
    settle(key, push(devices=50), ACCEPTED)
    settle(make_app_key(App.HIGIRL), push(devices=1), BUSY)
    page = administrator.get("/admin/").content.decode()
    assert "51 attempts, 1 failed" in page
    assert 'class="console-tile is-warning"' in page
    link = html.unescape(re.search(r'href="([^"]*attempt_failed[^"]*)">Show failures', page)[1])  # type: ignore[index]
    assert rows_behind(administrator, link) == 1


def test_a_failure_among_very_many_is_not_rounded_away(administrator: Client) -> None:
    counters.add({("system", Status.ACCEPTED, "", 1): 99_999, ("system", Status.RETRYING, "no_answer", 1): 1}, now())
    page = administrator.get("/admin/").content.decode()
    assert "99.9 %" in page
    assert "100.0 %" not in page


def test_what_was_asked_to_wait_has_not_failed(administrator: Client) -> None:
    counters.add({("system", Status.ACCEPTED, "", 1): 9, ("system", Status.RETRYING, Reason.THROTTLED, 1): 90}, now())
    assert "100.0 %" in administrator.get("/admin/").content.decode()


def test_the_failures_behind_the_rate_are_shown_whatever_became_of_them(administrator: Client, key: AppKey) -> None:
    ids = push(devices=2)
    settle(key, ids, BUSY)
    DeliveryResult.objects.filter(id__in=ids[:1]).update(due_at=now() - timedelta(seconds=1))
    settle(key, ids[:1], ACCEPTED)
    settle(key, push(), ACCEPTED)
    assert rows_behind(administrator, f"{url('deliveryresult_changelist')}?attempt_failed=1h") == 2


def now() -> datetime:
    return timezone.now()


# --- what waits for a person, and the menu -------------------------------------------------------


def badge(page: str, desk: str) -> str:
    """What the menu shows beside this desk's name."""
    entry = page[page.index(f'href="/admin/pushes/{desk}/"') :]
    entry = entry[: entry.index("</a>")]
    found = re.search(r">\s*(\d+\+?)\s*<", entry)
    return found[1] if found else ""


def alerts(page: str, *names: str) -> int:
    return sum(len(re.findall(rf'data-alert="{name}', page)) for name in names)


def test_the_menu_agrees_with_the_alerts(administrator: Client, key: AppKey, sign_in: SignIn) -> None:
    AppKey.objects.filter(pk=key.pk).update(paused_at=now(), paused_reason="nearly all answers say bad token")
    AppKey.objects.filter(pk=make_app_key(App.HIGIRL).pk).update(fell_back_at=now())
    PushTypePolicy.objects.filter(push_type__in=(5, 6)).update(is_enabled=False)
    make_dead_letter()
    make_broadcast(status=BroadcastStatus.WAITING)
    make_broadcast(status=BroadcastStatus.SCHEDULED, scheduled_at=now() + timedelta(minutes=20))
    make_broadcast(status=BroadcastStatus.SCHEDULED, scheduled_at=now() + timedelta(hours=3))
    make_broadcast(status=BroadcastStatus.PAUSED)
    page = administrator.get("/admin/").content.decode()
    assert badge(page, "appkey") == str(alerts(page, "paused-", "fell-back-")) == "2"
    assert badge(page, "pushtypepolicy") == str(alerts(page, "off-")) == "2"
    assert badge(page, "deadletter") == "1"
    assert badge(page, "broadcast") == "3"
    assert alerts(page, "approval-", "starts-", "broadcast-paused-") == 3
    assert "nearly all answers say bad token" in page


def test_an_approval_waits_for_whoever_may_give_it(client: Client, sign_in: SignIn) -> None:
    author, approver = sign_in("approver"), sign_in("approver")
    me = int(author.session["_auth_user_id"])
    broadcast = make_broadcast(title="Spring", status=BroadcastStatus.WAITING, created_by_id=me)
    for who, waits in ((author, 0), (approver, 1), (sign_in("operator"), 0)):
        page = who.get("/admin/").content.decode()
        assert alerts(page, f"approval-{broadcast.pk}") == waits
        assert badge(page, "broadcast") == ("1" if waits else "")
    Broadcast.objects.update(created_by=None, asked_by=int(approver.session["_auth_user_id"]))
    assert alerts(approver.get("/admin/").content.decode(), "approval-") == 0
    assert alerts(author.get("/admin/").content.decode(), "approval-") == 1


def test_more_dead_letters_than_a_badge_has_room_for(administrator: Client) -> None:
    for _ in range(120):
        make_dead_letter()
    page = administrator.get("/admin/").content.decode()
    assert badge(page, "deadletter") == "99+"
    assert "120 new dead letters." in page
