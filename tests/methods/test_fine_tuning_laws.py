"""Laws of fine-tuning methods: what is frozen, what the end points are, and which methods are fine_tune at weight 0."""

from __future__ import annotations

import itertools

import pytest
import torch
from fine_tuning_samples import build, fit_normalized, labeled_step, moved, source_state, wave
from toy_training import fit_deep, is_same, stages

from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.methods.fine_tuning.bss import smallest_squares
from tlbench.methods.fine_tuning.delta import behavior_distance
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.nn.stochastic_norm import StochasticNorm, replace_batch_norms
from tlbench.suite import Training
from tlbench.terms import Step


def scores(method: DeepMethod) -> torch.Tensor:
    """Predictions (16, 3) of fixed samples."""
    with torch.no_grad():
        return method.predict(wave(16, 6))


@pytest.mark.parametrize(
    ("name", "options", "others"),
    [
        ("l2_sp", {"alpha": 0.0, "beta": 0.0}, {}),
        ("delta", {"alpha": 0.0, "beta": 0.0}, {}),
        ("bss", {"weight": 0.0}, {"k": 12}),  # of features that ReLU leaves with a lower rank
        ("co_tuning", {"weight": 0.0}, {}),
        ("wise_ft", {"alpha": 1.0}, {}),
        ("layerwise_decay", {"decay": 1.0}, {}),
        ("last_stages", {"stages": 2}, {}),
    ],
)
def test_without_its_own_term_a_method_is_fine_tuning(name, options, others):
    assert torch.equal(scores(fit_deep(name, **options)), scores(fit_deep("fine_tune")))
    assert not torch.equal(scores(fit_deep(name, **others)), scores(fit_deep("fine_tune")))


def test_stochastic_norm_that_always_takes_the_batch_is_fine_tuning():
    assert torch.equal(scores(fit_normalized("stochnorm", probability=1.0)), scores(fit_normalized("fine_tune")))
    mixed = [scores(fit_normalized("stochnorm", probability=share)) for share in (0.0, 0.5)]
    assert not torch.equal(*mixed) and not torch.equal(mixed[1], scores(fit_normalized("fine_tune")))


def test_wise_ft_ends_at_the_network_of_the_source():
    for normalized, fit in ((False, fit_deep), (True, fit_normalized)):
        assert moved(fit("wise_ft", alpha=0.0), normalized=normalized) <= counters(fit("source_only"))
    tuned, middle = fit_deep("fine_tune"), fit_deep("wise_ft", alpha=0.25)
    for key, start in source_state().items():
        expected = 0.75 * start + 0.25 * tuned.net.backbone.state_dict()[key]
        assert torch.allclose(middle.net.backbone.state_dict()[key], expected, atol=1e-7)


def counters(method: DeepMethod) -> set[str]:
    """The names of the counters of batches, which wise_ft leaves as fine-tuning made them."""
    return {key for key in method.net.backbone.state_dict() if key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("learning", [0, 1, 2])
def test_last_stages_leave_the_first_ones_as_the_source_left_them(learning):
    method = fit_normalized("last_stages", stages=learning)
    assert {key.split(".")[1] for key in moved(method, normalized=True)} == {str(stage) for stage in range(2 - learning, 2)}


def test_there_are_not_more_last_stages_than_stages():
    with pytest.raises(NotApplicableError, match="stages = 3, but the backbone has 2 stages"):
        fit_deep("last_stages", stages=3)


def test_gradual_unfreezing_opens_one_stage_after_the_other():
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [16, 12, 8, 8]}), 3)
    groups = build("gradual_unfreezing", net, opening=1.0).phases()[1].groups
    assert [group.modules[0] for group in groups] == [net.head, *reversed(net.backbone.stages)]
    assert [next(p for p in range(101) if group.scale(p / 100) > 0) for group in groups] == [0, 25, 50, 75, 100]
    last = [group.scale(1.0) for group in groups]
    assert [above / below for above, below in itertools.pairwise(last)] == pytest.approx([2.6] * 4)
    one_step = fit_deep("gradual_unfreezing", source_share=0.95)  # at progress 0, where the head alone learns
    start = fit_deep("source_only", steps=19)
    assert all(map(is_same, stages(one_step), stages(start)))
    assert not torch.equal(one_step.net.head.weight, start.net.head.weight)


def test_lp_ft_probes_as_linear_probe_and_then_moves_everything(monkeypatch):
    copies: list[dict[str, torch.Tensor]] = []
    kind = type(build("lp_ft"))
    plain = kind.phases

    def phases(self):
        source, probe, tune = plain(self)

        def copy(passes: Passes) -> None:
            copies.append({key: value.clone() for key, value in self.state_dict().items()})

        return source, probe, type(tune)(**{**vars(tune), "begin": copy})

    monkeypatch.setattr(kind, "phases", phases)
    after = fit_deep("lp_ft")
    probe = fit_deep("linear_probe", steps=15, source_share=2 / 3)
    assert is_same(copies[0], probe.state_dict())
    assert all(not torch.equal(value, after.state_dict()[key]) for key, value in copies[0].items() if "net.head" not in key)


