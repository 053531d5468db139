"""The other trained methods in plain torch, written by hand as an expert would. Nothing of tlbench is imported here.

One function a method, on LeNet: images stay on the device as uint8 and are drawn by index, parts that a method passes through
the trunk together go in one forward, Adam is fused, and losses are read once, at the end. source_only, dann, coral and mcc are
in by_hand.py.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.by_hand_more import after, aligned, labelled, self_taught
from benchmarks.by_hand_more.labelled import supervised
from benchmarks.by_hand_more.parts import AFTER, Data, Net, Result, Rows, images
from benchmarks.by_hand_more.self_taught import THRESHOLDS

__all__ = ["AFTER", "THRESHOLDS", "TWINS", "Data", "Net", "Rows", "images", "supervised"]

TWINS: dict[str, Callable[[Net, Data, int], Result]] = {
    function.__name__: function
    for function in (
        *(labelled.target_only, labelled.joint, labelled.linear_probe, labelled.fine_tune, labelled.multi_task),
        *(labelled.pcgrad, labelled.discriminator_reweight, aligned.dan, aligned.cdan, aligned.mcd),
        *(self_taught.mean_teacher, self_taught.fixmatch, self_taught.shot, after.adabn, after.tent),
    )
}
