"""The site as files: every page stands by itself, every link leads somewhere, and no name is more than text."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

import pytest
from site_records import HOSTILE, SCRIPT, record, records

from tlbench import methods, reports, site
from tlbench import records as on_file
from tlbench.errors import TlbenchError
from tlbench.site import alignment, suite_plots
from tlbench.site.output_files import slug
from tlbench.terms import Scores

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page holds: its tags, attributes, ids, and the texts of its cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.cells, self.open = [], [], [], []
        self.ids, self.links, self.outside = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        given = dict(attrs)
        if "id" in given:
            assert given["id"] not in self.ids, given["id"]
            self.ids.add(given["id"])
        for name in ("href", "src"):
            if (link := given.get(name, "")).startswith("http"):
                assert tag == "a", "only a link that a reader follows may lead elsewhere"
                self.outside.append(link)
            elif link:
                self.links.append(link)
        if tag in ("td", "th"):
            self.cells.append("")
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


def pages_of(folder):
    return {path.relative_to(folder).as_posix(): Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "new" / "out"
    made = [
        *records(),
        *records(SCRIPT),
        record("dann", 0.9, 0, SCRIPT, reason=SCRIPT, notes=(HOSTILE,), options={"x": SCRIPT}),
    ]
    assert site.build_site(made, out, methods=methods.method_files()) == out / "index.html"
    return out


@pytest.fixture(scope="module")
def pages(folder):
    return pages_of(folder)


def test_a_page_for_each_suite_method_and_row(pages):
    kinds = [PurePosixPath(path).parts[0] for path in pages]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "index.html": 1,
        "statistics.html": 1,
        "suites": 2,
        "methods": 3,
        "records": 6,
    }
    suite = pages["suites/toy-v1.html"]
    assert {"worse", "better", "-10.0 ± 0.0", "69.6 ± 0.1"} <= set(map(alignment.plain, suite.cells))
    assert suite.tags.count("table") == suite.tags.count("caption") >= 4
    assert suite.tags.count("img") >= 2 and all(dict(suite.attributes).get(name) for name in ("alt", "width", "height"))


def test_names_reasons_and_options_are_shown_as_text(folder, pages):
    for path, page in pages.items():
        text = (folder / path).read_text(encoding="utf-8")
        scripts = {"suites": 3, "index.html": 4}.get(PurePosixPath(path).parts[0], 1)  # with the data of a chart
        assert page.tags.count("script") == scripts and "onerror" not in {name for name, _ in page.attributes}, path
        assert "\x1b" not in text and "\u202e" not in text, path
        assert all(value.endswith(".svg") for name, value in page.attributes if name == "src" and "assets" not in value)
    assert "<img src=x onerror=alert(1)>\\x1b[31m\\u202e\"'&" in pages["suites/toy-v1.html"].cells
    for picture in folder.glob("pictures/*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert "<img" not in text and "<script" not in text and "\x1b" not in text, picture


def test_every_link_leads_to_a_file_and_to_a_place_in_it(folder, pages):
    for path, page in pages.items():
        for link in page.links:
            name, _, place = link.partition("#")
            if link == "data:,":
                continue
            to = (folder / path).parent / name if name else folder / path
            assert to.is_file(), (path, link)
            assert folder in to.resolve().parents, (path, link)
            if place:
                assert place in pages[to.resolve().relative_to(folder.resolve()).as_posix()].ids, (path, link)


def test_nothing_is_asked_from_elsewhere(folder, pages):
    assert pages["methods/dann.html"].outside == ["https://arxiv.org/abs/1505.07818"]
    assert not [page.outside for path, page in pages.items() if page.outside and not path.startswith("methods/")]
    for file in (*folder.rglob("*.css"), *folder.rglob("*.svg")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\((?!#|data:)|href=\"(?!#|data:)", text), file
    for path in pages:
        text = (folder / path).read_text(encoding="utf-8")
        assert "default-src 'none'" in text and 'name="viewport"' in text and 'lang="en"' in text
    assert "prefers-color-scheme: dark" in (folder / "assets" / "site.css").read_text(encoding="utf-8")


def test_a_screen_reader_finds_its_way(pages):
    for path, page in pages.items():
        assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1, path
        assert all(value in page.ids for name, value in page.attributes if name == "aria-labelledby"), path
        heads = page.tags.count("th")
        assert heads == sum(name == "scope" for name, _ in page.attributes), path


def test_downloads_hold_the_numbers_of_the_table(folder):
    files = sorted((folder / "tables").glob("toy-v1-*-accuracy.csv"))
    rows = list(csv.DictReader(io.StringIO(files[0].read_text(encoding="utf-8"))))
    mean = [row for row in rows if row["entry"] == "dann" and row["quantity"] == "mean" and not row["pair"]]
    assert len(mean) == 1 and abs(float(mean[0]["value"]) - 49.6) < 1e-9
    held = json.loads(files[0].with_suffix(".json").read_text(encoding="utf-8"))
    assert held["tables"][0]["kind"] == "accuracy"
    summary = json.loads((folder / "tables" / "toy-v1-0-summary.json").read_text(encoding="utf-8"))
    cells = summary["tables"][0]["cells"]
    assert cells["index"][-1] == "dann" and cells["data"][-1][cells["columns"].index("verdict")] == "worse"


def test_no_download_holds_a_formula(tmp_path):
    attack, why = "=HYPERLINK(1)", "-2+3+cmd|' /C calc'!A0"
    rows = (attack, "source_only")
    made = [record(row, 0.5 + seed / 100, seed, reason=why, notes=("@sum",)) for row in rows for seed in range(3)]
    site.build_site(made, tmp_path)
    shown = set()
    for file in tmp_path.rglob("*.csv"):
        for line in csv.reader(io.StringIO(file.read_text(encoding="utf-8"))):
            shown |= set(line)
    assert f"'{attack}" in shown and f"'{why}; @sum" in shown
    starts = {text for text in shown if text[:1] in ("=", "+", "-", "@")}
    assert all(re.fullmatch(r"[-+][\d.]+(e-?\d+)?( ± [\d.]+)?( \*)?", text) for text in starts), starts
    assert "0.0 ± 0.0" in shown


def test_the_front_page_has_every_delta_and_the_facts_to_filter_by(pages, folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="overview-data">(.*?)</script>', text, re.DOTALL)[1])
    assert len(data["suites"]) == 2 and [row["name"] for row in data["rows"]] == [HOSTILE, "source_only", "dann"]
    (dann,) = (row for row in data["rows"] if row["name"] == "dann")
    assert dann["results"]["0"] == [-10.0, 0.0, 2.0, 2, round(1.4955 / 1.5955, 4)]
    assert {"-10.0", "+10.0", "base", "100"} <= {alignment.plain(cell) for cell in pages["index.html"].cells}
    for words in ("@software{tlbench", "tlbench merge mine results", "pip install tlbench", 'name="free"', 'name="closed"'):
        assert words in text, words


def test_a_page_is_below_300_kb_with_its_scripts_and_styles(folder):
    shared = sum(file.stat().st_size for file in (folder / "assets").iterdir())
    assert max(page.stat().st_size for page in folder.rglob("*.html")) + shared < 300_000


def test_records_sort_by_the_time_they_finished(tmp_path):
    when = [f"2026-01-{day}T00:00:00Z" for day in ("03", "01", "02")]
    site.build_site([record("dann", 0.5, seed, finished=at) for seed, at in enumerate(when)], tmp_path)
    text = (tmp_path / "records" / "toy-v1" / "dann.html").read_text(encoding="utf-8")
    assert all(f'data-order="{at[:10]} 00:00:00"' in text for at in when)
    assert ">target accuracy %</th>" in text and ">source accuracy %</th>" in text


def test_the_leaderboard_counts_what_is_incomplete():
    text = site.leaderboard_markdown([*records(), record("late", 0.4, 0)])
    assert "± margin of error of the 95 % CI" in text and text.count("n.s.: no significant difference") == 1
    assert "1 incomplete entry, without mean and delta: late (0 of 2 pairs)." in text
    few = site.leaderboard_markdown([one for one in records() if one.seed < 2])
    assert "no 95 % CI, which takes 3 seeds" in few and "incomplete" not in few


def test_a_page_of_a_method_has_deltas_in_the_decimals_of_their_metric(tmp_path):
    changed = {"metric": "rmse", "task": "regression"}
    made = [one.model_copy(update={**changed, "scores": Scores(rmse=0.001 * one.scores.target_accuracy)}) for one in records()]
    site.build_site(made, tmp_path)
    text = (tmp_path / "methods" / "dann.html").read_text(encoding="utf-8")
    assert "a:b (-0.000100)" in text


def test_granted_labels_are_said_in_words(tmp_path):
    made = [record("dann", 0.5, seed, pair=("a", f"b_l{n}"), target_labels=n) for seed in range(3) for n in (1, 3, 10)]
    site.build_site(made, tmp_path)
    assert "1, 3 or 10 samples of each class" in (tmp_path / "suites" / "toy-v1.html").read_text(encoding="utf-8")


def test_two_records_that_differ_are_both_shown(pages, folder):
    of = slug(f"{SCRIPT}-v1")
    text = (folder / "records" / of / "dann.html").read_text(encoding="utf-8")
    assert "Records that differ" in text and "a:b seed 0: target_accuracy 0.5 and 0.9" in text
    assert pages[f"records/{of}/dann.html"].cells.count("a:b") == 4
    assert "Cases with records that differ: 1;" in (folder / "suites" / f"{of}.html").read_text(encoding="utf-8")


def test_many_records_go_on_on_further_pages(tmp_path, monkeypatch):
    monkeypatch.setattr("tlbench.site.record_pages.LARGEST", 25_000)
    made = [record(row, 0.5, seed) for row in ("source_only", "dann") for seed in range(30)]
    site.build_site(made, tmp_path)
    parts = sorted(path.name for path in (tmp_path / "records" / "toy-v1").iterdir() if path.name.startswith("dann"))
    assert parts == ["dann.2.html", "dann.3.html", "dann.4.html", "dann.html"]
    read = pages_of(tmp_path)
    assert sum(read[f"records/toy-v1/{part}"].cells.count("a:b") for part in parts) == 30
    assert "dann.3.html" in read["records/toy-v1/dann.html"].links


def test_a_second_build_is_the_same_and_takes_away_only_what_the_first_wrote(tmp_path):
    def files():
        return {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    site.build_site(records(), tmp_path)
    (tmp_path / "mine.txt").write_text("stays")
    first = files()
    site.build_site(records(), tmp_path)
    assert files() == first
    site.build_site([one for one in records() if one.entry != "dann"], tmp_path)
    left = {path.as_posix() for path in files()}
    assert "mine.txt" in left and not [path for path in left if "dann" in path] and "methods/source_only.html" in left


def test_a_manifest_of_someone_else_takes_nothing_away_outside(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    (out / "tlbench-site.json").write_text(json.dumps({"files": ["../precious", 7, "index.html"]}))
    site.build_site(records(), out)
    assert precious.is_file() and (out / "index.html").is_file()


def test_names_of_files_are_safe_and_apart():
    names = ["dann", "../../etc/passwd", "a/b", "a_b", "..", "", "\ud800", "CON:", "é" * 300]
    made = [slug(name) for name in names]
    assert len(set(made)) == len(names) and made[0] == "dann" and made[3] == "a_b"
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", name) for name in made)


def test_mistakes_are_said_in_words(tmp_path):
    with pytest.raises(TlbenchError, match="no records"):
        site.build_site([], tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TlbenchError, match="The site can't be written"):
        site.build_site(records(), tmp_path / "file" / "out")


# --- the leaderboard in Markdown ------------------------------------------------------------------------------------


def test_the_leaderboard_has_a_table_for_each_suite():
    text = site.leaderboard_markdown([*records(), *records("other")])
    assert text.count("\n## ") == 4 and "## toy v1\n" in text and "## other v1\n" in text
    assert re.search(r"\| dann +\| .* \| -10.0 ± 0.0 +\| worse +\| +0/2 ", text)
    assert "<img" not in text


@pytest.mark.slow
def test_the_leaderboard_of_this_repository_is_that_of_its_records():
    results = ROOT / "results"
    if not (results / "README.md").is_file():
        pytest.skip("no results/README.md: not a checkout")
    filed = (results / "README.md").read_text(encoding="utf-8")
    today = site.leaderboard_markdown(on_file.read_all(results), results, methods.families())
    assert filed == today, "stale: run `make leaderboard`"


def test_pictures_drawn_on_several_cores_are_the_same(monkeypatch):
    suites = [(reports.tables(reports.frame(of)), of) for of in (records(f"toy_{n}") for n in range(5))]
    alone = list(suite_plots.draw_suites(suites))
    monkeypatch.setattr(suite_plots, "SUITES_A_CORE", 1)
    monkeypatch.setattr(suite_plots, "cpu_count", lambda: 2)
    assert list(suite_plots.draw_suites(suites)) == alone
    assert all(one.vector.rstrip().endswith("</svg>") for of_suite in alone for one in of_suite) and len(alone[0]) > 1
