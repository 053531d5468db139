"""Vmapped seeds give the losses and records of single seeds; what can't be vmapped says why."""

from __future__ import annotations

import pytest
from command_line import tlbench
from engine_runs import (
    ATTRIBUTE_METHOD,
    run_done,
    short_suite,
    toy_domains,
    train_losses,
)
from plugin_files import plugged
from tiny_suite import CPU, SUITE, case, write_domains

from tlbench import engine, records

VMAPPED = ("source_only", "dann", "cdan", "coral", "dan", "mcc", "fine_tune", "joint", "multi_task", "target_only")


@pytest.mark.parametrize("name", VMAPPED)
def test_vmapped_seeds_give_the_losses_of_single_seeds(name):
    """To 1e-5 over 40 steps; later, rounding grows with Adam on gradients that are nothing but rounding."""
    chosen = short_suite(steps=40)
    vmapped, notes = train_losses(name, chosen, count=3)
    for seed, record in enumerate(vmapped):
        (alone,), _ = train_losses(name, chosen, seed=seed)
        assert record == pytest.approx(alone, abs=1e-5), seed
    assert notes == []


TOKEN_HEADER = '''"""A network with a parameter that belongs to no layer, as the class token of a ViT."""
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from tlbench.nn.whole_network import WholeNetwork
'''
TOKEN_NETWORK = """class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    hidden: list[int] = Field([], description="not used")
class Token(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(columns))
        self.layers = nn.Sequential(nn.Linear(columns, 8), nn.ReLU(), nn.Linear(8, 8))
    def forward(self, x):
        return self.layers(x + self.token)
def build(shape, options):
    return WholeNetwork(Token(shape[0]), 8)
"""


@pytest.mark.parametrize("options", [{}, {"freeze": 1}])
def test_vmapped_seeds_train_parameters_that_belong_to_no_layer(options, tmp_path):
    chosen = short_suite(steps=40, net={"backbone": "token"})
    with plugged(tmp_path, "token", TOKEN_NETWORK, TOKEN_HEADER):
        vmapped, notes = train_losses("fine_tune", chosen, count=2, options=options)
        alone = [train_losses("fine_tune", chosen, seed=seed, options=options)[0][0] for seed in range(2)]
    assert notes == []
    for one, other in zip(vmapped, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_records_of_vmapped_seeds_are_those_of_single_seeds():
    chosen, cases = short_suite(vmap_seeds="on", trace=2), [case("coral", seed=seed) for seed in range(3)]
    vmapped = engine.run_seeds(cases, chosen, toy_domains(), CPU)
    for record, single in zip(vmapped, cases, strict=True):
        alone = run_done("coral", chosen, seed=single.seed)
        assert record.identity == alone.identity and record.seed == single.seed
        assert record.scores.target_accuracy == pytest.approx(alone.scores.target_accuracy, abs=0.02)
        assert record.scores.source_accuracy == pytest.approx(alone.scores.source_accuracy, abs=0.1)
        assert [p.loss for p in record.scores.trace] == pytest.approx([p.loss for p in alone.scores.trace], abs=1e-4)
        assert record.notes[0].startswith("3 vmapped seeds: train and compile seconds and energy are this seed's share")
        assert record.cost.train_seconds == vmapped[0].cost.train_seconds and alone.notes == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fixmatch", "random operation"),
        ("mcd", "alternating updates"),
        ("mean_teacher", "calls a function after each step"),
        ("pcgrad", "the gradients of several losses"),
        ("adabn", "passes over all samples"),
        ("keeps", "changes attributes"),
    ],
)
def test_seeds_that_are_not_vmapped_say_why(name, words, tmp_path):
    chosen = short_suite(vmap_seeds="on", steps=10, net={"batch_norm": True})
    with plugged(tmp_path, "keeps", ATTRIBUTE_METHOD):
        vmapped = engine.run_seeds([case(name, seed=seed) for seed in (0, 1)], chosen, toy_domains(), CPU)
        alone = [engine.run_case(case(name, seed=seed), chosen, toy_domains(), CPU) for seed in (0, 1)]
    assert [record.scores for record in vmapped] == [single.scores for single in alone]
    assert all("seeds not vmapped: " in record.notes[-1] and words in record.notes[-1] for record in vmapped)


def test_a_seed_that_diverges_leaves_the_others_be(tmp_path):
    body = (
        "class Some(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        first = self.net.head.bias[0].detach()\n"
        "        return self.supervised(step) + torch.where(first > 0, torch.inf, 0.0)\n"
    )
    chosen = short_suite(vmap_seeds="on", net={"hidden": [4]}, steps=5)
    with plugged(tmp_path, "some", body) as name:
        cases = [case(name, seed=seed) for seed in range(6)]
        alone = [engine.run_case(single, chosen, toy_domains(), CPU) for single in cases]
        vmapped = engine.run_seeds(cases, chosen, toy_domains(), CPU)
    assert {single.status for single in alone} == {"done", "failed"}
    assert [record.status for record in vmapped] == [single.status for single in alone]
    assert [record.reason for record in vmapped] == [single.reason for single in alone]


@pytest.mark.parametrize("choice", ["on", "off"])
def test_a_run_vmaps_the_seeds_of_a_case(choice, tmp_path):
    text = SUITE.replace("seeds = [0]", "seeds = [0, 1, 2]").replace("steps = 5", f'steps = 5\nvmap_seeds = "{choice}"')
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    words = ("run", "tiny.toml", "--data", ".", "--results", "out", "--device", "cpu")
    done = tlbench(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = records.read_all(tmp_path / "out")
    assert sorted((single.entry, single.seed) for single in record) == [
        (row, seed) for row in ("coral", "source_only") for seed in range(3)
    ]
    assert {bool(single.notes) for single in record} == {choice == "on"}
    assert all((tmp_path / "out").rglob("*.npz")) and all(single.cost.wall_seconds for single in record)
    assert all(records.predictions(tmp_path / "out", single) is not None for single in record)
    assert tlbench(*words, cwd=tmp_path).returncode == 0 and len(records.read_all(tmp_path / "out")) == 6


def test_cases_that_differ_in_more_than_their_seed_are_refused():
    with pytest.raises(ValueError, match="seed alone"):
        engine.run_seeds([case("dann"), case("coral")], short_suite(), toy_domains(), CPU)
    skipped = engine.run_seeds(
        [case("dann", seed=s) for s in (0, 1)],
        short_suite(vmap_seeds="on", protocol={"grants": ["source"]}),
        toy_domains(),
        CPU,
    )
    assert [record.status for record in skipped] == ["skipped", "skipped"]
