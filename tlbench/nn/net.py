"""A network: a backbone from inputs to features, and a linear head from features to class scores; or a head for each task."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlbench.errors import NotApplicableError
from tlbench.nn.augmentation.views import weak
from tlbench.terms import LabeledTask, Labelled


class Backbone(nn.Module):
    """The feature extractor: inputs (B, ...) -> features (B, D).

    Args:
        stages: modules that run one after the other; methods may freeze them or train them at a rate of their own. The last one
            returns features (B, D).
        width: D, the width of the features.
    """

    def __init__(self, stages: list[nn.Module], width: int) -> None:
        super().__init__()
        self.stages: nn.ModuleList | list[nn.Module] = nn.ModuleList(stages)
        self.width = width
        self.positions: int | None = None
        """P, where features are (B, P, D), those of each position of a sample; None: one feature vector for each sample."""
        self.autocast: torch.dtype | None = None
        """The dtype of the stages under autocast, set by the engine; None: no autocast. Features are float32 in any case."""

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) -> features (B, D) in float32."""
        if self.autocast is None:
            return self._run_stages(x)
        # no cache of casts: a captured step must not use a cast from outside the capture
        with torch.autocast(x.device.type, self.autocast, cache_enabled=False):
            features = self._run_stages(x)
        return features.float()

    def embed_classes(self, texts: Sequence[str]) -> Tensor:
        """C class names in readable words -> embeddings (C, D) in the space of the features, for backbones that have one.

        Raises:
            NotApplicableError: the backbone embeds no texts.
        """
        raise NotApplicableError(
            "the backbone embeds no class names; hf, word_vectors, conse and clip do, and features with embeddings of its own"
        )

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """Inputs (B, ...) -> the outputs (B, ...) of every stage in float32; the last are the features (B, D)."""
        enabled = self.autocast is not None
        outputs: list[Tensor] = []
        with torch.autocast(x.device.type, self.autocast, cache_enabled=False) if enabled else contextlib.nullcontext():
            for stage in self.stages:
                x = stage(x)
                outputs.append(x)
        return [output.float() for output in outputs] if enabled else outputs

    def _run_stages(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class Net(nn.Module):
    """Backbone and linear head: inputs (B, ...) -> logits (B, C); for a regression, predictions (B, K).

    `net.backbone(x)` gives features (B, D), `net.head(features)` logits (B, C), and `net.features(a, b)` the features of two
    batches from one forward pass.

    Args:
        backbone: the feature extractor.
        classes: C, the number of classes, or K, the number of target columns of a regression.
        regression: whether outputs are predictions instead of logits; `DeepMethod.criterion` follows it.
        open_set: whether target samples may be of none of the C classes; predictions may then be (B, C + 1), the last column
            for "unknown".
        source_classes: the number of classes of the source where the target has others; None: C. The head is then that of the
            source until `renew_head`.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        regression: bool = False,
        *,
        open_set: bool = False,
        source_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classes = classes
        self.regression = regression
        self.open_set = open_set
        self.tasks: tuple[LabeledTask, ...] = ()
        """Several tasks, each with a head and a label column of its own (`TaskNet`); empty for a single one."""
        self.is_inductive = source_classes is not None
        """Whether the target has other classes than the source."""
        self.source_classes = classes if source_classes is None else source_classes
        self.head = nn.Linear(backbone.width, self.source_classes)
        self.positions = 1
        """The outputs of each sample in prediction: P of a `PositionNet`."""

    @property
    def columns(self) -> tuple[int, ...]:
        """The numbers of columns that predictions may have."""
        return (self.classes, self.classes + 1) if self.open_set else (self.classes,)

    def new_head(self) -> nn.Linear:
        """Create another linear head, D to C, with weights of its own."""
        return nn.Linear(self.backbone.width, self.classes)

    def renew_head(self) -> None:
        """Replace the parameters of the head in place by new ones for the C classes of the target."""
        new_head = self.new_head().to(self.head.weight)
        self.head.weight, self.head.bias = new_head.weight, new_head.bias
        self.head.out_features = self.classes

    def features(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Features of several batches from one forward pass: each (B_i, ...) -> (B_i, D).

        One large forward pass costs less than two small ones. In batch normalisation all batches share their statistics.
        """
        features_BD: Tensor = self.backbone(concatenated(*batches))
        return tuple(torch.split(features_BD, [len(batch) for batch in batches]))

    def view(self, x: Tensor, other: Tensor, transform: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The samples x (B, ...) after a function of them and of others (B', ...); positions that were drawn of x stay."""
        return transform(x, other)

    def weak_view(self, x: Tensor) -> Tensor:
        """A weak random view of samples (B, ...), see `augmentation.weak`; where positions were drawn of them, none moves."""
        return weak(x)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) -> logits (B, C)."""
        logits: Tensor = self.head(self.backbone(x))
        return logits


def concatenated(*batches: Tensor) -> Tensor:
    """Concatenate batches (B_i, ...) to (sum of B_i, ...), as `torch.cat` does, without a copy where they are adjacent views.

    The engine draws batches, and `Net.features` returns features, as views that make up one tensor in this order.
    """
    first = batches[0]
    base = None if torch.compiler.is_compiling() else first._base
    if base is None or base.ndim != first.ndim:
        return torch.cat(batches)
    strides, stride = base.stride(), base.stride(0)
    offset, end = base.storage_offset(), 0
    for batch in batches:
        if batch._base is not base or batch.stride() != strides or batch.storage_offset() != offset:
            return torch.cat(batches)
        offset += batch.shape[0] * stride
        end += batch.shape[0]
    return base if end == base.shape[0] and first.shape[1:] == base.shape[1:] else torch.cat(batches)


class TaskHeads(nn.Module):
    """Features (B, D) -> the outputs of all tasks, one after the other (B, O).

    Args:
        width: D.
        tasks: each has an output for each class, or one for a regression.
    """

    def __init__(self, width: int, tasks: Sequence[LabeledTask]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, task.outputs) for task in tasks)

    def forward(self, features_BD: Tensor) -> Tensor:
        """All outputs from one matrix product."""
        weight = torch.cat([head.get_parameter("weight") for head in self.heads])
        return F.linear(features_BD, weight, torch.cat([head.get_parameter("bias") for head in self.heads]))


class TaskNet(Net):
    """`net(x)` gives the outputs of all tasks (B, O), and `net.task_heads[i]` those of task i alone."""

    def __init__(self, backbone: Backbone, tasks: tuple[LabeledTask, ...]) -> None:
        super().__init__(backbone, sum(task.outputs for task in tasks))
        self.tasks = tasks
        self.head = TaskHeads(backbone.width, tasks)  # type: ignore[assignment]  # methods of several tasks use `task_heads`

    @property
    def task_heads(self) -> nn.ModuleList:
        """The heads (D to outputs) in the order of the tasks."""
        heads: nn.ModuleList = self.head.heads  # type: ignore[assignment]
        return heads


def task_loss(task: LabeledTask, outputs_BO: Tensor, y_B: Tensor) -> Tensor:
    """The mean loss of one task over the samples that have its label, a scalar; 0 where none has.

    Args:
        task: cross-entropy for its classes, the squared error for a regression.
        outputs_BO: the outputs of its head.
        y_B: class indices or numbers, NaN where the label is missing.
    """
    present = ~y_B.isnan()
    count = present.sum().clamp_min(1)
    if task.classes:
        y = torch.where(present, y_B, -100.0).long()
        return F.cross_entropy(outputs_BO, y, ignore_index=-100, reduction="sum") / count
    errors_B = torch.where(present, outputs_BO[:, 0] - y_B.nan_to_num(0.0), 0.0)
    return errors_B.square().sum() / count


def task_losses(net: TaskNet, samples: Labelled) -> tuple[Tensor, ...]:
    """The loss of each task on labels (B, K), a scalar; 0 for one without a label."""
    features_BD = net.backbone(samples.x)
    pairs = zip(net.tasks, net.task_heads, samples.y.T, strict=True)
    return tuple(task_loss(task, head(features_BD), y_B) for task, head, y_B in pairs)


def task_losses_at_once(net: TaskNet, samples: Labelled) -> Tensor:
    """The losses of all tasks on labels (B, K) as one tensor (K,), of regressions by one product.

    A hundred heads and losses one after the other cost as many launches of their operations.
    """
    if any(task.classes for task in net.tasks):
        return torch.stack(task_losses(net, samples))
    present_BK = ~samples.y.isnan()
    errors_BK = torch.where(present_BK, net(samples.x) - samples.y.nan_to_num(0.0), 0.0)
    return errors_BK.square().sum(dim=0) / present_BK.sum(dim=0).clamp_min(1)


def floating_state(net: nn.Module) -> list[Tensor]:
    """What of a network can be averaged, in its order: its parameters and statistics, without integer counters."""
    return [tensor for tensor in itertools.chain(net.parameters(), net.buffers()) if tensor.is_floating_point()]
