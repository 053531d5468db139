"""The site in a real browser, Chromium without a window: what a reader does, with every error of a script failing the test."""

from __future__ import annotations

import csv
import io
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from site_records import HOSTILE, SCRIPT, record, records

from tlbench import site

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("TLBENCH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
SIZES = {
    "phone": {"width": 390, "height": 800},
    "desktop": {"width": 1280, "height": 900},
    "wide": {"width": 1920, "height": 1080},
}
AT_A_DESK = pytest.mark.parametrize("page", ["desktop"], indirect=True)
SHOWN = "<img src=x onerror=alert(1)>\\x1b[31m\\u202e\"'&"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium on the path; install it (Debian: chromium) or name it in TLBENCH_CHROMIUM")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; it is in the extra `dev`")
    with driver.sync_playwright() as started:
        # root has no sandbox; the pages are our own, from the disk, and may load nothing else
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        opened = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    slower = [record("late", 0.4 + seed / 100, seed, notes=(SCRIPT,), reason=SCRIPT) for seed in range(3)]
    site.build_site([*records(), *slower, *records(SCRIPT)], out)
    return out


@pytest.fixture(params=["phone", "desktop"])
def page(browser, request) -> Iterator[Any]:
    """A page on a phone and on a desk; errors of scripts, complaints of the console and requests elsewhere fail the test."""
    scheme = "light" if request.param == "desktop" else "dark"
    context = browser.new_context(viewport=SIZES[request.param], color_scheme=scheme, accept_downloads=True)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url))
    # a download ends its request as a failed one
    opened.on("requestfailed", lambda asked: None if asked.url.endswith(".csv") else wrong.append(f"failed: {asked.url}"))
    yield opened
    context.close()
    assert wrong == []


def names(page: Any, table: str) -> list[str]:
    return page.locator(f"#{table} tbody tr:not(.group):not([hidden]) th").all_inner_texts()


def sorted_by(page: Any, table: str, column: str, order: str = "ascending") -> list[str]:
    page.locator(f"#{table} thead button", has_text=column).first.click()
    page.wait_for_selector(f"#{table} thead th[aria-sort={order}]")
    return names(page, table)


