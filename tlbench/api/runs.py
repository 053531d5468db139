"""`run` gives the records of a suite as a DataFrame, `report` the tables of a results directory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench import records, reports, session
from tlbench.progress import Style
from tlbench.reports.gates import gated_records
from tlbench.suite import Suite

if TYPE_CHECKING:
    import pandas as pd


class Tables(list[reports.Table]):
    """Tables, printed as text; a notebook shows them as HTML."""

    def __repr__(self) -> str:
        return reports.render(list(self), "text")

    def _repr_html_(self) -> str:
        return "".join(table._repr_html_() for table in self)


def run(
    suite: str | Path | Suite,
    *,
    results: str | Path = "results",
    data: str | Path | None = None,
    device: str = "auto",
    methods: str | Sequence[str] = (),
    pairs: str | Sequence[str] = (),
    seeds: int | Sequence[int] = (),
    plugins: str | Path | Sequence[str | Path] = (),
    workers: int = 1,
    isolated: bool = False,
    threads: int | None = None,
    timeout: float | None = None,
    checkpoint: float | None = None,
    save_models: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Run the cases of a suite that have no record yet, and return the records of all selected cases.

    Args:
        suite: a suite file, the name of a shipped suite, or a suite from `tlbench.load_suite`.
        results: the results directory; records are read from and written to `<results>/<suite>/<entry>.jsonl`.
        data: the data root; None: TLBENCH_DATA, else the folder of the suite file.
        device: auto, cpu, cuda or cuda:N.
        methods: method entries of the suite; empty: all.
        pairs: pairs such as "a:b" or "a+c:b"; empty: all.
        seeds: seed numbers; empty: those of the suite.
        plugins: Python files with methods outside the package.
        workers: cases at once, each in a process, which imports no script (so with plugins); 0: one a core, on a GPU what fits.
        isolated: whether each case runs in a process that holds no label of a scored sample, with the same numbers.
        threads: CPU threads of a case; None: torch's own number, or cores // workers.
        timeout: seconds after which a case fails.
        checkpoint: seconds between two checkpoints of a long case; None: none is written.
        save_models: save the fitted method of each case that runs beside its record, for `tlbench.load_model`.
        progress: show a bar on a terminal and in a notebook, and only failures elsewhere; False: show nothing.

    Returns:
        One row a record; `tlbench.reports.frame` describes the columns.

    Raises:
        TlbenchError: there is no such suite, entry, pair, device or file, or a domain can't be loaded.
    """
    limits: dict[str, Any] = {"threads": threads, "timeout": timeout, "checkpoint": checkpoint}
    opened = session.open_session(
        **{"device": device, "workers": workers, "isolated": isolated, **limits},
        results=Path(results),
        data=None if data is None else Path(data),
        plugins=[Path(file) for file in ([plugins] if isinstance(plugins, str | Path) else plugins)],
        style=Style.bars if progress else Style.silent,
    )
    (plan,) = opened.plan(
        [suite if isinstance(suite, Suite) else session.load_suite(suite)],
        methods=[methods] if isinstance(methods, str) else methods,
        pairs=[pairs] if isinstance(pairs, str) else pairs,
        seeds=[seeds] if isinstance(seeds, int) else seeds,
        save_models=save_models,
    )
    return reports.frame([*plan.on_file, *opened.run(plan)])


def report(
    results: str | Path = "results",
    suites: str | Sequence[str] = (),
    *,
    table: str = "summary",
    gate: str | Sequence[str] = (),
) -> Tables:
    """The tables of a results directory.

    Args:
        results: the results directory.
        suites: names of suites; empty: all that have records.
        table: "summary"; "main" (accuracy, transfer, negative transfer, throughput), "all" (every full table), or another
            kind of `tlbench.reports.KINDS`, or one over all suites of `tlbench.reports.ACROSS`.
        gate: rules; each method is added behind a gate of each, adapted only if the rule prefers it to the baseline.

    Returns:
        A list of tables. Each has `title`, `caption`, `cells` (text, as shown) and `data` (numbers in long form), the last two
        as DataFrames. Printed, the list is text; a notebook shows HTML.

    Raises:
        TlbenchError: there are no such records, no such kind of table, or no candidates that a gate compares.
    """
    names = (suites,) if isinstance(suites, str) else tuple(suites)
    folder, gates = Path(results), (gate,) if isinstance(gate, str) else tuple(gate)
    gated = gated_records(folder, records.iterate_records(folder, names), gates) if gates else []
    frame = reports.frame(chain(records.iterate_records(folder, names), gated))
    selections = None
    if table in ("selection", "rules", "all"):
        selections = reports.rule_selections(folder, records.iterate_records(folder, names))
    flips = reports.negative_flips(folder, frame)
    if table in reports.ACROSS:
        from tlbench import methods

        families = methods.families()
        return Tables(
            reports.tables_over_suites(frame, table, flips=flips, selections=selections, families=families, suites=names)
        )
    return Tables(reports.tables(frame, table, flips, selections=selections))
