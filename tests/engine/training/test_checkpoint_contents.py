"""A checkpoint whose checksum is right and whose content is not: the training starts from its first step, with a note."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpointed_runs import numbers, run
from plugin_files import Cut

from tlbench.engine.training import checkpoint_contents
from tlbench.terms import Record

METHODS = ("coral", "dann")
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def whole() -> dict[str, Record]:
    """The records of cases that were not cut off."""
    return {method: run(method, None)[0] for method in METHODS}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """The checkpoints of cases that were cut off, by method and by the step of the cut."""
    files = {}
    for method in METHODS:
        for until in (9, 20):
            file = tmp_path_factory.mktemp("written") / "case.pt"
            with pytest.raises(Cut):
                run(method, file, until=until)
            files[method, until] = file
    return files


def signed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def forge(file: Path, change: Change) -> None:
    """Change what a checkpoint holds, and sign it anew."""
    stored = torch.load(io.BytesIO(file.read_bytes()[32:]), weights_only=True)
    stored = change(stored) or stored
    buffer = io.BytesIO()
    torch.save(stored, buffer)
    file.write_bytes(signed(buffer.getvalue()))


def put(*keys: Any, value: Any) -> Change:
    """Replace what lies at some nested keys; a function gets what lies there."""

    def change(stored: dict[str, Any]) -> None:
        inner: Any = stored
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value(inner[keys[-1]]) if callable(value) else value

    return change


def first(tensors: dict[Any, Any]) -> Any:
    return next(iter(tensors))


def parameter(change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    """Change the first parameter."""

    def at_first(stored: dict[str, Any]) -> None:
        name = first(stored["method"]["parameters"])
        value, trainable = stored["method"]["parameters"][name]
        stored["method"]["parameters"][name] = (change(value), trainable)

    return at_first


def moment(name: str, change: Callable[[torch.Tensor], Any]) -> Change:
    """Change a tensor that the optimizer has for its first parameter."""
    return lambda stored: stored["optimizer"][first(stored["optimizer"])].update(
        {name: change(stored["optimizer"][first(stored["optimizer"])][name])}
    )


def attribute(value: Any) -> Change:
    """Change the attributes of the method itself."""
    return lambda stored: stored["method"]["modules"][""]["attributes"].update(extra=value)


def without(*keys: str) -> Change:
    def change(stored: dict[str, Any]) -> None:
        inner = stored
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]

    return change


def endless() -> Any:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(("list", value))
    return "list", value


CHANGES: dict[str, tuple[Change, str]] = {
    "of another case": (put("origin", "identity", value="0" * 32), "another case"),
    "of another format": (put("origin", "format", value=2), "another format"),
    "of other software": (put("origin", "provenance", value={"machine": "this", "torch": "1.9"}), "another machine"),
    "with phases of other steps": (put("origin", "phase_steps", value=[300]), "other steps"),
    "with other functions": (put("origin", "functions", value=[["Other.loss"]]), "functions"),
    "at a negative step": (put("position", "step", value=-(10**12)), "ValidationError"),
    "at step 0": (put("position", "step", value=0), "ValidationError"),
    "at a step above the total": (put("position", "step", value=10**12), "beyond the end"),
    "at another step": (put("position", "step", value=lambda step: step + 1), "losses"),
    "at an earlier step": (put("position", "step", value=lambda step: step - 1), "losses"),
    "at a step that is a text": (put("position", "step", value="6"), "ValidationError"),
    "at a phase that is none": (put("position", "phase", value=7), "beyond the end"),
    "with another last trace point": (put("position", "last_trace_step", value=5), "trace"),
    "without the trace": (put("trace", value=[]), "trace"),
    "with a trace of another step": (put("trace", 0, "step", value=7), "trace"),
    "without losses": (without("losses"), "ValidationError"),
    "with too few losses": (put("losses", value=lambda losses: losses[:-1].clone()), "losses"),
    "with infinite losses": (put("losses", value=lambda losses: torch.full_like(losses, math.inf)), "losses"),
    "with losses of steps to come": (put("losses", value=torch.ones_like), "losses"),
    "with double losses": (put("losses", value=lambda losses: losses.double()), "losses"),
    "with NaN as weights": (parameter(lambda x: torch.full_like(x, math.nan)), "not finite"),
    "with one infinite weight": (
        parameter(lambda x: x.flatten().index_fill(0, torch.tensor(0), math.inf).view_as(x)),
        "finite",
    ),
    "with weights of another shape": (parameter(lambda x: x[:-1].clone()), "another shape"),
    "with weights that would broadcast": (parameter(lambda x: x[:1].clone()), "another shape"),
    "with double weights": (parameter(lambda x: x.double()), "another shape or type"),
    "with sparse weights": (parameter(lambda x: x.to_sparse()), "is no tensor"),
    "with weights on no device": (parameter(lambda x: x.to("meta")), "not that of a checkpoint|another shape|finite"),
    "without a parameter": (
        lambda stored: stored["method"]["parameters"].pop(first(stored["method"]["parameters"])) and None,
        "other parameters",
    ),
    "without buffers": (put("method", "buffers", value={}), "other buffers"),
    "with NaN as running variance": (
        put(
            "method",
            "buffers",
            value=lambda buffers: {k: torch.full_like(v, math.nan) if v.is_floating_point() else v for k, v in buffers.items()},
        ),
        "not finite",
    ),
    "without a module": (lambda stored: stored["method"]["modules"].pop("net") and None, "other modules"),
    "with an attribute of no kind": (attribute({"a": 1}), "no value of an attribute"),
    "with a generator that the method lacks": (attribute(("generator", torch.zeros(8, dtype=torch.uint8))), "does not exist"),
    "with a module as attribute that is none": (attribute(("named", "nothing")), "no module"),
    "with an attribute that holds itself": (attribute(endless()), "RecursionError"),
    "with a table of parameters as attribute": (
        lambda stored: stored["method"]["modules"][""]["attributes"].update(_parameters=("dict", [])),
        "has no attribute '_parameters'",
    ),
    "without the optimizer's state": (put("optimizer", value={}), "lacks the state"),
    "with moments of another size": (moment("exp_avg", lambda x: torch.zeros(3)), "exp_avg of parameter"),
    "with moments of one number": (moment("exp_avg", lambda x: torch.zeros(())), "exp_avg of parameter"),
    "with NaN as moments": (moment("exp_avg_sq", lambda x: torch.full_like(x, math.nan)), "exp_avg_sq of parameter"),
    "with negative squares": (moment("exp_avg_sq", lambda x: x - 1e3), "exp_avg_sq of parameter"),
    "with more updates than steps": (moment("step", lambda x: torch.tensor(1e6)), "updates by step"),
    "with half an update": (moment("step", lambda x: torch.tensor(2.5)), "updates by step"),
    "with moments of SGD": (
        lambda stored: stored.update(optimizer={k: {"momentum_buffer": v["exp_avg"]} for k, v in stored["optimizer"].items()}),
        "other parameters",
    ),
    "with moments of parameters that are none": (
        lambda stored: stored["optimizer"].update({10**6: stored["optimizer"][first(stored["optimizer"])]}),
        "other parameters",
    ),
    "with a schedule of its own": (put("schedule", value={"lr": 1000.0}), "ValidationError"),
    "with a random generator of another size": (put("random", value=lambda state: state[:-8].clone()), "random generators"),
    "with a random generator of junk": (put("random", value=lambda state: torch.full_like(state, 255)), "random generators"),
    "with a random generator of floats": (put("random", value=lambda state: state.float()), "random generators"),
    "with the generator of a GPU": (put("random_device", value=torch.zeros(16, dtype=torch.uint8)), "another device"),
    "with negative seconds": (put("seconds", value={"train": -1e9}), "ValidationError"),
    "with seconds that are NaN": (put("seconds", value={"train": math.nan}), "ValidationError"),
    "with notes that are numbers": (put("notes", value=[3]), "ValidationError"),
    "that is a list": (lambda stored: [stored], "ValidationError"),
    "that is empty": (lambda stored: {"format": 3}, "ValidationError"),
}
"""What the checkpoint is -> how it is made, and words of the note."""


def outcome(file: Path, method: str, whole: dict[str, Record]) -> str:
    """The note on a checkpoint that is not used; the numbers are those of a case that was not cut off."""
    record, _ = run(method, file)
    assert numbers(record) == numbers(whole[method])
    notes = [note for note in record.notes if note.startswith("the checkpoint on file is not used")]
    assert len(notes) == 1 and not any("resumed" in note for note in record.notes), record.notes
    return notes[0]


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_checkpoint_of_other_content_is_not_used(
    tmp_path: Path, written: dict[tuple[str, int], Path], whole: dict[str, Record], name: str
) -> None:
    change, words = CHANGES[name]
    file = Path(shutil.copy(written["dann", 9], tmp_path / "case.pt"))
    forge(file, change)
    assert re.search(words, outcome(file, "dann", whole))


def test_a_checkpoint_of_another_case_under_its_name_is_not_used(
    tmp_path: Path, written: dict[tuple[str, int], Path], whole: dict[str, Record]
) -> None:
    file = Path(shutil.copy(written["coral", 9], tmp_path / "case.pt"))
    assert "functions" in outcome(file, "dann", whole)
    other_name = Path(shutil.copy(written["dann", 9], tmp_path / "other.pt"))
    assert "another case" in outcome(other_name, "dann", whole)


def test_states_of_two_steps_are_not_mixed(
    tmp_path: Path, written: dict[tuple[str, int], Path], whole: dict[str, Record]
) -> None:
    """The weights of one step with the moments of a later one."""
    later = torch.load(io.BytesIO(written["dann", 20].read_bytes()[32:]), weights_only=True)
    file = Path(shutil.copy(written["dann", 9], tmp_path / "case.pt"))
    forge(file, lambda stored: stored.update(optimizer=later["optimizer"]))
    assert "updates by step" in outcome(file, "dann", whole)


@pytest.mark.parametrize("kind", ["pipe", "folder", "junk", "compressed", "link to nowhere"])
def test_what_is_no_checkpoint_is_not_used(
    tmp_path: Path, written: dict[tuple[str, int], Path], whole: dict[str, Record], kind: str
) -> None:
    file = tmp_path / "case.pt"
    content = written["dann", 9].read_bytes()[32:]
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "junk":
        file.write_bytes(signed(b"PK\x03\x04 junk"))
    elif kind == "link to nowhere":
        file.symlink_to(tmp_path / "nowhere")
    else:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
            for member in archive.infolist():
                packed.writestr(member.filename, archive.read(member))
        file.write_bytes(signed(buffer.getvalue()))
    record, _ = run("dann", file)
    assert numbers(record) == numbers(whole["dann"]) and not any("resumed" in note for note in record.notes)


def test_a_training_about_to_diverge_writes_no_checkpoint(tmp_path: Path, written: dict[tuple[str, int], Path]) -> None:
    from tlbench.engine.training import method_state

    method = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    finite = method_state.finite_buffers(method)  # type: ignore[arg-type]
    assert not method_state.non_finite(method, finite)  # type: ignore[arg-type]
    method[1].running_var.fill_(math.nan)
    assert method_state.non_finite(method, finite) and not method_state.non_finite(method, frozenset())  # type: ignore[arg-type]
    with torch.no_grad():
        method[0].weight[0, 0] = math.inf
    assert method_state.non_finite(method, frozenset())  # type: ignore[arg-type]


def test_an_unchanged_checkpoint_is_used(
    tmp_path: Path, written: dict[tuple[str, int], Path], whole: dict[str, Record]
) -> None:
    file = Path(shutil.copy(written["dann", 9], tmp_path / "case.pt"))
    forge(file, lambda stored: None)
    record, _ = run("dann", file)
    assert any("resumed" in note for note in record.notes) and numbers(record) == numbers(whole["dann"])
    assert checkpoint_contents.parse(written["dann", 9].read_bytes()[32:]).position.step > 0
