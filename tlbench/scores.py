"""What is measured of a case: its scores, its trace and its cost."""

from __future__ import annotations

from pydantic import Field

from tlbench import ranges
from tlbench.ranges import Strict


class TracePoint(Strict):
    """What a checkpoint of the training knows without any target label."""

    step: ranges.Count
    loss: ranges.Real | None = None
    source_validation_accuracy: ranges.Share | None = None
    target_entropy: ranges.Magnitude | None = None
    """Mean entropy in nats of the predictions on (at most 2,000 of) the target samples that were adapted to."""


class TaskScores(Strict):
    """The scores of one of several tasks, over the scored samples that have its label."""

    samples: ranges.Size
    accuracy: ranges.Share | None = None
    """Classification."""
    r2: ranges.ExplainedVariance | None = None
    """Regression: null where the labels are constant."""
    rmse: ranges.Magnitude | None = None


class Scores(Strict):
    """The scores of a case. Shares lie in [0, 1]; null means not measured."""

    target_accuracy: ranges.Share | None = None
    source_accuracy: ranges.Share | None = None
    per_class_accuracy: dict[str, ranges.Share | None] | None = None
    per_group_accuracy: dict[str, ranges.Share | None] | None = None
    """By the declared group of the scored samples; the worst of them is derived, not stored."""
    macro_f1: ranges.Share | None = None
    known_accuracy: ranges.Share | None = None
    """Open and universal label sets: the mean over the known classes of the accuracy on each (OS* of Saito et al. 2018)."""
    unknown_accuracy: ranges.Share | None = None
    """Open and universal label sets: the share of the samples of no source class that are predicted as unknown."""
    h_score: ranges.Share | None = None
    """The harmonic mean of `known_accuracy` and `unknown_accuracy`."""
    r2: ranges.ExplainedVariance | None = None
    """Regression: explained share of the scored samples' variance, mean over target columns; below 0: worse than their mean."""
    rmse: ranges.Magnitude | None = None
    mae: ranges.Magnitude | None = None
    """Regression: in the units of the target, the mean over target columns."""
    per_target_r2: dict[str, ranges.ExplainedVariance] | None = None
    task_score: ranges.ExplainedVariance | None = None
    """Several tasks: the mean over tasks of accuracy, or of explained variance for a regression."""
    per_task: dict[str, TaskScores] | None = None
    entity_f1: ranges.Share | None = None
    """Tokens with BIO tags: the F1 of whole entities over all scored samples, by seqeval."""
    per_entity_f1: dict[str, ranges.Share] | None = None
    """By type of entity, for those that occur in the labels or in the predictions."""
    mean_iou: ranges.Share | None = None
    """Pixels: the mean over classes of intersection over union, over all scored pixels, by torchmetrics."""
    dice: ranges.Share | None = None
    """Pixels: the mean over classes of the Dice score, which is the F1 of their pixels."""
    exact_match: ranges.Share | None = None
    """Spans: the share of the scored samples whose predicted answer is a right one, after the normalisation of SQuAD."""
    answer_f1: ranges.Share | None = None
    """Spans: the mean over scored samples of the F1 of the words of the answer, after the same normalisation."""
    scored_positions: ranges.Size | None = None
    """Tokens, pixels and spans: the positions of the scored samples that have a label; shares are over these."""
    source_r2: ranges.ExplainedVariance | None = None
    """Regression: on the held-out source samples."""
    scored_samples: ranges.Size | None = Field(None, alias="scored_rows")
    online_accuracy: list[ranges.Share] | None = None
    """The accuracies of successive windows of the stream that the suite declares, in its order; their sizes differ by one at
    most."""
    predictions: str | None = None
    """Names the file beside the records that holds the predicted class of every scored sample."""
    label_free_facts: ranges.Sha256 | None = None
    """Names the file beside the records that holds what selection rules may read of the candidates of the case."""
    sealed_facts: ranges.Sha256 | None = None
    """Names the file with the candidates' predictions of scored samples, which no rule reads."""
    trace: list[TracePoint] = Field(default_factory=list)


class Cost(Strict):
    """The cost of a case. Null means not measured."""

    wall_seconds: ranges.Seconds | None = None
    """The whole case from its data to its record, by a clock that only runs forward."""
    train_seconds: ranges.Seconds | None = None
    train_samples_per_second: ranges.Rate | None = None
    """Samples of all splits through the backbone, over the steps after the warm-up."""
    predict_samples_per_second: ranges.Rate | None = None
    """Over all scored samples."""
    predict_rates: dict[ranges.Size, ranges.Rate] | None = None
    """Batch size -> samples per second."""
    step_seconds_median: ranges.Seconds | None = None
    step_seconds_p95: ranges.Seconds | None = None
    step_data_seconds: ranges.Seconds | None = None
    """Means over the steps whose stages were timed one by one. Null where a step runs as one graph."""
    step_forward_backward_seconds: ranges.Seconds | None = None
    step_optimizer_seconds: ranges.Seconds | None = Field(None, alias="step_optimiser_seconds")
    warm_up_steps: ranges.Count | None = None
    compile_seconds: ranges.Seconds | None = None
    """Compiling and capturing, which is in no step; part of `train_seconds`."""
    train_flops_per_sample: ranges.Flops | None = None
    """Floating-point operations, forward and backward, of one sample through the backbone and all that the method adds."""
    device_flops_per_second: ranges.Flops | None = None
    """The device's limit at this precision: the best large matrix product of this process."""
    feature_seconds: ranges.Seconds | None = None
    """One pass of a frozen backbone over the domains of the pair; in no other number, for all cases share its features."""
    selection_seconds: ranges.Seconds | None = None
    """Looking at candidates for selection rules; in no other number."""
    peak_memory_bytes: ranges.Count | None = None
    """Allocated on a GPU, resident in the process on a CPU."""
    stream_peak_memory_bytes: ranges.Count | None = None
    """The same while a method that adapts on the stream predicts the scored samples."""
    peak_reserved_bytes: ranges.Count | None = None
    peak_resident_bytes: ranges.Count | None = None
    energy_joules: ranges.Joules | None = None
    trainable_parameters: ranges.Count | None = None
    """The number of parameters of a deep method that learn in its last phase."""
    adapter_bytes: ranges.Count | None = None
    """What a target needs beside the network of the source: the bytes of those parameters and of the batch statistics that move
    with them. Null for a method of one phase."""
    steps: ranges.Size | None = None
    batch: ranges.Size | None = None
    positions: ranges.Size | None = None
    """Tokens, pixels and spans: what a step draws of each of its samples. Null: a sample has one label, or an older record."""
