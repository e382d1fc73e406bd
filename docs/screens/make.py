"""Take the pictures of docs/screens from a running demo company: `make screens`.

Needs a LeadFlow with the demo company at the address given (default http://localhost:8000) and a Chromium.
Each picture is one screen of one person: name, login, address, width, colours.
"""

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))
from tests import chromium  # noqa: E402 - the repository is not installed as a package

PASSWORD = "leadflow-demo"  # noqa: S105 - the demo company's, shown on its login page
WIDE, NARROW = (1440, 900), (390, 844)
# name of the picture, who, address, size, colours
SCREENS = [
    ("login", "", "/login/", WIDE, "light"),
    ("home-marketer", "mia", "/", WIDE, "light"),
    ("home-rep", "sam", "/", WIDE, "light"),
    ("home-manager", "rosa", "/", WIDE, "light"),
    ("queue", "sam", "/queue/", WIDE, "light"),
    ("queue", "sam", "/queue/", WIDE, "dark"),
    ("queue", "sam", "/queue/", NARROW, "light"),
    ("leads", "mia", "/leads/?sort=-score", WIDE, "light"),
    ("mqls", "mia", "/mqls/", WIDE, "light"),
    ("agreement", "mia", "/agreement/", WIDE, "light"),
    ("definitions", "mia", "/agreement/definitions/", WIDE, "light"),
    ("who-moves", "mia", "/agreement/moves/", WIDE, "light"),
    ("who-moves", "mia", "/agreement/moves/", NARROW, "dark"),
    (
        "try-a-lead",
        "mia",
        "/agreement/try/?imaginary=1&f.title=VP+Operations&a0.kind=demo_requested",
        WIDE,
        "light",
    ),
    ("backtest", "mia", "/agreement/backtest/", WIDE, "light"),
    ("advice", "mia", "/agreement/advice/", WIDE, "light"),
    ("workshop", "mia", "/agreement/workshops/1/", WIDE, "light"),
    ("sign-off", "rosa", "/agreement/sign/", WIDE, "light"),
    ("board", "rosa", "/queue/board/", WIDE, "light"),
    ("feedback", "mia", "/feedback/", WIDE, "light"),
    ("reports", "rosa", "/reports/", WIDE, "light"),
    ("conversion", "rosa", "/reports/conversion/", WIDE, "light"),
    ("settings", "admin", "/settings/people/", WIDE, "light"),
]
# The lead page shows the best lead of the list.
LEAD = [("mia", WIDE, "light"), ("mia", WIDE, "dark"), ("sam", NARROW, "light")]


def shoot(page: Page, name: str, size: tuple[int, int], colours: str) -> None:
    """Wait until the page is quiet and keep its picture as NAME[-dark]-WIDTH.png."""
    page.wait_for_load_state("networkidle")
    page.evaluate("document.fonts.ready")
    file = f"{name}{'-dark' if colours == 'dark' else ''}-{size[0]}.png"
    page.screenshot(path=str(HERE / file))
    print(f"docs/screens/{file}")  # noqa: T201


def signed_in(browser: Browser, base: str, who: str, size: tuple[int, int], colours: str) -> Page:
    """A page of this person; a stranger's for an empty name."""
    context = browser.new_context(
        base_url=base,
        viewport={"width": size[0], "height": size[1]},
        color_scheme=colours,  # type: ignore[arg-type]
        reduced_motion="reduce",
        device_scale_factor=2 if size == NARROW else 1,
    )
    page = context.new_page()
    if who:
        page.goto("/login/")
        page.locator("#id_username").fill(who)
        page.locator("#id_password").fill(PASSWORD)
        page.locator("form.form button[type=submit]").click()
        page.wait_for_url(f"{base}/")
    return page


def main(base: str) -> int:
    """Shoot everything; 1 when there is no Chromium."""
    found = chromium.path()
    if found is None:
        print("No Chromium on this machine.", file=sys.stderr)  # noqa: T201
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for name, who, path, size, colours in SCREENS:
            page = signed_in(browser, base, who, size, colours)
            page.goto(path)
            shoot(page, name, size, colours)
            page.context.close()
        for who, size, colours in LEAD:
            page = signed_in(browser, base, who, size, colours)
            page.goto("/leads/?stage=sql&sort=-score")
            page.locator(".lf-leads a.who").first.click()
            page.wait_for_url("**/leads/*/")
            shoot(page, "lead", size, colours)
            page.context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000"))
