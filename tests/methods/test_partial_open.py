"""Methods for partial and open label sets: losses held to other code on the same tensors, and who is taken for what.

The golden numbers come from that code, run on its own; a comment names the repository and the commit.
"""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from tiny_suite import CPU, blobs, case, suite
from toy_training import fit_deep
from wave_samples import (
    CLASSES,
    LABELS,
    SOURCE_BC,
    SOURCE_BD,
    TARGET_BC,
    TARGET_BD,
    Fixed,
    Identity,
    is_close,
    new_method,
    wave,
)

from tlbench import checks, engine
from tlbench.nn.heads import domain_loss
from tlbench.terms import Domain, Labelled, Record, Step

STEP = Step(Labelled(SOURCE_BD, LABELS, torch.zeros_like(LABELS)), TARGET_BD, None, {}, progress=0.5)
DOMAIN_24, OTHER_24 = wave(24, 1, 13)[:, 0], wave(24, 1, 14)[:, 0]
"""Logits of two discriminators for the samples of both domains."""
CLASS_WEIGHTS = [0.8233376, 1.0426840, 1.0832373, 1.0507411]
OPEN_BC = torch.cat([TARGET_BC, wave(12, 1, 15)], dim=1)
"""Logits of C classes and of "unknown"."""
DETECTORS = 2 * wave(12, 2 * CLASSES, 16)
OPEN_METHODS = ["osbp", "ovanet", "threshold"]


def with_outputs(name: str, *discriminators: tuple[str, torch.Tensor], **options):
    """A method whose features are its inputs, with fixed logits of the head and fixed discriminators."""
    method = new_method(name, **options)
    method.net.backbone = Identity()
    method.net.head = ByDomain()
    for attribute, logits in discriminators:
        setattr(method, attribute, Fixed(logits))
    return method


class ByDomain(torch.nn.Module):
    """A head with fixed logits for the source's and the target's features."""

    def forward(self, x):
        return SOURCE_BC if torch.equal(x, SOURCE_BD) else TARGET_BC


def open_method(name: str, **options):
    """A method on a small mlp that may predict "unknown"."""
    method = new_method(name, **options)
    method.net.open_set = True
    return method


def test_loss_of_pada():
    # thuml/PADA at 534fb6c: class weights of train_pada.py, loss.PADA on discriminator outputs, and the weighted cross-entropy
    method = with_outputs("pada", ("discriminator", DOMAIN_24))
    method.class_weight_C.copy_(method.class_weights(TARGET_BC))
    assert is_close(method.class_weight_C, CLASS_WEIGHTS)
    assert is_close(method.loss(STEP), 2.3067167)
    method.weight = 0.5
    assert is_close(method.loss(STEP), 1.5428258 + 0.5 * 0.7638909)


def test_class_weights_of_pada_by_temperature():
    # thuml/Transfer-Learning-Library at c4aa59e: ClassWeightModule(0.1), whose largest weight is 1
    weights = new_method("pada", temperature=0.1).class_weights(TARGET_BC)
    assert is_close(weights / weights.max(), [0.7013364, 0.7912765, 0.8651831, 1.0])


def test_loss_of_iwan():
    # thuml/Transfer-Learning-Library at c4aa59e: the loss of its example iwan.py by DomainAdversarialLoss,
    # ImportanceWeightModule and entropy, which adds 1e-5 in a logarithm
    method = with_outputs("iwan", ("weighing", DOMAIN_24), ("discriminator", OTHER_24))
    weights = method.sample_weights(DOMAIN_24[:12])
    assert is_close(weights[:6], [0.8212758, 0.6782279, 0.5811114, 1.3292117, 0.9992825, 1.1675549])
    assert is_close(method.weighted_domain_loss(OTHER_24, weights), 0.7535592)
    assert is_close(method.loss(STEP), 7.4693909)


