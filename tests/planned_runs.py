"""Plans for the tiny suite, and the facts of records that no clock decides."""

from __future__ import annotations

from pathlib import Path

from tiny_suite import SUITE, write_domains

from tlbench import api, records, runner
from tlbench.runner.worker import Limits

ONE_THREAD = Limits(threads=1)
SHALLOW = "from tlbench.methods.base import ShallowMethod\nclass Odd(ShallowMethod):\n    reads = frozenset({'source'})\n"


def planned(folder: Path, entries: str, *, seeds: int = 1, fresh: bool = False) -> tuple[runner.RunPlan, Path]:
    """A plan for the tiny suite with the method entries of a TOML text, and its results directory."""
    write_domains(folder)
    text = SUITE.partition("[methods.source_only]")[0].replace("seeds = [0]", f"seeds = {[*range(seeds)]}")
    first = entries.strip().splitlines()[0].removeprefix("[methods.").removesuffix("]")
    text = text.replace("[protocol]", f'[protocol]\nbaseline = "{first}"')
    (folder / "tiny.toml").write_text(text + entries)
    chosen, results = api.load_suite(folder / "tiny.toml"), folder / "results"
    records.prepare(results, chosen.name)
    return runner.plan_run(chosen, results, folder, fresh=fresh), results


def facts(ended) -> dict[tuple[str, str, int], tuple[object, ...]]:
    """The facts of records that depend on no clock and no process number."""
    return {
        (r.entry, r.pair, r.seed): (r.identity, r.status, r.reason, r.scores, r.notes, r.options, r.data, r.machine.threads)
        for r in ended
    }
