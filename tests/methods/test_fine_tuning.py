"""Fine-tuning and the linear probe: what is frozen, and when it starts to learn."""

from __future__ import annotations

import pytest
import torch
from tiny_suite import CPU
from toy_training import fit_deep, is_same, stages

from tlbench import checks, clock, methods
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.training.loop import train
from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.suite import Network, Training


def stages_before_and_after(monkeypatch, name: str, **options) -> tuple[list[dict], list[dict], DeepMethod]:
    """Stages of the backbone after the first phase and after all of them."""
    kind = methods.method_class(name)
    plain, copies = kind.phases, []

    def phases(self):
        one, two = plain(self)
        begin = two.begin

        def copy_stages(passes):
            copies.extend({k: v.clone() for k, v in stage.items()} for stage in stages(self))
            if begin is not None:
                begin(passes)

        return one, type(two)(**{**vars(two), "begin": copy_stages})

    monkeypatch.setattr(kind, "phases", phases)
    method = fit_deep(name, **options)
    return copies, stages(method), method


@pytest.mark.parametrize("freeze", [0, 1, 2])
def test_fine_tune_leaves_the_frozen_stages_as_the_source_left_them(monkeypatch, freeze):
    before, after, _ = stages_before_and_after(monkeypatch, "fine_tune", freeze=freeze)
    assert len(before) == 2
    assert [is_same(a, b) for a, b in zip(before, after, strict=True)] == [depth < freeze for depth in range(2)]


def test_fine_tune_at_backbone_rate_0_is_a_frozen_backbone(monkeypatch):
    before, after, _ = stages_before_and_after(monkeypatch, "fine_tune", backbone_lr=0.0)
    assert all(map(is_same, before, after))


def test_fine_tune_can_not_freeze_more_stages_than_there_are():
    with pytest.raises(NotApplicableError, match="the backbone has 2 stages"):
        fit_deep("fine_tune", freeze=3)


def test_gradual_fine_tuning_unfreezes_from_the_top():
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [16, 12, 8, 8]}), 3)
    method = methods.method_class("fine_tune")(net, **methods.method_options("fine_tune", {"gradual": True}))
    head, *groups = method.phases()[1].groups
    assert head.modules == (net.head,) and head.scale == 1.0
    assert [g.modules[0] for g in groups] == list(net.backbone.stages)
    starts = [next(p for p in range(101) if g.scale(p / 100) > 0) for g in groups]
    assert starts == sorted(starts, reverse=True) and starts[-1] > 0 and starts[0] <= 50
    assert len(set(starts)) == 4


def test_gradual_fine_tuning_reaches_the_lowest_stage_only_late(monkeypatch):
    # one step on labelled target samples, at progress 0, where no stage learns; with ten steps all stages learn from 0.5 on
    before, after, _ = stages_before_and_after(monkeypatch, "fine_tune", gradual=True, source_share=0.95)
    assert all(map(is_same, before, after))
    monkeypatch.undo()
    before, after, _ = stages_before_and_after(monkeypatch, "fine_tune", gradual=True)
    assert not any(map(is_same, before, after))


def test_linear_probe_leaves_the_backbone_as_the_source_left_it(monkeypatch):
    before, after, method = stages_before_and_after(monkeypatch, "linear_probe")
    assert all(map(is_same, before, after))
    only = fit_deep("source_only", steps=10)  # half of the budget
    assert all(map(is_same, stages(only), after))
    assert not torch.equal(method.probe.weight, only.net.head.weight)


def test_a_frozen_group_keeps_its_batch_statistics(monkeypatch):
    """The running means of a frozen stage do not move either."""
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [16, 8], "batch_norm": True}), 3)
    method = methods.method_class("fine_tune")(net, **methods.method_options("fine_tune", {"freeze": 1}))
    copies: list[dict[str, torch.Tensor]] = []
    one, two = method.phases()
    two = type(two)(**{**vars(two), "begin": lambda passes: copies.extend(map(_copy, stages(method)))})
    monkeypatch.setattr(type(method), "phases", lambda self: (one, two))
    training = Training(steps=20, batch=16)
    inputs = Inputs(Network(), channels_last=False)
    train(method, checks.toy_task(), training, inputs, clock.Clock(CPU), lambda use: len(use))
    after = stages(method)
    assert is_same(copies[0], after[0]) and not is_same(copies[1], after[1])
    assert "1.running_mean" in after[0] or any("running_mean" in key for key in after[0])


def _copy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.items()}
