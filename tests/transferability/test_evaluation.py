"""Scores judged, held to published tables: TLLib's ranking benchmark, and accuracies of 11 models on 11 sets by SFDA."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from tlbench.errors import TlbenchError
from tlbench.transferability.evaluation import evaluate, mean_on_others, regret_at_one, weighted_tau

# CIFAR-10 of examples/model_selection/README.md in TLLib at c4aa59eb5656: ten models, fine-tuned accuracy and scores
TLLIB_ACCURACY = [96.2, 97.5, 96.8, 97.7, 97.9, 97.2, 97.4, 97.4, 95.7, 96.8]
TLLIB = {
    "h_score": ([5.911, 6.363, 6.567, 6.901, 6.945, 6.210, 6.547, 6.706, 5.928, 6.018], 0.800),
    "leep": ([-1.385, -1.259, -1.010, -0.829, -0.838, -1.035, -0.934, -0.888, -1.100, -1.066], 0.638),
    "logme": ([0.293, 0.349, 0.388, 0.463, 0.469, 0.302, 0.343, 0.369, 0.291, 0.304], 0.785),
    "nce": ([-1.139, -1.060, -1.007, -0.838, -0.851, -1.006, -0.946, -0.866, -1.089, -1.086], 0.714),
}
# tw_group1.py of SFDA at 3b7edf76bd68: accuracies after fine-tuning; the benchmark REPT has the same table for full fine-tuning
SFDA_ACCURACY = np.array(
    [
        [84.06, 84.64, 85.53, 86.29, 84.66, 84.19, 85.38, 66.48, 79.68, 80.32, 80.15],  # aircraft
        [91.15, 91.98, 92.38, 93.1, 91.5, 92.51, 93.14, 89.34, 88.64, 90.85, 92.75],  # caltech101
        [88.63, 89.09, 89.47, 89.88, 89.34, 89.02, 89.44, 72.58, 86.44, 87.76, 87.74],  # cars
        [96.12, 96.28, 97.39, 97.53, 96.45, 96.77, 97.02, 92.59, 94.74, 95.54, 96.18],  # cifar10
        [81.94, 82.8, 84.88, 85.66, 82.75, 84.26, 84.88, 72.04, 78.11, 79.84, 81.49],  # cifar100
        [72.96, 74.72, 74.8, 76.44, 74.18, 74.72, 76.04, 70.12, 71.72, 72.53, 72.85],  # dtd
        [95.2, 96.26, 96.53, 96.86, 97.02, 97.32, 97.1, 95.39, 96.2, 95.76, 95.73],  # flowers
        [81.99, 84.45, 85.58, 86.28, 84.99, 85.84, 86.71, 71.35, 81.12, 79.3, 81.76],  # food
        [93.5, 93.88, 93.92, 94.42, 93.07, 93.62, 94.03, 91.08, 91.28, 91.38, 92.14],  # pets
        [61.02, 63.54, 63.76, 64.82, 63.26, 64.1, 64.57, 56.56, 60.29, 59.89, 59.98],  # sun397
        [84.6, 85.8, 85.68, 86.32, 85.28, 85.77, 85.67, 81.06, 82.8, 82.58, 83.84],  # voc2007
    ]
)


@pytest.mark.parametrize("name", TLLIB)
def test_weighted_tau_is_that_of_tllib(name):
    scores, printed = TLLIB[name]
    assert weighted_tau(scores, TLLIB_ACCURACY) == pytest.approx(printed, abs=6e-4)


def test_regret_is_what_the_choice_falls_short_of_the_best():
    assert regret_at_one(TLLIB["logme"][0], TLLIB_ACCURACY) == 0  # it chooses ResNet-152, the best
    assert regret_at_one(TLLIB["leep"][0], TLLIB_ACCURACY) == pytest.approx(97.9 - 97.7)  # ResNet-101
    assert regret_at_one([1, 1, 0], [3, 5, 9]) == 9 - 4  # a tie is a choice by chance
    assert regret_at_one([np.nan, 1, 0], [9, 5, 6]) == 1  # without a score no candidate
    assert weighted_tau([1, 1, 1], [1, 2, 3]) == 0


def test_the_mean_on_other_sets_leaves_little_to_gain_under_full_fine_tuning():
    table = evaluate({}, SFDA_ACCURACY)
    assert table.loc["mean_on_others", "regret"] == pytest.approx(0.0845, abs=1e-4)
    assert table.loc["mean_on_others", "weighted_tau"] == pytest.approx(0.8368, abs=1e-4)
    assert table.loc["random", "regret"] == pytest.approx(2.5383, abs=1e-4) and table.loc["random", "weighted_tau"] == 0
    assert table.loc["random", "best_chosen"] == pytest.approx(1) and list(table.index) == ["mean_on_others", "random"]
    regrets = [regret_at_one(scores, truth) for scores, truth in zip(mean_on_others(SFDA_ACCURACY), SFDA_ACCURACY, strict=True)]
    margin = t.ppf(0.975, 10) * np.std(regrets, ddof=1) / np.sqrt(11)
    assert table.loc["mean_on_others", "regret_margin"] == pytest.approx(margin)


def test_mean_on_others_never_sees_its_own_target():
    changed = SFDA_ACCURACY.copy()
    changed[3] = changed[3, ::-1]
    assert mean_on_others(changed)[3] == pytest.approx(mean_on_others(SFDA_ACCURACY)[3])
    assert not np.allclose(mean_on_others(changed)[4], mean_on_others(SFDA_ACCURACY)[4])


def test_an_oracle_gains_what_the_best_trivial_score_loses():
    truth = np.array([[0.9, 0.5, 0.6], [0.4, 0.8, 0.7], [0.2, 0.3, 0.9], [np.nan, 0.5, 0.4]])
    table = evaluate({"oracle": truth, "reversed": -truth}, truth)
    assert table.index[0] == "oracle" and table.loc["oracle", "regret"] == 0 and table.loc["oracle", "best_chosen"] == 4
    trivial = min(table.loc[name, "regret"] for name in ("random", "mean_on_others"))
    assert table.loc["oracle", "gain_on_trivial"] == pytest.approx(trivial)
    assert table.loc["reversed", "weighted_tau"] == pytest.approx(-1) and table.loc["oracle", "weighted_tau"] == pytest.approx(
        1
    )
    assert np.isnan(evaluate({}, truth[:2]).loc["random", "regret_margin"])  # two targets have no interval


def test_the_jackknife_leaves_each_domain_out_as_a_target_and_as_a_candidate():
    rng = np.random.default_rng(0)
    truth, scores = 100 * rng.random((6, 4)), {"a": rng.random((6, 4))}
    names = [f"t{number}" for number in range(6)]
    plain = evaluate(scores, truth)
    # the fifth candidate is the first target, and no target has it
    lone = np.concatenate([truth, np.full((6, 1), np.nan)], axis=1)
    with_names = {"a": np.concatenate([scores["a"], np.full((6, 1), np.nan)], axis=1)}
    shared = evaluate(with_names, lone, names, ["k0", "k1", "k2", "k3", "t0"])
    means = [np.delete([regret_at_one(s, t) for s, t in zip(scores["a"], truth, strict=True)], d).mean() for d in range(6)]
    reduced = [
        [regret_at_one(np.delete(s, c), np.delete(t, c)) for s, t in zip(scores["a"], truth, strict=True)] for c in range(4)
    ]
    thetas = [*means, *(np.mean(of) for of in reduced)]
    margin = t.ppf(0.975, 9) * np.sqrt(9 / 10 * np.sum((np.array(thetas) - np.mean(thetas)) ** 2))
    assert shared.loc["a", "regret_margin"] == pytest.approx(margin)
    assert plain.loc["a", "regret"] == shared.loc["a", "regret"] and plain.loc["a", "regret_margin"] != pytest.approx(margin)


def test_a_domain_that_decides_everything_makes_the_interval_wide():
    truth = np.full((5, 5), 50.0)
    truth[:, 0] = 80.0  # all sources are alike but the first
    truth[0] = [np.nan, 50, 50, 50, 50]
    np.fill_diagonal(truth, np.nan)
    names = [f"d{number}" for number in range(5)]
    table = evaluate({"reversed": -np.nan_to_num(truth)}, np.where(np.eye(5, dtype=bool), np.nan, truth), names, names)
    over_targets = evaluate({"reversed": -np.nan_to_num(truth)}, truth)
    assert table.loc["reversed", "regret"] == pytest.approx(24)
    assert table.loc["reversed", "regret_margin"] > over_targets.loc["reversed", "regret_margin"] > 0
    few = evaluate({}, truth[:3, :3], names[:3], names[:3])
    assert np.isnan(few.loc["random", "regret_margin"])


@pytest.mark.parametrize(("scores", "truth"), [([1.0], [1.0]), ([1.0, np.nan], [1.0, 2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_what_is_no_ranking_is_an_error(scores, truth):
    with pytest.raises(TlbenchError):
        regret_at_one(scores, truth)
    with pytest.raises(TlbenchError):
        evaluate({"a": np.array([scores])}, np.array([truth]))
