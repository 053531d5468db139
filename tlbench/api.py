"""tlbench from Python: `run` gives the records as a DataFrame, `report` the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlbench import engine, methods, records, reports, runner, suite
from tlbench.data import resolve_data_root
from tlbench.nn import backbones
from tlbench.runner.resources import Resources, share_cores
from tlbench.runner.resources import make_pool as pool_of
from tlbench.runner.scheduler import run_plan
from tlbench.runner.worker import Limits

if TYPE_CHECKING:
    import pandas as pd


def load_suite(name: str | Path) -> suite.Suite:
    """A suite by its path or its shipped name, checked by every room that knows something of it.

    Raises:
        TlbenchError: with every mistake of the file.
    """
    return suite.load_suite(suite.locate_suite(str(name)), (backbones.suite_errors, methods.suite_errors))


def run(
    name: str | Path | suite.Suite,
    *,
    results: str | Path = "results",
    data: str | Path | None = None,
    device: str = "auto",
    method: Sequence[str] = (),
    pair: Sequence[str] = (),
    seed: Sequence[int] = (),
    plugin: Sequence[str | Path] = (),
    workers: int = 1,
    threads: int | None = None,
    timeout: float | None = None,
    checkpoint: float | None = None,
) -> pd.DataFrame:
    """Run what is left of a suite, and give all its chosen records.

    Args:
        name: a suite file, the name of a shipped suite, or a suite from `tlbench.api.load`.
        results: where records are kept and looked for.
        data: the data root; else TLBENCH_DATA, else the suite file's own folder.
        device: auto, cpu, cuda or cuda:N.
        method: rows of the suite; all without any.
        pair: pairs such as "a:b" or "a+c:b"; all without any.
        seed: seed numbers; the suite's own without any.
        plugin: files of methods outside the package.
        workers: cases at once, each in a process; 0: one a core, on a GPU as many as fit and pay. A script that asks for them
            keeps its own work below `if __name__ == "__main__":`, for the processes import it.
        threads: of a case on the CPU; else torch's own number, or cores // workers.
        timeout: seconds after which a case is a failed one.
        checkpoint: keep the state of a long case this often, in seconds.

    Returns:
        One row per record, see `tlbench.reports.frame`.

    Raises:
        TlbenchError: anything that the caller can mend.
    """
    for file in plugin:
        methods.register_file(Path(file))
    chosen = name if isinstance(name, suite.Suite) else load_suite(name)
    where = Path(results)
    on = engine.device_of(device)
    root = resolve_data_root(None if data is None else Path(data), chosen.path)
    records.prepare(where, chosen.name)
    todo = runner.plan_run(chosen, where, root, entries=method, pairs=pair, seeds=seed)
    asked = Resources(workers, every_gpu=device in {"auto", "cuda"})
    limits = share_cores(Limits(timeout_seconds=timeout, threads=threads, checkpoint_seconds=checkpoint), asked)
    pool = pool_of(todo, on, limits, asked, results=where)
    return reports.frame([*todo.on_file, *run_plan(todo, where, pool, device=on, limits=limits)])


def report(
    results: str | Path = "results",
    suites: Sequence[str] = (),
    *,
    table: str = "main",
) -> list[reports.Table]:
    """The tables of a results directory: each has `title`, `caption`, `cells` (text) and `data` (numbers), as DataFrames.

    `table` is "main" (accuracy, transfer, harm, throughput), "all", or one kind of `tlbench.reports.KINDS`.
    """
    frame = reports.frame(records.iterate_records(Path(results), tuple(suites)))
    return reports.tables(frame, table, reports.negative_flips(Path(results), frame))
