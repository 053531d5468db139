"""`tlbench list`: suites, methods, domains and backbones by name."""

from __future__ import annotations

import tomllib
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


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    suite: Annotated[str | None, typer.Option(metavar="SUITE", help="With domains: those of this suite only.")] = None,
    plugin: options.Plugins = None,
) -> None:
    """List available suites, methods, domains or backbones."""
    from tlbench import methods, session
    from tlbench.nn import backbones
    from tlbench.suite import locate_suite, shipped_suites

    session.register_plugins(plugin or ())
    if kind is Kind.methods:
        lines = [f"{name:24} {methods.method_summary(name)}" for name in methods.method_names()]
    elif kind is Kind.backbones:
        names = [*backbones.backbone_names(), "auto"]
        lines = [f"{name:24} {backbones.backbone_summary(name)}" for name in names]
    elif kind is Kind.suites:
        lines = [f"{name:24} {_tables(file)['title']}" for name, file in shipped_suites().items()]
    else:
        files = [locate_suite(suite)] if suite else list(shipped_suites().values())
        lines = [line for file in files for line in _domain_lines(_tables(file))]
    for line in lines:
        console.echo(line)


def _tables(file: Path) -> dict[str, Any]:
    return {"title": "", "data": {}, **tomllib.loads(file.read_text(encoding="utf-8"))}


def _domain_lines(tables: dict[str, Any]) -> list[str]:
    """A line for each domain of a suite file: suite, domain, reader."""
    reader = tables["data"].get("reader", "")
    return [f"{tables['name']:24} {name:20} {domain.get('reader', reader)}" for name, domain in tables["domains"].items()]
