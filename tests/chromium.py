"""Find a Chromium for the browser tests, or install one: `python -m tests.chromium`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def path() -> str | None:
    """The executable of a Chromium on this machine; CHROMIUM names one. None when there is none."""
    named = os.environ.get("CHROMIUM")
    found = next((each for each in (named, *map(shutil.which, NAMES)) if each and Path(each).exists()), None)
    # Asking Playwright takes seconds: only where the machine has none.
    return found or _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def _ways() -> list[list[list[str]]]:
    """The ways to install one, each a list of commands, best first."""
    debian: list[list[list[str]]] = []
    if os.geteuid() == 0 and shutil.which("apt-get"):
        debian = [
            [
                ["apt-get", "update", "-qq"],
                [
                    "apt-get",
                    "install",
                    "-y",
                    "-qq",
                    "--no-install-recommends",
                    "chromium",
                    "fonts-dejavu-core",
                ],
            ]
        ]
    return [*debian, [[sys.executable, "-m", "playwright", "install", "chromium"]]]


def install() -> str | None:
    """Try each way until there is a Chromium."""
    for way in _ways():
        print(f"Installing a Chromium: {way[-1][0]} …", flush=True)  # noqa: T201
        if all(_runs(command) for command in way) and (found := path()):
            return found
    return None


def _runs(command: list[str]) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, check=False).returncode == 0


if __name__ == "__main__" and not (path() or install()):
    print("*** No Chromium could be had: the browser tests will NOT run. ***", file=sys.stderr)  # noqa: T201
    sys.exit(os.environ.get("CI") == "true")