@pytest.mark.parametrize(
    ("boundary", "value", "gradient"),
    [
        (0.5, 1.0703801, [0.0007784, 0.0005375, 0.0008386, 0.0199810, -0.0221355]),
        (0.2, 0.6696431, [-1.0073089e-04, -6.9557027e-05, -1.0851779e-04, -2.5856323e-03, 2.8644381e-03]),
    ],
)
def test_boundary_loss_of_osbp(boundary, value, gradient):
    # thuml/Transfer-Learning-Library at c4aa59e: UnknownClassBinaryCrossEntropy, which adds 1e-6 in its logarithms
    logits = OPEN_BC.clone().requires_grad_()
    loss = new_method("osbp", boundary=boundary).boundary_loss(logits)
    assert is_close(loss, value)
    assert torch.allclose(torch.autograd.grad(loss, logits)[0][0], torch.tensor(gradient), rtol=0, atol=1e-6)


def test_losses_of_ovanet():
    # VisionLearningGroup/OVANet at d40020d: half of both terms of ova_loss, and open_entropy; gradients of a sample
    method, outputs = new_method("ovanet"), DETECTORS.clone().requires_grad_()
    loss, unsure = method.detector_loss(outputs, LABELS), method.detector_entropy(outputs)
    first = [0.0136599, -0.0338357, 0.0, 0.0, -0.0136599, 0.0338357, 0.0, 0.0]
    second = [0.0032961, 0.0046531, 0.0011778, -0.0004943, -0.0032961, -0.0046531, -0.0011778, 0.0004943]
    assert is_close(loss, 1.3179468) and is_close(torch.autograd.grad(loss, outputs)[0][0], first)
    assert is_close(unsure, 0.4898401) and is_close(torch.autograd.grad(unsure, outputs)[0][0], second)


def test_predictions_of_ovanet():
    # VisionLearningGroup/OVANet at d40020d: the rule of eval.py's test
    method = open_method("ovanet")
    method.net.backbone, method.net.head, method.detectors = Identity(), Fixed(TARGET_BC), Fixed(DETECTORS)
    assert method.predict(TARGET_BD).argmax(dim=1).tolist() == [4, 4, 0, 4, 3, 0, 1, 3, 0, 4, 2, 4]


def test_pada_with_equal_weights_is_dann():
    dann, pada = new_method("dann"), new_method("pada")
    pada.load_state_dict(dann.state_dict(), strict=False)
    assert torch.allclose(pada.loss(STEP), dann.loss(STEP), atol=1e-6)


def test_a_batch_of_absent_classes_has_a_finite_loss():
    method = new_method("pada")
    method.class_weight_C.copy_(method.class_weights(1e4 * F.one_hot(torch.zeros(12, dtype=torch.int64), CLASSES).float()))
    absent = dataclasses.replace(STEP, source=Labelled(SOURCE_BD, torch.ones_like(LABELS), torch.zeros_like(LABELS)))
    assert torch.isfinite(method.loss(absent)) and torch.isfinite(method.loss(STEP))


def test_iwan_with_an_unsure_first_discriminator_is_dann_and_an_entropy():
    method = new_method("iwan", weight=1.0, entropy_weight=0.0)
    weights = method.sample_weights(torch.zeros(12))
    assert torch.allclose(weights, torch.ones(12), atol=1e-4)
    assert torch.allclose(method.weighted_domain_loss(DOMAIN_24, torch.ones(12)), domain_loss(DOMAIN_24, 12), atol=1e-6)


def test_the_first_discriminator_of_iwan_moves_no_feature():
    method = new_method("iwan", entropy_weight=0.0)
    first = method.net.backbone.stages[0][1].weight
    (before,) = torch.autograd.grad(method.loss(STEP), first)
    method.discriminator.layers[-1].weight.data.zero_()
    (of_first,) = torch.autograd.grad(method.loss(STEP), first)
    (of_source,) = torch.autograd.grad(method.supervised(STEP), first)
    assert torch.allclose(of_first, of_source, atol=1e-6) and not torch.allclose(before, of_source, atol=1e-6)


@pytest.mark.parametrize("name", ["pada", "iwan"])
def test_source_samples_of_absent_classes_weigh_less(name):
    """On a target without the last of three classes."""
    task, source = checks.toy_task(), checks.toy_samples(1)
    target = checks.toy_samples(2, 360, shift=0.7)
    method = fit_deep(name, dataclasses.replace(task, target=target.x[target.y < 2]), steps=200)
    if name == "pada":
        of_class = method.class_weight_C
    else:
        with torch.no_grad():
            weights = method.sample_weights(method.weighing(method.net.backbone(source.x)))
        of_class = torch.stack([weights[source.y == c].mean() for c in range(3)])
    assert of_class[2] < 0.5 < of_class[:2].min(), of_class


