"""Docstrings: public functions of four and more parameters explain each of them, and every paper has its DOI or URL."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping

from source_rules import sources

PARAMETERS = 4
PAPER = re.compile(
    r"\b[A-Z][\w'-]+ (?:et al\.|and [A-Z][\w'-]+|& [A-Z][\w'-]+)[^.]{0,60}?\b(?:19|20)\d\d\b"
    r"|\b(?:ICML|ICLR|NeurIPS|NIPS|CVPR|ICCV|ECCV|AAAI|IJCAI|JMLR|PAMI|KDD|ACL|EMNLP)\b[^.]{0,30}?\b(?:19|20)\d\d\b"
)
"""Authors with a year, or a venue with a year."""
ADDRESS = re.compile(r"https?://|doi\.org|doi:|arXiv:")


def public_functions(text: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Public functions and public methods of public classes at the top of a module, with their qualified names."""
    for node in ast.parse(text).body:
        members = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        for member in members:
            if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                yield (
                    (f"{node.name}.{member.name}" if member is not node and isinstance(node, ast.ClassDef) else member.name),
                    member,
                )


def without_args(texts: Mapping[str, str]) -> list[str]:
    """Public functions of four and more parameters whose docstring has no `Args:` section, or leaves parameters out."""
    offences = []
    for module, text in texts.items():
        if module.startswith("tlbench.cli"):  # typer shows the help of each option
            continue
        for name, node in public_functions(text):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in arguments if argument.arg not in {"self", "cls"}]
            if len(names) < PARAMETERS or is_registered(node):
                continue
            _, _, section = (ast.get_docstring(node) or "").partition("Args:\n")
            missing = [argument for argument in names if not re.search(rf"^\s+{argument}:", section, re.MULTILINE)]
            if missing:
                offences.append(f"{module}.{name}: {', '.join(missing)}")
    return offences


def is_registered(node: ast.FunctionDef) -> bool:
    """Shifts and preparations: their options are described field by field in the suite's schema."""
    return bool(node.args.kwonlyargs) and {argument.arg for argument in node.args.args} <= {"x", "y", "rng", "main", "root"}


def papers_without_address(texts: Mapping[str, str]) -> list[str]:
    """Papers named in a module none of whose docstrings gives an address for that many papers."""
    offences = []
    for module, text in texts.items():
        docstrings = [
            docstring
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (docstring := ast.get_docstring(node))
        ]
        papers = [match[0] for docstring in docstrings for match in PAPER.finditer(docstring)]
        if papers and not any(ADDRESS.search(docstring) for docstring in docstrings):
            offences.append(f"{module}: {papers[0]!r}")
    return offences


def test_parameters_are_explained():
    assert without_args(sources()) == []


def test_papers_have_an_address():
    assert papers_without_address(sources()) == []


def test_a_missing_explanation_and_a_missing_address_are_seen():
    four = "def f(a, b, c, d):\n    '''Do it.\n\n    Args:\n        a: one.\n        b: two.\n        c: three.\n    '''"
    assert without_args({"tlbench.nn.x": four}) == ["tlbench.nn.x.f: d"]
    assert without_args({"tlbench.nn.x": four.replace("    '''\"", "").replace(", d", "")}) == []
    assert papers_without_address({"tlbench.nn.x": "'''CORAL.\n\nSun and Saenko, Deep CORAL, ECCV 2016.'''"}) != []
    assert papers_without_address({"tlbench.nn.x": "'''Sun and Saenko, ECCV 2016. https://arxiv.org/abs/1607.01719'''"}) == []


if __name__ == "__main__":
    sys.stdout.write("\n".join([*without_args(sources()), *papers_without_address(sources())]) + "\n")
