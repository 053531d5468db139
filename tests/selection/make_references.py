"""Makes references.npz: numbers of other packages on arrays that are drawn here and stored with them.

Run it as `python make_references.py FOLDER`, where the requirements of pytorch-adapt are installed (pytorch-metric-learning of
version 1.6), and FOLDER holds a checkout of each of these under its name: KevinMusgrave/pytorch-adapt (1366df7c020e),
scikit-adaptation/skada (46bc3dbca73a), LHXXHB/EnsV (b0bb1d1181d6), saurabhgarg1996/ATC_code (6f1e33650989),
sleepyseal/TransferScore (8b8c5216f2b3), Renchunzi-Xie/MaNo (b9c026261319), arnab39/reptrix (f93c9b61b4c0).
"""

from __future__ import annotations

import ast
import io
import re
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.special import log_softmax, softmax

FOLDER = Path(sys.argv[1])
sys.path[:0] = [str(FOLDER / name) for name in ("pytorch-adapt/src", "skada", "ATC_code")]

from ATC_helper import find_ATC_threshold, get_ATC_acc, get_entropy, get_max_conf  # noqa: E402
from pytorch_adapt import validators  # noqa: E402
from pytorch_adapt.validators.class_cluster_validator import get_clustering_performance  # noqa: E402
from pytorch_adapt.validators.deep_embedded_validator import get_dev_risk  # noqa: E402
from skada import metrics  # noqa: E402
from sklearn.ensemble import VotingClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, silhouette_score  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, LabelEncoder  # noqa: E402

N, M, K, C, D = 45, 60, 50, 4, 5
rng = np.random.default_rng(0)
centers = 2 * rng.normal(size=(C, D))
labels = {
    name: np.r_[np.arange(C), rng.integers(0, C, count - C)] for name, count in (("source", N), ("train", K), ("target", M))
}
features = {name: centers[y] + rng.normal(size=(len(y), D)) + (0.5 if name == "target" else 0) for name, y in labels.items()}
head = 0.4 * centers + 0.2 * rng.normal(size=(C, D))
arrays = {
    "source_labels": labels["source"],
    "source_features": features["source"],
    "source_train_features": features["train"],
    "source_logits": features["source"] @ head.T,
    "target_features": features["target"],
    "target_logits": features["target"] @ head.T,
    "classifier_weights": head,
    "mixed_indices": np.stack((np.arange(M), np.random.RandomState(0).permutation(M)), 1),
    "reverse_logits": rng.normal(size=(N, C)) + 2 * np.eye(C)[labels["source"]],
    "target_labeled_logits": features["target"][:12] @ head.T,
    "target_labeled_labels": labels["target"][:12],
}
first, second = features["target"][arrays["mixed_indices"].T]
arrays["mixed_logits"] = (0.55 * first + 0.45 * second) @ head.T
arrays["pool_logits"] = np.stack((arrays["target_logits"], *rng.normal(size=(4, M, C)) * 3 + arrays["target_logits"]))
tensors = {name: torch.tensor(array) for name, array in arrays.items()}
both, domain = np.r_[features["source"], features["target"]], np.r_[np.ones(N), -2 * np.ones(M)].astype(int)
y_both = np.r_[labels["source"], labels["target"]]
losses = -log_softmax(arrays["source_logits"], axis=1)[np.arange(N), labels["source"]]
numbers = {}


class Linear(Pipeline):
    """The model of all logits, as the pipelines that skada's scorers take: identity features and a linear head."""

    def __init__(self):
        super().__init__([("features", FunctionTransformer()), ("head", LogisticRegression())])

    def __getitem__(self, index):
        return FunctionTransformer()

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X, **_):
        return softmax(X @ head.T, axis=1)

    def predict_log_proba(self, X, **_):
        return log_softmax(X @ head.T, axis=1)

    def predict(self, X, **_):
        return (X @ head.T).argmax(1)

    def score(self, X, y, sample_weight=None, **_):
        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)


