"""docs/methods.md is generated from the registry: family, paper, what a method reads, which published table it reproduces.

`python tests/docs/test_method_catalogue.py` writes its tables anew.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

import tlbench
from tlbench import session
from tlbench.methods import method_files
from tlbench.reports import published_tables

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- catalogue -->", "<!-- end of the catalogue -->"
FAMILIES = (
    *("baselines", "alignment", "deep_alignment", "adversarial", "self_training", "optimal_transport", "reweighting"),
    *("multi_source", "partial", "open_set", "source_free", "test_time", "domain_generalization", "fine_tuning"),
    *("parameter_efficient", "few_shot", "parameter_transfer", "multi_task", "zero_shot", "classical"),
)
"""The families in the order of the page."""
LETTERS = {"source": "S", "target": "T", "target_labeled": "L", "stream": "stream"}
HEAD = ("| method | kind | reads | what it does | paper | reproduces |", "| --- | --- | --- | --- | --- | --- |")
URL = re.compile(r"https?://[^\s()<>]*[^\s()<>.,;:]")


def papers(file: Path) -> list[str]:
    """The addresses in the docstring of a method's file."""
    text = file.read_text(encoding="utf-8").split('"""')[1]
    return list(dict.fromkeys(URL.findall(text)))


def reproduced() -> dict[str, set[str]]:
    """By method, the names of the published tables that have an entry of it."""
    tables: dict[str, set[str]] = defaultdict(set)
    for file in sorted(Path(published_tables.__file__).parent.glob("*.toml")):
        facts = tomllib.loads(file.read_text(encoding="utf-8"))
        suite = session.load_suite(facts["suite"])
        for row in facts["rows"]:
            entry = suite.methods.get(row["entry"])
            tables[(entry.method if entry is not None else "") or row["entry"]].add(file.stem)
    return tables


def catalogue() -> str:
    """The tables of the page: one for each family, a line for each method."""
    listed, files, tables = tlbench.list_methods(), method_files(), reproduced()
    lines: list[str] = []
    for family in FAMILIES:
        lines += [
            f"## {family.replace('_', ' ').capitalize()}",
            "",
            "| method | kind | reads | what it does | paper | reproduces |",
        ]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        for name, facts in listed[listed.family == family].iterrows():
            links = ", ".join(f"[{number}]({url})" for number, url in enumerate(papers(files[str(name)]), 1))
            reads = " ".join(LETTERS[split] for split in LETTERS if split in str(facts["reads"]).split(", ")) or "class names"
            summary = str(facts["summary"]).replace("|", "\\|")
            shown = ", ".join(f"`{table}`" for table in sorted(tables.get(str(name), ())))
            lines.append(f"| `{name}` | {facts['kind']} | {reads} | {summary} | {links} | {shown} |")
        lines.append("")
    return "\n".join(lines)


def with_catalogue(page: str) -> str:
    """The text of the page with the tables of today."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{catalogue()}\n{END}{rest.partition(END)[2]}"


def test_the_catalogue_is_that_of_the_registry():
    text = PAGE.read_text(encoding="utf-8")
    assert with_catalogue(text) == text, "python tests/docs/test_method_catalogue.py writes it anew"


def test_every_family_is_on_the_page():
    assert set(tlbench.list_methods().family) == {*FAMILIES}


if __name__ == "__main__":
    PAGE.write_text(with_catalogue(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
