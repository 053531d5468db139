"""A fresh process for each case, which gets the granted samples and the scored samples without their labels, and nothing else.

The samples lie in files of a temporary folder, written once for all cases that use a domain; indices and granted labels are
sent. The process is forked from a server that has never held any data, and the case that it runs is its only one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlbench import clock, data, engine, methods
from tlbench.engine.data.storage import Grants, Subset, is_resident, sample_store
from tlbench.engine.isolated import IsolatedCase, pack_failure, run_packed
from tlbench.engine.label_free import CaseInputs
from tlbench.engine.saved.saving import saves_models
from tlbench.engine.training.checkpoint import active_checkpointer
from tlbench.errors import TlbenchError
from tlbench.runner.pools.worker_process import context, end_of, enter_worker_process, kill, ready_to_start
from tlbench.runner.time_limit import time_limit
from tlbench.runner.worker import NO_LIMITS, Job, Limits, Worker, WorkerSetup
from tlbench.suite import Suite
from tlbench.terms import SPLITS, Case, Domain, Record

MAPPED_BYTES = 2**28
"""Files of more bytes than this are mapped by the process of a case; smaller ones are read into its memory."""
STEP_MESSAGE_SECONDS = 0.2
"""The shortest interval between two messages of a process about its training steps."""
BEGUN, STEPPED, RESULT, LOST = b"b", b"s", b"r", b"l"
"""The first byte of a message: the case begins; so many steps are done, of so many; the result. LOST: the process has ended."""


class SampleFiles:
    """The samples of domains, without labels, each in a file of a temporary folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tlbench-isolated-", dir=_existing_cache_folder())
        self._paths: dict[int, tuple[weakref.ref[Tensor], Path]] = {}
        self._count = 0

    def path_of(self, samples: Tensor) -> Path:
        """The file of samples (N, ...), which is written at the first call and removed with the samples.

        Raises:
            TlbenchError: the disk has too little free space.
        """
        if (known := self._paths.get(id(samples))) is not None:
            return known[1]
        free = shutil.disk_usage(self._folder.name).free
        if samples.nbytes >= free:
            raise TlbenchError(
                f"An isolated run copies its samples: {samples.nbytes / 2**30:.1f} GiB to {self._folder.name}, which has "
                f"{free / 2**30:.1f} GiB free. Name another folder by TLBENCH_CACHE."
            )
        self._count += 1
        path = Path(self._folder.name, f"{self._count}.npy")
        np.save(path, samples.detach().cpu().numpy(), allow_pickle=False)
        key = id(samples)

        def forget(_: object) -> None:
            self._paths.pop(key, None)
            path.unlink(missing_ok=True)

        self._paths[key] = weakref.ref(samples, forget), path
        return path

    def close(self) -> None:
        """Remove the folder."""
        self._paths.clear()
        self._folder.cleanup()

    def __enter__(self) -> SampleFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _existing_cache_folder() -> Path | None:
    """The cache folder where it exists; None: the system's folder of temporary files."""
    folder = data.cache.cache_folder()
    return folder if folder is not None and folder.is_dir() else None


@dataclass(frozen=True)
class SentSubset:
    """A subset as it is sent: the files of its store, and copies of its indices, labels and domains."""

    files: tuple[Path, ...]
    indices: NDArray[Any]
    y: NDArray[Any] | None
    domain: NDArray[Any] | None
    counted: NDArray[Any] | None

    @classmethod
    def of(cls, subset: Subset, files: SampleFiles) -> SentSubset:
        """What is sent of a subset on the host.

        Raises:
            TlbenchError: its samples can't be written to files.
        """
        facts = (subset.y, subset.domain, subset.counted)
        copies = (None if fact is None else fact.numpy().copy() for fact in facts)
        return cls(tuple(map(files.path_of, subset.store.tensors)), subset.indices.numpy().copy(), *copies)


@dataclass(frozen=True)
class SentInputs:
    """The inputs of a case as they are sent to its process: no tensor, and a suite that declares no domains."""

    case: Case
    suite: Suite
    precision: str
    seed: Callable[[str], int]
    classes: int
    grants: Mapping[str, Any]
    """The fields of `Grants` that are neither samples nor the number of classes."""
    subsets: Mapping[str, SentSubset]
    """Split, `scored` or `validation` -> subset."""

    @classmethod
    def of(cls, inputs: CaseInputs, files: SampleFiles) -> SentInputs:
        """What is sent of the inputs of a case, whose samples are on the host.

        Raises:
            TlbenchError: the samples can't be written to files.
        """
        granted = inputs.granted
        named: dict[str, Subset | None] = {split: getattr(granted, split) for split in SPLITS}
        named |= {"scored": inputs.scored, "validation": inputs.validation}
        subsets = {name: SentSubset.of(subset, files) for name, subset in named.items() if subset is not None}
        suite = dataclasses.replace(inputs.suite, domains={}, path=None)
        names = ("regression", "tasks", "open_set", "source_classes", "class_texts", "embed_classes", "positions")
        grants = {name: getattr(granted, name) for name in names}
        return cls(inputs.case, suite, inputs.precision, inputs.seed, granted.classes, grants, subsets)

    def read(self, device: torch.device) -> CaseInputs:
        """The inputs with their samples, on the device where they fit, as in a process that runs the whole case."""
        tensors = {path: _read(path) for path in dict.fromkeys(path for sent in self.subsets.values() for path in sent.files)}
        fits = is_resident(self.suite.train.resident, list(tensors.values()), device)

        def subset(sent: SentSubset) -> Subset:
            indices = torch.from_numpy(sent.indices)
            facts = (sent.y, sent.domain, sent.counted)
            y, domain, counted = (None if fact is None else torch.from_numpy(fact).to(device) for fact in facts)
            store = sample_store([tensors[path] for path in sent.files], device, fits)
            return Subset(store, indices.to(device) if fits else indices, y, domain, counted=counted)

        subsets: dict[str, Any] = {name: subset(sent) for name, sent in self.subsets.items()}
        scored, validation = subsets.pop("scored"), subsets.pop("validation", None)
        granted = Grants(self.classes, **subsets, **self.grants)
        return CaseInputs(self.case, self.suite, self.precision, self.seed, granted, scored, validation)


