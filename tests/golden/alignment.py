"""Makes alignment.npz: maps and predictions of other packages, on rows that are drawn here and kept beside them.

Run where skada 0.6.0, adapt 0.4.5, scikit-learn and scipy are installed, in this folder: python alignment.py
Only what those packages do right is kept; docs/classical.md names the rest.
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
y, few = source @ slope + 0.3 * rng.normal(size=50), target[:15]
said = few @ (slope + 0.5) + 0.3 * rng.normal(size=15)
both, domain = np.r_[source, target], np.r_[np.ones(50), -np.ones(40)]
kept = {"source": source, "target": target, "y": y, "few": few, "said": said}

kept["coral"] = CORAL(lambda_=1.0, verbose=0).fit_transform(source, target)
kept["skada_coral"] = skada.CORALAdapter(reg=None).fit_transform(both, sample_domain=domain)[:50]
aligned = SA(n_components=3, verbose=0)
kept["aligned_source"] = aligned.fit_transform(source, target)
kept["aligned_target"] = aligned.transform(target, domain="tgt")
kept["skada_aligned"] = skada.SubspaceAlignmentAdapter(n_components=3).fit_transform(both, sample_domain=domain)
kept["monge"] = skada.LinearOTMappingAdapter().fit_transform(both, sample_domain=domain)[:50]

# feature augmentation about the mean of all rows, as ours is; then ridge on the wide rows
mean = np.r_[source, few].mean(axis=0)
augmented = FA(verbose=0)
wide, labels = augmented.fit_transform(source - mean, few - mean, y[:, None], said[:, None])
model = Ridge(1.0).fit(wide, labels.ravel())
kept["augmented"] = model.predict(augmented.transform(target - mean, domain="tgt"))

joint = skada.JDOTRegressor(Ridge(1.0), alpha=0.5)
joint.fit(both, np.r_[y, np.full(40, np.nan)], sample_domain=domain)
kept["jdot"] = joint.predict(target)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is stopped on purpose
    first = skada.JDOTRegressor(Ridge(1.0), alpha=0.5, n_iter_max=2)
    first.fit(both, np.r_[y, np.full(40, np.nan)], sample_domain=domain)
kept["jdot_2"] = first.predict(target)

np.savez_compressed("alignment.npz", **{name: np.asarray(value) for name, value in kept.items()})
