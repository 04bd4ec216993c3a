"""A broadcast's life as operators see it: test, approval, canary, pause, cancel; against the sandbox provider."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from pushes import tags
from pushes.admin import roles
from pushes.models import AppKey, Broadcast, DeliveryResult, PushRecord
from pushes.names import App, BroadcastPhase, BroadcastStatus, Platform
from pushes.sweep import sweep
from tests.browser.conftest import SignIn
from tests.make import make_account, make_app_key, make_broadcast, make_device, make_secret, make_token
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]
RunJobs = Callable[..., int]


@pytest.fixture
def key(sandbox: Sandbox) -> AppKey:
    secret = make_secret()
    made = make_app_key(App.HIGO, Platform.ANDROID, secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(made.access_id, secret)
    return made


def phones(number: int) -> list[str]:
    return [make_device().token for _ in range(number)]


def compose(page: Page, title: str = "双十一", *, canary: str = "") -> None:
    page.goto("/admin/pushes/broadcast/add/")
    page.get_by_label("Title").fill(title)
    page.get_by_label("Text").fill("全场五折")
    page.get_by_label("Canary (%)").fill(canary)


def review(page: Page) -> None:
    page.get_by_role("button", name="Save and review").click()


def state(page: Page, words: str) -> None:
    expect(page.locator("#figures .badge").first).to_have_text(words)


def a_round(run_jobs: RunJobs) -> None:
    """What workers and the sweeper do in a second."""
    run_jobs()
    assert sweep() is not None
    run_jobs()


def test_from_composing_over_approval_and_canary_to_the_end(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs, settings: Settings
) -> None:
    settings.BROADCAST_APPROVAL_ABOVE = 50
    tokens = phones(60)
    author, approver = sign_in(roles.OPERATOR), sign_in(roles.APPROVER)
    compose(author, canary="10")
    review(author)
    expect(author.get_by_text("about 30 devices first (50 %)")).to_be_visible()
    author.get_by_role("button", name="Ask for approval").click()
    state(author, "waiting for approval")
    assert sandbox.received() == []
    address = f"/admin/pushes/broadcast/{Broadcast.objects.get().pk}/send/"
    author.goto(address)
    expect(author.get_by_text("It waits for the approval of someone else than its author.")).to_be_visible()
    approver.goto(address)
    approver.get_by_role("button", name="Send to 60 devices now").dblclick()
    state(approver, "sending")
    assert PushRecord.objects.count() == 1
    run_jobs()
    expect(approver.get_by_text("as soon as its outcomes are in")).to_be_visible()
    first = len(sandbox.received())
    assert 10 < first < 50
    expect(approver.locator(".console-canary")).to_contain_text(f"{first} / {first}")
    a_round(run_jobs)
    a_round(run_jobs)
    state(approver, "finished")
    expect(approver.get_by_text("60 / 60")).to_be_visible()
    assert sorted(push["token"] for push in sandbox.received()) == sorted(tokens)
    assert Broadcast.objects.get().approved_by != Broadcast.objects.get().created_by


def test_a_canary_of_dead_tokens_halts_it_and_an_operator_decides(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs
) -> None:
    good = phones(30)
    for _ in range(30):
        make_device(token=f"dead0000{make_token()[8:]}")
    page = sign_in(roles.OPERATOR)
    compose(page, canary="10")
    review(page)
    page.get_by_role("button", name="Send to 60 devices now").click()
    a_round(run_jobs)
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("It has halted by itself")
    expect(banner).to_contain_text("tokens of its canary are invalid")
    expect(page.get_by_role("link", name="Resume")).to_have_count(0)
    assert DeliveryResult.objects.count() < 60
    page.goto("/admin/")
    page.locator(".console-warning", has_text="has halted by itself").get_by_role("link", name="Open").click()
    page.get_by_role("link", name="Continue all the same").click()
    page.get_by_role("button", name="Continue all the same").click()
    state(page, "sending")
    a_round(run_jobs)
    a_round(run_jobs)
    state(page, "finished")
    assert sorted(push["token"] for push in sandbox.received()) == sorted(good)


def test_a_provider_that_fails_halts_the_canary_and_cancelling_spares_the_rest(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs
) -> None:
    phones(60)
    page = sign_in(roles.OPERATOR)
    compose(page, canary="10")
    review(page)
    sandbox.set_profile("cut_after")
    page.get_by_role("button", name="Send to 60 devices now").click()
    for _ in range(3):
        a_round(run_jobs)
    expect(page.get_by_role("alert")).to_contain_text("answers of its canary are failures")
    sandbox.set_profile("ok")
    seen = len(sandbox.received())
    page.get_by_role("link", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the broadcast").click()
    state(page, "cancelled")
    a_round(run_jobs)
    assert len(sandbox.received()) == seen < 60
    assert Broadcast.objects.get().phase == BroadcastPhase.HALTED


def test_a_test_goes_to_named_devices_and_nobody_else(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs
) -> None:
    mine = make_device(make_account("100007"))
    dead = make_device(token=f"dead0000{make_token()[8:]}")
    phones(5)
    page = sign_in(roles.OPERATOR)
    compose(page)
    review(page)
    names = page.get_by_label("Account ids or device tokens")
    names.fill("nobody-at-all")
    page.get_by_role("button", name="Send the test").click()
    expect(page.get_by_text("is known for: nobody-at-all. Nothing was sent.")).to_be_visible()
    names.fill(f"100007\n{dead.token}")
    page.get_by_role("button", name="Send the test").dblclick()
    expect(page.get_by_text("A test was sent to 2 devices.")).to_be_visible()
    rows = page.locator("#test-results tbody tr")
    expect(rows).to_have_count(2)
    run_jobs()
    expect(rows.filter(has_text="100007")).to_contain_text("accepted by the provider")
    expect(rows.filter(has_text=dead.account_id)).to_contain_text("does not know this device token")
    assert [push["token"] for push in sandbox.received()] == [mine.token]
    assert Broadcast.objects.get().status == BroadcastStatus.DRAFT
    expect(page.get_by_role("button", name="Send to 7 devices now")).to_be_visible()


def test_pause_holds_what_has_not_left_and_resume_lets_it_go(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs, settings: Settings
) -> None:
    settings.MULTI_PUSH_LEAST = 1_000
    AppKey.objects.update(rate_per_second=3)
    phones(20)
    page = sign_in(roles.OPERATOR)
    compose(page)
    review(page)
    page.get_by_role("button", name="Send to 20 devices now").click()
    run_jobs()
    page.get_by_role("link", name="Pause", exact=True).click()
    page.get_by_role("button", name="Pause", exact=True).click()
    state(page, "paused")
    sent = len(sandbox.received())
    assert 0 < sent < 20
    expect(page.get_by_text(f"{sent} / 20")).to_be_visible()
    AppKey.objects.update(rate_per_second=None)
    a_round(run_jobs)
    assert len(sandbox.received()) == sent
    page.get_by_role("link", name="Resume", exact=True).click()
    page.get_by_role("button", name="Resume", exact=True).click()
    a_round(run_jobs)
    a_round(run_jobs)
    state(page, "finished")
    assert len({push["token"] for push in sandbox.received()}) == len(sandbox.received()) == 20


def test_only_the_fields_of_the_chosen_audience_are_shown(sign_in: SignIn) -> None:
    tags.replace({make_device().pk: ["vip"]})
    make_device()
    page = sign_in(roles.OPERATOR)
    compose(page)
    tag, accounts = page.get_by_label("Tag", exact=True), page.get_by_label("Account ids")
    expect(tag).to_be_hidden()
    page.get_by_label("Audience").select_option("accounts")
    expect(accounts).to_be_visible()
    page.get_by_label("Audience").select_option("tag")
    expect(accounts).to_be_hidden()
    tag.fill("VIP")
    review(page)
    expect(page.get_by_text("“vip” in higo")).to_be_visible()
    expect(page.get_by_role("button", name="Send to 1 device now")).to_be_visible()


def test_a_draft_that_somebody_changed_meanwhile_is_shown_again(sign_in: SignIn) -> None:
    make_device()
    broadcast = make_broadcast()
    page = sign_in(roles.OPERATOR)
    page.goto(f"/admin/pushes/broadcast/{broadcast.pk}/send/")
    Broadcast.objects.update(text="Not what was read")
    page.get_by_role("button", name="Send to 1 device now").click()
    expect(page.get_by_text("It was changed meanwhile.")).to_be_visible()
    expect(page.get_by_text("Not what was read")).to_be_visible()
    assert not PushRecord.objects.exists()


def test_a_long_list_is_uploaded_and_copied_without_being_shown(sign_in: SignIn, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text("account_id\n" + "\n".join(str(100_000 + n) for n in range(30_000)))
    page = sign_in(roles.OPERATOR)
    compose(page)
    page.get_by_label("Audience").select_option("accounts")
    page.locator("input[type=file]").set_input_files(file)
    review(page)
    expect(page.get_by_text("a list of 30,000 accounts")).to_be_visible()
    page.goto(f"/admin/pushes/broadcast/{Broadcast.objects.get().pk}/copy/")
    expect(page.get_by_text("30000 accounts are kept")).to_be_visible()
    page.get_by_label("Title").fill("Copy")
    review(page)
    expect(page.get_by_text("a list of 30,000 accounts")).to_be_visible()
    assert len(Broadcast.objects.get(title="Copy").accounts) == 30_000


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_pages_fit_the_screen(sign_in: SignIn, key: AppKey, run_jobs: RunJobs, width: int, scheme: str) -> None:
    account = make_account("100007")
    make_device(account)
    for _ in range(59):
        make_device(token=f"dead0000{make_token()[8:]}")
    draft = make_broadcast(title="双十一大促" * 5, text="全场五折，满 300 减 50，今晚八点开抢！" * 4)
    page = sign_in(roles.ADMINISTRATOR, width=width, color_scheme=scheme)
    page.goto(f"/admin/pushes/broadcast/{draft.pk}/change/")
    page.get_by_label("Canary (%)").fill("10")
    review(page)
    page.get_by_label("Account ids or device tokens").fill(account.pk)
    page.get_by_role("button", name="Send the test").click()
    fits(page)
    page.get_by_role("button", name="Send to 60 devices now").click()
    run_jobs()
    fits(page)
    a_round(run_jobs)
    expect(page.get_by_role("alert")).to_be_visible()
    fits(page)


def fits(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{page.url} is {overflow} px too wide"
