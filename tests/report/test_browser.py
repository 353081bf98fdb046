"""The report in a real browser: it draws, it moves, it asks nobody for anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetlora.records import open_run
from fleetlora.report import build_report
from fleetlora.report.figures import all_figures
from tests.report.synthetic import City, make_run

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1280,1000"
)
HOSTILE = "</script><img src=x onerror=alert(1)><b>b"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no Chromium with its chromedriver found"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    driver.set_page_load_timeout(120)
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


def show(browser: Any, page: Path, width: int = 1280, dark: bool = False) -> None:
    """Open ``page`` and wait until its figures are drawn."""
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    drawn = "return document.documentElement.getAttribute('data-figures') === 'drawn'"
    WebDriverWait(browser, 120).until(lambda b: b.execute_script(drawn))


def requested(browser: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "blob:", "chrome:"))]


def positions(browser: Any) -> list[list[float | None]]:
    found: list[list[float | None]] = browser.execute_script(
        "return document.getElementById('map-canvas').positions()"
    )
    return found


def text(browser: Any, name: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).textContent", name))


def slide(browser: Any, frame: float) -> None:
    browser.execute_script(
        "const s = document.getElementById('map-slider'); s.value = arguments[0];"
        " s.dispatchEvent(new Event('input'));",
        frame,
    )


def test_the_report_opens_without_an_error_and_asks_nobody_for_anything(browser: Any, reported: Path) -> None:
    page = reported / "report.html"
    show(browser, page)
    assert browser.get_log("browser") == []
    assert requested(browser) == [page.as_uri()]


def test_every_figure_is_drawn_with_its_data(browser: Any, reported: Path) -> None:
    show(browser, reported / "report.html")
    for figure in all_figures(open_run(reported)):
        shapes = browser.execute_script(
            "const f = document.getElementById('figure-' + arguments[0]);"
            " return [...f.querySelectorAll('.scatterlayer .trace path.js-line, .barlayer .point path')]"
            ".filter(p => p.getBBox().width + p.getBBox().height > 0).length",
            figure.name,
        )
        bars = sum(int((series.y > 0).sum()) for series in figure.series if series.mark == "bar")
        assert shapes >= (bars or sum(series.in_legend for series in figure.series if not series.dashed)), (
            figure.name
        )


def test_labels_of_a_figure_do_not_overlap(browser: Any, reported: Path) -> None:
    for width in (1280, 400):
        show(browser, reported / "report.html", width=width)
        overlapping = browser.execute_script("""
            const found = [];
            for (const figure of document.querySelectorAll('.figure')) {
              const words = [...figure.querySelectorAll('.xtick text, .ytick text, .legendtext, .xtitle, .ytitle')];
              const boxes = words.map((word) => [word.textContent, word.getBoundingClientRect()]);
              boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
                const apart = a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
                if (!apart) found.push(`${figure.id}: ${one} / ${other}`);
              }));
            }
            return found;""")  # noqa: E501
        assert overlapping == []


def test_the_map_moves_with_the_slider(browser: Any, reported: Path) -> None:
    show(browser, reported / "report.html")
    before, clock = positions(browser), text(browser, "map-clock")
    assert clock == "0 min 00 s · round 0"
    picture = "return document.getElementById('map-canvas').toDataURL()"
    first = browser.execute_script(picture)
    slide(browser, 50.5)
    after = positions(browser)
    moved = [a != b for a, b in zip(before, after, strict=True)]
    assert sum(moved) > 0.9 * len(moved)
    assert text(browser, "map-clock") == "12 min 15 s · round 24"
    assert browser.execute_script(picture) != first
    served = int(text(browser, "map-served"))
    assert 0 < served <= int(text(browser, "map-present")) == 200


def test_vehicles_that_left_are_not_drawn(browser: Any, reported: Path) -> None:
    show(browser, reported / "report.html")
    slide(browser, 99)
    world = open_run(reported).map()
    assert world is not None
    left = sum(x is None or x != x for x, _ in positions(browser))
    assert left == int((world.x_m[:, -1] != world.x_m[:, -1]).sum()) > 0
    assert int(text(browser, "map-handoffs")) == len(world.handoff_t_s)


def test_the_map_plays_and_pauses(browser: Any, reported: Path) -> None:
    show(browser, reported / "report.html")
    press = "document.getElementById('map-play').click()"
    value = "return Number(document.getElementById('map-slider').value)"
    before = positions(browser)
    browser.execute_script(press)
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(value) > 0.5)
    browser.execute_script(press)
    stopped = browser.execute_script(value)
    assert positions(browser) != before
    frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(true)))"
    assert browser.execute_async_script(frames)
    assert browser.execute_script(value) == stopped


def test_the_map_zooms_moves_and_comes_back(browser: Any, reported: Path) -> None:
    show(browser, reported / "report.html")
    before = positions(browser)
    browser.execute_script("document.getElementById('map-in').click()")
    assert positions(browser) != before
    browser.execute_script("document.getElementById('map-fit').click()")
    assert positions(browser) == before


def test_pointing_at_a_unit_names_it(browser: Any, reported: Path) -> None:
    show(browser, reported / "report.html")
    told = browser.execute_script("""
        const canvas = document.getElementById('map-canvas'), box = canvas.getBoundingClientRect();
        const at = (x, y) => ({clientX: box.left + x, clientY: box.top + y});
        for (let y = 0; y < box.height; y += 6) for (let x = 0; x < box.width; x += 6) {
          canvas.dispatchEvent(new PointerEvent('pointermove', at(x, y)));
          const tip = document.getElementById('map-tip');
          if (!tip.hidden && tip.textContent.startsWith('Plac')) return tip.textContent;
        }
        return '';""")
    assert told.startswith("Plac ")
    assert "vehicles now" in told


@pytest.mark.parametrize("dark", [False, True])
def test_the_report_fits_a_narrow_screen(browser: Any, reported: Path, dark: bool) -> None:
    show(browser, reported / "report.html", width=400, dark=dark)
    sizes = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    wide, seen = browser.execute_script(sizes)
    assert wide <= seen <= 400
    slide(browser, 20)
    assert any(x is not None and 0 < x < 400 for x, _ in positions(browser))
    assert browser.get_log("browser") == []


def test_a_dark_page_has_dark_figures(browser: Any, reported: Path) -> None:
    colour = (
        "return getComputedStyle(document.querySelector('#figure-energy .xtick text')).fill + ' on '"
        " + getComputedStyle(document.querySelector('#energy')).backgroundColor"
    )
    show(browser, reported / "report.html")
    assert browser.execute_script(colour) == "rgb(27, 37, 48) on rgb(255, 255, 255)"
    show(browser, reported / "report.html", dark=True)
    assert browser.execute_script(colour) == "rgb(230, 234, 239) on rgb(26, 33, 41)"


def test_hostile_names_stay_names(browser: Any, tmp_path: Path) -> None:
    city = City(
        tasks=(HOSTILE, "b"),
        vehicles=40,
        rounds=4,
        frames=8,
        preset=HOSTILE,
        unit_name=HOSTILE,
        vehicle_name=HOSTILE,
    )
    show(browser, build_report(make_run(tmp_path / "run", city)))
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert browser.execute_script("return document.querySelector('h1').textContent") == HOSTILE
    legend = browser.execute_script("return document.querySelector('#figure-energy .legendtext').textContent")
    assert legend == HOSTILE
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(
    "city",
    [City(tasks=("a",), rounds=0), City(tasks=("a",), vehicles=30, rounds=3, all_lost=True, budget_j=None)],
    ids=["no round", "nothing delivered"],
)
def test_a_run_with_little_to_show_opens_without_an_error(browser: Any, tmp_path: Path, city: City) -> None:
    show(browser, build_report(make_run(tmp_path / "run", city, finish=False)))
    assert browser.get_log("browser") == []
    slide(browser, 10)
    assert any(x is not None for x, _ in positions(browser))
