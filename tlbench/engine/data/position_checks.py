"""What a pair needs whose samples have a label for each position (tokens, pixels, spans), checked before any training."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence

from tlbench.data.labels.positions import is_bio
from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.suite import Protocol, Training
from tlbench.terms import POSITION_TASKS, Domain

LIBRARIES = {"entity_f1": "seqeval", "mean_iou": "torchmetrics", "dice": "torchmetrics"}
"""By metric, the library that computes it."""


def check_positions(pair: str, sources: Sequence[Domain], target: Domain, protocol: Protocol) -> None:
    """Check labels and metric of a pair with a label for each position.

    Args:
        pair: the pair, for errors.
        sources: its sources.
        target: its target.
        protocol: its metric.

    Raises:
        TlbenchError: labels do not fit the samples, the metric has no value, or its library is not installed.
    """
    for domain in (*sources, target):
        shape, labels = domain.samples.x.shape[1:], domain.samples.y.shape[1]
        positions = math.prod(shape[1:]) if len(shape) == 3 else shape[0]
        if labels != positions:
            raise TlbenchError(
                f"{pair}: Domain {domain.name} has {labels} labels for each sample of shape {tuple(shape)}, which has "
                f"{positions} positions. Leave out `shape` and `prepare`, which change one of the two."
            )
    if protocol.metric == "entity_f1" and not is_bio(target.classes):
        raise TlbenchError(
            f"{pair}: protocol.metric = 'entity_f1', but the labels of domain {target.name} are no BIO tags. Set scheme = "
            "'bio', or choose another metric."
        )
    metric = "entity_f1" if is_bio(target.classes) else protocol.metric
    if protocol.task == "pixels":
        metric = "mean_iou"
    if (library := LIBRARIES.get(metric)) is not None and importlib.util.find_spec(library) is None:
        raise TlbenchError(f"{pair}: The metric {metric} needs {library}. Run pip install 'tlbench[positions]'.")


def check_backbone_positions(backbone: Backbone, name: str, shape: tuple[int, ...], task: str, training: Training) -> None:
    """Check that a backbone gives features of positions where the task needs them, and of samples elsewhere.

    Args:
        backbone: the backbone.
        name: as the suite declares it.
        shape: of a sample.
        task: of the protocol.
        training: its number of positions.

    Raises:
        TlbenchError: it does not, or a step would draw more positions than a sample has.
    """
    if task not in POSITION_TASKS:
        if backbone.positions is not None:
            raise TlbenchError(
                f"net.backbone: {name} gives features of each position, and task = {task!r} has a label for each sample. Set "
                "pooling, or choose another backbone."
            )
        return
    if backbone.positions is None:
        raise TlbenchError(
            f"net.backbone: {name} gives one feature vector for each sample, and task = {task!r} has a label for each "
            f"position. {'Choose unet or torchvision_segmentation' if task == 'pixels' else 'Set pooling = ' + repr('none')}."
        )
    if training.positions > backbone.positions:
        raise TlbenchError(
            f"train.positions = {training.positions}, and a sample of shape {shape} has {backbone.positions}. Draw fewer."
        )
