"""The field's words: no identifier and no sentence speaks the private dialect of the first version.

`python tests/test_names.py tlbench/engine` lists what offends below a path.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

NO_IDENTIFIER = {
    **dict.fromkeys(("house", "room", "rooms", "corridor", "walls", "door"), "package, module, layer, entry point"),
    **dict.fromkeys(("rows", "row"), "samples; entry for a method entry"),
    **dict.fromkeys(("trunk", "trunks"), "backbone"),
    "few": "target_labeled",
    **dict.fromkeys(("part", "parts"), "split, subset, chunk, group"),
    **dict.fromkeys(("place", "places", "placed"), "worker_slot, position, device"),
    **dict.fromkeys(("promise", "promises"), "contract, check"),
    **dict.fromkeys(("keeper", "keeping", "kept", "keep"), "checkpointer, retained, selected"),
    **dict.fromkeys(("halves", "half"), "accumulated, microbatch; margin for an interval"),
    **dict.fromkeys(("together", "apart"), "vmapped, stacked; divergence"),
    **dict.fromkeys(("rehearsal",), "capture"),
    **dict.fromkeys(("game", "turn", "turns"), "alternating updates"),
    **dict.fromkeys(("optimiser", "optimisers"), "optimizer"),
    **dict.fromkeys(("cards", "standing", "useless"), "preview, run_status, prunable"),
    **dict.fromkeys(("trained", "solved"), "deep, shallow"),
    **dict.fromkeys(("ladder", "ladders", "rung", "rungs"), "severity sweep, label budget"),
    **dict.fromkeys(("surely", "harm", "twin", "twins"), "significant, negative_transfer, reference"),
    **dict.fromkeys(("found", "said", "held", "made", "wrong"), "a noun that says what it holds"),
    **dict.fromkeys(("mistake", "mistakes"), "error, errors"),
}
"""Words of identifiers, and what to say instead."""

NO_PROSE = {
    r"\bhouses?\b|\bcorridors?\b|\bfront door\b|\brooms?\b": "package, module, layer, entry point",
    r"\btrunks?\b": "backbone",
    r"\bthe few\b|\bfew labelled\b|\breads few\b": "labelled target samples",
    r"\bpromises?\b": "contract, contract check",
    r"\bkeepers?\b|\brehears\w*": "checkpointer, CUDA-graph capture",
    r"\bladders?\b|\brungs?\b": "severity sweep, label budgets",
    r"\bsurely\b|\btwins?\b|\bby hand\b": "significantly, reference loop in plain torch",
    r"\btrained methods?\b|\bsolved methods?\b": "deep, shallow methods",
    r"\boptimisers?\b": "optimizer",
    r"\bprogram waits?\b|\banyone's\b|\bsomebody's\b|\bin print\b": "host-device synchronisation, third-party, published",
    r"\bmistakes?\b": "error",
    r"\b(target|source|scored|labelled|unlabelled|drawn|granted|training|test|validation) rows?\b": "samples",
    r"\brows? (of|in) (a|the) (domain|batch|source|target|split|part|class)\b": "samples",
    r"\bmethod rows?\b": "method entry",
    r"\bhalf[- ]width\b|\bhalf of the 95\b": "margin of error",
}
"""Patterns of docstrings, comments, messages and documents, and what to say instead."""

TABLE_ROWS = (
    *("tlbench/reports/formats", "tlbench/site/table_cells.py", "tlbench/published", "tlbench/reports/published_tables"),
    "tlbench/bench/table.py",
)
"""Files whose rows are those of printed tables."""
FILE_ROWS = ("tlbench/data/readers", "tlbench/data/decoding")
"""Files whose rows are those of the files that they read."""
ALLOWED = {
    ("tlbench/bench/saved_benches.py", "trunk"): "a key of saved benches of schema 1",
    ("tlbench/bench/saved_benches.py", "optimiser"): "a key of saved benches of schema 1",
    ("tlbench/suite/renamed_keys.py", "trunk"): "an old key of suites, refused with the new one",
    ("tlbench/suite/renamed_keys.py", "optimiser"): "an old key of suites, refused with the new one",
    ("tlbench/suite/hashing.py", "trunk"): "a key that identities on record were hashed with",
    ("tlbench/suite/hashing.py", "optimiser"): "a key that identities on record were hashed with",
    ("tlbench/data/shifts/resampling.py", "part"): "the shift of this name in suites",
    ("tlbench/data/readers/simulated.py", "part"): "the TOML key of the reader",
    ("tlbench/suite/schema.py", "held"): "the TOML keys held_out and source_held_out",
    ("tlbench/terms.py", "few"): "old records",
    ("tlbench/data/declaration.py", "keep"): "the key `keep` of domain tables",
    ("tlbench/data/domain_keys.py", "keep"): "the key `keep` of domain tables",
    ("tlbench/data/preparation.py", "row"): "the preparation `row_sum`, which suites name",
    ("tlbench/methods/alignment/jda.py", "rows"): "the option `unit_rows` of suites",
    ("tlbench/methods/alignment/tca.py", "rows"): "the option `unit_rows` of suites",
    ("tlbench/methods/reweighting/kmm.py", "rows"): "the option `exact_rows` of suites",
    ("tlbench/methods/reweighting/mmd_target_shift.py", "rows"): "the option `exact_rows` of suites",
    ("benchmarks/test_site.py", "promise"): "JavaScript's Promise",
    ("benchmarks/test_site.py", "rows"): "the rows of an HTML table",
}
IDENTIFIERS_OF_OTHERS = {"keepdim", "keepdims", "keep_empty_features", "trained_betas", "trained_on", "DistributionNotFound"}


def words_of(identifier: str) -> list[str]:
    """The words of a name in snake case or camel case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)]


