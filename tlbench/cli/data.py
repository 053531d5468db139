"""`tlbench data`: check and preview the domains of a suite, and list or prune the data cache."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tlbench.data import Declaration
    from tlbench.suite import Suite
    from tlbench.terms import Domain

app = typer.Typer(help="Check and preview the data of a suite, and manage the data cache.", no_args_is_help=True)


@app.command()
def check(suite: options.SuiteName, data: options.DataRoot = None, download: options.Download = False) -> None:
    """Read every file of a suite: present, complete, with the declared sha256, and no sample both trained on and scored."""
    from tlbench import session
    from tlbench.data import load, resolve_data_root

    options.allow_download(download)
    loaded = session.load_suite(suite)
    root = resolve_data_root(data, loaded.path)
    errors: list[str] = []
    domains: dict[str, Domain] = {}
    for name, declaration in loaded.domains.items():
        try:
            with warnings.catch_warnings(record=True) as caught:  # warnings that are notes are printed as such
                warnings.simplefilter("always", UserWarning)
                domains[name] = load(declaration, root)  # without the cache: the files themselves are checked
        except TlbenchError as error:
            errors.append(str(error))
            continue
        notes = {f"domains.{name}: {note}" for note in domains[name].notes}
        for message in dict.fromkeys(str(warning.message) for warning in caught):
            if message not in notes:
                console.warn(f"warning: {message}")
        _print_domain(name, declaration, domains[name], root)
    for line in _label_set_lines(loaded, domains):
        console.echo(line)
    _warn_of_duplicates(loaded, domains)
    errors += _pair_errors(loaded, domains)
    if errors:
        raise TlbenchError("\n".join(dict.fromkeys(errors)))


def _pair_errors(loaded: Suite, domains: Mapping[str, Domain]) -> list[str]:
    """Why pairs can't be run, for those whose domains could be loaded: what `tlbench run` would refuse."""
    from tlbench import engine

    pairs = [pair for pair in loaded.pairs if all(name in domains for name in (*pair[0], pair[1]))]
    try:
        engine.check_pairs(loaded, domains, pairs)
    except TlbenchError as error:
        return [str(error)]
    return []


def _label_set_lines(loaded: Suite, domains: Mapping[str, Domain]) -> list[str]:
    """The label set and the classes of each side, a line for all pairs that share them, for pairs whose domains are loaded."""
    from tlbench.engine.data.pair_classes import label_set_text
    from tlbench.suite.pairs import pair_label
    from tlbench.terms import POSITION_TASKS

    if loaded.protocol.task != "classification" and loaded.protocol.task not in POSITION_TASKS:
        return []
    pairs_of: dict[str, list[str]] = {}
    for sources, target in loaded.pairs:
        if all(name in domains for name in (*sources, target)):
            text = label_set_text([domains[name] for name in sources], domains[target], loaded.protocol.label_set)
            pairs_of.setdefault(text, []).append(pair_label((sources, target)))
    return [f"label set {text}: {', '.join(pairs)}" for text, pairs in pairs_of.items()]


def _print_domain(name: str, declaration: Declaration, domain: Domain, root: Path) -> None:
    """Print the size of a domain and its files; notes and duplicates of its own test samples go to standard error."""
    from tlbench.data import count_duplicates, source_files

    paths = source_files.files_of(declaration, root)
    declared = len(declaration.sha256)
    files = "no files below the data root" if paths is None else f"{len(paths)} files, {declared} with a declared sha256"
    test = f" + {len(domain.test):,} test" if domain.test is not None else ""
    labels = f"{len(domain.targets)} targets" if domain.targets else f"{len(domain.classes)} classes"
    labels = f"{len(domain.tasks)} tasks" if domain.tasks else labels
    console.echo(f"ok  {name:20} {len(domain.samples):,}{test} samples, {labels}, {files}")
    for text in domain.reading:
        console.echo(f"      {text}")
    for note in domain.notes:
        console.warn(f"note: domains.{name}: {note}")
    if domain.test is not None and (count := count_duplicates(domain.test.x, domain.samples.x)):
        console.warn(f"warning: domains.{name}: {count:,} of {len(domain.test):,} test samples are training samples too")


def _warn_of_duplicates(loaded: Suite, domains: Mapping[str, Domain]) -> None:
    """Warn of samples that a pair both trains on and scores, for the pairs whose domains could be loaded."""
    from tlbench.runner.duplicates import duplicate_warnings

    for sources, target in loaded.pairs:
        if all(name in domains for name in (*sources, target)):
            protocol = loaded.protocol_of(target)
            for message in duplicate_warnings([domains[n] for n in sources], domains[target], protocol, max_bytes=None):
                console.warn(f"warning: {message}")


