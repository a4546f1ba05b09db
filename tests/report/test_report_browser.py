"""The page in a real browser: it opens alone, shows everything, and takes mouse, keyboard and printer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from benchmarks.report import big_report
from esb_e2e_plugin.reporting.report import files
from esb_e2e_plugin.reporting.report.records import Report
from tests.report.chromium import complaints, requested
from tests.report.report_project import BAD, BROKEN, GOOD, ReportedRun

pytestmark = pytest.mark.browser

_SECONDS = 20
_LARGEST = 20_000_000
# Every colour of a canvas that is not see-through, once.
_COLOURS = """
const canvas = arguments[0], found = new Set();
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
for (let at = 0; at < data.length; at += 4)
  if (data[at + 3] === 255) found.add(data.slice(at, at + 3).join());
return [...found];
"""
_ROWS = """
return [...document.querySelectorAll(".grid .row:not(.header) .what")].map((one) => one.textContent);
"""
# Contrast by WCAG 2.2 of each kind of text to what is behind it.
_CONTRASTS = """
const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const light = (text) => {
  const [red, green, blue] = text.match(/[\\d.]+/g).map((part) => linear(part / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const ground = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$|transparent/.test(ground)) return ground;
  }
  return "rgb(255,255,255)";
};
const kinds = ".badge, .cell, .took, .glyph, .why b, .why p, .chip, .facts, .legend, .mode, .where";
const found = {};
for (const element of document.querySelectorAll(kinds)) {
  const pair = [light(getComputedStyle(element).color), light(behind(element))];
  const name = `${element.className} in ${element.parentElement.className}`;
  found[name] = Math.min(found[name] || 99, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05));
}
return found;
"""


class Page:
    """The page of a report, open in a browser."""

    def __init__(self, browser: Chrome, path: Path) -> None:
        self.browser = browser
        self.path = path

    def open(self, fragment: str = "") -> None:
        """Open it anew, at a place of it."""
        self.browser.get("about:blank")
        requested(self.browser)
        complaints(self.browser)
        self.browser.get(self.path.as_uri() + fragment)
        assert self.browser.execute_script("return document.documentElement.dataset.ready") == "true"

    def one(self, selector: str) -> WebElement:
        """Return the first element that fits."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements that fit."""
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, where the focus is."""
        ActionChains(self.browser).send_keys(*keys).perform()

    def until(self, selector: str) -> WebElement:
        """Wait until an element is there and can be seen, and return it."""
        wait: WebDriverWait[Chrome] = WebDriverWait(self.browser, _SECONDS)
        return wait.until(lambda _: next((e for e in self.all(selector) if e.is_displayed()), None))  # type: ignore[return-value]

    def wait(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened."""
        WebDriverWait(self.browser, _SECONDS).until(lambda _: happened())

    def colours(self, canvas: WebElement) -> set[str]:
        """Return the colours of a canvas."""
        return set(self.browser.execute_script(_COLOURS, canvas))

    def rows(self) -> list[str]:
        """Return the tests that the grid shows."""
        return list(self.browser.execute_script(_ROWS))

    def media(self, **features: str) -> None:
        """Let the browser say what its user prefers."""
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": given})


@pytest.fixture
def page(chrome: Chrome, reported: ReportedRun) -> Iterator[Page]:
    """The page of the real run."""
    made = Page(chrome, reported.html)
    made.open()
    yield made
    made.media()


def test_the_page_asks_for_nothing_and_complains_of_nothing(page: Page) -> None:
    """It opens without a network, and its own policy forbids any other script and style."""
    assert [url for url in requested(page.browser) if not url.startswith(("file:", "data:"))] == []
    assert complaints(page.browser) == []
    page.browser.execute_script(
        "const s = document.createElement('script'); s.text = 'window.strange = 1'; document.body.append(s)"
    )
    assert page.browser.execute_script("return window.strange") is None
    assert complaints(page.browser) != []