def own_names(text: str) -> Iterator[tuple[int, str]]:
    """Every name that a module binds: definitions, parameters, variables and attributes of its own classes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.lineno, node.name


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The comments and the string literals of a module, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            yield token.start[0], token.string


def identifier_offences(path: str, text: str) -> list[str]:
    """Names of the "not that" column of the glossary."""
    offences = []
    tables = path.startswith((*TABLE_ROWS, *FILE_ROWS))
    for line, name in own_names(text):
        for word in dict.fromkeys(words_of(name)):
            if word not in NO_IDENTIFIER or name in IDENTIFIERS_OF_OTHERS or (path, word) in ALLOWED:
                continue
            if tables and word in {"row", "rows"}:
                continue
            offences.append(f"{path}:{line}: {name} (say {NO_IDENTIFIER[word]})")
    return list(dict.fromkeys(offences))


def prose_offences(path: str, text: str) -> list[str]:
    """Sentences of the "not that" column of the glossary."""
    pieces = prose(text) if path.endswith(".py") else enumerate(text.splitlines(), 1)
    return [
        f"{path}:{line}: {match[0]!r} (say {instead})"
        for line, piece in pieces
        for pattern, instead in NO_PROSE.items()
        for match in re.finditer(pattern, piece, re.IGNORECASE)
        if (path, match[0].lower()) not in ALLOWED
    ]


def sources(start: str) -> Iterator[tuple[str, str]]:
    """The modules below a path, with their texts."""
    place = ROOT / start
    for file in [place] if place.is_file() else sorted(place.rglob("*")):
        if file.suffix in {".py", ".md", ".toml", ".txt", ".j2"} and "_suites" not in file.parts:
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


def offences(start: str) -> list[str]:
    """All offences below a path."""
    lines = []
    for path, text in sources(start):
        if path.endswith(".py") and not path.startswith("tests/"):
            lines += identifier_offences(path, text)
        lines += prose_offences(path, text)
    return lines


@pytest.mark.parametrize("start", ["tlbench", "benchmarks", "suites", "docs", "README.md"])
def test_identifiers_and_prose_are_in_the_fields_language(start):
    assert offences(start) == []


def test_an_offence_is_seen():
    assert identifier_offences("tlbench/engine/x.py", "def f(few_rows):\n    held = few_rows")
    assert identifier_offences("tlbench/reports/formats/x.py", "rows = 1") == []
    assert identifier_offences("tlbench/engine/x.py", "import x\nx.keepdim") == []
    assert prose_offences("tlbench/engine/x.py", '"""The trunk of the house."""')
    assert prose_offences("docs/x.md", "The baseline surely hurts.")
    assert prose_offences("docs/x.md", "Samples of the target.") == []


if __name__ == "__main__":
    sys.stdout.write("\n".join(offences(sys.argv[1])) + "\n")
