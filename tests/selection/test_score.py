"""The entry point `tlbench.selection`: names, lazy imports, and errors of one sentence."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from selection_arrays import CHECKPOINT

import tlbench
from tlbench import selection
from tlbench.errors import TlbenchError

LOGITS, LABELS, INDICES = (CHECKPOINT[name] for name in ("target_logits", "source_labels", "mixed_indices"))


def test_the_folder_is_the_registry():
    expected = {"source_risk", "iwcv", "dev", "devn", "entropy", "confidence", "diversity", "im", "bnm", "corr_c", "snd", "atc"}
    expected |= {"class_ami", "class_ss", "mix_val", "mano", "ens_v", "rank_me", "transfer_score", "reverse_validation"}
    assert set(selection.rule_names()) == expected | {"k_labels", "random", "last", "step_0"}
    assert all(selection.rule_summary(name).endswith(".") for name in selection.rule_names())
    page = Path(tlbench.__file__).parents[1] / "docs" / "selection.md"
    assert all(f"| `{name}` |" in page.read_text(encoding="utf-8") for name in selection.rule_names())


def test_neither_the_package_nor_a_rule_of_logits_imports_torch_or_scikit_learn():
    code = (
        "import sys, tlbench, numpy; from tlbench import selection; names = selection.rule_names();"
        "print(selection.score('im', target_logits=numpy.eye(3)) > 0, 'torch' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_tensors_of_any_precision_and_lists_are_taken():
    tensor = torch.tensor(LOGITS, requires_grad=True)
    assert selection.score("im", target_logits=tensor) == selection.score("im", target_logits=LOGITS.tolist())
    half = selection.score("im", target_logits=tensor.bfloat16())
    assert half == pytest.approx(selection.score("im", target_logits=LOGITS), abs=0.01)


def test_facts_or_arrays():
    facts = selection.Facts(target_logits=LOGITS)
    assert selection.score("im", facts) == selection.score("im", target_logits=LOGITS)
    with pytest.raises(TlbenchError, match="got both facts and arrays"):
        selection.score("im", facts, target_logits=LOGITS)


@pytest.mark.parametrize(
    ("rule", "change", "error"),
    [
        ("imm", {}, "Unknown rule 'imm'. Did you mean 'im'?"),
        ("im", {"target_logit": LOGITS}, "Unknown fact 'target_logit'. Did you mean 'target_logits'?"),
        ("im", {"target_logits": LOGITS[0]}, "target_logits has 1 axes"),
        ("im", {"target_logits": LOGITS[:0]}, "target_logits is empty"),
        ("im", {"target_logits": LOGITS[:, :1]}, "target_logits has one class"),
        ("im", {"target_logits": LOGITS * [np.nan, 1, 1, 1]}, "target_logits has 60 values of 240 that are not finite"),
        ("im", {"target_logits": [[1, 2], [3]]}, "target_logits is no array"),
        ("im", {"target_logits": [["a", "b"]]}, "target_logits holds values of the type"),
        (
            "source_risk",
            {"source_labels": LABELS[:9]},
            "The numbers of samples differ: source_logits has 45",
        ),
        ("source_risk", {"source_labels": LABELS + 1}, "source_labels holds 1 to 4. Pass integers from 0"),
        (
            "source_risk",
            {"source_labels": LABELS + 0.5},
            "source_labels holds numbers that are no integers",
        ),
        ("atc", {"source_logits": CHECKPOINT["source_logits"][:, :3]}, "The numbers of classes differ"),
        ("dev", {"target_features": CHECKPOINT["target_features"][:, :3]}, "The numbers of features differ"),
        ("ens_v", {"pool_logits": CHECKPOINT["pool_logits"][:, :3]}, "The numbers of samples differ"),
        (
            "mix_val",
            {"mixed_indices": INDICES + 1},
            "mixed_indices holds 1 to 60. Pass integers from 0 to 59",
        ),
        ("mix_val", {"mixed_indices": INDICES[:, :1]}, "mixed_indices has shape"),
        ("reverse_validation", {"source_labels": LABELS - 1}, "source_labels holds -1 to 2"),
        ("last", {"step": -1}, "step is -1. Pass 0 or more."),
        ("snd", {"target_logits": LOGITS[:1]}, "SND compares target samples, and there is one."),
        (
            "class_ss",
            {"target_logits": LOGITS[:3], "target_features": LOGITS[:3]},
            "There are 3 target samples for 4 clusters.",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(rule, change, error):
    with pytest.raises(TlbenchError) as caught:
        selection.score(rule, **(CHECKPOINT | change))
    assert str(caught.value).replace("'", "").startswith(error.replace("'", "")) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("snd", {"temperature": 0}),
        ("transfer_score", {"seed": -1}),
        ("mano", {"p": 0}),
        ("dev", {"regularization": 0}),
        ("snd", {"layer": "all"}),
        ("snd", {"temperature": "a"}),
    ],
)
def test_an_option_out_of_its_range_is_an_error(rule, options):
    with pytest.raises(TlbenchError, match=r"^Option .* is .*\."):
        selection.score(rule, options=options, **CHECKPOINT)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(TlbenchError, match="Did you mean 'temperature'"):
        selection.score("snd", target_logits=LOGITS, options={"temperatur": 1})


def test_rules_of_installed_packages_are_entry_points(monkeypatch):
    point = importlib.metadata.EntryPoint(
        "theirs", "tlbench.selection.predictions.im:InformationMaximization", selection.ENTRY_POINTS
    )
    monkeypatch.setattr(
        "tlbench.plugins.entry_points", lambda group: {"theirs": point} if group == selection.ENTRY_POINTS else {}
    )
    assert "theirs" in selection.rule_names() and "entry point" in selection.rule_summary("theirs")
    assert selection.score("theirs", target_logits=LOGITS) == selection.score("im", target_logits=LOGITS)
