"""Device, resources, limits, plugins, data root and progress, set up once for the Python API and for every command.

Importing this module imports no torch, so that commands which only list or check register plugins here too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlbench import methods, suite
from tlbench.errors import TlbenchError
from tlbench.methods import named_sets
from tlbench.nn import backbones, weights_facts

if TYPE_CHECKING:
    import torch

    from tlbench.progress import Style
    from tlbench.runner import RunPlan
    from tlbench.runner.interrupts import StopRequest
    from tlbench.runner.resources import Resources
    from tlbench.runner.worker import Limits
    from tlbench.terms import Record


def _silent(text: str) -> None:
    """Print nothing."""


@dataclass(frozen=True)
class Session:
    """What all runs of one call share."""

    device: torch.device
    resources: Resources
    limits: Limits
    results: Path
    """The results directory."""
    data: Path | None
    """The data root; None: TLBENCH_DATA, else the folder of each suite file."""
    style: Style
    """How progress is shown."""
    stop: StopRequest
    warn: Callable[[str], None]
    """Prints a warning about the results directory."""
    write: Callable[[str], None] | None = None
    """Takes the lines of `Style.json`; None: standard output."""
    debug: bool = False
    """Whether the traceback of a case that failed is printed."""

    def data_root(self, loaded: suite.Suite) -> Path:
        """The folder below which the files of a suite's domains are looked for."""
        from tlbench.data import resolve_data_root

        return resolve_data_root(self.data, loaded.path)

    def check_resources(self) -> None:
        """Check that the resources can be combined.

        Raises:
            TlbenchError: with all that can't be.
        """
        if errors := self.resources.errors():
            raise TlbenchError("\n".join(errors))

    def plan(
        self,
        suites: Iterable[suite.Suite],
        *,
        methods: Sequence[str] = (),
        pairs: Sequence[str] = (),
        seeds: Sequence[int] = (),
        fresh: bool = False,
        write: bool = True,
        save_models: bool = False,
    ) -> list[RunPlan]:
        """Plan the run of every suite, so that an error of the last one is raised before the first case runs.

        Args:
            suites: loaded suites.
            methods: method entries that are run; all without any.
            pairs: pairs such as "a:b" or "a+c:b"; all without any.
            seeds: seed numbers; those of each suite without any.
            fresh: whether cases that have a record are run again.
            write: whether the plans will be run, and the results directory is made; a broken last line is set aside.
            save_models: whether the fitted methods of the cases that run are saved beside their records.

        Raises:
            TlbenchError: with all errors of all suites and of the resources.
        """
        from tlbench import records, runner

        plans, errors = [], self.resources.errors()
        for loaded in suites:
            try:
                if write or (self.results / loaded.name).is_dir():
                    records.prepare(self.results, loaded.name, self.warn)
                root = self.data_root(loaded)
                plan = runner.plan_run(loaded, self.results, root, entries=methods, pairs=pairs, seeds=seeds, fresh=fresh)
                plans.append(dataclasses.replace(plan, save_models=save_models))
            except TlbenchError as error:
                errors.append(str(error))
        if errors:
            raise TlbenchError("\n".join(dict.fromkeys(errors)))
        return plans

    def run(self, plan: RunPlan, results: Path | None = None) -> list[Record]:
        """Run the cases that a plan has left, write their records, and show the progress.

        Args:
            plan: from `plan`.
            results: another results directory than the session's, for the trials of a sweep.

        Raises:
            KeyboardInterrupt: the user asked to stop; the records of finished cases are written.
            TlbenchError: a record can't be written, or the resources don't exist.
        """
        from tlbench import progress
        from tlbench.runner.resources import make_pool

        results = results or self.results
        pool = make_pool(plan, self.device, self.limits, self.resources, results=results)
        finished = progress.show(
            plan,
            results,
            pool,
            self.device,
            limits=self.limits,
            stop=self.stop,
            style=self.style,
            write=self.write,
            debug=self.debug,
        )
        if self.stop.asked:
            raise KeyboardInterrupt
        return finished


def open_session(
    *,
    device: str = "auto",
    workers: int = 1,
    devices: int = 1,
    ray: str | None = None,
    gpus_per_case: float = 0.0,
    isolated: bool = False,
    threads: int | None = None,
    timeout: float | None = None,
    checkpoint: float | None = None,
    results: Path = Path("results"),
    data: Path | None = None,
    plugins: Iterable[Path] = (),
    style: Style | None = None,
    warn: Callable[[str], None] = _silent,
    write: Callable[[str], None] | None = None,
    debug: bool = False,
) -> Session:
    """Set up what all runs of one call share.

    Args:
        device: auto, cpu, cuda or cuda:N.
        workers: how many cases run at once, each in a process; 0: one a core, on a GPU as many as fit.
        devices: on how many devices each case is trained, data parallel.
        ray: the address of a Ray cluster, `auto` or `local`.
        gpus_per_case: with `ray`, GPUs of a case; a fraction shares a GPU.
        isolated: whether each case runs in a process of its own that holds no label of a scored sample.
        threads: CPU threads of a case; None: torch's own number, or cores // workers.
        timeout: seconds after which a case fails.
        checkpoint: seconds between two checkpoints of a deep case; None: none is written.
        results: the results directory.
        data: the data root; None: TLBENCH_DATA, else the folder of each suite file.
        plugins: Python files with methods outside the package.
        style: how progress is shown; None: bars on a terminal, lines elsewhere.
        warn: prints warnings about the results directory and, on Ctrl-C, that running cases end first.
        write: takes the lines of `Style.json`; None: standard output.
        debug: whether the traceback of a case that failed is printed.

    Raises:
        TlbenchError: there is no such device or plugin, or the resources can't be combined.
    """
    register_plugins(plugins)
    from tlbench import engine, progress
    from tlbench.runner.interrupts import StopRequest
    from tlbench.runner.resources import Resources, share_cores
    from tlbench.runner.worker import Limits

    resources = Resources(workers, devices, ray, gpus_per_case, every_gpu=device in {"auto", "cuda"}, isolated=isolated)
    limits = share_cores(Limits(timeout_seconds=timeout, threads=threads, checkpoint_seconds=checkpoint), resources)
    shown, stop = style or progress.Style.auto, StopRequest(warn)
    return Session(engine.device_of(device), resources, limits, results, data, shown, stop, warn, write, debug)


def register_plugins(files: Iterable[Path]) -> None:
    """Make the methods in Python files outside the package known by the files' names.

    Raises:
        TlbenchError: there is no such file, or its name is that of another method.
    """
    for file in files:
        methods.register_file(file)


def load_suite(name: str | Path) -> suite.Suite:
    """Load a suite by its path or its shipped name, and check it against the methods and backbones that exist.

    Raises:
        TlbenchError: with all errors of the file.
    """
    checks = backbones.suite_errors, methods.suite_errors
    loaded = suite.load_suite(suite.locate_suite(str(name)), checks, named_sets.with_members)
    try:
        return dataclasses.replace(loaded, net=weights_facts.with_published_facts(loaded.net))
    except TlbenchError as error:
        raise TlbenchError(f"{loaded.path}:\n  {error}") from error


def load_suites(names: Iterable[str | Path]) -> list[suite.Suite]:
    """Load several suites.

    Raises:
        TlbenchError: with all errors of all files.
    """
    loaded, errors = [], []
    for name in names:
        try:
            loaded.append(load_suite(name))
        except TlbenchError as error:
            errors.append(str(error))
    if errors:
        raise TlbenchError("\n".join(errors))
    return loaded
