"""The baselines that published tables start from: SHOT's source model, and a linear support vector machine."""

from __future__ import annotations

import pytest
import torch
from sklearn.svm import SVC
from wave_samples import LABELS, TARGET_BD, new_method

from tlbench import checks, methods
from tlbench.methods.base import DeepMethod
from tlbench.terms import Labelled, Step, Task


def test_the_source_model_is_the_first_phase_of_shot():
    torch.manual_seed(0)
    model, shot = (new_method(name, source_share=0.5, dropout=0.5) for name in ("source_model", "shot"))
    assert isinstance(model, DeepMethod) and isinstance(shot, DeepMethod)
    shot.load_state_dict(model.state_dict())
    (phase,), first = model.phases(), shot.phases()[0]
    assert (phase.reads, phase.share, phase.groups) == (first.reads, first.share, first.groups)
    step = Step(source=Labelled(TARGET_BD, LABELS))
    losses = []
    for method in (model, shot):
        torch.manual_seed(1)
        losses.append(method.learn(step))
    assert torch.equal(*losses)


def test_the_source_model_keeps_its_contract():
    checks.check_method("source_model")
    assert methods.method_class("source_model").reads == {"source"}
    assert new_method("source_model").phases()[0].share == 1.0


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_the_linear_machine_predicts_as_scikit_learns(c):
    generator = torch.Generator().manual_seed(0)
    x, test = (torch.randn(count, 6, generator=generator) for count in (90, 200))
    y = (x @ torch.randn(6, 3, generator=generator)).argmax(dim=1)
    machine = methods.method_class("linear_svm")(c=c)
    predictor = machine.fit(Task(classes=3, source=Labelled(x, y)))
    reference = SVC(kernel="linear", C=c).fit(x.double().numpy(), y.numpy())
    assert (predictor(test).argmax(dim=1).numpy() == reference.predict(test.double().numpy())).all()
    assert len(set(reference.predict(test.double().numpy()))) == 3


def test_without_hidden_layers_the_discriminator_of_dann_is_a_logistic_regression():
    layers = new_method("dann", hidden=0).discriminator.layers
    assert [type(layer) for layer in layers] == [torch.nn.Linear] and layers[0].out_features == 1
    assert len(new_method("dann").discriminator.layers) == 5