def test_the_first_screen_says_what_failed_and_why(page: Page) -> None:
    """The verdict, and for each environment its phases and the cause of its failure."""
    assert page.one("h1").text == "3 of 3 environments failed · 12 of 25 tests failed"
    cards = {card.get_attribute("data-environment"): card.text for card in page.all(".card")}
    assert list(cards) == [GOOD, BAD, BROKEN]
    assert "Failed in deploy · deploy step" in cards[BROKEN]
    assert "the stock cannot be loaded" in cards[BROKEN]
    assert "8 errors" in cards[BROKEN]
    assert "A test failed" in cards[BAD]  # whichever was first


def test_the_time_line_shows_phases_services_and_tests(page: Page) -> None:
    """Each environment has a line, in words too, that the pointer explains and keys zoom."""
    canvases = {
        canvas.get_attribute("data-environment"): canvas for canvas in page.all("#timeline canvas[tabindex]")
    }
    assert list(canvases) == [GOOD, BAD, BROKEN]
    assert {len(page.colours(canvas)) > 8 for canvas in canvases.values()} == {True}
    said = canvases[BROKEN].get_attribute("aria-label") or ""
    assert said.startswith(f"{BROKEN}: reset ")
    assert "deploy" in said
    assert said.count("failed") == 1
    canvas = canvases[GOOD]
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    seen = set()
    for step in range(-9, 10):
        ActionChains(page.browser, duration=0).move_to_element_with_offset(
            canvas, step * 45, 14 - canvas.size["height"] // 2
        ).perform()
        if page.one("#tip").is_displayed():
            seen.add(page.one("#tip b").text)
    assert {"compose", "test"} <= seen
    before = page.browser.execute_script("return arguments[0].toDataURL()", canvas)
    page.browser.execute_script("arguments[0].focus()", canvas)
    page.press("+", "+", Keys.ARROW_RIGHT)
    assert page.browser.execute_script("return arguments[0].toDataURL()", canvas) != before
    page.press("0")
    assert page.browser.execute_script("return arguments[0].toDataURL()", canvas) == before


def test_the_logs_of_a_failed_test_are_two_clicks_away(page: Page) -> None:
    """One click on its cell, one on its logs; what they say is text, whatever it looks like."""
    page.one(".cell.failed").click()
    page.until("#panel .jump .chip:nth-of-type(2)").click()
    logs = page.until("#panel [data-section='esb logs'] pre")
    assert "POST /api/echo 200" in logs.text
    assert "echo was called" in logs.text
    requests = page.one("#panel [data-section='esb requests'] pre").text
    assert "sent: </script><b>the till is closed</b>" in requests
    assert page.one("#panel h2").text == "test_till[second]"
    titles = [details.get_attribute("data-section") for details in page.all("#panel details")]
    assert titles == ["esb requests", "esb logs", "esb containers", "Traceback", "Captured stdout call"]
    assert "the till does not open" in page.one("#panel [data-section=Traceback] pre").text
    assert [chip.text.split()[1] for chip in page.all("#panel .chips .chip")] == [GOOD, BROKEN]


def test_an_environment_shows_its_phases_steps_services_and_log(page: Page) -> None:
    """Its card opens everything that is known of it."""
    page.one(f".card[data-environment={BROKEN}]").click()
    text = page.until("#panel .panel-body").text
    for part in (
        "Phases",
        "Steps and commands",
        "deploy: hooks",
        "Services",
        "gateway",
        "8 failed tests",
    ):
        assert part in text
    assert "the stock cannot be loaded" in page.one("#panel details pre").text


def test_the_keyboard_reaches_everything(page: Page) -> None:
    """Arrows move in the grid, Enter opens, Escape closes, n goes to the next failure, / to the search."""
    page.browser.execute_script("document.querySelector('.grid').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page.one(".current").get_attribute("data-outcome") == "failed"
    page.press(Keys.ENTER)
    assert page.until("#panel h2").text == "test_till[second]"
    page.press("n")
    assert page.one("#panel h2").text == "test_stock"
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.one("#panel").is_displayed())
    page.wait(lambda: page.browser.execute_script("return document.activeElement.className === 'grid keys'"))
    page.press("/", "arith")
    page.wait(lambda: page.rows() == ["test_arithmetic"])
    page.press(Keys.ESCAPE)
    page.wait(lambda: len(page.rows()) == 9)


