"""Makes reweighting.npz: weights and fits of other packages, on samples that are drawn here and stored with them.

Run it in this folder where skada 0.6.0, adapt 0.4.5, scikit-learn and scipy are installed: python reweighting.py
Only correct results of those packages are stored; docs/shallow-methods.md names the others.
"""

from __future__ import annotations

import os

os.environ["POT_BACKEND_DISABLE_TENSORFLOW"] = "1"

import numpy as np
import skada
from adapt.instance_based import IWC, KLIEP, KMM, RULSIF, ULSIF, NearestNeighborsWeighting, TrAdaBoost, TrAdaBoostR2
from adapt.parameter_based import RegularTransferLR
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.svm import SVC

GAMMA, RIDGE = 0.3, 0.1
rng = np.random.default_rng(0)
source, target = rng.normal(size=(60, 3)), rng.normal(size=(45, 3)) * 0.8 + 0.6
y_source = (source[:, 0] + 0.5 * rng.normal(size=60) > 0).astype(int)
target_labeled = target[:12]
y_target_labeled = (target[:12, 0] + target[:12, 1] + 0.5 * rng.normal(size=12) > 0.6).astype(int)
both, domain = np.r_[source, target], np.r_[np.ones(60), -np.ones(45)]
arrays = {
    "source": source,
    "target": target,
    "y_source": y_source,
    "target_labeled": target_labeled,
    "y_target_labeled": y_target_labeled,
    "gamma": GAMMA,
    "ridge": RIDGE,
}


def skada_weights(adapter):
    adapter.fit(both, sample_domain=domain)
    return adapter.compute_weights(both, sample_domain=domain)[:60]


arrays["kmm"] = KMM(gamma=GAMMA, tol=1e-12, verbose=0).fit_weights(source, target)
bounded = skada.KMMReweightAdapter(gamma=GAMMA, B=2.0, solver="scipy", tol=1e-12)
bounded.fit(both, sample_domain=domain)
arrays["kmm_bound_2"] = bounded.source_weights_

for name, kind, options in (("ulsif", ULSIF, {}), ("rulsif", RULSIF, {"alpha": 0.1})):
    model = kind(gamma=GAMMA, lambdas=RIDGE, max_centers=30, random_state=0, verbose=0, **options)
    arrays[name], arrays[f"{name}_centres"] = model.fit_weights(source, target), model.centers_
model = KLIEP(gamma=GAMMA, max_centers=30, algo="FW", random_state=0, verbose=0)
arrays["kliep"], arrays["kliep_centres"] = model.fit_weights(source, target), model.centers_

arrays["kde"] = skada_weights(skada.DensityReweightAdapter())
arrays["gaussian"] = skada_weights(skada.GaussianReweightAdapter(reg=None))
for k in (1, 5):
    arrays[f"nearest_{k}"] = NearestNeighborsWeighting(n_neighbors=k, verbose=0).fit_weights(source, target)
arrays["odds"] = IWC(classifier=LogisticRegression(tol=1e-10, max_iter=10_000), verbose=0).fit_weights(source, target)
shift = skada.MMDTarSReweightAdapter(gamma=GAMMA, tol=1e-12)
shift.fit(both, np.r_[y_source, -np.ones(45)], sample_domain=domain)
arrays["mmd_target_shift"] = shift.alpha_

boosted = TrAdaBoost(
    SVC(kernel="linear", C=0.05), n_estimators=8, Xt=target_labeled, yt=y_target_labeled, random_state=0, verbose=0
)
boosted.fit(source, y_source)
arrays["boost_errors"], arrays["boost_weights"] = boosted.estimator_errors_, np.stack(boosted.sample_weights_src_)
column_source = source @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=60)
column_target_labeled = target_labeled @ [1.2, -1.5, 0.8] + 0.3 * rng.normal(size=12)
boosted = TrAdaBoostR2(Ridge(1.0), n_estimators=8, Xt=target_labeled, yt=column_target_labeled, random_state=0, verbose=0)
boosted.fit(source, column_source)
arrays |= {"column_source": column_source, "column_target_labeled": column_target_labeled}
arrays |= {"r2_errors": boosted.estimator_errors_, "r2_weights": np.stack(boosted.sample_weights_src_)}
arrays["r2_predicted"] = boosted.predict(target)
start = LinearRegression(fit_intercept=False).fit(source, column_source)
biased = RegularTransferLR(start, Xt=target_labeled, yt=column_target_labeled, lambda_=1.5, verbose=0).fit()
arrays |= {"start": start.coef_, "biased": biased.coef_}

wide = np.r_[rng.normal(size=(40, 2)) - [1.2, 0], rng.normal(size=(40, 2)) + np.array([1.2, 0])]
rotated = np.r_[rng.normal(size=(40, 2)) - [1.2, 0.6], rng.normal(size=(40, 2)) + np.array([1.2, 0.2])] + [0.5, 0]
sign = np.repeat([0, 1], 40)
machine = skada.self_labeling.DASVMClassifier(SVC(kernel="linear"), k=3) if hasattr(skada, "self_labeling") else None
if machine is None:
    from skada import DASVMClassifier

    machine = DASVMClassifier(SVC(kernel="linear"), k=3)
machine.fit(np.r_[wide, rotated], np.r_[sign, -np.ones(80)].astype(int), sample_domain=np.r_[np.ones(80), -np.ones(80)])
arrays |= {"dasvm_source": wide, "dasvm_target": rotated, "dasvm_y": sign, "dasvm": machine.predict(rotated)}

np.savez_compressed("reweighting.npz", **{name: np.asarray(value) for name, value in arrays.items()})