def test_the_head_of_osbp_goes_to_the_boundary_and_the_features_leave_it():
    method = open_method("osbp")
    loss = method.loss(STEP) - F.cross_entropy(method.open_logits(method.net.backbone(SOURCE_BD)), LABELS)
    plain = method.boundary_loss(method.open_logits(method.net.backbone(TARGET_BD)))
    assert torch.allclose(loss, plain, atol=1e-6) and float(plain.detach()) >= math.log(2) - 1e-6
    head, first = method.unknown.weight, method.net.backbone.stages[0][1].weight
    (of_head, of_first), (plain_head, plain_first) = (torch.autograd.grad(one, (head, first)) for one in (loss, plain))
    assert torch.allclose(of_head, plain_head, atol=1e-6) and torch.allclose(of_first, -plain_first, atol=1e-6)


def test_class_vectors_of_detectors_have_unit_length_after_each_step():
    norms = fit_deep("ovanet", steps=7).detectors.weight.norm(dim=1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-6)


@pytest.mark.parametrize("measure", ["entropy", "confidence"])
def test_a_sample_is_unknown_beyond_the_threshold(measure):
    method = open_method("threshold", measure=measure, threshold=0.6)
    probability = TARGET_BC.softmax(dim=1)
    share = -(probability * probability.log()).sum(dim=1) / math.log(CLASSES)
    unknown = share > 0.6 if measure == "entropy" else probability.amax(dim=1) < 0.6
    expected = torch.where(unknown, CLASSES, probability.argmax(dim=1))
    assert 0 < int(unknown.sum()) < 12
    assert torch.equal(method.with_unknown(TARGET_BC).argmax(dim=1), expected)


def test_the_threshold_changes_nothing_but_unknown_predictions():
    x = checks.toy_samples(4, 90, shift=0.7).x
    source_only, method = fit_deep("source_only"), fit_deep("threshold")
    assert torch.equal(source_only.predict(x), method.predict(x))
    method.net.open_set = True
    classes, known = method.predict(x).argmax(dim=1), source_only.predict(x).argmax(dim=1)
    assert torch.equal(classes[classes < 3], known[classes < 3])


@pytest.mark.parametrize("name", OPEN_METHODS)
def test_unknown_has_a_column_in_open_sets_alone(name):
    method = open_method(name)
    assert method.predict(TARGET_BD).shape == (12, CLASSES + 1)
    method.net.open_set = False
    assert method.predict(TARGET_BD).shape == (12, CLASSES)
    assert "inductive" not in type(method).label_sets


def record_of(method: str, label_set: str, source: int, target: int) -> Record:
    """The record of a method on blobs, the first classes of four on each side."""
    names = ("x", "y", "u", "v")
    domains = {
        name: Domain(name, blobs(number, 60, classes=count), names[:count], name)
        for name, number, count in (("a", 1, source), ("b", 2, target))
    }
    one = suite(protocol={"label_set": label_set}, net={"hidden": [32]}, train={"steps": 300, "lr": 0.01})
    return engine.run_case(case(method), one, domains, CPU)


@pytest.mark.parametrize("name", OPEN_METHODS)
def test_unknown_samples_are_predicted_as_such(name):
    """In a whole case of two known and two unknown classes."""
    scores = record_of(name, "open", 2, 4).scores
    assert scores.known_accuracy > 0.9 and scores.unknown_accuracy > 0.6, scores


@pytest.mark.parametrize("name", ["pada", "iwan"])
def test_methods_of_partial_label_sets_are_skipped_where_the_target_has_more_classes(name):
    partial, opened = record_of(name, "partial", 4, 2), record_of(name, "open", 2, 4)
    assert partial.status == "done" and partial.scores.target_accuracy > 0.9, partial.reason
    assert opened.status == "skipped" and "supports the label sets closed and partial" in (opened.reason or "")
