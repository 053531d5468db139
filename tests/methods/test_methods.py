"""Every method against every promise; promises that can fail; the laws behind single methods; and every backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plugin_files import plugged
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from tlbench import checks, clock, engine, methods
from tlbench.engine.data.inputs import Inputs, in_chunks
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training.loop import train
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import augmentation, backbones, distances
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.net import Net
from tlbench.solvers import base_learners
from tlbench.suite import Network, Training
from tlbench.terms import Case, Labelled, Step, Task

CPU = torch.device("cpu")


# --- promises -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", checks.METHOD_CHECKS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", methods.method_names())
def test_every_method_keeps_every_promise(name, promise):
    promise(name)


def test_the_methods_of_the_first_issue_are_there():
    wanted = {
        *("source_only", "target_only", "joint", "linear_probe", "fine_tune", "discriminator_reweight"),
        *("coral", "dann", "multi_task", "nearest_neighbor", "logistic"),
    }
    assert wanted <= set(methods.method_names())


LOSS = "    def loss(self, step: Step) -> Tensor:\n        {}\n"
PLAIN = LOSS.format("return self.supervised(step)")
DA = '    reads = frozenset({"source", "target"})\n'

BREAKERS = {
    "a no-op adaptation": ("reads what it says", f"class No(DeepMethod):\n{DA}{PLAIN}"),
    "a peek at the few": (
        "reads what it says",
        'class Peek(DeepMethod):\n    reads = frozenset({"source", "target_labeled"})\n' + PLAIN,
    ),
    "a parameter without gradient": (
        "every parameter gets a gradient",
        'class Idle(DeepMethod):\n    reads = frozenset({"source"})\n'
        f"    def build(self) -> None:\n        self.idle = nn.Linear(3, 3)\n{PLAIN}",
    ),
    "a draw at weight 0": (
        "without its term it is the baseline",
        f"class Draws(DeepMethod):\n{DA}    weight: float = Field(1.0, description='of the term')\n"
        + LOSS.format(
            "t = self.net.backbone(step.target + torch.randn_like(step.target))\n"
            "        noisy = self.net(step.source.x + 0.01 * torch.randn_like(step.source.x))\n"
            "        return F.cross_entropy(noisy, step.source.y) + self.weight * t.square().mean()"
        ),
    ),
    "an order of rows": (
        "order of rows does not matter",
        'class First(DeepMethod):\n    reads = frozenset({"source"})\n'
        + LOSS.format("return F.cross_entropy(self.net(step.source.x)[:8], step.source.y[:8])"),
    ),
    "an order of rows in closed form": (
        "order of rows does not matter",
        'class Solo(ShallowMethod):\n    reads = frozenset({"source"})\n'
        "    def fit(self, task: Task) -> Predictor:\n"
        "        means = torch.stack([task.source.x[task.source.y == c][:5].mean(0) for c in range(task.classes)])\n"
        "        return lambda x: -torch.cdist(x, means)\n",
    ),
    "chance that no seed governs": (
        "is deterministic",
        'class Chance(DeepMethod):\n    reads = frozenset({"source"})\n'
        + LOSS.format("import random\n        return self.supervised(step) * (0.5 + random.SystemRandom().random())"),
    ),
    "one that does not learn": (
        "learns without a shift",
        'class Dull(DeepMethod):\n    reads = frozenset({"source"})\n'
        + LOSS.format("return F.cross_entropy(self.net(step.source.x), 2 - step.source.y)"),
    ),
    "scores of a wrong shape": (
        "scores have the right shape",
        'class Shape(DeepMethod):\n    reads = frozenset({"source"})\n'
        f"{PLAIN}    def predict(self, x: Tensor) -> Tensor:\n        return self.net(x).argmax(1)\n",
    ),
    "an option without a default": (
        "options without a default: weight",
        f"class Bare(DeepMethod):\n{DA}    weight: float = Field(description='of the term')\n{PLAIN}",
    ),
    "an option without a description": (
        "options without a description: weight",
        f"class Bare(DeepMethod):\n{DA}    weight: float = Field(1.0)\n{PLAIN}",
    ),
    "one that takes any option": (
        "refuses wrong options",
        'from typing import Any\nclass Any_(DeepMethod):\n    reads = frozenset({"source"})\n'
        f"    what: Any = Field(1.0, description='anything')\n{PLAIN}",
    ),
    "one that reads nothing": ("reads must be a non-empty subset", f"class No(DeepMethod):\n{PLAIN}"),
    "one that reads target labels": (
        "reads must be a non-empty subset",
        f'class No(DeepMethod):\n    reads = frozenset({{"source", "target_labels"}})\n{PLAIN}',
    ),
    "two in one file": ("one method is one file", f"class One(DeepMethod):\n{DA}{PLAIN}class Two(DeepMethod):\n{DA}{PLAIN}"),
    "none in the file": ("one method is one file", "x = 1\n"),
    "a file that does not import": ("cannot be imported", "import no_such_module_at_all\n"),
    "one that raises": (
        "RuntimeError: on purpose",
        'class Raises(DeepMethod):\n    reads = frozenset({"source"})\n' + LOSS.format('raise RuntimeError("on purpose")'),
    ),
}


@pytest.mark.parametrize("fault", BREAKERS)
def test_a_broken_promise_is_reported(fault, tmp_path):
    words, body = BREAKERS[fault]
    with plugged(tmp_path, "broken_promise", body) as name, pytest.raises(TlbenchError, match=words):
        checks.check_method(name)


def test_a_method_without_a_docstring_is_reported(tmp_path):
    body = f"from tlbench.methods.base import *\nfrom tlbench.terms import Step\nclass No(DeepMethod):\n{DA}{PLAIN}"
    header = "from __future__ import annotations\nfrom torch import Tensor\n"
    with plugged(tmp_path, "bare", body, header) as name, pytest.raises(TlbenchError, match="docstring"):
        checks.check_method(name)


def test_a_method_that_keeps_its_promises_passes(tmp_path):
    body = f"class Fine(DeepMethod):\n{DA}    weight: float = Field(1.0, ge=0, description='of the term')\n" + LOSS.format(
        "if not self.weight:\n            return self.supervised(step)\n"
        "        s, t = self.net.features(step.source.x, step.target)\n"
        "        task = F.cross_entropy(self.net.head(s), step.source.y)\n"
        "        return task + self.weight * (s.mean(0) - t.mean(0)).square().sum()"
    )
    with plugged(tmp_path, "fine", body) as name:
        assert len(checks.check_method(name)) == len(checks.METHOD_CHECKS)


@pytest.mark.parametrize("name", ["dann", "mcd", "mean_teacher", "fixmatch", "shot", "pcgrad", "tent", "adabn", "kmm"])
def test_no_step_of_ours_reads_a_value(name):
    assert checks.host_syncs(name) == []


@pytest.mark.parametrize(
    ("value", "reads"),
    [("float(loss.detach())", True), ("len(y.unique())", True), ("logits[y == 1].mean()", True), ("logits[y].mean()", False)],
)
def test_a_step_that_reads_a_value_is_named(value, reads, tmp_path):
    body = f"class Looks(DeepMethod):\n{DA}" + LOSS.format(
        "logits, y = self.net(step.source.x), step.source.y\n        loss = F.cross_entropy(logits, y)\n"
        f"        return loss * {value}"
    )
    with plugged(tmp_path, "looks", body) as name:
        line = 1 + (tmp_path / "looks.py").read_text().splitlines().index(f"        return loss * {value}")
        assert checks.host_syncs(name) == ([f"looks.py:{line}"] if reads else [])


def test_a_plugin_may_not_take_the_name_of_a_shipped_method(tmp_path):
    with pytest.raises(TlbenchError, match="there is a method 'dann' already"), plugged(tmp_path, "dann", ""):
        pass
    with pytest.raises(TlbenchError, match="no such Python file"):
        methods.register_file(tmp_path / "nothing.py")
    file = tmp_path / "not-a-name.py"
    file.write_text("")
    with pytest.raises(TlbenchError, match="Python identifier"):
        methods.register_file(file)


def test_unknown_methods_and_options_are_guessed():
    with pytest.raises(TlbenchError, match="Did you mean 'source_only'"):
        methods.method_class("source_onyl")
    with pytest.raises(TlbenchError, match="Did you mean 'weight'"):
        methods.method_options("dann", {"wieght": 1.0})
    with pytest.raises(TlbenchError, match=r"weight.*greater than or equal to 0"):
        methods.method_options("dann", {"weight": -1.0})
    assert methods.method_options("dann", {"weight": 2}) == {"weight": 2.0, "hidden": 256, "gamma": 10.0}


# --- reversal and distances -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0.0, 0.3, 1.0, 7.0])
def test_reversal_is_the_identity_and_minus_k_times_the_gradient(k):
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(reverse_gradient(x, k), x)
    (plain,) = torch.autograd.grad((x.square() * weights).sum(), x)
    (turned,) = torch.autograd.grad((reverse_gradient(x, k).square() * weights).sum(), x)
    assert torch.equal(turned, -k * plain)


def test_the_ramp_goes_from_nothing_to_all():
    assert reversal_schedule(0.0) == 0.0
    assert 0.999 < reversal_schedule(1.0) < 1.0
    values = [reversal_schedule(p / 10) for p in range(11)]
    assert values == sorted(values)
    assert reversal_schedule(0.5, gamma=20.0) == pytest.approx(reversal_schedule(1.0, gamma=10.0))


def two_batches() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    a = torch.randn(40, 6, generator=source, dtype=torch.float64)
    b = torch.randn(50, 6, generator=source, dtype=torch.float64) @ torch.randn(6, 6, generator=source).double()
    return a, b


def test_the_coral_distance_is_blind_to_translation_symmetric_and_of_fourth_degree():
    a, b = two_batches()
    distance = distances.coral(a, b)
    assert distance > 0
    assert torch.allclose(distances.coral(a + 5, b - 3), distance)
    assert torch.allclose(distances.coral(b, a), distance)
    assert torch.allclose(distances.coral(3 * a, 3 * b), 3**4 * distance)
    assert distances.coral(a, a.flip(0)) < 1e-20
    by_hand = (np.cov(a.T) - np.cov(b.T)) ** 2
    assert float(distance) == pytest.approx(by_hand.sum() / (4 * 6 * 6))


def test_a_power_of_a_matrix_is_its_power():
    _, b = two_batches()
    cov = distances.covariance(b) + torch.eye(6)
    root = distances.power(cov, 0.5)
    assert torch.allclose(root @ root, cov)
    assert torch.allclose(distances.power(cov, -0.5) @ root, torch.eye(6).double(), atol=1e-9)
    assert torch.allclose(distances.power(cov, 1.0), cov)


# --- coral_map ------------------------------------------------------------------------------------------------------


def mapped_source(monkeypatch, source, target, ridge) -> torch.Tensor:
    """The source rows that coral_map gives its learner."""
    seen = []
    monkeypatch.setattr(base_learners, "svm", lambda x, *rest, **options: seen.append(x))
    kind = methods.method_class("coral_map")
    kind(**methods.method_options("coral_map", {"ridge": ridge})).fit(Task(2, Labelled(source, torch.arange(40) % 2), target))
    return seen[0]


def test_coral_map_is_the_identity_where_covariances_are_equal(monkeypatch):
    a, _ = two_batches()
    assert torch.allclose(mapped_source(monkeypatch, a, a.flip(0) + 4, 1.0), a, atol=1e-9)


def test_coral_map_gives_the_source_the_covariance_of_the_target(monkeypatch):
    a, b = two_batches()
    mapped = mapped_source(monkeypatch, a, b, 1e-9)
    assert torch.allclose(distances.covariance(mapped), distances.covariance(b), rtol=1e-5, atol=1e-6)
    apart = mapped_source(monkeypatch, a, b, 1.0)
    assert not torch.allclose(distances.covariance(apart), distances.covariance(b), rtol=1e-2)


# --- learners against scikit-learn ----------------------------------------------------------------------------------


def wine(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    return (x - x.mean(0)) / x.std(0), y


@pytest.mark.parametrize("c", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_logistic_regression_is_that_of_scikit_learn(c, weighted):
    x, y = wine()
    x[:, 0] *= 100  # columns of very different width
    weights = np.random.default_rng(0).uniform(0.0, 2.0, len(y)) if weighted else np.ones(len(y))
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(x, y, sample_weight=weights)
    ours = base_learners.logistic(
        torch.tensor(x), torch.tensor(y), 3, weight_N=torch.tensor(weights), penalty=1 / c, iterations=1000
    )
    scores = ours(torch.tensor(x))
    assert scores.shape == (len(y), 3)
    assert np.abs(scores.softmax(1).numpy() - theirs.predict_proba(x)).max() < 1e-4
    columns = torch.eye(13, dtype=torch.float64)
    ours_ = (ours(columns) - ours(torch.zeros(1, 13).double())).T
    # a weak penalty leaves the optimum flat: coefficients then differ more than what they say of any row
    tolerance = 2e-4 if c <= 1 else 1e-2
    assert np.abs((ours_ - ours_.mean(0)).numpy() - (theirs.coef_ - theirs.coef_.mean(0))).max() < tolerance


def test_logistic_regression_of_two_classes_is_that_of_scikit_learn():
    x, y = wine()
    x, y = x[y < 2], y[y < 2]
    # two softmax columns w/2 and -w/2 pay |w|^2 / 2 where the one sigmoid of scikit-learn pays |w|^2
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=100_000).fit(x, y)
    ours = base_learners.logistic(torch.tensor(x), torch.tensor(y), 2, penalty=1.0, iterations=1000)
    assert np.abs(ours(torch.tensor(x)).softmax(1).numpy() - theirs.predict_proba(x)).max() < 1e-4


def test_a_weight_of_two_is_a_row_twice():
    x, y = wine()
    weights = torch.ones(len(y))
    weights[:40] = 2
    twice = np.r_[np.arange(40), np.arange(len(y))]
    a = base_learners.logistic(torch.tensor(x), torch.tensor(y), 3, weight_N=weights, iterations=1000)
    b = base_learners.logistic(torch.tensor(x[twice]), torch.tensor(y[twice]), 3, iterations=1000)
    assert torch.allclose(a(torch.tensor(x)), b(torch.tensor(x)), atol=1e-3)


def test_the_nearest_neighbour_is_that_of_scikit_learn():
    x, y = wine()
    train_rows, rest = np.arange(0, 178, 2), np.arange(1, 178, 2)
    theirs = KNeighborsClassifier(1).fit(x[train_rows], y[train_rows]).predict(x[rest])
    ours = base_learners.nearest(torch.tensor(x[train_rows]), torch.tensor(y[train_rows]), 3, chunk=17)
    assert ours(torch.tensor(x[rest])).argmax(1).tolist() == theirs.tolist()


def test_the_nearest_neighbour_bears_a_class_without_rows():
    rows = torch.tensor([[0.0], [1.0]])
    scores = base_learners.nearest(rows, torch.tensor([0, 2]), 4)(torch.tensor([[0.1], [0.9]]))
    assert scores.argmax(1).tolist() == [0, 2]
    assert scores[:, 1].eq(-torch.inf).all()


def test_the_svm_is_that_of_scikit_learn():
    from sklearn.svm import SVC

    x, y = wine()
    theirs = SVC(kernel="linear", C=1.0).fit(x[::2], y[::2]).predict(x[1::2])
    ours = base_learners.svm(torch.tensor(x[::2]), torch.tensor(y[::2]), 3)(torch.tensor(x[1::2]))
    assert ours.argmax(1).tolist() == theirs.tolist()


# --- single methods -------------------------------------------------------------------------------------------------


def trained(name: str, task: Task | None = None, steps: int = 20, **options) -> DeepMethod:
    """A method after its training on the toy task, with or without its last phase."""
    fitted = checks.fit(name, task or checks.toy_task(), options, steps)
    assert isinstance(fitted.method, DeepMethod)
    return fitted.method


def stages(method: DeepMethod) -> list[dict[str, torch.Tensor]]:
    return [dict(stage.state_dict()) for stage in method.net.backbone.stages]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def after_the_source(monkeypatch, name: str, **options) -> tuple[list[dict], list[dict], DeepMethod]:
    """Stages of the backbone after the first phase and after all of them."""
    kind = methods.method_class(name)
    plain, seen = kind.phases, []

    def phases(self):
        one, two = plain(self)
        begin = two.begin

        def note(rows):
            seen.extend({k: v.clone() for k, v in stage.items()} for stage in stages(self))
            if begin is not None:
                begin(rows)

        return one, type(two)(**{**vars(two), "begin": note})

    monkeypatch.setattr(kind, "phases", phases)
    method = trained(name, **options)
    return seen, stages(method), method


@pytest.mark.parametrize("freeze", [0, 1, 2])
def test_fine_tune_leaves_the_frozen_stages_as_the_source_left_them(monkeypatch, freeze):
    before, after, _ = after_the_source(monkeypatch, "fine_tune", freeze=freeze)
    assert len(before) == 2
    assert [same(a, b) for a, b in zip(before, after, strict=True)] == [depth < freeze for depth in range(2)]


def test_fine_tune_at_backbone_rate_0_is_a_frozen_backbone(monkeypatch):
    before, after, _ = after_the_source(monkeypatch, "fine_tune", backbone_lr=0.0)
    assert all(map(same, before, after))


def test_fine_tune_can_not_freeze_more_stages_than_there_are():
    with pytest.raises(NotApplicableError, match="the backbone has 2 stages"):
        trained("fine_tune", freeze=3)


def test_gradual_fine_tuning_opens_from_the_top():
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [16, 12, 8, 8]}), 3)
    method = methods.method_class("fine_tune")(net, **methods.method_options("fine_tune", {"gradual": True}))
    head, *groups = method.phases()[1].groups
    assert head.modules == (net.head,) and head.scale == 1.0
    assert [g.modules[0] for g in groups] == list(net.backbone.stages)
    opening = [next(p for p in range(101) if g.scale(p / 100) > 0) for g in groups]
    assert opening == sorted(opening, reverse=True) and opening[-1] > 0 and opening[0] <= 50
    assert len(set(opening)) == 4


def test_gradual_fine_tuning_reaches_the_lowest_stage_only_late(monkeypatch):
    # two steps in all on the few: at progress 0 nothing of the backbone is open, at 0.5 all of it is
    before, after, _ = after_the_source(monkeypatch, "fine_tune", gradual=True, source_share=0.95)
    assert all(map(same, before, after))  # a single step, at progress 0
    monkeypatch.undo()
    before, after, _ = after_the_source(monkeypatch, "fine_tune", gradual=True)
    assert not any(map(same, before, after))


def test_linear_probe_leaves_the_backbone_as_the_source_left_it(monkeypatch):
    before, after, method = after_the_source(monkeypatch, "linear_probe")
    assert all(map(same, before, after))
    only = trained("source_only", steps=10)  # half of the budget
    assert all(map(same, stages(only), after))
    assert not torch.equal(method.probe.weight, only.net.head.weight)


def weights_of(source: torch.Tensor, target: torch.Tensor, **options) -> torch.Tensor:
    task = Task(2, Labelled(source, torch.arange(len(source)) % 2), target)
    return trained("discriminator_reweight", task, steps=2, **options).weight_N


def test_reweighting_leaves_rows_alone_where_nothing_has_shifted():
    source = torch.Generator().manual_seed(0)
    a, b = torch.randn(2000, 3, generator=source), torch.randn(1500, 3, generator=source)
    weights = weights_of(a, b)
    assert weights.shape == (2000,) and float(weights.mean()) == pytest.approx(1.0, abs=1e-5)
    assert float(weights.std()) < 0.15 and float(weights.min()) > 0.6 and float(weights.max()) < 1.6


def test_reweighting_prefers_rows_that_look_like_the_target():
    source = torch.Generator().manual_seed(0)
    a, b = torch.randn(600, 2, generator=source), torch.randn(600, 2, generator=source)
    b[:, 0] += 1.0  # the true weight of a row x is exp(x_0 - 1/2)
    weights = weights_of(a, b, cap=100.0)
    true = (a[:, 0] - 0.5).exp()
    assert float(torch.corrcoef(torch.stack([weights, true / true.mean()]))[0, 1]) > 0.95
    assert float(weights[a[:, 0] > 0].mean()) > 3 * float(weights[a[:, 0] < -0.5].mean())
    assert float(weights.mean()) == pytest.approx(1.0, abs=1e-5)


def test_reweighting_is_capped():
    source = torch.Generator().manual_seed(0)
    a, b = torch.randn(200, 2, generator=source), torch.randn(200, 2, generator=source) + 3
    free, capped = weights_of(a, b, cap=1e6), weights_of(a, b, cap=2.0)
    ratio = capped / free  # below the cap all change by one factor, that of the new mean
    below = free < 2.0
    assert torch.allclose(ratio[below], ratio[below][0]) and 0 < int((~below).sum()) < 100
    assert torch.allclose(capped[~below], 2.0 * ratio[below][0])
    assert torch.isfinite(weights_of(a, b + 1e3)).all()


def test_multi_task_has_a_head_for_each_source():
    rows = checks.toy_samples(1)
    two = Labelled(rows.x, rows.y, torch.arange(120) % 2)
    method = trained("multi_task", Task(3, two, checks.toy_samples(2).x, checks.toy_samples(3, 15)))
    assert len(method.heads) == 2
    start = trained("multi_task", Task(3, two, checks.toy_samples(2).x, checks.toy_samples(3, 15)), steps=1)
    for one, other in zip(method.heads, start.heads, strict=True):
        assert not torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("name", ["coral", "dann"])
def test_the_term_counts_as_its_weight_says(name):
    """loss(weight) is CE + weight * term: a straight line in the weight."""
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [8]}), 3)
    source, target = checks.toy_samples(1, 32), checks.toy_samples(2, 32, shift=0.7).x
    losses = []
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(0)
        method = methods.method_class(name)(net, **methods.method_options(name, {"weight": weight}))
        losses.append(float(method.loss(Step(source, target, progress=0.5)).detach()))
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), abs=1e-6)
    assert losses[0] == pytest.approx(float(F.cross_entropy(net(source.x), source.y).detach()))


def test_the_class_balance_of_mean_teacher_is_that_of_its_authors():
    """Summed over classes and times the share of confident teachers; least where classes are used evenly."""
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [8]}), 3)
    rows, labels = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3

    def loss(**options):
        method = methods.method_class("mean_teacher")(net, **{**methods.method_options("mean_teacher", {}), **options})
        with seeded_rng(0, CPU):  # the same views
            return float(method.loss(Step(source=Labelled(rows, labels), target=rows, rows={}, progress=0.5)).detach())

    heard = {"threshold": 0.0, "weight": 2.0}
    uneven = (loss(balance=1.0, **heard) - loss(balance=0.0, **heard)) / 2
    assert uneven > 0.999 * 3 * -(np.log(1 / 3) / 3 + 2 / 3 * np.log(2 / 3))
    with seeded_rng(0, CPU), torch.no_grad():
        mean = net(augmentation.weak(rows)).softmax(dim=1).mean(dim=0).double().numpy()
    assert uneven == pytest.approx(-(np.log(mean) / 3 + 2 / 3 * np.log(1 - mean)).sum(), rel=1e-4)
    assert loss(threshold=1.0, balance=1.0) == loss(threshold=1.0, balance=0.0)  # nobody is heard


def test_dann_pushes_the_backbone_against_the_discriminator():
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [8]}), 3)
    method = methods.method_class("dann")(net, **methods.method_options("dann", {}))
    source, target = checks.toy_samples(1, 32), checks.toy_samples(2, 32, shift=0.7).x
    first = net.backbone.stages[0][1].weight

    def gradient(progress: float) -> torch.Tensor:
        return torch.autograd.grad(method.loss(Step(source, target, progress=progress)), first)[0]

    task = torch.autograd.grad(F.cross_entropy(net(source.x), source.y), first)[0]
    assert torch.allclose(gradient(0.0), task, atol=1e-7)
    pushed = gradient(0.3) - task
    assert torch.allclose(gradient(1.0) - task, pushed * reversal_schedule(1.0) / reversal_schedule(0.3), rtol=1e-3, atol=1e-6)


# --- backbones ---------------------------------------------------------------------------------------------------------

TRUNKS = [
    ("mlp", (6,), {}),
    ("mlp", (1, 8, 8), {"hidden": [16, 8], "dropout": 0.5, "batch_norm": True}),
    ("convnet", (1, 8, 8), {}),
    ("convnet", (3, 9, 12), {"channels": 4, "width": 16, "batch_norm": True}),
    ("lenet", (1, 28, 28), {}),
    ("lenet", (3, 16, 20), {"width": 32, "dropout": 0.3, "batch_norm": True}),
    ("conv1d", (9, 128), {}),
    ("conv1d", (3, 8), {"channels": 4, "width": 16, "kernel": 8, "batch_norm": False, "dropout": 0.5}),
    ("torchvision:resnet18", (3, 32, 32), {}),
    ("torchvision:squeezenet1_1", (1, 32, 32), {}),
    ("torchvision:mobilenet_v3_small", (1, 32, 32), {}),
    ("features", (5,), {}),
    ("features", (5,), {"width": 3}),
    ("auto", (5,), {}),
    ("auto", (1, 8, 8), {}),
    ("auto", (1, 28, 28), {}),
]


@pytest.mark.parametrize(("name", "shape", "options"), TRUNKS, ids=lambda v: str(v).replace(" ", ""))
def test_every_backbone_goes_forward_and_back(name, shape, options):
    torch.manual_seed(0)
    if name == "torchvision:squeezenet1_1":
        with pytest.raises(TlbenchError, match="does not end in a linear layer"):
            backbones.build_backbone(name, shape, options)
        return
    backbone = backbones.build_backbone(name, shape, options)
    net = Net(backbone, 3)
    x = torch.randn(8, *shape)
    features = backbone(x)
    assert features.shape == (8, backbone.width) and features.dtype == torch.float32
    F.cross_entropy(net(x), torch.arange(8) % 3).backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    in_stages = {id(p) for stage in backbone.stages for p in stage.parameters()}
    assert in_stages == {id(p) for p in backbone.parameters()}
    net.eval()
    assert torch.equal(net(x), net(x))


def test_every_backbone_file_is_tried_here():
    assert set(backbones.backbone_names()) == {name.partition(":")[0] for name, _, _ in TRUNKS} - {"auto"}


def test_two_batches_through_one_forward_are_two_forwards():
    net = Net(backbones.build_backbone("convnet", (1, 8, 8), {}), 3)
    a, b = torch.randn(4, 1, 8, 8), torch.randn(6, 1, 8, 8)
    one, two = net.features(a, b)
    assert torch.allclose(one, net.backbone(a), atol=1e-6) and torch.allclose(two, net.backbone(b), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "options", "words"),
    [
        ("lenett", (1, 28, 28), {}, "Did you mean 'lenet'"),
        ("lenet", (1, 8, 8), {}, "from 16 pixels on"),
        ("lenet", (6,), {}, "not rows of shape"),
        ("convnet", (6,), {}, "choose mlp"),
        ("conv1d", (1, 28, 28), {}, "takes series"),
        ("mlp", (6,), {"hiden": [3]}, "Did you mean 'hidden'"),
        ("mlp", (6,), {"hidden": []}, "hidden"),
        ("torchvision:resnet81", (3, 32, 32), {}, "Did you mean 'resnet18'"),
        ("torchvision", (3, 32, 32), {}, "network"),
        ("torchvision:resnet18", (6,), {}, "not rows of shape"),
        ("torchvision:resnet18", (3, 32, 32), {"weights": "no_such_file.pth"}, "not a state dict"),
    ],
)
def test_a_backbone_that_can_not_be_built_says_why(name, shape, options, words):
    with pytest.raises(TlbenchError, match=words):
        backbones.build_backbone(name, shape, options)


def test_weights_come_from_a_file(tmp_path):
    from torchvision import models

    torch.manual_seed(1)
    network = models.resnet18(weights=None)
    torch.save(network.state_dict(), tmp_path / "r18.pth")
    backbone = backbones.build_backbone("torchvision:resnet18", (3, 32, 32), {"weights": str(tmp_path / "r18.pth")})
    network.fc = torch.nn.Identity()
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(backbone.eval()(x), network.eval()(x), atol=1e-5)
    (tmp_path / "bad.pth").write_bytes((tmp_path / "r18.pth").read_bytes()[:1000])
    with pytest.raises(TlbenchError, match="not a state dict"):
        backbones.build_backbone("torchvision:resnet18", (3, 32, 32), {"weights": str(tmp_path / "bad.pth")})


# --- the training of a method ---------------------------------------------------------------------------------------


def test_a_frozen_group_keeps_its_batch_statistics(monkeypatch):
    """Frozen means frozen: running means of a frozen stage stand still too."""
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [16, 8], "batch_norm": True}), 3)
    method = methods.method_class("fine_tune")(net, **methods.method_options("fine_tune", {"freeze": 1}))
    seen: list[dict[str, torch.Tensor]] = []
    one, two = method.phases()
    two = type(two)(**{**vars(two), "begin": lambda rows: seen.extend(map(_copy, stages(method)))})
    monkeypatch.setattr(type(method), "phases", lambda self: (one, two))
    training = Training(steps=20, batch=16)
    inputs = Inputs(Network(), channels_last=False)
    train(method, checks.toy_task(), training, inputs, clock.Clock(CPU), lambda use: len(use))
    after = stages(method)
    assert same(seen[0], after[0]) and not same(seen[1], after[1])
    assert "1.running_mean" in after[0] or any("running_mean" in key for key in after[0])


def _copy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.items()}


def test_a_solved_method_gives_scores_for_rows_in_any_chunks():
    fitted = checks.fit("logistic", checks.toy_task())
    x = checks.toy_samples(4, 90).x
    whole = in_chunks(fitted.predictor, x, fitted.inputs, 90)
    assert torch.allclose(whole, in_chunks(fitted.predictor, x, fitted.inputs, 7), atol=1e-12)


def test_a_method_that_the_suite_does_not_grant_is_not_applicable():
    case = Case(suite="toy", suite_version=1, entry="r", method="target_only", sources=("a",), target="b", seed=0)
    task = Task(3, checks.toy_samples(1), checks.toy_samples(2).x)
    with pytest.raises(NotApplicableError, match="target_only reads target_labeled, which the suite does not grant"):
        engine.fit(case, checks.toy_suite(), task, clock.Clock(CPU), lambda use: 0, CPU)
