"""Real runs: other weights, an edited plugin and an edited reader run exactly the cases again whose numbers they decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import start_tlbench, tlbench
from plugin_files import HEADER as METHOD_HEADER
from plugin_files import PLAIN_LOSS, plugged
from tiny_suite import SUITE, write_domains

from tlbench import api, checks, engine, records, runner
from tlbench.checks import rerun
from tlbench.errors import TlbenchError
from tlbench.runner import run_status
from tlbench.terms import Record

BACKBONE = '''"""A linear layer whose weights come from a file."""
from pathlib import Path
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from tlbench.nn import weights
from tlbench.nn.net import Backbone
class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    weights: str = Field("", description="a state dict")
def build(shape, options):
    layer = nn.Linear(shape[0], 8)
    if options.weights:
        weights.load(layer, Path(options.weights), name="linear")
    return Backbone([layer], 8)
'''
TEXT = SUITE.replace('backbone = "mlp"\nhidden = [8]', 'backbone = "linear"\nweights = "file:weights/w.pth"')
TEXT = TEXT.replace("[methods.coral]", "[methods.nearest_neighbor]")
FROZEN = TEXT.replace("[train]", "frozen = true\n[train]")
NETWORK = 'backbone = "torchvision:resnet18"\nweights = "DEFAULT"'
RUN = ("run", "tiny.toml", "--plugin", "linear.py", "--device", "cpu", "--quiet")


@pytest.fixture
def folder(tmp_path) -> Iterator[Path]:
    """A suite with weights, its data, and its backbone, which is registered in this process too."""
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(TEXT)
    (tmp_path / "weights").mkdir()
    write_weights(tmp_path, 1)
    with plugged(tmp_path, "linear", BACKBONE, ""):
        yield tmp_path


def write_weights(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    torch.save(torch.nn.Linear(4, 8).state_dict(), folder / "weights" / "w.pth")


def ran(folder: Path, *words: str, command: tuple[str, ...] = RUN) -> list[str]:
    """Run the suite, and the method entries whose records are new."""
    before = len(records.read_all(folder / "results"))
    done = tlbench(*command, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [record.entry for record in on_file(folder)[before:]]


def on_file(folder: Path) -> list[Record]:
    return sorted(records.read_all(folder / "results"), key=lambda record: record.finished)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_other_weights_at_one_path_run_the_cases_again_that_read_them(folder, workers):
    assert sorted(ran(folder, "--workers", workers)) == ["nearest_neighbor", "source_only"]
    assert ran(folder) == []
    write_weights(folder, 2)
    plan = tlbench(*RUN, "--plan", cwd=folder).stdout
    assert "tiny: 1 cases to run, 1 on file" in plan
    assert "weights file:weights/w.pth: The content is another than in the records of 1 cases" in plan
    assert ran(folder, "--workers", workers) == ["source_only"]
    first, second = (record for record in on_file(folder) if record.entry == "source_only")
    assert (first.backbone, second.backbone) == ("linear", "linear")
    assert [*first.weights] == [*second.weights] == ["file:weights/w.pth"] and first.weights != second.weights
    assert first.scores.trace != second.scores.trace and first.identity != second.identity
    assert first.plugins == second.plugins and [*first.plugins] == ["linear"]
    write_weights(folder, 1)
    assert ran(folder) == []  # these weights have a record


def test_other_weights_of_a_frozen_backbone_run_all_cases_again(folder):
    (folder / "tiny.toml").write_text(FROZEN)
    assert sorted(ran(folder)) == ["nearest_neighbor", "source_only"]
    write_weights(folder, 3)
    assert sorted(ran(folder)) == ["nearest_neighbor", "source_only"]


def test_features_of_a_frozen_backbone_follow_the_weights_in_one_process(folder, monkeypatch):
    monkeypatch.setenv("TLBENCH_CACHE", str(folder / "cache"))
    (folder / "tiny.toml").write_text(FROZEN)

    def accuracies() -> list[object]:
        frame = api.run(
            folder / "tiny.toml", results=folder / "results", plugins=folder / "linear.py", device="cpu", progress=False
        )
        return [frame[column].tolist() for column in ("status", "identity", "train_seconds")][:2]

    first = accuracies()
    assert first[0] == ["done", "done"] and accuracies() == first
    write_weights(folder, 2)
    assert accuracies()[1] != first[1]
    traces = [record.scores.trace for record in on_file(folder) if record.entry == "source_only"]
    assert len(traces) == 2 and traces[0] != traces[1]


def test_status_verify_and_prune_take_the_weights_that_records_state(folder):
    ran(folder)
    loaded = api.load_suite(folder / "tiny.toml")
    status = run_status.run_status(loaded, records.read_all(folder / "results"))
    assert (status.done, status.remaining) == (2, [])
    assert run_status.prunable(loaded, records.read_all(folder / "results")) == {}
    file = records.file_of(folder / "results", "tiny", "source_only")
    (compared,) = rerun.verify(file, loaded, folder, torch.device("cpu"))
    assert compared.verdict == "same"
    write_weights(folder, 2)
    with pytest.raises(TlbenchError, match=r"weights file:weights/w\.pth has the sha256 \w+ here and \w+ on file"):
        list(rerun.verify(file, loaded, folder, torch.device("cpu")))
    with pytest.raises(TlbenchError, match=r"state the hash \w+ of weights file:weights/w\.pth, and it is \w+ here"):
        checks.check_contribution(file, loaded, folder)
    line = json.loads(file.read_text())
    file.write_text(json.dumps(line | {"weights": {}}) + "\n")
    with pytest.raises(TlbenchError, match=r"state no hash of weights file:weights/w\.pth, which their case reads here"):
        checks.check_contribution(file, loaded, folder)


def test_weights_that_are_not_there_are_one_sentence(folder):
    (folder / "weights" / "w.pth").unlink()
    for words in (("run",), ("run", "--plan")):
        failed = tlbench(words[0], *RUN[1:], *words[1:], cwd=folder)
        assert failed.returncode == 2 and "Traceback" not in failed.stderr
        assert "net.weights: The file 'weights/w.pth' is not there in the data root" in failed.stderr
    assert ran(folder, "--method", "nearest_neighbor") == ["nearest_neighbor"]  # which reads no weights
    other = folder / "other"
    (other / "weights").mkdir(parents=True)
    write_weights(other, 1)
    write_domains(other)
    assert ran(folder, "--data", "other") == ["source_only"]
    checked = tlbench("check", "tiny.toml", "--plugin", "linear.py", cwd=folder)
    assert checked.returncode == 0, checked.stderr  # the file is looked for by runs alone


def test_published_weights_need_permission(folder):
    text = TEXT.replace('backbone = "linear"\nweights = "file:weights/w.pth"', NETWORK)
    (folder / "tiny.toml").write_text(text)
    failed = tlbench("run", "tiny.toml", "--device", "cpu", cwd=folder, TORCH_HOME=str(folder))
    assert failed.returncode == 2 and "Traceback" not in failed.stderr and len(failed.stderr.strip().splitlines()) <= 2
    assert "DEFAULT of resnet18 are not on this machine" in " ".join(failed.stderr.split())


def test_a_stated_checksum_is_compared_and_changes_no_identity(folder):
    ran(folder)
    (sha256,) = {sha256 for record in on_file(folder) for sha256 in record.weights.values()}
    (folder / "tiny.toml").write_text(TEXT.replace("[train]", f'sha256 = "{sha256}"\n[train]'))
    assert ran(folder) == []
    write_weights(folder, 2)
    failed = tlbench(*RUN, cwd=folder)
    assert failed.returncode == 2 and f"the suite states {sha256}" in " ".join(failed.stderr.split())
    (folder / "tiny.toml").write_text(SUITE.replace("[train]", f'sha256 = "{sha256}"\n[train]'))
    with pytest.raises(TlbenchError, match=r"net\.sha256: It is the checksum of the file that net\.weights names"):
        api.load_suite(folder / "tiny.toml")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_edited_plugin_runs_again_and_nothing_else_does(tmp_path, workers):
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE.replace("[methods.coral]", "[methods.mine]"))
    plugin = tmp_path / "mine.py"
    command = ("run", "tiny.toml", "--plugin", "mine.py", "--device", "cpu", "--quiet", "--workers", workers)
    head = METHOD_HEADER.format(name="mine") + 'class Mine(DeepMethod):\n    reads = frozenset({"source"})\n'
    plugin.write_text(head + PLAIN_LOSS)
    assert sorted(ran(tmp_path, command=command)) == ["mine", "source_only"]
    plugin.write_text(head + PLAIN_LOSS.replace("return", "return 0 *"))
    plan = tlbench(*command, "--plan", cwd=tmp_path).stdout
    assert "plugin mine: The content is another than in the records of 1 cases" in plan
    assert ran(tmp_path, command=command) == ["mine"]
    first, second = (record for record in on_file(tmp_path) if record.entry == "mine")
    assert first.scores.trace != second.scores.trace and first.plugins != second.plugins


def test_a_worker_refuses_a_plugin_that_is_not_that_of_the_plan(tmp_path):
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE.replace("[methods.coral]", "[methods.mine]"))
    with plugged(tmp_path, "mine", 'class Mine(DeepMethod):\n    reads = frozenset({"source"})\n' + PLAIN_LOSS):
        plan = runner.plan_run(api.load_suite(tmp_path / "tiny.toml"), tmp_path / "results", tmp_path)
        setup = plan.worker_setup()
        setup.check_plugins()
        (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "\n")
        setup.check_plugins()  # this process goes on with what it has imported
        engine.identity(plan.pending[-1], plan.suite, plan.fingerprints)
    other = "class Mine(DeepMethod):\n    reads = frozenset({'source'})\n" + PLAIN_LOSS
    with plugged(tmp_path, "mine", other), pytest.raises(TlbenchError, match="must be the same on every machine"):
        setup.check_plugins()


READER = '''"""A reader of a test."""
import torch
from pydantic import BaseModel, ConfigDict
class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str
def read(options, root):
    import numpy as np
    from their_reader.factor import FACTOR
    arrays = np.load(root / options.path)
    return arrays["x"] * FACTOR, arrays["y"]
'''


def test_an_edited_reader_of_an_installed_package_runs_again_in_spite_of_the_cache(tmp_path):
    package = tmp_path / "site"
    (package / "theirs-1.0.dist-info").mkdir(parents=True)
    (package / "theirs-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (package / "theirs-1.0.dist-info" / "entry_points.txt").write_text("[tlbench.readers]\ntheirs = their_reader\n")
    (package / "their_reader").mkdir()
    (package / "their_reader" / "__init__.py").write_text(READER)
    (package / "their_reader" / "factor.py").write_text("FACTOR = 1.0\n")
    write_domains(tmp_path)
    for name in "ab":  # of more bytes than a domain that is not cached
        arrays = dict(np.load(tmp_path / f"{name}.npz"))
        np.savez(tmp_path / f"{name}.npz", **arrays, padding=np.zeros(2**18))
    text = SUITE.replace('reader = "npz"\nx = "x"\ny = "y"', 'reader = "theirs"').replace("[methods.coral]\n", "")
    (tmp_path / "tiny.toml").write_text(text)

    def run() -> list[str]:
        """Run in a process that sees packages which were installed meanwhile; the method entries whose records are new."""
        before = len(records.read_all(tmp_path / "results"))
        environment = {"PYTHONPATH": str(package), "TLBENCH_CACHE": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
        process = start_tlbench("run", "tiny.toml", "--device", "cpu", "--quiet", cwd=tmp_path, **environment)
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        return [record.entry for record in on_file(tmp_path)[before:]]

    assert run() == ["source_only"] and run() == []
    (package / "their_reader" / "factor.py").write_text("FACTOR = 2.0\n")
    assert run() == ["source_only"]
    first, second = on_file(tmp_path)
    assert first.data != second.data and first.scores.trace != second.scores.trace
