"""The regrets of selection rules from tables of what rules chose, published ones among them."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest
from command_line import tlbench

from tlbench.errors import TlbenchError
from tlbench.published import regret_text
from tlbench.reports import published_regrets
from tlbench.reports.statistics.regrets import rule_regrets

TABLE = """shift,method,rule,accuracy
1,source_only,oracle,0.50
2,source_only,oracle,0.80
1,dann,oracle,0.70
1,dann,im,0.68
1,dann,entropy,0.40
2,dann,oracle,0.90
2,dann,im,0.90
2,dann,entropy,0.86
"""
FIGURES = {"im": 1.0, "entropy": 17.0}


def table(content: str, figures=FIGURES):
    return published_regrets.RegretTable(
        title="Two shifts",
        url="https://example.org/shifts",
        commit="0" * 40,
        licence="none",
        cell=("shift", "method"),
        method="method",
        rule="rule",
        accuracy="accuracy",
        oracle="oracle",
        reference="source_only",
        group="method",
        rules={"im": "im", "entropy": "entropy"},
        files=(published_regrets.RegretFile(path="out/table.csv", sha256=hashlib.sha256(content.encode()).hexdigest()),),
        figures={"all": figures, "dann": figures},
    )


def test_regrets_of_a_table_by_hand(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    of = table(TABLE)
    regrets = published_regrets.group_regrets(of, of.read(tmp_path))
    assert list(regrets["all"].index) == ["im", "entropy"]  # the smallest mean first, the oracle is no rule
    assert regrets["all"].loc["entropy"].tolist() == pytest.approx([2, 17.0, 17.0, 30.0, 50.0])
    assert regrets["all"].loc["im"].tolist() == pytest.approx([2, 1.0, 1.0, 2.0, 0.0])
    assert regret_text.is_reproduced(of, regrets) and "17.0 / 17.0" in regret_text.text(of, regrets)
    wrong = table(TABLE, {"im": 1.2})
    assert not regret_text.is_reproduced(wrong, published_regrets.group_regrets(wrong, wrong.read(tmp_path)))


def test_a_file_that_is_missing_or_another_one(tmp_path):
    of = table(TABLE)
    with pytest.raises(TlbenchError, match=r"out/table.csv of https://example.org/shifts at 0{12} is not there"):
        of.read(tmp_path)
    (tmp_path / "table.csv").write_text(TABLE + "3,dann,im,0.5\n")
    with pytest.raises(TlbenchError, match="is not that of commit"):
        of.read(tmp_path)
    result = tlbench("reproduce", "skada_bench_selection", "--data", str(tmp_path), cwd=tmp_path)
    assert result.returncode == 2 and "deep_results_target_20_12.csv" in result.stderr


def test_missing_cells_and_references_are_left_out():
    choices = pd.DataFrame({"rule": ["a", "a", "b"], "accuracy": [0.5, None, 0.6], "oracle": [0.7, 0.7, 0.7]})
    regrets = rule_regrets(choices)
    assert regrets.loc["a", "cells"] == 1 and regrets.loc["a", "mean"] == pytest.approx(20)
    assert regrets["below reference"].isna().all() and list(regrets.index) == ["b", "a"]


@pytest.mark.parametrize("name", published_regrets.names())
def test_a_published_table_ranks_rules_that_exist(name):
    from tlbench import selection

    loaded = published_regrets.load(name)
    assert set(loaded.rules.values()) <= set(selection.rule_names())
    assert set(loaded.rules) <= set(loaded.figures["all"]) and len(loaded.ranking()) > 1
    figures = {here: loaded.figures["all"][there] for there, here in loaded.rules.items()}
    assert loaded.ranking() == sorted(figures, key=figures.__getitem__)
    assert all(len(file.sha256) == 64 for file in loaded.files)
