"""Makes reweighting.npz: weights and fits of other packages, on rows that are drawn here and kept beside them.

Run where skada 0.6.0, adapt 0.4.5, scikit-learn and scipy are installed, in this folder: python reweighting.py
Only what those packages do right is kept; docs/reweighting.md names the rest.
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
few, y_few = target[:12], (target[:12, 0] + target[:12, 1] + 0.5 * rng.normal(size=12) > 0.6).astype(int)
both, domain = np.r_[source, target], np.r_[np.ones(60), -np.ones(45)]
kept = {"source": source, "target": target, "y_source": y_source, "few": few, "y_few": y_few, "gamma": GAMMA, "ridge": RIDGE}


def skada_weights(adapter):
    adapter.fit(both, sample_domain=domain)
    return adapter.compute_weights(both, sample_domain=domain)[:60]


kept["kmm"] = KMM(gamma=GAMMA, tol=1e-12, verbose=0).fit_weights(source, target)
bounded = skada.KMMReweightAdapter(gamma=GAMMA, B=2.0, solver="scipy", tol=1e-12)
bounded.fit(both, sample_domain=domain)
kept["kmm_bound_2"] = bounded.source_weights_

for name, kind, more in (("ulsif", ULSIF, {}), ("rulsif", RULSIF, {"alpha": 0.1})):
    model = kind(gamma=GAMMA, lambdas=RIDGE, max_centers=30, random_state=0, verbose=0, **more)
    kept[name], kept[f"{name}_centres"] = model.fit_weights(source, target), model.centers_
model = KLIEP(gamma=GAMMA, max_centers=30, algo="FW", random_state=0, verbose=0)
kept["kliep"], kept["kliep_centres"] = model.fit_weights(source, target), model.centers_

kept["kde"] = skada_weights(skada.DensityReweightAdapter())
kept["gaussian"] = skada_weights(skada.GaussianReweightAdapter(reg=None))
for k in (1, 5):
    kept[f"nearest_{k}"] = NearestNeighborsWeighting(n_neighbors=k, verbose=0).fit_weights(source, target)
kept["odds"] = IWC(classifier=LogisticRegression(tol=1e-10, max_iter=10_000), verbose=0).fit_weights(source, target)
shift = skada.MMDTarSReweightAdapter(gamma=GAMMA, tol=1e-12)
shift.fit(both, np.r_[y_source, -np.ones(45)], sample_domain=domain)
kept["mmd_target_shift"] = shift.alpha_

boosted = TrAdaBoost(SVC(kernel="linear", C=0.05), n_estimators=8, Xt=few, yt=y_few, random_state=0, verbose=0)
boosted.fit(source, y_source)
kept["boost_errors"], kept["boost_weights"] = boosted.estimator_errors_, np.stack(boosted.sample_weights_src_)
y, said = source @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=60), few @ [1.2, -1.5, 0.8] + 0.3 * rng.normal(size=12)
boosted = TrAdaBoostR2(Ridge(1.0), n_estimators=8, Xt=few, yt=said, random_state=0, verbose=0)
boosted.fit(source, y)
kept |= {"y": y, "said": said, "r2_errors": boosted.estimator_errors_, "r2_weights": np.stack(boosted.sample_weights_src_)}
kept["r2_predicted"] = boosted.predict(target)
start = LinearRegression(fit_intercept=False).fit(source, y)
moved = RegularTransferLR(start, Xt=few, yt=said, lambda_=1.5, verbose=0).fit()
kept |= {"start": start.coef_, "moved": moved.coef_}

wide = np.r_[rng.normal(size=(40, 2)) - [1.2, 0], rng.normal(size=(40, 2)) + np.array([1.2, 0])]
turned = np.r_[rng.normal(size=(40, 2)) - [1.2, 0.6], rng.normal(size=(40, 2)) + np.array([1.2, 0.2])] + [0.5, 0]
sign = np.repeat([0, 1], 40)
machine = skada.self_labeling.DASVMClassifier(SVC(kernel="linear"), k=3) if hasattr(skada, "self_labeling") else None
if machine is None:
    from skada import DASVMClassifier

    machine = DASVMClassifier(SVC(kernel="linear"), k=3)
machine.fit(np.r_[wide, turned], np.r_[sign, -np.ones(80)].astype(int), sample_domain=np.r_[np.ones(80), -np.ones(80)])
kept |= {"dasvm_source": wide, "dasvm_target": turned, "dasvm_y": sign, "dasvm": machine.predict(turned)}

np.savez_compressed("reweighting.npz", **{name: np.asarray(value) for name, value in kept.items()})