def test_open_sort_filter_follow_and_download(page, folder):
    page.goto((folder / "index.html").as_uri())
    page.locator("#suites-table").get_by_role("link", name="toy v1", exact=True).click()
    page.wait_for_selector("#table-0.ready")
    worst_first = ["dann", "source_only", SHOWN]
    assert sorted(names(page, "table-0")) == sorted([*worst_first, "late"])

    up = sorted_by(page, "table-0", "accuracy")
    assert [name for name in up if name != "late"] == worst_first  # late has one of two pairs, so it has no mean
    assert page.locator("#table-0 thead th[aria-sort=ascending]").inner_text().strip().startswith("accuracy")
    down = sorted_by(page, "table-0", "accuracy", "descending")
    assert [name for name in down if name != "late"] == worst_first[::-1]

    search = page.locator("#table-0-tools input")
    search.fill("dann")
    assert names(page, "table-0") == ["dann"]
    assert page.locator("#table-0-tools [role=status]").inner_text() == "1 of 4 rows"
    search.fill("")
    assert len(names(page, "table-0")) == 4

    page.locator("#table-1-details > summary").click()
    with page.expect_download() as started:
        page.locator("#table-1-tools a", has_text="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(started.value.path()).read_text(encoding="utf-8"))))
    assert {row["entry"] for row in rows} == {*worst_first, "late"}

    page.locator("#table-0 tbody th a", has_text="dann").click()
    assert page.url.endswith("/records/toy-v1/dann.html")
    assert page.locator("#records tbody tr").count() == 6
    page.locator("#records tbody th a").nth(3).click()
    assert page.locator("#case-3 pre").is_visible() and '"seed": 0' in page.locator("#case-3 pre").inner_text()
    page.get_by_role("link", name="dann", exact=True).click()
    assert page.get_by_role("heading", name="Where it is better, where it is worse").is_visible()


@AT_A_DESK
def test_numbers_sort_as_numbers_and_verdicts_by_their_meaning(page, folder):
    page.goto((folder / "suites" / "toy-v1.html").as_uri())
    order = [name for name in sorted_by(page, "table-0", "verdict") if name in ("dann", SHOWN)]
    assert order == ["dann", SHOWN]  # worse before better, as -1 before 1
    page.goto((folder / "records" / "toy-v1" / "dann.html").as_uri())
    sorted_by(page, "records", "seed")
    seeds = page.locator("#records tbody tr td:nth-child(2)").all_inner_texts()
    assert seeds == sorted(seeds) and len(seeds) == 6


@AT_A_DESK
def test_a_hostile_name_is_text_everywhere(page, folder):
    for path in sorted(folder.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.locator("main img[src=x]").count() == 0
        assert page.evaluate("[...document.scripts].filter(one => !one.src).length") <= 1
    page.goto((folder / "suites" / "toy-v1.html").as_uri())
    link = page.locator("#table-0 tbody th a", has_text="onerror")
    assert link.inner_text() == SHOWN
    link.click()
    assert SHOWN in page.locator("h1").inner_text() and HOSTILE != SHOWN


@AT_A_DESK
def test_the_keyboard_reaches_everything(page, folder):
    page.goto((folder / "suites" / "toy-v1.html").as_uri())
    page.wait_for_selector("#table-0.ready")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    page.locator("#table-0-tools input").focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('thead th')?.textContent.includes('accuracy') ?? false"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#table-0 thead th[aria-sort=ascending]")


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_nothing_is_cut_off_at_any_width(page, folder, tmp_path):
    for number, path in enumerate(("index.html", "suites/toy-v1.html", "methods/dann.html", "records/toy-v1/dann.html")):
        page.goto((folder / path).as_uri())
        page.wait_for_selector("table.ready")
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= seen, path  # wide tables and pictures scroll in their own boxes
        ink, paper = page.evaluate("(style => [style.color, style.backgroundColor])(getComputedStyle(document.body))")
        assert contrast(ink, paper) >= 4.5, path
        page.screenshot(path=tmp_path / f"{number}.png", full_page=True)
        assert (tmp_path / f"{number}.png").stat().st_size > 5_000
    for picture in page.locator("main img").all():
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")


def test_axe_core_finds_no_barrier(page, folder):
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed; it is in `dev`")
    script = Path(axe.AXE_FILE_PATH).read_text(encoding="utf-8")
    pages = ("index.html", "statistics.html", "suites/toy-v1.html", "methods/dann.html", "records/toy-v1/dann.html")
    for path in pages:
        page.goto((folder / path).as_uri())
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        page.evaluate(script)
        violations = page.evaluate("axe.run(document, { preload: false }).then((result) => result.violations)")
        assert not violations, (path, [(one["id"], one["nodes"][0]["html"]) for one in violations])


def test_the_chart_takes_another_cost_and_names_what_is_pointed_at(page, folder):
    page.goto((folder / "suites" / "toy-v1.html").as_uri())
    chart = page.locator("#chart svg[aria-label]")
    assert "target accuracy" in chart.get_attribute("aria-label") and "training time of a case" in chart.get_attribute(
        "aria-label"
    )
    page.locator("#chart-tools select").select_option(label="peak memory (MiB)")
    assert "peak memory (MiB)" in chart.get_attribute("aria-label")
    points = page.locator("#chart .point")
    assert points.count() == 4 - 1  # late has no mean
    seen = {point.locator("title").text_content().partition("\n")[0] for point in points.all()}
    assert {"dann", "source_only"} < seen and any("onerror" in name for name in seen)
    boxes = [name.bounding_box() for name in page.locator("#chart text.name").all()]
    assert len(boxes) >= 2 and not any(overlap(one, two) for one, two in itertools.combinations(boxes, 2))


def test_the_front_page_filters_methods_and_suites(page, folder):
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector("#filters:not([hidden])")
    status = page.locator("#filter-status")
    assert status.inner_text() == "3 of 3 methods, 2 of 2 suites"
    page.locator("#filters input[name=name]").fill("dann")
    assert names(page, "overview") == ["dann"] and status.inner_text() == "1 of 3 methods, 2 of 2 suites"
    page.locator("#filters input[name=name]").fill("")
    page.locator("#filters input[value='1']").check()
    assert names(page, "overview") == []
    page.locator("#filters input[value='any']").check()
    page.locator("#filters select[name=cost]").select_option("1")
    assert "dann" in names(page, "overview") and SHOWN not in names(page, "overview")  # 1.5 and 1.7 s beside 1.6 s
    page.locator("#filters select[name=cost]").select_option("")
    up = sorted_by(page, "overview", "train time")
    assert up.index("dann") < up.index(SHOWN)
    page.locator("#tradeoff-tools select").select_option(label="toy v1")
    assert "mean gain" in page.locator("#tradeoff-chart svg").get_attribute("aria-label")


@AT_A_DESK
def test_a_link_to_the_front_page_keeps_filters_and_columns(page, folder):
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector("#filters:not([hidden])")
    assert "?" not in page.url
    page.locator("#filters input[value='0']").check()
    page.locator("#filters input[name=closed]").check()
    page.locator("#filters input[name=closed]").uncheck()
    page.locator("#filters input[name=name]").fill("dann")
    page.locator(".picker > summary").click()
    page.locator(".picker input[value='average rank']").uncheck()
    page.locator(".picker input[value='toy v1']").uncheck()
    shared = page.url
    assert "labels=0" in shared and "name=dann" in shared and "closed" not in shared
    page.goto("about:blank")
    page.goto(shared)
    page.wait_for_selector("#filters:not([hidden])")
    assert names(page, "overview") == ["dann"]
    assert page.locator("#filter-status").inner_text() == "1 of 3 methods, 1 of 2 suites"
    headings = page.locator("#overview thead th")
    assert not headings.filter(has_text="average rank").is_visible() and headings.filter(has_text="pairs worse").is_visible()
    assert not headings.filter(has_text="toy v1").first.is_visible()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_url(lambda url: "?" not in url)  # a function that waits in the page is against its policy
    assert len(names(page, "overview")) == 3 and headings.filter(has_text="average rank").is_visible()


@AT_A_DESK
def test_pictures_are_shown(page, folder):
    page.goto((folder / "suites" / "toy-v1.html").as_uri())
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    images = page.locator("figure img")
    assert images.count() >= 2
    for image in images.all():
        image.scroll_into_view_if_needed()
        image.evaluate("image => image.decode()")
        assert image.evaluate("image => image.naturalWidth") > 100
        assert image.get_attribute("alt")


def overlap(one: dict[str, float], two: dict[str, float]) -> bool:
    """Whether two boxes share more than a pixel in both directions."""
    apart = (
        abs(one[a] + one[s] / 2 - two[a] - two[s] / 2) - (one[s] + two[s]) / 2 for a, s in (("x", "width"), ("y", "height"))
    )
    return all(gap < -1 for gap in apart)


def contrast(one: str, two: str) -> float:
    """The contrast ratio of two colours `rgb(r, g, b)`, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)
