"""Makes alignment.npz: maps and predictions of other packages, on samples that are drawn here and stored with them.

Run it in this folder where skada 0.6.0, adapt 0.4.5, scikit-learn and scipy are installed: python alignment.py
Only correct results of those packages are stored; docs/shallow-methods.md names the others.
"""

from __future__ import annotations

import os
import warnings

os.environ["POT_BACKEND_DISABLE_TENSORFLOW"] = "1"

import numpy as np
import skada
from adapt.feature_based import CORAL, FA, SA
from sklearn.linear_model import Ridge

rng = np.random.default_rng(1)
source, target = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + 1
slope = np.linspace(-1, 1, 6)
y, target_labeled = source @ slope + 0.3 * rng.normal(size=50), target[:15]
y_target_labeled = target_labeled @ (slope + 0.5) + 0.3 * rng.normal(size=15)
both, domain = np.r_[source, target], np.r_[np.ones(50), -np.ones(40)]
arrays = {
    "source": source,
    "target": target,
    "y": y,
    "target_labeled": target_labeled,
    "y_target_labeled": y_target_labeled,
}

arrays["coral"] = CORAL(lambda_=1.0, verbose=0).fit_transform(source, target)
arrays["skada_coral"] = skada.CORALAdapter(reg=None).fit_transform(both, sample_domain=domain)[:50]
aligned = SA(n_components=3, verbose=0)
arrays["aligned_source"] = aligned.fit_transform(source, target)
arrays["aligned_target"] = aligned.transform(target, domain="tgt")
arrays["skada_aligned"] = skada.SubspaceAlignmentAdapter(n_components=3).fit_transform(both, sample_domain=domain)
arrays["monge"] = skada.LinearOTMappingAdapter().fit_transform(both, sample_domain=domain)[:50]

# feature augmentation about the mean of all samples, as in tlbench; then ridge on the augmented samples
mean = np.r_[source, target_labeled].mean(axis=0)
augmented = FA(verbose=0)
wide, labels = augmented.fit_transform(source - mean, target_labeled - mean, y[:, None], y_target_labeled[:, None])
model = Ridge(1.0).fit(wide, labels.ravel())
arrays["augmented"] = model.predict(augmented.transform(target - mean, domain="tgt"))

joint = skada.JDOTRegressor(Ridge(1.0), alpha=0.5)
joint.fit(both, np.r_[y, np.full(40, np.nan)], sample_domain=domain)
arrays["jdot"] = joint.predict(target)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is stopped before convergence on purpose
    first = skada.JDOTRegressor(Ridge(1.0), alpha=0.5, n_iter_max=2)
    first.fit(both, np.r_[y, np.full(40, np.nan)], sample_domain=domain)
arrays["jdot_2"] = first.predict(target)

np.savez_compressed("alignment.npz", **{name: np.asarray(value) for name, value in arrays.items()})
