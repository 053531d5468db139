"""`tlbench list`: suites, methods, domains, backbones and tables by name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tlbench.cli import console, options


class Kind(StrEnum):
    """What can be listed."""

    suites = "suites"
    methods = "methods"
    domains = "domains"
    backbones = "backbones"
    tables = "tables"


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    suite: Annotated[str | None, typer.Option(metavar="SUITE", help="With domains: those of this suite only.")] = None,
    plugin: options.Plugins = None,
    json: options.Json = False,
) -> None:
    """List available suites, methods, domains, backbones or tables."""
    from tlbench import session

    session.register_plugins(plugin or ())
    entries = list(_entries(kind, suite))
    if json:
        console.echo_json(entries)
        return
    for entry in entries:
        name, *middle, last = entry.values()
        console.echo(" ".join([f"{name:24}", *(f"{text:20}" for text in middle), last]))


def _entries(kind: Kind, suite: str | None) -> Iterator[dict[str, str]]:
    """What is listed, each entry with its name first and its description last."""
    from tlbench import methods
    from tlbench.nn import backbones
    from tlbench.suite import locate_suite, shipped_suites

    if kind is Kind.methods:
        yield from ({"name": name, "summary": methods.method_summary(name)} for name in methods.method_names())
    elif kind is Kind.backbones:
        names = [*backbones.backbone_names(), "auto"]
        yield from ({"name": name, "summary": backbones.backbone_summary(name)} for name in names)
    elif kind is Kind.suites:
        yield from ({"name": name, "title": str(_tables(file)["title"])} for name, file in shipped_suites().items())
    elif kind is Kind.tables:
        from tlbench.reports import ACROSS_KINDS, TABLE_KINDS

        yield from ({"name": name, "shows": of.shows} for name, of in TABLE_KINDS.items())
        yield from ({"name": name, "shows": over.shows} for name, over in ACROSS_KINDS.items())
    else:
        for file in [locate_suite(suite)] if suite else list(shipped_suites().values()):
            yield from _domains(_tables(file))


def _tables(file: Path) -> dict[str, Any]:
    return {"title": "", "data": {}, **tomllib.loads(file.read_text(encoding="utf-8"))}


def _domains(tables: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The domains of a suite file."""
    reader = tables["data"].get("reader", "")
    for name, domain in tables["domains"].items():
        yield {"suite": str(tables["name"]), "name": name, "reader": str(domain.get("reader", reader))}
