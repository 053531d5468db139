"""Random views of samples, made in batches on their device, with random parameters of their own for each sample.

`weak` and `strong` are the views that methods ask for; the engine makes those that `train.augment` declares by `Pipeline`.
"""

from tlbench.nn.augmentation.pipeline import Pipeline
from tlbench.nn.augmentation.views import strong, weak

__all__ = ["Pipeline", "strong", "weak"]
