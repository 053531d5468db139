"""Output formats: real LaTeX, the JSON schema, and HTML and terminals that hostile names can't break."""

import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from toy_records import HOSTILE, cells

from tlbench import reports
from tlbench.reports.formats import json_schema, latex, terminal
from tlbench.reports.formats.output import WIDTH

DOCS = Path(__file__).parents[2] / "docs"
PAIRS = ("photo:sketch", "sketch:photo", "photo:cartoon", "cartoon:photo", "sketch:cartoon", "cartoon:sketch")
LEVELS = {"source_only": 0.5, "dann": 0.4, "coral": 0.7, "deep_adaptation_network": 0.72}


def made(levels=None, which="all"):
    noise = [0.0, 0.01, -0.012]
    records = [
        one
        for entry, level in (levels or LEVELS).items()
        for one in cells(entry, {pair: [level + n * (1 + i) for n in noise] for i, pair in enumerate(PAIRS)})
    ]
    return reports.tables(reports.frame(records), which)


# --- LaTeX


def compiled(body, folder):
    """The log of a document with this body, made by the LaTeX of this machine."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex; Debian has it in texlive-latex-base, and booktabs in texlive-latex-recommended")
    document = (
        rf"\documentclass{{article}}\usepackage[T1]{{fontenc}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    )
    (folder / "tables.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "tables.pdf").stat().st_size > 1000
    return done.stdout


def test_every_table_is_set_by_a_real_latex_and_fits_the_page(tmp_path):
    log = compiled(reports.render(made(), "latex"), tmp_path)
    assert "Overfull \\hbox" not in log


def test_hostile_names_are_set_by_a_real_latex_as_they_are(tmp_path):
    strange = {"source_only": 0.5, HOSTILE: 0.6, "[x]": 0.6, "* star": 0.4, "-- \"quoted\" 'it'": 0.3, "Müller ß 中 Ω": 0.2}
    text = reports.render(made(strange, "transfer"), "latex")
    log = compiled(text, tmp_path)
    assert "Missing character" not in log
    assert "\\texttt{U+4E2D}" in text and "Müller ß" in text


def test_latex_marks_best_second_and_significant():
    accuracy, transfer = (made(which=which)[0] for which in ("accuracy", "transfer"))
    text = reports.render([accuracy], "latex")
    assert re.search(r"deep\\_adaptation\\_network +& +\\textbf\{71\.\d", text)
    assert re.search(r" coral +& +\\underline\{69\.\d", text)
    assert r"\textsuperscript{*}" in reports.render([transfer], "latex")
    assert r"\usepackage{booktabs}" in text
    assert latex.cell("-3.0 ± 2.0 *") == r"$-$3.0 $\pm$ 2.0\textsuperscript{*}"
    assert latex.cell("name *x") == "name {*}x"


# --- JSON


def test_the_schema_in_the_docs_is_the_one_in_force():
    stale = "write it anew: python -c 'from tlbench.reports.formats import json_schema; print(json_schema.schema(), end=str())'"
    assert (DOCS / "reports.schema.json").read_text(encoding="utf-8") == json_schema.schema(), stale


def test_json_follows_its_schema_and_gives_the_tables_back():
    tables = made()
    facts = json.loads(reports.render(tables, "json"))
    back = json_schema.Tables.model_validate(facts)
    assert back.schema_ == 1
    assert [table.title for table in back.tables] == [table.title for table in tables]
    for one, table in zip(back.tables, tables, strict=True):
        assert one.cells.data == table.cells.to_numpy().tolist()
        assert len(one.data) == len(table.data)
        assert (one.suite_name, one.suite_version, one.metric.name) == ("toy", 1, "target_accuracy")
    transfer = next(table for table in back.tables if table.kind == "transfer")
    assert transfer.cells.marks[transfer.cells.index.index("dann")][:2] == ["worse", "worse"]
    documented = json.loads((DOCS / "reports.schema.json").read_text(encoding="utf-8"))
    assert set(documented["$defs"]["JsonTable"]["required"]) == set(facts["tables"][0])


def test_every_kind_and_quantity_is_documented():
    text = (DOCS / "reports.md").read_text(encoding="utf-8")
    for kind in (*reports.KINDS, "compare"):
        assert f"`{kind}`" in text, kind
    for table in made():
        for quantity in table.data["quantity"].unique():
            assert f"`{quantity}`" in text, (table.kind, quantity)


# --- HTML


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.classes, self.text = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.classes |= {word for name, value in attrs for word in value.split() if name == "class"}
        assert {name for name, _ in attrs} <= {"class", "scope"}

    def handle_data(self, data):
        self.text.append(data)


def test_html_escapes_names_and_marks_cells_by_class():
    image = "<img src=x onerror=alert(1)>"
    page = Tags()
    page.feed(reports.render(made({"source_only": 0.5, image: 0.4, "coral": 0.9}), "html"))
    assert page.tags == {"table", "caption", "strong", "thead", "tbody", "tr", "th", "td"}
    assert image in page.text
    assert {"transfer", "accuracy", "best", "better", "worse"} <= page.classes
    assert reports.render([], "html").startswith("<p>There is no such table")


# --- CSV


def test_csv_lets_no_name_be_a_formula():
    text = reports.render(made({"source_only": 0.5, "=1+1": 0.4, "@sum": 0.4}, "accuracy"), "csv")
    entries = set(pd.read_csv(io.StringIO(text))["entry"])
    assert entries == {"source_only", "'=1+1", "'@sum"}
    assert pd.read_csv(io.StringIO(text))["value"].dtype == float


# --- widths


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_terminal_shows_no_line_that_is_too_long(width):
    tables = made()
    assert max(map(len, reports.render(tables, "text", width=width).splitlines())) <= width
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    terminal.show(tables, console)
    plain = re.sub(r"\x1b\[[\d;]*m", "", console.file.getvalue())
    assert max(map(len, plain.splitlines())) <= width
    for table in tables:
        for cell in table.cells.to_numpy().ravel():
            assert cell in plain
    assert "\x1b[1;32m" in console.file.getvalue()  # the best of the deltas is better: bold and green


def test_markup_in_a_name_is_not_obeyed_by_the_terminal():
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    terminal.show(made({"source_only": 0.5, "[red]x[/red]\x1b[31m": 0.4}, "accuracy"), console)
    assert "[red]x[/red]\\x1b[31m" in re.sub(r"\x1b\[[\d;]*m", "", console.file.getvalue())


def test_markdown_goes_on_below_where_a_page_ends_and_the_best_is_bold():
    text = reports.render(made(which="accuracy"), "markdown")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    blocks = sum(line.startswith("| method") for line in lines)
    assert blocks == 2
    assert max(map(len, lines)) <= WIDTH["markdown"] + 30  # bold and bars are not seen on the page
    assert "| **71." in text.replace("   ", " ").replace("  ", " ")
