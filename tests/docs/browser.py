"""A real browser for tests of pages: a tab that notes complaints and requests, and the contrast of what it shows."""

import os
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1000, "height": 800}
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; Debian's package chromium has it")

COLOURS = """all => all.map(one => {
    const clear = "rgba(0, 0, 0, 0)", dark = matchMedia("(prefers-color-scheme: dark)").matches;
    let under = one;
    while (under && getComputedStyle(under).backgroundColor === clear) under = under.parentElement;
    const style = getComputedStyle(one);
    const paper = under ? getComputedStyle(under).backgroundColor : dark ? "rgb(18, 18, 18)" : "rgb(255, 255, 255)";
    return [one.closest("svg") ? style.fill : style.color, paper];
})"""


@contextmanager
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright; it is in the extra [dev]")
    with sync_api.sync_playwright() as driver:
        # a root user, as in containers, has no sandbox
        options = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


class Tab:
    """A page in a tab, with all that it complained about or asked for."""

    def __init__(self, browser, file, viewport=DESK, scheme="light"):
        self.tab = browser.new_page(viewport=viewport, color_scheme=scheme)
        self.complaints, self.asked = [], []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(file.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tab.close()


def contrast(one, other):
    """Of two colours, as WCAG 2 defines it."""

    def luminance(colour):
        parts = np.asarray(colour, dtype=float) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def colours_of(tab, selector):
    """Of the text and of what lies under it, for all elements that are shown."""
    for pair in tab.eval_on_selector_all(selector, COLOURS):
        yield tuple([int(part) for part in re.findall(r"\d+", one)[:3]] for one in pair)
