"""The Content-Security-Policy in a real browser: no page breaks it (`new_page` fails a test whose page complains), and
what it forbids does not happen. The pages are visited by the other tests of this folder, all but RQ's own, which bring
scripts that it forbids."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from pushes.console.operators import roles
from tests.browser.conftest import SignIn
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


def test_the_sandbox_page_keeps_it_and_refreshes_itself(new_page: Callable[..., Page], sandbox: Sandbox) -> None:
    page = new_page()
    with page.expect_response(lambda answer: answer.url.endswith("/cards")):
        answer = page.goto(f"{sandbox.url}/")
    assert answer is not None
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert page.evaluate("getComputedStyle(document.querySelector('header')).display") == "flex"


ATTEMPTS = """() => {
    const seen = [];
    document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend", `<img src="data:," onerror="window.ran = true">
        <base href="https://evil.example/"><object data="/admin/"></object><img src="https://evil.example/x.png">`);
    return new Promise((done) => setTimeout(() => done([window.ran === true, [...new Set(seen)].sort()]), 500));
}"""


def test_what_it_forbids_does_not_happen(sign_in: SignIn, browser: Browser, live_server: Any) -> None:
    cookies: Any = sign_in(roles.VIEWER).context.cookies()
    # A page of its own: the others fail a test whose page complains.
    context = browser.new_context(base_url=live_server.url)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto("/admin/me/")
    has_run, violated = page.evaluate(ATTEMPTS)
    assert not has_run
    assert violated == ["base-uri", "img-src", "object-src", "script-src-attr", "script-src-elem"]
    context.close()
