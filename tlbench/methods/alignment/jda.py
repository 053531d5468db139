"""Joint distribution adaptation: transfer components in which the classes of both domains agree too, by pseudo-labels.

Long, Wang, Ding, Sun and Yu, Transfer feature learning with joint distribution adaptation, ICCV 2013.
https://doi.org/10.1109/ICCV.2013.274
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import transfer_components as components
from tlbench.solvers.kernels.design import Kernel, kernel_design
from tlbench.terms import Labelled, Task


class JDA(ShallowMethod):
    """TCA with M = C e_0 e_0' + sum_c e_c e_c' of Frobenius norm 1, solved again with each round's pseudo-labels.

    A class without target samples has source terms only; the factor C, the first round without classes, and the scaling of
    samples to unit length before and after are those of the authors' code. Defaults: the paper's, on objects.
    """

    reads = frozenset({"source", "target"})
    version = 2
    kernel: Kernel = Field("linear", description="linear and rbf: coefficients of the samples (dual); primal: of the columns")
    gamma: float | None = Field(None, gt=0, description="rbf: exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    components: int = Field(100, ge=1, description="components")
    penalty: float = Field(1.0, gt=0, description="weight of the coefficients' length; the paper's 0.1 on digits")
    rounds: int = Field(10, ge=1, description="rounds of pseudo-labels, fewer where they repeat themselves")
    unit_rows: bool = Field(True, description="samples and their components divided by their length")
    landmarks: int = Field(1000, ge=1, description="rbf: landmarks of the Nystrom form beyond `exact` samples")
    exact: int = Field(10_000, ge=1, description="rbf: up to so many samples the kernel is exact; more take the Nystrom form")
    learner: shallow.Learner = Field("auto", description="gives the pseudo-labels, and the scores at the end")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def contrasts(self, marginal: Tensor, conditional: Tensor | None, y: Tensor, pseudo_labels: Tensor | None) -> Tensor:
        """The columns E of the mismatch M = E E'.

        Args:
            marginal: root C times e_0, the contrast of the domain means (N, 1).
            conditional: e_c, the contrasts of the class means (N, C); None in the first round.
            y: source classes.
            pseudo_labels: target classes of the last round, or None.
        """
        return marginal if conditional is None else torch.cat([marginal, conditional], dim=1)

    def fit(self, task: Task) -> Predictor:
        """Rounds in float64; Z'HZ is the same in every round, only the C + 1 columns of the mismatch change."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        samples = self.normalize(torch.cat([source.x, target]))
        design = kernel_design(samples, self.kernel, gamma=self.gamma, landmarks=self.landmarks, exact=self.exact)
        shallow.note_approximation(self, design)
        scatter, count = components.Scatter(design), shallow.limit_components(self, self.components, design.width)
        marginal = task.classes**0.5 * components.mean_contrast(len(source), len(target), samples)
        labels, vectors = self.initial_pseudo_labels(source, target, task), None
        for _ in range(self.rounds):
            classes = None if labels is None else components.class_contrasts(source.y, labels, task.classes, marginal)
            shift = design.transpose_matmul(components.normalize_contrasts(self.contrasts(marginal, classes, source.y, labels)))
            solution = components.leading_components(scatter, shift, self.penalty, count, start=vectors, note=self.note)
            vectors, weights = solution[1], components.scale_components(*solution, "coefficients", self.note)
            features = self.normalize(design.matmul(weights))
            scores = shallow.fit_learner(self, features[: len(source)], source.y, task)
            previous, labels = labels, scores(features[len(source) :]).argmax(dim=1)
            if previous is not None and torch.equal(previous, labels):
                break
        else:
            shallow.note_changing_labels(self, previous, labels)
        return lambda x: scores(self.normalize(design.columns(self.normalize(x.flatten(1).double())) @ weights))

    def initial_pseudo_labels(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor | None:
        """Labels of the target samples (M,) before the first round; JDA has none."""
        return None

    def normalize(self, x: Tensor) -> Tensor:
        """Samples of length 1 where the option `unit_rows` is set."""
        return nn.functional.normalize(x) if self.unit_rows else x
