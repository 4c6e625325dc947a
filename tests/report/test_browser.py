"""The page of a study in a browser: mouse, keyboard, paper. The screenshot stays in ``build/``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hwnorm.report.page import write_report
from hwnorm.report.study_page import write_study_report

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = playwright.expect
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"
)

BUILD = Path(__file__).parents[2] / "build"
#: The centre of a trial's marker in the window, asked of Plotly's own axes.
POINT = """number => {
  const plot = document.getElementById("plot");
  plot.scrollIntoView();
  const box = plot.getBoundingClientRect();
  const { xaxis: x, yaxis: y } = plot._fullLayout;
  for (const trace of plot.data) {
    const at = (trace.customdata || []).indexOf(number);
    if (at >= 0) {
      return [box.left + x._offset + x.d2p(trace.x[at]), box.top + y._offset + y.d2p(trace.y[at])];
    }
  }
}"""
RING = "() => { const ring = document.getElementById('plot').data.at(-1); return [ring.x, ring.y]; }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # The sandbox refuses to be root's, which containers often are.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(studied: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = shutil.copytree(studied, tmp_path_factory.mktemp("browser") / "bits")
    return write_study_report(folder).as_uri()


@contextmanager
def watched(browser: Any, address: str) -> Iterator[Any]:
    """A page, opened; at the end nothing was complained of, and nothing fetched."""
    opened = browser.new_page(viewport={"width": 1440, "height": 1000})
    complaints, requests = [], []
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(address)
    yield opened
    opened.close()
    assert complaints == []
    fetched = {url.split("#")[0] for url in requests if not url.startswith(("data:", "blob:"))}
    assert fetched == {address}


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with watched(browser, address) as opened:
        opened.wait_for_selector("#plot .points path")
        yield opened


def click_point(page: Any, number: int) -> None:
    x, y = page.evaluate(POINT, number)
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def test_a_click_on_a_point_shows_the_trial_and_its_layers(page: Any) -> None:
    """Begins with the nearest trial; a click on another, on a layer, and its Verilog can be copied."""
    assert page.inner_text("#detail-title") == "Trial 1, on the front: 91.00 %, 120 LUT"
    click_point(page, 4)
    expect(page.locator("#detail-title")).to_have_text("Trial 4: 85.00 %, 180 LUT")
    assert page.evaluate(RING) == [[180], [85]]
    assert page.locator("#trials tr[aria-current]").get_attribute("data-trial") == "4"
    assert page.locator("#layers tbody tr").count() == 2
    assert not page.is_visible("#layer")
    page.click("#layers tr[data-layer='blocks.10.norm2'] td:nth-child(3)")
    assert page.inner_text("#layer-title") == "blocks.10.norm2 of trial 4"
    source = page.locator("#sources details[open] pre")
    expect(source).to_contain_text("module norm_blocks_10_norm2_core;")
    assert "over all 1,024 input codes" in page.inner_text("#certificate")
    assert "HLS bit-exact: yes" in page.inner_text("#checks")
    expect(page.locator("#fit .scatterlayer .trace")).to_have_count(6)
    assert page.locator("#resources tbody tr").count() == 1
    page.click("#sources details[open] .copy")
    expect(page.locator("#said")).to_have_text("Copied")
    page.click("#norm-sources summary")
    expect(page.locator("#norm-sources details[open] pre")).to_contain_text("module layernorm")
    BUILD.mkdir(exist_ok=True)
    page.screenshot(path=BUILD / "report.png", full_page=True)
    assert (BUILD / "report.png").stat().st_size > 50_000


def test_the_layer_stays_chosen_from_trial_to_trial(page: Any) -> None:
    """So that one layer can be followed along the front; a kernel that failed says so."""
    page.click("#layers tr[data-layer='blocks.10.norm2']")
    click_point(page, 3)
    expect(page.locator("#layer-title")).to_have_text("blocks.10.norm2 of trial 3")
    assert page.inner_text("#detail-title").endswith("NOT VERIFIED")
    assert page.inner_text("#checks .no >> nth=0") == "NO"


def test_everything_works_with_the_keyboard(page: Any) -> None:
    """Arrows walk along the front; Enter goes to the trial; rows and layers are buttons."""
    page.focus("#plot")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#detail-title").startswith("Trial 0,")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#detail-title").startswith("Trial 0,")
    page.keyboard.press("End")
    assert page.inner_text("#detail-title").startswith("Trial 1,")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail-title"
    page.focus("#trials tbody button >> nth=0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.inner_text("#detail-title") == "Trial 2 failed"
    assert page.inner_text("#error") == "ToolError: <yosys> stopped & said nothing"
    assert not page.is_visible("#layers")
    page.focus("#trials tbody button >> nth=0")
    page.keyboard.press("Enter")
    page.focus("#layers tbody button >> nth=0")
    page.keyboard.press("Space")
    assert page.inner_text("#layer-title") == "blocks.0.norm1 of trial 0"


def test_tables_sort(page: Any) -> None:
    """By numbers, both ways, by mouse and by keyboard; what has no number comes last."""

    def trials() -> list[str]:
        return page.locator("#trials tbody td.pick").all_inner_texts()

    head = page.locator("#trials thead th", has_text="Top-1")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert trials() == ["4", "0", "1", "3", "2"]
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert trials() == ["3", "1", "0", "4", "2"]
    page.locator("#trials thead button", has_text="Trial").click()
    assert head.get_attribute("aria-sort") is None
    assert trials() == ["0", "1", "2", "3", "4"]


def test_on_paper_the_picture_stands_for_the_plot(page: Any) -> None:
    """The picture instead of the plot, and the whole table."""
    assert not page.is_visible("img.static")
    page.emulate_media(media="print")
    assert page.is_visible("img.static")
    assert not page.is_visible("#plot")
    assert not page.is_visible(".copy >> nth=0")
    whole = (
        "() => { const box = document.querySelector('.trials'); return box.scrollHeight - box.clientHeight; }"
    )
    assert page.evaluate(whole) == 0


def test_an_address_leads_to_a_trial(page: Any, address: str) -> None:
    """The address follows what is chosen, and can be sent to a colleague."""
    page.click("#trials tr[data-trial='4'] button")
    assert page.url == f"{address}#trial=4"
    page.reload()
    assert page.inner_text("#detail-title").startswith("Trial 4:")
    assert page.evaluate("window.scrollY") == 0


def test_without_javascript_picture_and_tables_stay(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(address)
    assert opened.is_visible("img.static")
    assert not opened.is_visible("#plot")
    assert opened.locator("#trials tbody tr").count() == 5
    assert "shown by JavaScript, which is off" in opened.inner_text("body")
    context.close()


def test_the_page_of_a_run_sorts_too(browser: Any, run: Path) -> None:
    """By the cost of the kernels; a link opens its layer."""
    write_report(run)
    with watched(browser, (run / "report.html").as_uri()) as opened:
        head = opened.locator("table.sortable >> nth=0").locator("thead th", has_text="LUT")
        head.locator("button").click()
        names = opened.locator("td.name")
        assert names.all_inner_texts() == ["blocks.10.norm2", "blocks.0.norm1"]
        names.nth(0).locator("a").click()
        expect(opened.locator("details.layer[open]")).to_have_count(2)
