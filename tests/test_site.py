import re
from html.parser import HTMLParser

import pytest

from tlbench import reports, site
from tlbench.terms import Record, TlbenchError

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e\"'&"


def record(row, accuracy, seed=0, suite="toy"):
    fields = {"suite": suite, "suite_version": 1, "row": row, "method": row, "sources": ("a",), "target": "b"}
    fields |= {"seed": seed, "identity": "i", "status": "done", "baseline": "source_only", "data": {}}
    fields |= {"machine": {"device": "cpu", "torch": "2"}, "code": {"tlbench": "0"}}
    fields |= {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z"}
    return Record(**fields, scores={"target_accuracy": accuracy})


def records(suite="toy"):
    rows = {"source_only": 0.6, "dann": 0.5, HOSTILE: 0.7}
    return [record(row, at + seed / 1000, seed, suite) for row, at in rows.items() for seed in range(3)]


class Page(HTMLParser):
    """What a page holds: its tags, attributes, ids, and the texts of its cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.cells, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag in ("td", "th"):
            self.cells.append("")
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


@pytest.fixture
def page(tmp_path):
    frame = reports.frame([*records(), *records(HOSTILE)])
    return site.build(frame, tmp_path / "new" / "out").read_text(encoding="utf-8")


def test_every_table_is_on_the_page_with_its_caption_and_verdicts_in_words(page):
    read = Page(page)
    assert read.tags.count("table") == read.tags.count("caption") == 2 * 3
    assert {"hurts", "helps", "-10.0 ± 0.0", "70.1 ± 0.2"} <= set(read.cells)
    assert "last step of a fixed budget" in page
    assert re.search(r"<title>tlbench: toy v1, .+</title>", page)


def test_names_are_shown_as_text(page):
    read = Page(page)
    assert "img" not in read.tags and "script" not in read.tags
    assert "<img src=x onerror=alert(1)>\\x1b[31m\\u202e\"'&" in read.cells
    assert "\x1b" not in page and "\u202e" not in page


def test_nothing_is_asked_from_elsewhere_and_links_lead_somewhere(page):
    read = Page(page)
    ids = {value for name, value in read.attributes if name == "id"}
    links = [value for name, value in read.attributes if name in ("href", "src")]
    assert links and all(link == "data:," or link.removeprefix("#") in ids for link in links)
    assert all(value in ids for name, value in read.attributes if name == "aria-labelledby")
    assert not re.search(r"https?:|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page and 'name="viewport"' in page


def test_the_page_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = site.build(reports.frame(records()), tmp_path)
    first = path.read_text(encoding="utf-8")
    assert path == tmp_path / "index.html"
    assert site.build(reports.frame(records()), tmp_path).read_text(encoding="utf-8") == first
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]


def test_mistakes_are_said_in_words(tmp_path):
    with pytest.raises(TlbenchError, match="no records"):
        site.build(reports.frame([]), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TlbenchError, match="can't write the page"):
        site.build(reports.frame(records()), tmp_path / "file" / "out")