@app.command()
def show(
    suite: options.SuiteName,
    domain: Annotated[str | None, typer.Argument(help="Only this domain.")] = None,
    data: options.DataRoot = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pictures.")] = Path("out/data"),
    download: options.Download = False,
) -> None:
    """Print a summary of each domain, draw samples of all, and print the divergence of each pair."""
    from tlbench import runner, session
    from tlbench.data import preview, resolve_data_root
    from tlbench.errors import unknown_name

    options.allow_download(download)
    loaded = session.load_suite(suite)
    if domain is not None and domain not in loaded.domains:
        raise TlbenchError(unknown_name(f"domain of suite {loaded.name}", domain, loaded.domains))
    domains = runner.load_domains(loaded, [domain] if domain else list(loaded.domains), resolve_data_root(data, loaded.path))
    for name, one in domains.items():
        console.echo(preview.summary_text(loaded.domains[name], one) + "\n")
    by_rank: dict[int, list[Domain]] = {}
    for one in domains.values():
        by_rank.setdefault(one.samples.x.ndim, []).append(one)
    for rank, alike in by_rank.items():
        kind = {4: "images", 3: "series"}.get(rank, "vectors")
        path = out / f"{loaded.name}-{domain or kind}.png"
        preview.contact_sheet(alike, path, loaded.title or loaded.name)
        console.echo(f"wrote {path}")
    if domain is None:
        for line in _label_set_lines(loaded, domains):
            console.echo(line)
        console.echo(_divergence_table(loaded, domains))


def _divergence_table(loaded: Suite, domains: Mapping[str, Domain]) -> str:
    """The divergence of each pair of a suite, a line each."""
    from tlbench.data.divergence import measure_divergence
    from tlbench.suite.pairs import pair_label

    def cell(value: float | None) -> str:
        return f"{'-' if value is None else f'{value:.3f}':>12}"

    pairs = {pair_label(pair): pair for pair in loaded.pairs}
    width = max(*map(len, pairs), len("divergence"))
    lines = ["", f"{'divergence':{width}} {'label shift':>12}{'A-distance':>12}{'MMD^2':>12}{'Frechet':>12}"]
    for pair, (sources, target) in pairs.items():
        measured = measure_divergence([domains[name] for name in sources], domains[target])
        numbers = (measured.label_shift, measured.a_distance, measured.mmd2, measured.frechet)
        lines.append(f"{pair:{width}} {''.join(map(cell, numbers))}")
    lines.append(
        "label shift: total variation, 0 to 1 (none for regression). "
        "The others compare at most 1,000 samples of each side on 32 principal components: "
        "A-distance 0 (alike) to 2 (always told apart), MMD^2 and Frechet 0 where alike"
    )
    return "\n".join(lines)


@app.command()
def cache(
    prune: Annotated[bool, typer.Option("--prune", help="Remove entries: all, or with --days the old ones.")] = False,
    days: Annotated[float | None, typer.Option(min=0, help="With --prune: only entries unused for so many days.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read every entry anew, and remove those that are damaged.")] = False,
) -> None:
    """List the cached domains with size and last use, or verify or remove them."""
    import datetime

    from tlbench import clock
    from tlbench.data import cache as data_cache

    folder = data_cache.cache_folder()
    if folder is None:
        console.echo("the cache is switched off (TLBENCH_CACHE=off)")
        return
    if days is not None and not prune:
        raise TlbenchError("--days works only with --prune; without it nothing is removed.")
    now = datetime.datetime.fromisoformat(clock.utc()).timestamp()
    if verify:
        damaged = data_cache.damaged_entries(folder)
        for path, reason in damaged.items():
            console.warn(f"damaged: {path.name}: {reason}")
        data_cache.remove_entries(folder, list(damaged))
        console.echo(f"verified every entry, removed {len(damaged)}")
    if prune:
        freed = data_cache.prune(folder, None if days is None else now - days * 86400)
        console.echo(f"freed {console.size_text(freed)}")
    entries = data_cache.entries(folder)
    for entry in entries:
        used = f"used {console.duration_text(max(0.0, now - entry.used))} ago"
        shape, size = " x ".join(map(str, entry.shape)), console.size_text(entry.size_bytes)
        console.echo(f"{entry.name:20} {entry.samples:>9,} samples of {shape:16} {size:>10}  {used}")
    console.echo(f"{len(entries)} domains, {console.size_text(sum(entry.size_bytes for entry in entries))} in {folder}")
