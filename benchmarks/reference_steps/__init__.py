"""The other deep methods in plain torch, as an expert writes them. This package imports nothing of tlbench.

There is one function for each method, on LeNet. Images stay on the device as uint8 and are drawn by index, batches that a
method passes through the backbone in one step share one forward, Adam is fused, and losses are read once, at the end.
source_only, dann, coral and mcc are in reference_loop.py.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.reference_steps import adversarial, after_step, alignment, labeled, self_training, source_free, terms
from benchmarks.reference_steps.labeled import supervised
from benchmarks.reference_steps.self_training import THRESHOLDS
from benchmarks.reference_steps.shared import AFTER, WITH_NORMS, Data, Net, Result, Split, images

__all__ = ["AFTER", "REFERENCE_STEPS", "THRESHOLDS", "WITH_NORMS", "Data", "Net", "Split", "images", "supervised"]

REFERENCE_STEPS: dict[str, Callable[[Net, Data, int], Result]] = {
    function.__name__: function
    for function in (
        *(labeled.target_only, labeled.joint, labeled.linear_probe, labeled.fine_tune, labeled.multi_task),
        *(labeled.pcgrad, labeled.discriminator_reweight, alignment.dan, alignment.cdan, alignment.mcd),
        *(self_training.mean_teacher, self_training.fixmatch, after_step.adabn, after_step.tent),
        *(source_free.shot_im, source_free.shot, source_free.nrc, source_free.aad, source_free.cowa),
        *(adversarial.codats, adversarial.darn, adversarial.safn, adversarial.toalign, adversarial.sdat),
        *(adversarial.vada, adversarial.wdgrl),
        *terms.TERM_METHODS,
    )
}
