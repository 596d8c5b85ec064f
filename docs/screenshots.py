"""The screenshots in docs/images, of a demo that runs:

python3 run.py demo
.venv/bin/python docs/screenshots.py http://127.0.0.1:8000
"""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def main(site: str) -> None:
    """Make all of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--hide-scrollbars"])
        with user(browser, site, "ada", 1200, 940) as page:
            if page.locator("ul.sketches form[action*=throw-away]").count() == 0:
                page.get_by_role("button", name="Draw a sketch").click()
                page.get_by_role("button", name="+600 views").first.click()
            show(page, site)
            page.screenshot(path=IMAGES / "site.png")
        with user(browser, site, "ada", 1000, 800) as page:
            show(page, f"{site}/badges/mine/")
            page.screenshot(path=IMAGES / "shelf.png", full_page=True)
        with user(browser, site, "admin site", 1440, 800) as page:
            show(page, f"{site}/admin/badges/badgedefinition/")
            page.screenshot(path=IMAGES / "admin.png")
        with user(browser, site, "ada", 375, 760) as page:
            shots = [shot(page, site, path) for path in ("/badges/mine/", "/badges/", "/badges/leaderboard/")]
            page.emulate_media(color_scheme="dark")
            shots.append(shot(page, site, "/badges/badge/first-sketch/"))
            page.emulate_media(color_scheme="light")
            page.set_viewport_size({"width": 4 * 375 + 5 * 20, "height": 800})
            images = "".join(f'<img src="data:image/png;base64,{shot}">' for shot in shots)
            style = "margin: 20px; display: flex; gap: 20px; background: #d5d9e2"
            page.set_content(f'<body style="{style}">{images}')
            page.screenshot(path=IMAGES / "mobile.png")
        browser.close()


@contextmanager
def user(browser: Browser, site: str, name: str, width: int, height: int) -> Iterator[Page]:
    """A page of that size, logged in as that user of the demo."""
    page = browser.new_page(viewport={"width": width, "height": height}, locale="en")
    page.goto(site)
    page.get_by_role("button", name=name, exact=True).click()
    yield page
    page.close()


def show(page: Page, address: str) -> None:
    """Open a page, and wait for its pictures and for toasts to be visible."""
    page.goto(address)
    page.wait_for_timeout(1000)


def shot(page: Page, site: str, path: str) -> str:
    """What is visible of a page, in base64."""
    show(page, f"{site}{path}")
    return base64.b64encode(page.screenshot()).decode()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
