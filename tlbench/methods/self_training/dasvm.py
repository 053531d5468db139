"""DASVM: a support vector machine that exchanges source rows for target rows of its margin, until only target rows are left.

Bruzzone and Marconcini, Domain adaptation problems: a DASVM classification technique and a circular validation strategy, IEEE
PAMI 2010.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import svm
from tlbench.terms import Task


class DASVM(ShallowMethod):
    """Each round takes, on either side, the target rows in the margin that are nearest its edge, labelled by the machine, and
    drops the source rows farthest from the boundary. A target row whose side changes goes back.

    The last machine sees target rows alone. More than two classes: one machine for each class against the others. The costs of
    the rows stay as they are; the paper also raises the target's and lowers the source's over the rounds.
    """

    reads = frozenset({"source", "target"})
    c: float = Field(1.0, gt=0, description="cost of a slack, linear kernel")
    exchanged: int | None = Field(None, ge=1, description="rows a side and round; by default 3, or 1/50 of the rows if more")
    rounds: int = Field(200, ge=1, description="rounds at most; the record says so where they end the exchange")

    def fit(self, task: Task) -> Predictor:
        """One exchange for two classes, C for more."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        exchanged = self.exchanged or max(3, max(len(source), len(target)) // 50)
        classes = [1] if task.classes == 2 else range(task.classes)
        ended, known = [], svm.products(source.x, target)
        for one in classes:
            sign = torch.where(source.y == one, 1.0, -1.0).double()
            ended.append(svm.dasvm(source.x, sign, target, c=self.c, count=exchanged, rounds=self.rounds, known=known))
        if cut := sum(one.rounds == self.rounds for one in ended):
            self.note(f"{cut} of {len(ended)} exchanges were cut off after {self.rounds} rounds")
        if unsolved := sum(one.cut_off for one in ended):
            self.note(f"{unsolved} machines were cut off after {svm.ITERATIONS} iterations of their solver")

        def scores(x: Tensor) -> Tensor:
            values = torch.stack([one.machine(x.flatten(1).double()) for one in ended], dim=1)
            return torch.cat([-values, values], dim=1) if task.classes == 2 else values

        return scores
