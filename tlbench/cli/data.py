"""`tlbench data`: what the domains of a suite hold, whether their files are sound, and what the cache keeps. No logic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.suite import Suite
    from tlbench.terms import Domain

app = typer.Typer(help="Look at the data of a suite, check them, and see what is cached.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of a shipped suite.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch what is not there from the hub, or as torchvision does.")]
Root = Annotated[Path | None, typer.Option("--data", help="Data root; else TLBENCH_DATA, else the suite's folder.")]


def _warn(text: str) -> None:
    typer.echo(text, err=True)


def allow(download: bool) -> None:
    """Let readers fetch, in this process and those that it starts."""
    if download:
        os.environ["TLBENCH_DOWNLOAD"] = "1"


@app.command()
def check(suite: Named, data: Root = None, download: Download = False) -> None:
    """Read every file of a suite without training: is it there, whole, the stated one, and no row in both parts?"""
    from tlbench import api
    from tlbench.data import count_duplicates, load, resolve_data_root, source_files
    from tlbench.runner.duplicates import duplicate_warnings

    allow(download)
    loaded = api.load_suite(suite)
    root = resolve_data_root(data, loaded.path)
    wrong = []
    whole = {}
    for name, declaration in loaded.domains.items():
        try:
            domain = load(declaration, root)  # past the cache: the files themselves are meant
        except TlbenchError as error:
            wrong.append(str(error))
            continue
        whole[name] = domain
        stated = len(declaration.sha256)
        files = source_files.files_of(declaration, root)
        held = f"{len(files)} files, {stated} with a stated sha256" if files is not None else "no files below the data root"
        test = f" + {len(domain.test):,} test" if domain.test is not None else ""
        kinds = f"{len(domain.targets)} targets" if domain.targets else f"{len(domain.classes)} classes"
        typer.echo(f"ok  {name:20} {len(domain.samples):,}{test} rows, {kinds}, {held}")
        for note in domain.notes:
            _warn(f"note: domains.{name}: {note}")
        if domain.test is not None and (twice := count_duplicates(domain.test.x, domain.samples.x)):
            _warn(f"warning: domains.{name}: {twice:,} of {len(domain.test):,} test rows are training rows too")
    for sources_, target in loaded.pairs:
        if all(name in whole for name in (*sources_, target)):
            for said in duplicate_warnings(
                [whole[name] for name in sources_], whole[target], loaded.protocol_of(target), max_bytes=None
            ):
                _warn(f"warning: {said}")
    if wrong:
        raise TlbenchError("\n".join(dict.fromkeys(wrong)))


@app.command()
def show(
    suite: Named,
    domain: Annotated[str | None, typer.Argument(help="Only this domain.")] = None,
    data: Root = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("out/data"),
    download: Download = False,
) -> None:
    """Print a card of each domain, write a picture of them all, and say how far the two sides of each pair are apart."""
    from tlbench import api, runner
    from tlbench.data import preview, resolve_data_root
    from tlbench.errors import unknown_name

    allow(download)
    loaded = api.load_suite(suite)
    if domain is not None and domain not in loaded.domains:
        raise TlbenchError(unknown_name(f"domain of suite {loaded.name}", domain, loaded.domains))
    domains = runner.load_domains(loaded, [domain] if domain else list(loaded.domains), resolve_data_root(data, loaded.path))
    for name, one in domains.items():
        typer.echo(preview.summary_text(loaded.domains[name], one) + "\n")
    by_rank: dict[int, list[Domain]] = {}
    for one in domains.values():
        by_rank.setdefault(one.samples.x.ndim, []).append(one)
    for rank, alike in by_rank.items():
        kind = {4: "images", 3: "series"}.get(rank, "vectors")
        path = out / f"{loaded.name}-{domain or kind}.png"
        preview.contact_sheet(alike, path, loaded.title or loaded.name)
        typer.echo(f"wrote {path}")
    if domain is None:
        typer.echo(_distances(loaded, domains))


def _distances(suite: Suite, domains: dict[str, Domain]) -> str:
    """A line for each pair."""
    from tlbench.data.divergence import measure_divergence

    def said(value: float | None) -> str:
        return f"{'-' if value is None else f'{value:.3f}':>12}"

    width = max(len("+".join(sources)) + len(target) + 1 for sources, target in suite.pairs)
    lines = ["", f"{'how far apart':{width}} {'label shift':>12}{'A-distance':>12}{'MMD^2':>12}{'Frechet':>12}"]
    for sources, target in suite.pairs:
        found = measure_divergence([domains[name] for name in sources], domains[target])
        numbers = (found.label_shift, found.a_distance, found.mmd2, found.frechet)
        lines.append(f"{'+'.join(sources) + ':' + target:{width}} {''.join(map(said, numbers))}")
    lines.append(
        "label shift: total variation, 0 to 1 (none for a regression). "
        "The others compare at most 1,000 rows a side on 32 principal components: "
        "A-distance 0 (alike) to 2 (told apart every time), MMD^2 and Frechet 0 where alike"
    )
    return "\n".join(lines)


@app.command()
def cache(
    prune: Annotated[bool, typer.Option("--prune", help="Remove entries: all, or with --days the old ones.")] = False,
    days: Annotated[float | None, typer.Option(min=0, help="With --prune: only what was not used for so many days.")] = None,
) -> None:
    """List what is cached, with size and last use, or prune it."""
    import datetime

    from tlbench import clock
    from tlbench.data import cache as store

    folder = store.cache_folder()
    if folder is None:
        typer.echo("the cache is switched off (TLBENCH_CACHE=off)")
        return
    if days is not None and not prune:
        raise TlbenchError("--days goes with --prune; without it nothing is removed")
    now = datetime.datetime.fromisoformat(clock.utc()).timestamp()
    if prune:
        freed = store.prune(folder, None if days is None else now - days * 86400)
        typer.echo(f"freed {_size(freed)}")
    found = store.entries(folder)
    for entry in found:
        used = f"used {duration(max(0.0, now - entry.used))} ago"
        shape = " x ".join(map(str, entry.shape))
        typer.echo(f"{entry.name:20} {entry.samples:>9,} rows of {shape:16} {_size(entry.size_bytes):>10}  {used}")
    typer.echo(f"{len(found)} domains, {_size(sum(entry.size_bytes for entry in found))} in {folder}")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, hours = round(seconds / 60), seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if hours < 2 else f"{hours:.1f} h"
