"""Joint distribution adaptation: transfer components that bring the classes of both domains together too, by pseudo-labels.

Long, Wang, Ding, Sun and Yu, Transfer feature learning with joint distribution adaptation, ICCV 2013.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers.kernel_columns import Kernel, kernel_columns
from tlbench.solvers.transfer_components import Scatter, class_contrasts, components, contrasts, scaled, unit
from tlbench.terms import Labelled, Task


class Jda(ShallowMethod):
    """TCA with M = C e_0 e_0' + sum_c e_c e_c' of Frobenius norm 1, solved again with each round's labels of the target rows.

    A class that no target row is given keeps its source half only; the factor C, the first round without classes, and the
    scaling of rows before and after to unit length are those of the authors' code. Defaults: the paper's, on objects.
    """

    reads = frozenset({"source", "target"})
    kernel: Kernel = Field("linear", description="linear and rbf: coefficients of the rows (dual); primal: of the columns")
    gamma: float | None = Field(None, gt=0, description="rbf: exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    components: int = Field(100, ge=1, description="components")
    penalty: float = Field(1.0, gt=0, description="weight of the coefficients' length; the paper's 0.1 on digits")
    rounds: int = Field(10, ge=1, description="rounds of pseudo-labels, fewer where they repeat themselves")
    unit_rows: bool = Field(True, description="rows and their components divided by their length")
    landmarks: int = Field(1000, ge=1, description="rbf: rows that stand for all beyond `exact` rows")
    exact: int = Field(10_000, ge=1, description="rbf: up to so many rows the kernel is whole; more take the Nystrom form")
    learner: shallow.Learner = Field("auto", description="gives the pseudo-labels, and the scores at the end")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def contrasts(self, marginal: Tensor, conditional: Tensor | None, y: Tensor, said: Tensor | None) -> Tensor:
        """E of M = E E', from root C e_0 (N, 1) and, once the target rows have labels `said`, from e_c (N, C)."""
        return marginal if conditional is None else torch.cat([marginal, conditional], dim=1)

    def fit(self, task: Task) -> Predictor:
        """In float64; Z'HZ is the same in every round, only the C + 1 columns of the mismatch change."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        rows = self.unit(torch.cat([source.x, target]))
        made = kernel_columns(rows, self.kernel, gamma=self.gamma, landmarks=self.landmarks, exact=self.exact)
        if made.why_not_exact:
            self.note(made.why_not_exact)
        scatter, count = Scatter(made), shallow.at_most(self, self.components, made.width)
        marginal = task.classes**0.5 * contrasts(len(source), len(target), rows)
        said = self.first(source, target, task)
        before: Tensor | None = None
        for _ in range(self.rounds):
            classes = None if said is None else class_contrasts(source.y, said, task.classes, marginal)
            mismatch = made.gather(unit(self.contrasts(marginal, classes, source.y, said)))
            values, found = components(scatter, mismatch, self.penalty, count, start=before)
            before, weights = found, scaled(values, found, "coefficients")
            features = self.unit(made.map(weights))
            scores = shallow.fit_learner(self, features[: len(source)], source.y, task)
            last, said = said, scores(features[len(source) :]).argmax(dim=1)
            if last is not None and torch.equal(last, said):
                break
        return lambda x: scores(self.unit(made.at(self.unit(x.flatten(1).double())) @ weights))

    def first(self, source: Labelled, target: Tensor, task: Task) -> Tensor | None:
        """Labels of the target rows before the first round; none here."""
        return None

    def unit(self, rows: Tensor) -> Tensor:
        """Rows of length 1 where the option says so."""
        return F.normalize(rows) if self.unit_rows else rows
