"""Each rule is held to numbers of its authors, pytorch-adapt, skada or scikit-learn on the same arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from selection_arrays import CHECKPOINT, REFERENCES

from tlbench import selection
from tlbench.selection.density_ratio import controlled_mean
from tlbench.selection.features.transfer_score import hopkins, unevenness

CASES = [
    ("source_risk", {}, "log_loss", -1),
    ("iwcv", {}, "weighted_log_loss", -1),
    ("dev", {}, "pytorch_adapt_dev_None", 1),
    ("devn", {}, "pytorch_adapt_dev_max", 1),
    ("devn", {"normalization": "standardize"}, "pytorch_adapt_dev_standardize", 1),
    ("entropy", {}, "pytorch_adapt_entropy", 1),
    ("confidence", {}, "mean_confidence", 1),
    ("diversity", {}, "pytorch_adapt_diversity", 1),
    ("im", {}, "pytorch_adapt_im", 1),
    ("bnm", {}, "pytorch_adapt_bnm", 1),
    ("snd", {}, "pytorch_adapt_snd", 1),
    ("snd", {"own_similarity": "least"}, "skada_snd", 1),
    ("class_ami", {}, "pytorch_adapt_class_ami", 1),
    ("class_ss", {}, "pytorch_adapt_class_ss", 1),
    ("mix_val", {}, "skada_mix_val_both", 1),
    ("mix_val", {"kind": "intra"}, "skada_mix_val_intra", 1),
    ("mix_val", {"kind": "inter"}, "skada_mix_val_inter", 1),
    ("mano", {"normalization": "taylor"}, "mano_taylor", 1),
    ("mano", {}, "skada_mano_softmax", 1),
    ("ens_v", {}, "ensemble_agreement", 1),
    ("rank_me", {}, "rank_me", 1),
    ("reverse_validation", {}, "balanced_accuracy", 1),
    ("k_labels", {}, "labeled_log_loss", -1),
]


@pytest.mark.parametrize(("rule", "options", "number", "sign"), CASES)
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_rule_gives_the_number_of_the_reference(rule, options, number, sign, kind):
    arrays = {name: kind(array) for name, array in CHECKPOINT.items()}
    # pytorch-adapt adds a small constant within the logarithm of diversity
    tolerance = 1e-6 if rule in {"diversity", "im", "snd"} else 1e-7
    assert selection.score(rule, options=options, **arrays) == pytest.approx(sign * REFERENCES[number], rel=tolerance)


@pytest.mark.parametrize(
    ("rule", "options", "number", "sign"),
    [
        ("entropy", {}, "entropy", -1),
        ("im", {}, "im", 1),
        ("corr_c", {}, "corr", 1),
        ("snd", {"layer": "logits", "own_similarity": "least"}, "snd", 1),
    ],
)
def test_a_rule_gives_what_ensv_prints_to_four_decimals(rule, options, number, sign):
    added = 1e-5 * (60 if rule == "snd" else 4)  # to each probability, within the logarithm
    theirs = sign * REFERENCES[f"ensv_{number}"]
    assert selection.score(rule, options=options, **CHECKPOINT) == pytest.approx(theirs, abs=added + 6e-5)


def test_other_codes_differ_by_what_the_documentation_says():
    assert selection.score("entropy", **CHECKPOINT) == pytest.approx(4 * REFERENCES["skada_entropy"])  # its mean is over C too
    error = selection.score("source_risk", options={"loss": "error"}, **CHECKPOINT)
    assert 1 + error == pytest.approx(REFERENCES["pytorch_adapt_accuracy"])
    error = selection.score("iwcv", options={"loss": "error", "density": "kernel"}, **CHECKPOINT)
    assert 1 + error == pytest.approx(REFERENCES["skada_iwcv_accuracy"])


def test_dev_is_that_of_skada_for_a_column_of_losses_and_not_for_its_default_vector():
    train, validation = REFERENCES["skada_train"], REFERENCES["skada_validation"]
    arrays = CHECKPOINT | {
        "source_train_features": CHECKPOINT["source_features"][train],
        **{name: CHECKPOINT[name][validation] for name in ("source_features", "source_logits", "source_labels")},
        "reverse_logits": None,
    }
    ours = selection.score("dev", **arrays)
    assert ours == pytest.approx(REFERENCES["skada_dev"], rel=1e-6)
    assert abs(ours - REFERENCES["skada_dev_vector"]) > 0.05


@pytest.mark.parametrize("confidence", ["probability", "entropy"])
def test_the_threshold_of_atc_is_the_next_source_score_above_the_authors(confidence):
    """Theirs leaves one source sample fewer below it than are wrong."""
    source, target = (torch.tensor(CHECKPOINT[f"{name}_logits"]) for name in ("source", "target"))
    if confidence == "probability":
        scores, target_scores = source.softmax(1).amax(1), target.softmax(1).amax(1)
    else:
        scores, target_scores = (-torch.distributions.Categorical(logits=z).entropy() for z in (source, target))
    wrong = int((CHECKPOINT["source_logits"].argmax(1) != CHECKPOINT["source_labels"]).sum())
    theirs, ours = scores.sort().values[wrong - 1 : wrong + 1]
    number = "atc_confidence" if confidence == "probability" else "atc_entropy"
    assert float((target_scores >= theirs).double().mean()) == pytest.approx(float(REFERENCES[number]))
    value = selection.score("atc", options={"confidence": confidence}, **CHECKPOINT)
    assert value == pytest.approx(float((target_scores >= ours).double().mean()))


def test_the_terms_of_transfer_score_are_those_of_the_authors():
    weights, logits, features = (CHECKPOINT[name] for name in ("classifier_weights", "target_logits", "target_features"))
    assert unevenness(weights) == pytest.approx(REFERENCES["uniformity"], rel=1e-6)
    information = REFERENCES["pytorch_adapt_im"] / np.log(4)
    total = selection.score("transfer_score", classifier_weights=weights, target_logits=logits, target_features=features)
    assert total == pytest.approx(hopkins(features, 0) + information - REFERENCES["uniformity"], rel=1e-6)


def test_the_hopkins_statistic_is_that_of_all_distances():
    generator, features = np.random.default_rng(7), np.sort(np.random.default_rng(0).normal(size=(60, 1)), axis=0)
    points = generator.uniform(features.min(), features.max(), (3, 1))
    drawn = generator.choice(60, 3, replace=False)
    point_sum = cdist(points, features).min(1).sum()
    sample_sum = (cdist(features, features) + np.diag(np.full(60, np.inf))).min(1)[drawn].sum()
    assert hopkins(features, 7) == pytest.approx(point_sum / (point_sum + sample_sum))
    clusters = np.repeat(np.eye(4) * 100, 25, axis=0) + np.random.default_rng(1).normal(size=(100, 4)) * 0.01
    assert hopkins(clusters, 0) > 0.95


def test_a_control_variate_removes_what_the_weights_explain():
    weights = np.random.default_rng(0).exponential(size=200)
    assert controlled_mean(weights, np.full(200, 0.7)) == pytest.approx(0.7)  # weighted losses are 0.7 times the weights
    assert controlled_mean(np.full(5, 2.0), np.arange(5.0)) == 4.0
