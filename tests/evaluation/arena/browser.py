"""A headless Chromium that opens a page from disk, saves what it exports, and has no network to miss."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 60.0

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="the page is tested in Chromium: install chromium and chromedriver (Debian: chromium-driver)",
)


@contextmanager
def chromium(home: Path) -> Iterator[Chrome]:
    """A browser whose profile lies in `home`."""
    assert CHROMIUM is not None
    assert DRIVER is not None
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={home / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


def open_page(driver: Chrome, page: Path, home: Path) -> None:
    """The page as one sees it for the first time, on a desktop's screen; it saves into `home`/downloads."""
    saved = {"behavior": "allow", "downloadPath": str(home / "downloads")}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", saved)
    show_as(driver)
    set_screen(driver, 1280, 800)
    driver.get(page.as_uri())
    driver.execute_script("localStorage.clear()")
    driver.refresh()
    driver.get_log("browser")


def set_screen(driver: Chrome, width: int, height: int, phone: bool = False) -> None:
    screen = {"width": width, "height": height, "deviceScaleFactor": 3 if phone else 1, "mobile": phone}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def show_as(driver: Chrome, scheme: str = "light") -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def one(driver: Chrome, selector: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, selector)


def downloaded(home: Path, name: str) -> Path:
    """The file, once the browser has written all of it under its name."""
    file, until = home / "downloads" / name, time.monotonic() + PATIENCE
    while not file.is_file():
        assert time.monotonic() < until, f"{name} was never saved; there is {list(home.glob('downloads/*'))}"
        time.sleep(0.05)
    return file
