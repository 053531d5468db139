"""Tables as text: blocks, numbers, and names that no format lets through unescaped."""

import io
import json

import pandas as pd
import pytest
from toy_records import DANN, HOSTILE, SOURCE_ONLY, cells, record, value

from tlbench import reports
from tlbench.errors import TlbenchError


@pytest.fixture
def two_entries():
    return reports.frame([*cells("source_only", SOURCE_ONLY), *cells("dann", DANN)])


def test_text_wraps_a_wide_table_into_blocks_that_repeat_the_names():
    pairs = {f"domain{n}:target": [0.1 * n, 0.2, 0.3] for n in range(9)}
    (table,) = reports.tables(reports.frame(cells("source_only", pairs)), "accuracy")
    wide, narrow = reports.render([table], width=400), reports.render([table], width=60)
    assert wide.count("\nsource_only") == 1
    assert narrow.count("\nsource_only") > 3
    assert max(map(len, narrow.splitlines())) <= 60
    assert narrow.index("mean") < narrow.index("domain0:target")
    assert all(narrow.count(pair) == 1 for pair in pairs)


def test_csv_is_one_tidy_frame_of_unrounded_numbers(two_entries):
    made = reports.tables(two_entries)
    back = pd.read_csv(io.StringIO(reports.render(made, "csv")))
    assert back.columns.to_list() == list(reports.TIDY)
    assert len(back) == sum(len(table.data) for table in made)
    mean = back.query("table == 'accuracy' and entry == 'dann' and quantity == 'mean' and pair.isna()")["value"].item()
    assert mean == value(made[0], "dann", "mean")


def test_json_holds_cells_and_numbers(two_entries):
    made = reports.tables(two_entries)
    back = json.loads(reports.render(made, "json"))["tables"]
    assert [table["title"] for table in back] == [table.title for table in made]
    assert back[0]["cells"]["index"] == made[0].cells.index.to_list()
    assert back[0]["cells"]["data"] == made[0].cells.to_numpy().tolist()
    assert back[0]["data"][0]["pair"] is None
    assert back[0]["data"][0]["value"] == made[0].data["value"].iloc[0]


def test_every_table_has_one_line_of_caption_and_a_pointer_to_its_statistics(two_entries):
    made = reports.tables(two_entries)
    for table in (*made, *reports.compare(two_entries, two_entries), *reports.tables(two_entries, "summary")):
        assert 0 < len(table.line) <= 200 and "\n" not in table.line and table.section, table.title
    for table in made:
        assert f"See {table.pointer}." in " ".join(reports.render([table], width=400).split())
        assert f"The statistics: [docs/reports.md]({table.pointer})." in reports.render([table], "markdown")
        assert f"docs/reports.md\\#{table.section} of tlbench." in reports.render([table], "latex")


def test_a_column_says_what_is_read_where_it_is_known():
    seeds = [("source_only", ("source",)), ("fine_tune", ("source", "target_labeled"))]
    read = [record(name, "a:b", seed, 0.5 + seed / 10, reads=reads) for name, reads in seeds for seed in range(3)]
    (accuracy,) = reports.tables(reports.frame(read), "accuracy")
    assert accuracy.cells["reads"].to_dict() == {"source_only": "S", "fine_tune": "S L"}
    assert list(accuracy.cells.columns).index("reads") < list(accuracy.cells.columns).index("a:b")


def hostile_tables():
    records = [*cells("source_only", SOURCE_ONLY), *cells(HOSTILE, DANN), *cells("[x]", DANN), *cells("\x01", DANN)]
    failed = record("dann", "a:b", 0, None, status="failed", reason=HOSTILE)
    return reports.tables(reports.frame([*records, failed]))


@pytest.mark.parametrize("format", reports.FORMATS)
def test_no_format_lets_a_control_character_through(format):
    text = reports.render(hostile_tables(), format)
    assert {c for c in text if not c.isprintable()} == {"\n"}
    text.encode("utf-8")


def test_a_hostile_name_breaks_no_text_table():
    text = reports.render(hostile_tables()[:1], width=1000)
    assert len(text.split("\n\n")[1].splitlines()) == 2 + 5


def test_a_hostile_name_breaks_no_markdown_table():
    lines = [line for line in reports.render(hostile_tables()[:1], "markdown").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 5
    assert {line.count("|") for line in lines} == {7}
    name = next(line for line in lines if "a&#124;b" in line)
    assert not set("`*<>[]\\$~") & set(name.split("|")[1])
    assert "source_only" in lines[-2]


def test_a_hostile_name_breaks_no_latex_table():
    text = reports.render([table for table in hostile_tables() if table.kind == "transfer"], "latex", width=1000)
    assert [text.count(rule) for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\hline")] == [1, 1, 1, 0]
    body = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    assert len(body) == 4
    for line in body:
        assert line.replace("\\&", "").count("&") == 7
        assert line.endswith("\\\\")
        assert line.replace("\\{", "").replace("\\}", "").count("{") == line.replace("\\{", "").replace("\\}", "").count("}")
        assert not line.lstrip().startswith("[")
    assert "$-$3.3 $\\pm$" in text
    assert "source\\_only" in text


def test_formats_are_named_when_one_is_misspelt_and_no_table_is_a_sentence():
    with pytest.raises(TlbenchError, match="Available: text, markdown, latex, csv, json, html"):
        reports.render([], "xlsx")
    assert "no such table" in reports.render([])
    assert reports.render([], "csv").strip() == ",".join(reports.TIDY)
    assert json.loads(reports.render([], "json")) == {"schema": 1, "tables": []}
