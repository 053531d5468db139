"""DASVM: a support vector machine that exchanges source samples for target samples within its margin, round by round.

Bruzzone and Marconcini, Domain adaptation problems: a DASVM classification technique and a circular validation strategy, IEEE
TPAMI 2010. https://doi.org/10.1109/TPAMI.2009.57
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
    """A linear SVM whose training set moves from the source to the target.

    Each round adds, on either side, the target samples within the margin that are nearest its edge, with the labels that the
    current SVM predicts, and removes the source samples farthest from the boundary. A target sample whose predicted label
    changes is removed again. The last SVM sees target samples only. For more than two classes there is one SVM for each class
    against the others. The cost of a slack is constant; the paper also raises the target's and lowers the source's over the
    rounds.
    """

    reads = frozenset({"source", "target"})
    c: float = Field(1.0, gt=0, description="cost of a slack, linear kernel")
    exchanged: int | None = Field(
        None, ge=1, description="samples per side and round; by default 3, or 1/50 of the samples if more"
    )
    rounds: int = Field(200, ge=1, description="upper limit of rounds; a record notes where it was reached")

    def fit(self, task: Task) -> Predictor:
        """Fit one SVM for two classes, C for more, and return their decision values as scores (N, C)."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        exchanged = self.exchanged or max(3, max(len(source), len(target)) // 50)
        classes = [1] if task.classes == 2 else range(task.classes)
        exchanges, gram = [], svm.gram_matrix(source.x, target)
        for positive in classes:
            sign = torch.where(source.y == positive, 1.0, -1.0).double()
            exchanges.append(svm.dasvm(source.x, sign, target, c=self.c, count=exchanged, rounds=self.rounds, gram=gram))
        if cut_off := sum(exchange.rounds == self.rounds for exchange in exchanges):
            self.note(
                f"{cut_off} of {len(exchanges)} exchanges stopped after {self.rounds} rounds, with target samples left in the "
                "margin."
            )
        if unconverged := sum(exchange.unconverged for exchange in exchanges):
            self.note(
                f"{unconverged} SVMs stopped after {svm.MAX_ITERATIONS} iterations; their optimality conditions are above the "
                f"tolerance {svm.TOLERANCE:.0g} of the margin."
            )

        def scores(x: Tensor) -> Tensor:
            values = torch.stack([exchange.decision(x.flatten(1).double()) for exchange in exchanges], dim=1)
            return torch.cat([-values, values], dim=1) if task.classes == 2 else values

        return scores