def pytorch_adapt():
    target = {"target_train": {"logits": tensors["target_logits"], "preds": tensors["target_logits"].softmax(1)}}
    by_logits = {"entropy": "EntropyValidator", "diversity": "DiversityValidator", "im": "IMValidator", "bnm": "BNMValidator"}
    for name, kind in by_logits.items():
        numbers[f"pytorch_adapt_{name}"] = float(getattr(validators, kind)()(**target))
    numbers["pytorch_adapt_snd"] = validators.SNDValidator()(**target)
    accuracy = validators.AccuracyValidator(torchmetric_kwargs={"task": "multiclass", "average": "micro", "num_classes": C})
    source = {
        "logits": tensors["source_logits"],
        "preds": tensors["source_logits"].softmax(1),
        "labels": tensors["source_labels"],
    }
    numbers["pytorch_adapt_accuracy"] = float(accuracy(src_val=source))
    predicted = tensors["target_logits"].argmax(1)
    for name, options in (("class_ami", {}), ("class_ss", {"score_fn": silhouette_score, "score_fn_type": "features"})):
        given = {
            "score_fn": validators.class_cluster_validator.adjusted_mutual_info_score,
            "score_fn_type": "labels",
            **options,
        }
        numbers[f"pytorch_adapt_{name}"] = get_clustering_performance(
            tensors["target_features"], predicted, C, centroid_init="label_centers", **given
        )
    for normalization in (None, "max", "standardize"):
        weights = torch.tensor(domain_weights(features["train"], features["source"]))[:, None]
        numbers[f"pytorch_adapt_dev_{normalization}"] = -get_dev_risk(weights, torch.tensor(losses)[:, None], normalization)


def domain_weights(train, evaluated):
    classifier = LogisticRegression(tol=1e-12, max_iter=100000)
    classifier.fit(np.r_[train, features["target"]], np.r_[np.ones(len(train)), np.zeros(M)])
    target, source = classifier.predict_proba(evaluated).T
    return len(train) / M * target / source


def of_skada():
    model = Linear()
    numbers["skada_entropy"] = metrics.PredictionEntropyScorer()._score(None, model, both, y_both, sample_domain=domain)
    numbers["skada_snd"] = metrics.SoftNeighborhoodDensity()._score(None, model, both, y_both, sample_domain=domain)
    for kind in ("both", "intra", "inter"):
        scorer = metrics.MixValScorer(ice_type=kind, random_state=0)
        numbers[f"skada_mix_val_{kind}"] = scorer._score(None, model, both, y_both, sample_domain=domain)
    scorer = metrics.ImportanceWeightedScorer()._fit(features["source"], features["target"])
    at_source = (
        each.score_samples(features["source"]) for each in (scorer.weight_estimator_target_, scorer.weight_estimator_source_)
    )
    weights = np.exp(np.subtract(*at_source))
    numbers["skada_iwcv_accuracy"] = model.score(features["source"], labels["source"], weights / weights.sum())
    tight = LogisticRegression(tol=1e-12, max_iter=100000)
    for name, loss in (("dev_vector", None), ("dev", lambda y, p: -np.log(p[np.arange(len(y)), y])[:, None])):
        scorer = metrics.DeepEmbeddedValidation(tight, loss, random_state=0)
        numbers[f"skada_{name}"] = scorer._score(None, model, both, y_both, sample_domain=domain)
    split = train_test_split(np.arange(N), test_size=0.33, random_state=np.random.RandomState(0))
    arrays["skada_train"], arrays["skada_validation"] = split
    mano = metrics.MaNoScorer
    numbers["skada_mano_softmax"] = np.mean(mano._stable_softmax(arrays["target_logits"].copy()) ** 4) ** 0.25
    numbers["skada_mano_criterion"] = mano()._get_criterion(arrays["target_logits"].copy())