def test_the_pull_of_l2_sp_shrinks_the_way_from_the_start():
    start = source_state()
    distances = []
    for alpha in (0.0, 0.1, 1.0, 100.0):
        after = fit_deep("l2_sp", alpha=alpha, beta=0.0).net.backbone.state_dict()
        distances.append(sum(float((value - start[key]).square().sum()) for key, value in after.items()))
    assert distances == sorted(distances, reverse=True) and distances[-1] < 0.5 * distances[0]
    method = build("l2_sp", alpha=5.0, beta=0.0)
    method.store_start(None)
    plain = build("l2_sp", method.net, alpha=0.0, beta=0.0)
    assert torch.equal(method.loss(labeled_step()), plain.loss(labeled_step()))  # 0 at the start


def test_delta_holds_the_outputs_of_the_stages():
    distances = []
    for alpha in (0.0, 0.1, 10.0):
        method = fit_deep("delta", alpha=alpha, beta=0.0)
        start = fit_deep("source_only", steps=10).net.backbone
        outputs = [backbone.stage_outputs(wave(16, 6)) for backbone in (method.net.backbone, start)]
        distances.append(float(behavior_distance(*outputs).detach()))
        assert torch.equal(outputs[0][-1], method.net.backbone(wave(16, 6)))
    assert distances == sorted(distances, reverse=True) and distances[-1] < 0.5 * distances[0]
    assert float(behavior_distance(outputs[0], outputs[0]).detach()) == 0


def test_bss_counts_each_sample_once():
    """Samples that a batch holds twice change no rank; their singular values grow by the square root of 2."""
    features_BD = wave(4, 9) + wave(4, 9, step=1.9).square()
    once, twice = (smallest_squares(x, 2, torch.tensor(4)) for x in (features_BD, torch.cat([features_BD, features_BD])))
    assert float(twice) == pytest.approx(2 * float(once), rel=1e-5) and float(once) > 0
    assert float(smallest_squares(features_BD.T, 2, torch.tensor(9))) == pytest.approx(float(once), rel=1e-5)
    everything = smallest_squares(features_BD, 99, torch.tensor(4))
    assert float(everything) == pytest.approx(float(features_BD.square().sum()), rel=1e-5)


def test_bss_has_a_gradient_where_singular_values_are_0():
    method, step = build("bss", weight=1.0), labeled_step()
    first = torch.zeros(6, dtype=torch.int64)
    same = Step(target_labeled=step.target_labeled[first], indices={"target_labeled": first})
    method.loss(same).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters())


def test_the_relationship_of_co_tuning_holds_probabilities():
    method = fit_deep("co_tuning")
    assert torch.allclose(method.relationship_CC.sum(dim=1), torch.ones(3)) and bool((method.relationship_CC >= 0).all())
    assert method.relationship_CC.argmax(dim=1).tolist() == [0, 1, 2]  # the classes of the target are those of the source
    assert not torch.equal(method.target_head.weight, method.net.head.weight)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_stochastic_norm_is_batch_normalisation_at_its_ends(probability):
    torch.manual_seed(0)
    plain, network = (torch.nn.Sequential(torch.nn.BatchNorm2d(3)) for _ in range(2))
    plain[0].running_mean.copy_(torch.tensor([0.2, -0.1, 0.3]))
    network.load_state_dict(plain.state_dict())
    (norm,) = replace_batch_norms(network)
    assert isinstance(network[0], StochasticNorm) and network.state_dict().keys() == plain.state_dict().keys()
    norm.batch_probability = probability
    x = wave(2, 3, 2, 2)
    expected = plain.eval()(x) if probability == 0 else plain.train()(x)
    assert torch.allclose(network(x), expected, atol=1e-6)
    plain.train()(x) if probability == 0 else None
    assert torch.equal(norm.running_mean, plain[0].running_mean) and torch.equal(network.eval()(x), plain.eval()(x))


def test_stochastic_norm_draws_a_choice_for_each_channel():
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(400))
    (norm,) = replace_batch_norms(network)
    norm.batch_probability = 0.25
    x = wave(8, 400) + 3
    by_batch = (network(x).mean(dim=0).abs() < 1e-4).float().mean()
    assert 0.15 < float(by_batch) < 0.35


def test_methods_of_batch_normalisation_do_not_apply_without_one():
    for name in ("stochnorm", "norm_tuning"):
        with pytest.raises(NotApplicableError, match="normalisation"):
            build(name).phases()


def test_a_parameter_of_several_groups_belongs_to_the_last():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    groups = (Group((net,), 0.0), Group((net[1],)))
    optimizer = PhaseOptimizer(net, Phase(None, frozenset(), groups=groups), Training())
    optimizer.set_progress(0.0)
    assert {id(p) for p in optimizer.trainable()} == {id(p) for p in net[1].parameters()}
    assert not net[0].training and net[1].training