def test_filters_narrow_the_grid_and_the_time_line(page: Page) -> None:
    """Outcomes and environments combine; what hides everything says so."""
    page.one("[data-filter=crashed]").click()
    assert page.rows() == ["test_crash"]
    page.one(f"[data-filter={GOOD}]").click()
    assert page.rows() == []
    assert page.one(".grid .empty").text == "No test matches."
    assert [track.text.split()[1] for track in page.all(".track:not(.axis)") if track.is_displayed()] == [
        GOOD
    ]
    page.one(f"[data-filter={BAD}]").click()
    assert page.rows() == ["test_crash"]


def test_a_link_leads_to_a_test_or_an_environment(page: Page, reported: ReportedRun) -> None:
    """An address with a test or an environment opens it, and closing leads back."""
    test = reported.test(f"test_crash[{BAD}]")
    page.open(f"#test={quote(test.id)}")
    assert page.until("#panel h2").text == "test_crash"
    assert "crashed while running" in page.one("#panel .why").text
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.browser.execute_script("return location.hash") == "")
    page.open(f"#environment={BROKEN}")
    assert page.until("#panel h2").text == BROKEN


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(page: Page, theme: str) -> None:
    """The page follows the system, and every text stands out from what is behind it (WCAG 2.2 AA: 4.5)."""
    page.media(prefers_color_scheme=theme)
    page.open()
    ground = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(15, 19, 24)"}[theme]
    contrasts = page.browser.execute_script(_CONTRASTS)
    assert len(contrasts) > 20
    assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


def test_a_narrow_window_needs_no_sideways_scrolling(page: Page) -> None:
    """Only the grid and the outcomes scroll sideways, in their own frames."""
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.open()
        width = page.browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= size["width"]
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_paper_has_every_failure(page: Page) -> None:
    """Printed, the page lists failed tests with what is known of them, in light colours."""
    page.media(prefers_color_scheme="dark")
    printed = base64.b64decode(page.browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    text = page.browser.execute_script("return document.getElementById('printed').textContent")
    for part in (
        f"test_till[{BAD}-second]",
        "the till does not open",
        "the till is closed",
        f"test_crash[{BAD}]",
    ):
        assert part in text


def test_a_big_report_stays_small_and_opens(chrome: Chrome, tmp_path: Path) -> None:
    """5,000 tests on 8 environments: every row can be reached, only those in sight are there."""
    path = tmp_path / "big.html"
    files.write(big_report(), path)
    assert path.stat().st_size < _LARGEST
    page = Page(chrome, path)
    page.open()
    assert complaints(chrome) == []
    assert 10 < len(page.rows()) < 100
    chrome.execute_script("document.querySelector('.grid').focus()")
    page.press(Keys.END)
    last = page.one(".current").find_element(By.XPATH, "..")
    assert last.get_attribute("aria-rowindex") == "5001"
    assert last.is_displayed()
    assert {len(page.colours(canvas)) > 6 for canvas in page.all("#timeline canvas[tabindex]")} == {True}


def test_merged_reports_show_all_runs(chrome: Chrome, reported: ReportedRun, tmp_path: Path) -> None:
    """The shards of a CI run stand side by side, and a test that ran twice shows both."""
    again = replace(reported.run, id="another", started=reported.run.started + 100)
    path = tmp_path / "merged.html"
    files.write(Report(runs=(reported.run, again)), path)
    page = Page(chrome, path)
    page.open()
    assert complaints(chrome) == []
    assert len(page.all(".card")) == 6
    assert page.one(".cell.failed").text.endswith("2")
    page.one(".cell.failed").click()
    assert "another" in page.until("#panel .panel-body").text
