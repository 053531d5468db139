"""What every selection rule obeys: order of samples, level of logits, degenerate inputs, and a planted collapse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_arrays import CHECKPOINT, collapsed

from tlbench import selection
from tlbench.errors import TlbenchError
from tlbench.selection.facts import SAME_SAMPLES

RULES = selection.rule_names()
LOGITS = [name for name in CHECKPOINT if name.endswith("logits")]


def permuted(seed: int) -> dict:
    """The checkpoint with the samples of every split in another order."""
    arrays = dict(CHECKPOINT)
    for group in (*SAME_SAMPLES, ("source_train_features",)):
        order = np.random.default_rng(seed).permutation(len(arrays[group[0]]))
        arrays |= {name: arrays[name][order] for name in group if name in arrays}
        if "target_logits" in group:
            arrays["pool_logits"] = arrays["pool_logits"][:, order]
            arrays["mixed_indices"] = np.argsort(order)[arrays["mixed_indices"]]
    return arrays


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_samples_does_not_matter(rule):
    assert selection.score(rule, **permuted(5)) == pytest.approx(selection.score(rule, **CHECKPOINT), rel=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_constant_added_to_all_logits_of_a_sample_does_not_matter(rule):
    rng = np.random.default_rng(0)
    moved = {name: CHECKPOINT[name] + 30 * rng.normal(size=(*CHECKPOINT[name].shape[:-1], 1)) for name in LOGITS}
    options = {"normalization": "softmax"} if rule == "mano" else None
    expected = selection.score(rule, options=options, **CHECKPOINT)
    assert selection.score(rule, options=options, **(CHECKPOINT | moved)) == pytest.approx(expected, rel=1e-6)


def test_the_taylor_softmax_of_mano_depends_on_the_level_of_logits():
    options, moved = {"normalization": "taylor"}, {"target_logits": CHECKPOINT["target_logits"] + 10}
    unmoved = selection.score("mano", options=options, target_logits=CHECKPOINT["target_logits"])
    assert abs(selection.score("mano", options=options, **moved) - unmoved) > 0.05


def test_mano_takes_the_taylor_softmax_up_to_its_threshold():
    certain, doubtful = CHECKPOINT["target_logits"], CHECKPOINT["target_logits"] / 4
    for logits, normalization in ((certain, "softmax"), (doubtful, "taylor")):
        expected = selection.score("mano", options={"normalization": normalization}, target_logits=logits)
        assert selection.score("mano", target_logits=logits) == expected
    for threshold, normalization in ((0, "softmax"), (100, "taylor")):
        expected = selection.score("mano", options={"normalization": normalization}, target_logits=certain)
        assert selection.score("mano", options={"threshold": threshold}, target_logits=certain) == expected


def finite_or_one_sentence(rule: str, arrays: dict) -> None:
    """Check that a rule gives a finite number or one clear error."""
    try:
        assert math.isfinite(selection.score(rule, **arrays))
    except TlbenchError as error:
        assert "\n" not in str(error) and str(error).endswith(".")


@pytest.mark.parametrize("rule", RULES)
def test_degenerate_checkpoints_give_a_finite_number_or_one_error(rule):
    one_class = {name: np.broadcast_to(collapsed(4, 1)[0], CHECKPOINT[name].shape) for name in LOGITS}
    one_sample = {
        name: array if np.ndim(array) == 0 or name == "classifier_weights" else array[:, :1] if array.ndim == 3 else array[:1]
        for name, array in CHECKPOINT.items()
    } | {"mixed_indices": np.zeros((1, 2), int)}
    equal = {name: np.zeros_like(array) for name, array in CHECKPOINT.items() if np.ndim(array) and array.dtype.kind == "f"}
    extreme = {name: 1e150 * CHECKPOINT[name] for name in LOGITS}
    for change in (one_class, one_sample, equal, extreme):
        finite_or_one_sentence(rule, CHECKPOINT | change)


@pytest.mark.parametrize("rule", [name for name in RULES if name not in {"snd", "class_ami", "class_ss", "transfer_score"}])
def test_one_sample_of_every_split_has_a_number(rule):
    arrays = {name: CHECKPOINT[name][:1] for name in ("source_logits", "source_labels", "source_features", "target_logits")}
    arrays |= {name: CHECKPOINT[name][:1] for name in ("target_features", "source_train_features", "mixed_logits")}
    arrays |= {name: CHECKPOINT[name][:1] for name in ("reverse_logits", "target_labeled_logits", "target_labeled_labels")}
    arrays |= {"pool_logits": CHECKPOINT["pool_logits"][:, :1], "mixed_indices": [[0, 0]], "step": 0, "seed": 0}
    assert math.isfinite(selection.score(rule, **arrays))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(2, 5), st.integers(0, 10**6), st.floats(-3, 5))
def test_bounds_of_rules_of_target_logits(samples, classes, seed, log_scale):
    logits = 10**log_scale * np.random.default_rng(seed).normal(size=(samples, classes))
    value = {name: selection.score(name, target_logits=logits) for name in ("entropy", "diversity", "im", "bnm", "corr_c")}
    assert -math.log(classes) - 1e-9 <= value["entropy"] <= 0 <= value["diversity"] <= math.log(classes) + 1e-9
    assert -1e-9 <= value["im"] <= math.log(classes) + 1e-9 and value["im"] == pytest.approx(
        value["diversity"] + value["entropy"]
    )
    assert 1 - 1e-9 <= value["corr_c"] <= math.sqrt(classes) + 1e-9
    assert 0 < value["bnm"] <= math.sqrt(min(samples, classes) / samples) + 1e-9


def test_a_planted_collapse_is_preferred_by_confidence_and_refused_by_information():
    sound, fallen = {"target_logits": CHECKPOINT["target_logits"]}, {"target_logits": collapsed()}
    gain = {
        rule: selection.score(rule, **fallen) - selection.score(rule, **sound)
        for rule in ("entropy", "confidence", "mano", "snd", "im", "bnm", "diversity", "corr_c")
    }
    assert all(gain[rule] > 0 for rule in ("entropy", "confidence", "mano", "snd"))
    assert all(gain[rule] < 0 for rule in ("im", "bnm", "diversity", "corr_c"))
    features = CHECKPOINT["target_features"]
    assert selection.score("class_ami", **fallen, target_features=features) == 0.0
    assert selection.score("class_ami", **sound, target_features=features) > 0.5


def test_class_ami_takes_any_predictions_for_clusters_where_features_are_many():
    rng = np.random.default_rng(0)
    logits, features = rng.normal(size=(200, 10)), rng.normal(size=(200, 512))
    assert selection.score("class_ami", target_logits=logits, target_features=features) > 0.9
    assert selection.score("class_ami", target_logits=logits, target_features=features[:, :4]) < 0.1


def test_trivial_rules_select_the_first_the_last_and_any_checkpoint():
    steps = range(0, 100, 10)
    best = {
        rule: max(steps, key=lambda step: selection.score(rule, step=step, seed=4)) for rule in ("last", "step_0", "random")
    }
    assert best["last"] == 90 and best["step_0"] == 0
    chosen = {max(steps, key=lambda step: selection.score("random", step=step, seed=seed)) for seed in range(60)}
    assert len(chosen) >= 8 and best["random"] in steps


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_reads_what_it_says(rule):
    """Without one of its facts it is an error; all other facts may be absent."""
    reads = selection.rule_class(rule).reads
    arrays = {name: CHECKPOINT[name] for name in reads}
    assert selection.score(rule, **arrays) == selection.score(rule, **CHECKPOINT)
    for name in reads:
        with pytest.raises(TlbenchError, match=f"^Rule '{rule}' reads {name}, which is not given. Pass {name}=...."):
            selection.score(rule, **{other: arrays[other] for other in reads if other != name})


def test_options_choose_what_is_read_and_computed():
    features = CHECKPOINT["target_features"]
    by_features = selection.score("snd", target_features=features, options={"layer": "features"})
    by_logits = selection.score("snd", target_logits=features, options={"layer": "logits"})
    assert by_features == by_logits
    plain = selection.score("iwcv", options={"density": "kernel", "normalized": False}, **CHECKPOINT)
    assert plain < 0 and plain != selection.score("iwcv", options={"density": "kernel"}, **CHECKPOINT)
    samples = selection.score("reverse_validation", options={"average": "samples"}, **CHECKPOINT)
    assert samples == np.mean(CHECKPOINT["reverse_logits"].argmax(1) == CHECKPOINT["source_labels"])
    with pytest.raises(TlbenchError, match=r"^Option kind is 'all'\. Available: both, intra, inter\.$"):
        selection.score("mix_val", options={"kind": "all"}, **CHECKPOINT)