def _read(path: Path) -> Tensor:
    if path.stat().st_size > MAPPED_BYTES:
        return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
    return torch.from_numpy(np.load(path, allow_pickle=False))


class CaseProcess:
    """The process of one case.

    Args:
        sent: the inputs of the case.
        setup: limits, plugins and checkpoints; suite, data root and fingerprints are left out of what is sent.
        job: the case.
        device: where the method runs.
    """

    def __init__(self, sent: SentInputs, setup: WorkerSetup, job: Job, device: str) -> None:
        setup = dataclasses.replace(setup, suite=sent.suite, root=Path(), fingerprints={})
        job = dataclasses.replace(job, siblings=())
        self.pipe, child_end = multiprocessing.Pipe()
        self._process = context().Process(target=_serve, args=(child_end, sent, setup, job, device), daemon=True)
        with ready_to_start(setup.limits.threads):
            self._process.start()
        child_end.close()

    def receive(self) -> tuple[bytes, bytes]:
        """The next message of the process: its kind and its content; LOST where it has ended, with a sentence on how."""
        try:
            message = self.pipe.recv_bytes()
        except (EOFError, OSError):
            return LOST, f"The process of the case {end_of(self._process)}.".encode()
        return message[:1], message[1:]

    def close(self) -> None:
        """Kill the process with all that it has started."""
        kill(self._process)
        self._process.close()
        self.pipe.close()


def steps_of(content: bytes) -> tuple[int, int]:
    """The steps that are done and the steps in all, of a message `STEPPED`."""
    try:
        done, total = map(int, content.split())
    except ValueError:
        return 0, 0
    return done, total


def run_isolated(
    case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device, limits: Limits = NO_LIMITS
) -> Record:
    """Run one case: the method in a process of its own, which holds no label of a scored sample, and the scores here.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the method runs.
        limits: time and threads of the case.

    Raises:
        TlbenchError: the samples can't be written for the other process.
    """
    start, isolated = clock.seconds(), IsolatedCase(case, suite, domains, device)
    if isolated.error is not None:
        return isolated.record(None)
    limits = dataclasses.replace(limits, threads=limits.threads or torch.get_num_threads())
    setup = WorkerSetup(suite, Path(), {}, limits, tuple(methods.registered_files()))
    with SampleFiles() as files:
        process = CaseProcess(SentInputs.of(isolated.inputs, files), setup, Job(case, ""), str(device))
        try:
            kind, content = process.receive()
            while kind not in (RESULT, LOST):
                kind, content = process.receive()
        finally:
            process.close()
    if kind == LOST:
        content = pack_failure(TlbenchError(content.decode()), case)
    record = isolated.record(content)
    return record.model_copy(update={"cost": record.cost.model_copy(update={"wall_seconds": clock.seconds() - start})})


def _serve(pipe: Connection, sent: SentInputs, setup: WorkerSetup, job: Job, device_name: str) -> None:
    """The main function of the process of a case."""
    enter_worker_process()
    worker = Worker(setup, device_name, interruptible=False)
    device, last_message, process = engine.device_of(device_name), clock.seconds(), os.getpid()

    def send(kind: bytes, content: bytes = b"") -> None:
        if os.getpid() != process:  # a method has forked, and its child came here as well
            os._exit(0)
        with contextlib.suppress(OSError):  # without a connection, `enter_worker_process` ends this process
            pipe.send_bytes(kind + content)

    def on_step(done: int, total: int) -> None:
        nonlocal last_message
        if clock.seconds() - last_message >= STEP_MESSAGE_SECONDS or done == total:
            last_message = clock.seconds()
            send(STEPPED, f"{done} {total}".encode())

    def run(on_begin: Callable[[], None]) -> bytes:
        setup.check_plugins()
        engine.warm_up(job.case, setup.suite, device)
        inputs, checkpointer = sent.read(device), worker.checkpointer(job, device)
        on_begin()
        active_checkpointer.set(checkpointer)
        saves_models.set(setup.save_models)
        with time_limit(setup.limits.timeout_seconds):
            result = run_packed(inputs, device, on_step)
            if checkpointer is not None and checkpointer.refused:  # it was of another program: start from the first step
                result = run_packed(inputs, device, on_step)
            return result

    try:
        result = run(lambda: send(BEGUN))
    except BaseException as error:  # such as the alarm of the time limit, outside the method's own code
        result = pack_failure(error, job.case)
    send(RESULT, result)