def authors():
    numbers["atc_threshold"] = find_ATC_threshold(*source_scores(get_max_conf))[1]
    for name, function in (("confidence", get_max_conf), ("entropy", get_entropy)):
        threshold = find_ATC_threshold(*source_scores(function))[1]
        numbers[f"atc_{name}"] = get_ATC_acc(threshold, function(softmax(arrays["target_logits"], axis=1))) / 100
    numbers["mean_confidence"] = get_max_conf(softmax(arrays["target_logits"], axis=1)).mean()
    mano = of_file("MaNo/algs/mano.py", "scaling_method")
    scaled = mano(types.SimpleNamespace(args={"delta": 0}), tensors["target_logits"])
    numbers["mano_taylor"] = float(torch.norm(scaled, p=4) / scaled.numel() ** 0.25)
    numbers["uniformity"] = of_file("TransferScore/utils.py", "uniformity")(tensors["classifier_weights"])
    get_rank = of_file("reptrix/reptrix/rankme.py", "get_rank")
    numbers["rank_me"] = get_rank(np.linalg.svd(arrays["target_features"], compute_uv=False))


def source_scores(function):
    return function(softmax(arrays["source_logits"], axis=1)), arrays["source_logits"].argmax(1) == labels["source"]


def of_file(path, name):
    """A function of a file, whose other contents are not run."""
    tree = ast.parse((FOLDER / path).read_text())
    node = next(each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == name)
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np, "osp": None}
    names["entropy"] = lambda p: -(p * torch.log(p + 1e-5)).sum(-1)
    names.update({key: value for key, value in globals().items() if key in {"prep", "ImageList", "DataLoader"}})
    exec(compile(ast.Module([node], []), path, "exec"), names)
    return names[name]


def ensv():
    """The numbers that EnsV's test() writes to its log, to four decimals."""
    batch = types.SimpleNamespace(next=lambda: (tensors["target_logits"], torch.tensor(labels["target"])))
    loader = type(
        "Loader", (), {"__init__": lambda *_, **__: None, "__iter__": lambda _: iter_of(batch), "__len__": lambda _: 1}
    )
    globals()["prep"] = types.SimpleNamespace(image_test=lambda **_: None)
    globals()["ImageList"], globals()["DataLoader"] = (lambda *_, **__: None), loader
    log = io.StringIO()
    config = {
        "prep": {"params": {}},
        "data": {"test_tgt": {"batch_size": M}},
        "dataset": "any",
        "task_hyper_log": log,
        "task_pred_file": None,
    }
    torch.Tensor.cuda = lambda self: self
    torch.nn.Module.cuda = lambda self: self
    of_file("EnsV/ensv.py", "test")(config, None, torch.nn.Identity(), __file__)
    values = re.findall(r"(entropy|im|corr|snd) is (-?[\d.]+\d)", log.getvalue())
    numbers.update({f"ensv_{name}": float(value) for name, value in values})


def iter_of(batch):
    return type("Batches", (), {"next": lambda _: batch.next(), "__iter__": lambda s: s, "__next__": lambda _: batch.next()})()


def scikit_learn():
    numbers["log_loss"] = log_loss(labels["source"], softmax(arrays["source_logits"], axis=1))
    labeled = arrays["target_labeled_labels"], softmax(arrays["target_labeled_logits"], axis=1)
    numbers["labeled_log_loss"] = log_loss(*labeled, labels=range(C))
    numbers["balanced_accuracy"] = balanced_accuracy_score(labels["source"], arrays["reverse_logits"].argmax(1))
    weights = domain_weights(features["source"], features["source"])
    numbers["weighted_log_loss"] = log_loss(labels["source"], softmax(arrays["source_logits"], axis=1), sample_weight=weights)
    vote = VotingClassifier([], voting="soft")
    vote.le_, vote.classes_ = LabelEncoder().fit(range(C)), np.arange(C)
    vote.estimators_ = [types.SimpleNamespace(predict_proba=lambda _, z=z: softmax(z, axis=1)) for z in arrays["pool_logits"]]
    numbers["ensemble_agreement"] = accuracy_score(vote.predict(features["target"]), arrays["target_logits"].argmax(1))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for function in (pytorch_adapt, of_skada, authors, ensv, scikit_learn):
        function()
    for name, value in numbers.items():
        sys.stdout.write(f"{name} {value}\n")
    np.savez_compressed(Path(__file__).with_name("references.npz"), **arrays, **numbers)
