"""Contract checks of backbones: functions that take a backbone's name and raise TlbenchError where it breaks its contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from tlbench.checks.method import run_checks
from tlbench.checks.toy_task import CPU
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.nn.net import Backbone

SHAPES = ((6,), (1, 8, 8), (3, 32, 32), (9, 128), (3, 224, 224))
"""Shapes of a sample on which a backbone is tried: a vector, images, a time series; the last only where it takes no other."""
BATCH = 8


def declares_its_contract(name: str) -> None:
    """The file has a docstring, a `build(shape, options)`, and `Options` with a default and a description for each option."""
    fields = backbones.backbone_module(name).Options.model_fields
    if not backbones.backbone_summary(name).strip():
        raise TlbenchError("The file has no docstring. Begin it with one that says what the backbone is and names its source.")
    if missing := [option for option, field in fields.items() if field.is_required()]:
        raise TlbenchError(f"These options have no default: {', '.join(missing)}.")
    if missing := [option for option, field in fields.items() if not field.description]:
        raise TlbenchError(f"These options have no description: {', '.join(missing)}. Write Field(..., description=...).")


def returns_features(name: str) -> None:
    """Features have the shape (B, D), or (B, P, D) with `positions`, and the dtype float32; D is the backbone's `width`."""
    for shape, backbone in _built(name):
        features = backbone(torch.randn(BATCH, *shape))
        positions = () if backbone.positions is None else (backbone.positions,)
        expected = (BATCH, *positions, backbone.width)
        if features.shape != expected or features.dtype != torch.float32:
            names = "(B, positions, width)" if positions else "(B, width)"
            raise TlbenchError(
                f"For {BATCH} samples of shape {shape} the features have the shape {tuple(features.shape)} and the dtype "
                f"{features.dtype}. They must have the shape {names} = {expected} and the dtype float32."
            )


def every_parameter_gets_a_gradient(name: str) -> None:
    """Every parameter of the backbone belongs to a stage and gets a gradient."""
    for shape, backbone in _built(name):
        x = torch.randn(BATCH, *shape, requires_grad=True)  # so that a backbone without parameters has a gradient, too
        backbone(x).square().sum().backward()
        in_stages = {id(parameter) for stage in backbone.stages for parameter in stage.parameters()}
        for key, parameter in backbone.named_parameters():
            if id(parameter) not in in_stages:
                raise TlbenchError(f"The parameter {key} belongs to no stage, so that it cannot be frozen with one.")
            if parameter.grad is None:
                raise TlbenchError(f"The parameter {key} gets no gradient for samples of shape {shape}. Use it, or remove it.")


def is_deterministic_in_evaluation(name: str) -> None:
    """In evaluation mode, two forward passes over the same inputs give the same features, bit for bit."""
    for shape, backbone in _built(name):
        x = torch.randn(BATCH, *shape)
        backbone.eval()
        if not torch.equal(backbone(x), backbone(x)):
            raise TlbenchError(f"Two forward passes in evaluation mode differ for samples of shape {shape}.")


def embeds_classes_one_by_one(name: str) -> None:
    """Class names, where the backbone embeds them, have embeddings (C, D) in float32 that do not depend on each other."""
    for _, backbone in _built(name):
        if type(backbone).embed_classes is Backbone.embed_classes:
            continue
        with torch.no_grad():
            texts = ("cat", "a mountain bike", "cat")
            embeddings_CD = backbone.eval().embed_classes(texts)
            alone_1D = backbone.embed_classes(texts[1:2])
        expected = (len(texts), backbone.width)
        if embeddings_CD.shape != expected or embeddings_CD.dtype != torch.float32:
            raise TlbenchError(
                f"embed_classes of {len(texts)} texts has the shape {tuple(embeddings_CD.shape)} and the dtype "
                f"{embeddings_CD.dtype}. It must have the shape (C, width) = {expected} and the dtype float32."
            )
        same = torch.allclose(embeddings_CD[0], embeddings_CD[2], atol=1e-5)
        if not same or not torch.allclose(embeddings_CD[1:2], alone_1D, atol=1e-5):
            raise TlbenchError("The embedding of a class name depends on the names beside it.")


BACKBONE_CHECKS: tuple[Callable[[str], None], ...] = (
    declares_its_contract,
    returns_features,
    every_parameter_gets_a_gradient,
    is_deterministic_in_evaluation,
    embeds_classes_one_by_one,
)


def check_backbone(name: str) -> list[str]:
    """Run all contract checks on a backbone with its default options.

    Raises:
        TlbenchError: with a line for every check that fails.

    Returns:
        A sentence for each check.
    """
    return run_checks(BACKBONE_CHECKS, name, f"backbone {name}")


def _built(name: str) -> Iterator[tuple[tuple[int, ...], Backbone]]:
    """The backbone for each shape that it takes."""
    reasons: list[str] = []
    for number, shape in enumerate(SHAPES):
        if number == len(SHAPES) - 1 and len(reasons) < number:
            return
        with seeded_rng(0, CPU):
            try:
                backbone = backbones.build_backbone(name, shape, {})
            except TlbenchError as error:
                reasons.append(str(error))
                continue
            yield shape, backbone
    if len(reasons) == len(SHAPES):
        raise TlbenchError(f"The backbone takes none of the shapes {', '.join(map(str, SHAPES))}: {reasons[0]}")
