"""A real Chromium on the live server. Every page it opens is watched: a violation of the content security
policy, a script error or a failed request of our own fails the test that saw it."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright

from leadflow.accounts.models import User
from tests import chromium

# Playwright keeps an event loop in this thread; our own queries here are plain and synchronous.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

WIDE, NARROW = (1440, 900), (390, 844)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# Colours alone differ in the dark. A narrow page has another order and other parts in the same colours: there
# they are looked at only in what was not to be seen when it was wide.
COLOURS = "color-contrast"
_REMEMBER = """() => {
    const parts = [...document.querySelectorAll("body *")];
    window.seenWide = new Set(parts.filter((part) => part.checkVisibility()));
}"""
_FINDINGS = """([rules, without, fresh]) => {
    const parts = [...document.querySelectorAll("body *")];
    const include = fresh && parts.filter((part) => part.checkVisibility() && !window.seenWide.has(part));
    if (fresh && !include.length) return [];
    const off = without ? {[without]: {enabled: false}} : {};
    const options = {runOnly: rules, resultTypes: ["violations"], rules: off};
    return axe.run(fresh ? {include} : document, options).then((all) => all.violations);
}"""
# What `response` notes itself; and a question that the page took back, because a newer one was asked.
NO_ERRORS = ("Failed to load resource", "htmx:sendAbort", "htmx:afterRequest")
_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser."""
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)


@dataclass
class Watch:
    """What went wrong in the browser while a test ran."""

    wrong: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        """Note errors of the console; a refused request is noted by `response`."""
        if message.type == "error" and not message.text.startswith(NO_ERRORS):
            self.wrong.append(message.text)

    def response(self, response: Response) -> None:
        """Note what our own server could not give; a test that expects it says so in `allowed`."""
        if response.status >= 400 and not any(part in response.url for part in self.allowed):
            self.wrong.append(f"{response.status} {response.url}")

    def mend(self) -> None:
        """Forget what was noted, after a test has looked at it."""
        self.wrong.clear()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run; without one the tests are left out loudly."""
    found = chromium.path()
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """The watch of this test; it must have seen nothing wrong by the end."""
    watch = Watch()
    yield watch
    assert watch.wrong == []


@pytest.fixture
def open_as(browser: Browser, live_server: Any, watch: Watch) -> Iterator[Callable[..., Page]]:
    """`open_as(user, "/queue/", size=NARROW, scheme="dark")` → a page, signed in; None is a stranger."""
    contexts = []

    def open_(
        user: User | None, path: str = "/", *, size: tuple[int, int] = WIDE, scheme: str = "light"
    ) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        contexts.append(context)
        if user is not None:
            context.add_cookies([_session(user, live_server.url)])
        page = context.new_page()
        page.on("console", watch.console)
        page.on("pageerror", lambda error: watch.wrong.append(f"script error: {error}"))
        page.on("response", watch.response)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    _let_requests_end()


def _let_requests_end() -> None:
    """Wait for what the server still answers to a page that is gone: emptying the tables would collide."""
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    until = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(busy)
            if cursor.fetchone() == (0,):
                return
            time.sleep(0.05)


def _session(user: User, url: str) -> Any:
    client = Client()
    client.force_login(user, backend="leadflow.accounts.backends.PeopleBackend")
    return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}


def _findings(page: Page, rules: Sequence[str], *, without: str = "", fresh: bool = False) -> list[str]:
    """What axe finds by these rules; `fresh`: only in what `_REMEMBER` has not seen."""
    if page.evaluate("typeof window.axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(_FINDINGS, [rules, without, fresh])
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"][:3]]


@pytest.fixture
def axe() -> Callable[[Page], list[str]]:
    """The findings of axe (WCAG A and AA) on a page, in words; an empty list is what we want."""
    return lambda page: _findings(page, RULES)


@pytest.fixture
def looks() -> Callable[[Page], list[str]]:
    """What is wrong with a page as it stands, in all its looks: wide and narrow, light and dark.

    The findings of axe and whether it needs sideways scrolling. Afterwards the
    page is wide and light.
    """

    def size(page: Page, pair: tuple[int, int]) -> None:
        page.set_viewport_size({"width": pair[0], "height": pair[1]})

    def run(page: Page) -> list[str]:
        # What a page asks for by itself (counts, notices) belongs to it.
        page.locator(".htmx-request").first.wait_for(state="detached")
        wrong = _findings(page, RULES) + _too_wide(page, "wide")
        page.evaluate(_REMEMBER)
        size(page, NARROW)
        wrong += [f"narrow: {one}" for one in _findings(page, RULES, without=COLOURS)]
        wrong += [f"narrow: {one}" for one in _findings(page, [COLOURS], fresh=True)] + _too_wide(
            page, "narrow"
        )
        page.emulate_media(color_scheme="dark")
        wrong += [f"narrow and dark: {one}" for one in _findings(page, [COLOURS], fresh=True)]
        size(page, WIDE)
        wrong += [f"dark: {one}" for one in _findings(page, [COLOURS])]
        page.emulate_media(color_scheme="light")
        return wrong

    return run


def _too_wide(page: Page, name: str) -> list[str]:
    return [] if _fits(page) else [f"{name}: needs sideways scrolling"]


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.fixture
def fits() -> Callable[[Page], bool]:
    """Whether a page needs no sideways scrolling."""
    return _fits
