"""The front page's figures, and columns of numbers on their points."""

from __future__ import annotations

import re

import pandas as pd
from site_records import record, records

from tlbench import reports, site
from tlbench.site import alignment, overview, table_cells


def test_average_ranks_are_over_the_largest_block_of_suites_that_the_same_entries_ran_on():
    def suite(name, gains):
        results = {entry: overview.SuiteResult("", gain, 0.0, 0.0, 0.0, 1, 1.0) for entry, gain in gains.items()}
        return overview.SuiteColumn(name, "", "", "images", "base", results)

    whole = {"good": 2.0, "fair": 1.0, "bad": -1.0}
    suites = [suite(f"s{n}", whole) for n in range(4)] + [suite("partial", {"good": 1.0, "rare": 3.0})]
    ranking, over = overview.average_ranks(["good", "fair", "bad", "rare", "base"], suites)
    assert over == ["s0", "s1", "s2", "s3"] and ranking.entries == ("good", "fair", "base", "bad")
    assert ranking.average_rank.tolist() == [1.0, 2.0, 3.0, 4.0] and ranking.p < 0.05
    assert overview.average_ranks(["good", "rare"], suites) is None
    wide = overview.overview(
        suites, {entry: overview.MethodFacts(entry, "", labels=entry == "rare") for entry in (*whole, "rare")}
    )
    assert [(heading, [row.entry for row in rows]) for heading, rows in wide.groups] == [
        ("Without labelled target samples", ["bad", "fair", "good"]),
        ("With labelled target samples", ["rare"]),
    ]


def test_numbers_stand_on_their_points():
    texts = ["+1.25 ± 10.4", "-11.2 ± 0.4 *", "0.0", "baseline", ""]
    shown = alignment.aligned(texts)
    assert [alignment.plain(text) for text in shown] == [
        "+1.25 ± 10.4",
        "-11.2 ±  0.4 *".replace("  ", " "),
        "0.0",
        "baseline",
        "",
    ]
    points = {len(text) - re.search(r"[.\u2008]", text).start() for text in shown[:3]}
    margins = {len(text) - text.index("±") for text in shown[:2]}
    assert len(points) == len(margins) == 1
    assert alignment.aligned(["18.9 s", "9.71 s"]) == ["18.9 s\u2007", "9.71 s"]
    assert alignment.is_text(["a 1", "", "n.s."]) and not alignment.is_text(["a", "3/0"])


def test_times_and_rates_of_a_column_are_in_one_unit():
    cells = {"train": ["0.7 ms", "12.4 min", ""], "samples": ["28.6/s", "1.25M/s", "36.4k/s"], "pairs": ["1/0", "", "0/2"]}
    index = pd.Index(["a", "b", "c"], name="method")
    table = reports.Table("toy v1", "summary", "", "", pd.DataFrame(cells, index=index, dtype=object), pd.DataFrame())
    shown = table_cells.page_table(table, "summary")
    assert shown.columns == ["method", "train s", "samples/s", "pairs"]
    assert [[cell.text for cell in row.cells] for row in shown.rows] == [
        ["0.0007", "28.6", "1/0"],
        ["744", "1,250,000", ""],
        ["", "36,400", "0/2"],
    ]


def test_the_page_on_statistics_explains_each_kind_of_table(tmp_path):
    site.build_site(records(), tmp_path)
    text = (tmp_path / "statistics.html").read_text(encoding="utf-8")
    assert {kind.section for kind in reports.TABLE_KINDS.values()} <= set(re.findall(r'<h2 id="([^"]+)"', text))


def test_a_caption_on_a_page_is_sentences():
    late = [*records(), record("late", 0.4, 0)]
    (summary,) = reports.tables(reports.frame(late), "summary")
    assert "(BH, FDR 5 %). 1 incomplete entry" in summary.short_caption and "(BH, FDR 5 %). 1 incomplete" in summary.caption
