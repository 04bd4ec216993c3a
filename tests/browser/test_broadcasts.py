"""A broadcast's life as operators see it: test, approval, canary, pause, cancel; against the sandbox provider."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from pushes.console.operators import roles
from pushes.models import AppKey, Broadcast, DeliveryResult, PushRecord
from pushes.names import App, BroadcastPhase, BroadcastStatus, Platform
from pushes.people import tags
from pushes.upkeep.sweep import sweep
from tests.browser.conftest import SignIn, overview_alert
from tests.make import make_account, make_app_key, make_broadcast, make_device, make_secret, make_token
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]
RunJobs = Callable[..., int]


@pytest.fixture
def key(sandbox: Sandbox) -> AppKey:
    secret = make_secret()
    made = make_app_key(App.HIGO, Platform.ANDROID, secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(int(made.access_id), secret)
    return made


def phones(number: int) -> list[str]:
    return [make_device().token for _ in range(number)]


def compose(page: Page, title: str = "双十一", *, canary: str = "") -> None:
    page.goto("/admin/pushes/broadcast/add/")
    page.locator("#id_title").fill(title)
    page.get_by_label("Text").fill("全场五折")
    page.get_by_label("Canary (%)").fill(canary)
    page.locator("#id_app").select_option("higo")


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
    expect(author.get_by_text("30 devices (50 %) first")).to_be_visible()
    author.get_by_role("button", name="Request approval").click()
    state(author, "waiting for approval")
    assert sandbox.received() == []
    address = f"/admin/pushes/broadcast/{Broadcast.objects.get().pk}/send/"
    author.goto(address)
    expect(
        author.get_by_text("Waiting for approval by someone other than the author and the requester")
    ).to_be_visible()
    approver.goto(address)
    approver.get_by_role("button", name="Send to 60 devices now").dblclick()
    state(approver, "sending")
    assert PushRecord.objects.count() == 1
    run_jobs()
    expect(approver.get_by_text("as soon as its results are in")).to_be_visible()
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
    expect(banner).to_contain_text("Stopped automatically")
    expect(banner).to_contain_text("canary tokens are invalid")
    expect(page.get_by_role("link", name="Resume")).to_have_count(0)
    assert DeliveryResult.objects.count() < 60
    page.goto("/admin/")
    overview_alert(page, "was stopped automatically").get_by_role("link", name="Open the broadcast").click()
    page.get_by_role("link", name="Continue anyway").click()
    page.get_by_role("button", name="Continue anyway").click()
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
    expect(page.get_by_role("alert")).to_contain_text("canary results are failures")
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
    names = page.get_by_label("Account IDs or device tokens")
    names.fill("nobody-at-all")
    page.get_by_role("button", name="Send the test").click()
    expect(page.get_by_text("for: nobody-at-all. Nothing was sent.")).to_be_visible()
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
    tag, accounts = page.get_by_label("Tag", exact=True), page.get_by_label("Account IDs")
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
    expect(page.get_by_text("Someone changed this in the meantime.")).to_be_visible()
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
    expect(page.get_by_text("30000 accounts are saved")).to_be_visible()
    page.locator("#id_title").fill("Copy")
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
    page.get_by_label("Account IDs or device tokens").fill(account.pk)
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


# --- an operator who does everything wrong --------------------------------------------------------


def sent_once(page: Page) -> None:
    expect(page.get_by_text("Nothing is sent twice.")).to_be_visible()
    assert PushRecord.objects.count() == 1


def test_double_click_reload_and_the_back_button_send_once(sign_in: SignIn, key: AppKey) -> None:
    phones(2)
    page = sign_in(roles.OPERATOR)
    compose(page)
    page.get_by_role("button", name="Save and review").dblclick()
    expect(page.get_by_role("button", name="Send to 2 devices now")).to_be_visible()
    assert Broadcast.objects.count() == 1
    page.get_by_role("button", name="Send to 2 devices now").dblclick()
    state(page, "sending")
    page.reload()
    assert PushRecord.objects.count() == 1
    page.go_back()
    page.wait_for_load_state()
    if page.get_by_role("button", name="Send to 2 devices now").count():
        page.get_by_role("button", name="Send to 2 devices now").click()
    sent_once(page)


def test_the_form_sent_again_with_the_back_button_makes_no_second_draft_that_is_sent(
    sign_in: SignIn, key: AppKey
) -> None:
    phones(1)
    page = sign_in(roles.OPERATOR)
    compose(page)
    review(page)
    expect(page.get_by_role("button", name="Send to 1 device now")).to_be_visible()
    page.go_back()
    page.get_by_label("Text").fill("Changed after going back")
    review(page)
    expect(page.get_by_text("Changed after going back")).to_be_visible()
    assert not PushRecord.objects.exists()


def test_of_two_tabs_the_one_that_was_overtaken_sends_nothing_unseen(sign_in: SignIn, key: AppKey) -> None:
    phones(1)
    draft = make_broadcast()
    first = sign_in(roles.OPERATOR)
    second = first.context.new_page()
    for tab in (first, second):
        tab.goto(f"/admin/pushes/broadcast/{draft.pk}/change/")
    first.get_by_label("Text").fill("From the first tab")
    review(first)
    second.get_by_label("Text").fill("From the second tab")
    review(second)
    first.get_by_role("button", name="Send to 1 device now").click()
    expect(first.get_by_text("Someone changed this in the meantime.")).to_be_visible()
    expect(first.get_by_text("From the second tab")).to_be_visible()
    assert not PushRecord.objects.exists()
    second.get_by_role("button", name="Send to 1 device now").click()
    state(second, "sending")
    assert PushRecord.objects.get().text == "From the second tab"
    first.get_by_role("button", name="Send to 1 device now").click()
    sent_once(first)


def test_an_approver_who_wrote_it_approves_it_not(sign_in: SignIn, key: AppKey, settings: Settings) -> None:
    settings.BROADCAST_APPROVAL_ABOVE = 1
    phones(2)
    page = sign_in(roles.ADMINISTRATOR)
    compose(page)
    review(page)
    page.get_by_role("button", name="Request approval").click()
    page.goto(f"/admin/pushes/broadcast/{Broadcast.objects.get().pk}/send/")
    expect(page.get_by_text("Waiting for approval by someone other than the author and the requester")).to_be_visible()
    assert not PushRecord.objects.exists()


def test_emoji_and_right_to_left_text_arrive_as_they_were_written(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs
) -> None:
    phones(1)
    words = "تخفيضات كبيرة اليوم 👨‍👩‍👧‍👦 🎉 السعر ¥99"
    page = sign_in(roles.OPERATOR)
    compose(page, title="عرض خاص 🎁")
    page.get_by_label("Text").fill(words)
    expect(page.get_by_role("status").filter(has_text="bytes")).to_contain_text(
        str(len(("عرض خاص 🎁" + words).encode()))
    )
    toast = page.locator(".console-toast p:visible").first
    expect(toast).to_have_text(words)
    assert toast.evaluate("node => getComputedStyle(node).direction") == "rtl"
    review(page)
    page.get_by_role("button", name="Send to 1 device now").click()
    run_jobs()
    [arrived] = sandbox.received()
    assert (arrived["title"], arrived["content"]) == ("عرض خاص 🎁", words)


def test_the_preview_shows_the_apps_and_platforms_that_it_is_for(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR)
    compose(page)
    toasts = page.locator(".console-toast:visible")
    app = page.locator("#id_app")
    app.select_option("both")
    expect(toasts).to_have_count(6)
    app.select_option("higirl")
    expect(toasts).to_have_count(3)
    expect(toasts.first).to_contain_text("HIGIRL")
    page.get_by_label("Platform").select_option("ios")
    expect(toasts).to_have_count(1)
    expect(page.get_by_role("heading", name="Android")).to_be_hidden()


def test_one_broadcast_goes_to_both_apps(sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs) -> None:
    secret = make_secret()
    other = make_app_key(App.HIGIRL, secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(int(other.access_id), secret)
    tokens = [*phones(3), make_device(app=App.HIGIRL).token]
    page = sign_in(roles.OPERATOR)
    compose(page)
    page.locator("#id_app").select_option("both")
    review(page)
    expect(page.get_by_text("everyone in both apps")).to_be_visible()
    page.get_by_role("button", name="Send to 4 devices now").click()
    a_round(run_jobs)
    a_round(run_jobs)
    state(page, "finished")
    expect(page.get_by_text("4 / 4")).to_be_visible()
    assert sorted(push["token"] for push in sandbox.received()) == sorted(tokens)


def test_nobody_to_send_to_is_said_and_the_button_is_off(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR)
    compose(page)
    review(page)
    expect(page.get_by_text("No one to send to")).to_be_visible()
    expect(page.get_by_role("button", name="Send to 0 devices now")).to_be_disabled()
    make_device()
    page.reload()
    page.get_by_role("button", name="Send to 1 device now").click()
    state(page, "sending")


def test_a_key_that_goes_between_review_and_launch_leaves_everybody_skipped_with_the_reason(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs
) -> None:
    phones(3)
    page = sign_in(roles.OPERATOR)
    compose(page)
    review(page)
    key.delete()
    page.get_by_role("button", name="Send to 3 devices now").click()
    a_round(run_jobs)
    a_round(run_jobs)
    state(page, "finished")
    expect(page.locator(".console-tile")).to_contain_text(["3"])
    assert set(DeliveryResult.objects.values_list("status", "reason")) == {("skipped", "no_app_key")}
    assert sandbox.received() == []


def test_cancelling_during_the_canary_spares_everybody_else(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs
) -> None:
    phones(60)
    page = sign_in(roles.OPERATOR)
    compose(page, canary="10")
    review(page)
    page.get_by_role("button", name="Send to 60 devices now").click()
    run_jobs()
    page.get_by_role("link", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the broadcast").click()
    state(page, "cancelled")
    sent = len(sandbox.received())
    for _ in range(3):
        a_round(run_jobs)
    assert len(sandbox.received()) == sent < 60
    assert Broadcast.objects.get().finished_at is not None


def test_a_spike_on_the_way_pauses_it_and_whoever_has_read_why_lets_it_go_on(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: RunJobs, settings: Settings
) -> None:
    settings.MULTI_PUSH_LEAST = 1_000
    AppKey.objects.update(rate_per_second=60)
    # Half of them: a key whose tokens were nearly all refused would be paused itself.
    for _ in range(80):
        make_device(token=f"dead0000{make_token()[8:]}")
        make_device()
    page = sign_in(roles.OPERATOR)
    compose(page, canary="0")
    review(page)
    page.get_by_role("button", name="Send to 160 devices now").click()
    run_jobs()
    assert sweep() is not None
    expect(page.get_by_role("alert")).to_contain_text("tokens in the last 60 s are invalid")
    expect(page.get_by_role("link", name="Resume")).to_have_count(0)
    page.goto("/admin/")
    overview_alert(page, "was stopped automatically").get_by_role("link", name="Open the broadcast").click()
    page.get_by_role("link", name="Continue anyway").click()
    expect(page.get_by_text("are invalid")).to_be_visible()
    AppKey.objects.update(rate_per_second=None)
    page.get_by_role("button", name="Continue anyway").dblclick()
    state(page, "sending")
    for _ in range(3):
        a_round(run_jobs)
    state(page, "finished")
    expect(page.get_by_text("160 / 160")).to_be_visible()


def test_a_list_that_is_too_long_to_be_typed_is_said_in_the_form(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR)
    compose(page)
    page.get_by_label("Audience").select_option("accounts")
    page.locator("#id_accounts_typed").evaluate(
        "box => { box.value = '100001\\n'.repeat(400000); box.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    review(page)
    told = page.locator("#id_accounts_typed").evaluate("box => box.validationMessage")
    assert told == "The list is longer than 2 MB. Upload it as a CSV file."
    assert page.url.endswith("/add/")
    page.get_by_label("Audience").select_option("app")
    review(page)
    expect(page.get_by_text("everyone in higo")).to_be_visible()


def test_what_is_optional_is_folded_away_previewed_and_counted(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR)
    compose(page)
    expect(page.locator("#id_link")).to_be_hidden()
    page.get_by_text("More: image, link, sound …").click()
    before = page.locator("#byte-count").inner_text()
    page.locator("#id_subtitle").fill("仅限今晚")
    page.locator("#id_image").fill("https://img.example.com/a/hero.jpg?w=600")
    expect(page.locator("[data-preview=subtitle]").first).to_have_text("仅限今晚")
    assert page.locator("[data-preview=subtitle]:visible").count() == 1
    expect(page.locator("[data-value=android] [data-preview=image]").first).to_have_text("hero.jpg")
    used = [int(words.split()[0]) for words in (before, page.locator("#byte-count").inner_text())]
    assert used[1] - used[0] == 12 + 40
    page.get_by_role("button", name="Save draft").click()
    broadcast = Broadcast.objects.get()
    assert broadcast.presentation == {"subtitle": "仅限今晚", "image": "https://img.example.com/a/hero.jpg?w=600"}
    page.goto(f"/admin/pushes/broadcast/{broadcast.pk}/change/")
    expect(page.locator("#id_image")).to_be_visible()
