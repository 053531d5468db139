"""What rules select among the candidates on file, their regret, and the gate."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import engine, records, reports
from tlbench.engine.candidates.packing import pack
from tlbench.records.candidates import facts_file, label_free_facts, sealed_facts
from tlbench.reports.rule_selections import cross_fitted, weighted_spearman
from tlbench.reports.tables.rule_ranks import TRIVIAL, ranks_elsewhere

ENTRIES = {"source_only": {}, "dann": {}, "shot_im": {}}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three methods and three seeds with candidates."""
    folder = tmp_path_factory.mktemp("results")
    domains = {"a": domain("a", blobs(0, 90)), "b": domain("b", blobs(1, 60, shift=1.0))}
    chosen = suite(methods=ENTRIES, train={"steps": 12}, selection={"checkpoints": 3})
    for name in ENTRIES:
        for seed in range(3):
            one = case(name).model_copy(update={"seed": seed})
            records.append(folder, engine.run_case(one, chosen, domains, CPU))
    return folder


def read(folder):
    return list(records.iterate_records(folder, ()))


def test_rules_choose_among_checkpoints_and_the_unadapted_model(results):
    chosen = reports.rule_selections(results, read(results))
    assert {"im", "bnm", "entropy", "ens_v", "mix_val", "class_ami", "dev", "k_labels_5", "last"} <= set(chosen["rule"])
    by = chosen.set_index(["entry", "seed", "rule"]).sort_index()
    last = by.loc[("source_only", 0, "last"), "last"]
    dann = by.loc[("dann", 0)]
    assert (dann.drop(["k_labels_1", "k_labels_5", "k_labels_10"])["unadapted"] == last).all()  # the baseline is unadapted
    assert dann.loc["last", "accuracy"] == dann.loc["last", "last"] and dann.loc["step_0", "chose_unadapted"] == 1
    record = next(one for one in read(results) if one.entry == "dann" and one.seed == 0)
    assert dann.loc["last", "last"] == pytest.approx(record.scores.target_accuracy)
    assert by.loc[("source_only", 0, "last"), "unadapted"] != by.loc[("source_only", 0, "last"), "unadapted"]  # NaN
    assert (chosen["accuracy"] >= chosen["worst"] - 1e-12).all()


def test_the_tables_say_accuracy_regret_and_gate(results):
    frame = reports.frame(read(results))
    selections = reports.rule_selections(results, read(results))
    methods, rules, gate = reports.tables(frame, "selection", selections=selections)
    assert list(methods.cells.index) == ["source_only", "dann", "shot_im"]
    assert "°" in methods.cells.loc["shot_im", "im"] and "°" not in methods.cells.loc["dann", "im"]
    assert "The best rule without target labels here is" in rules.caption
    assert {"im", "last", "random"} <= set(rules.cells.index)
    assert {"gain %", "hurt %", "gain im", "hurt im"} <= set(gate.cells.columns)
    regret = methods.data[(methods.data["quantity"] == "regret") & (methods.data["subgroup"] == "last")]
    of_dann = selections[(selections["entry"] == "dann") & (selections["rule"] == "last")]
    expected = 100 * (of_dann["oracle"] - of_dann["accuracy"]).mean()
    assert float(regret.set_index("entry").loc["dann", "value"]) == pytest.approx(expected)
    assert reports.tables(frame, "selection") == []
    shown = json.loads(reports.render([methods, rules, gate], "json"))
    assert {table["kind"] for table in shown["tables"]} == {"selection"} and "regret_margin" in json.dumps(shown)


def test_the_best_rule_is_ranked_elsewhere(results):
    selections = reports.rule_selections(results, read(results))
    other = selections.assign(suite="other", accuracy=selections["accuracy"].where(selections["rule"] != "iwcv", 1.0))
    both = pd.concat([selections, other])
    rules = len(set(selections["rule"]) - {*TRIVIAL})
    assert ranks_elsewhere("iwcv", both, "tiny", 1) == (
        f"Elsewhere it ranks 1 of {rules} on other, 2 of 5 in skada-bench, 2 of 2 in UDA-4-TSC."
    )
    assert "on other" not in ranks_elsewhere("iwcv", selections, "tiny", 1)
    assert ranks_elsewhere("rank_me", selections, "tiny", 1) == ""
    assert "Elsewhere it ranks" in reports.tables(reports.frame(read(results)), "selection", selections=both)[1].caption


def test_the_best_rule_that_never_adapts_is_said_to_refuse(results):
    selections = reports.rule_selections(results, read(results))
    of_rule = selections["rule"] == "mano"
    selections.loc[of_rule, ["accuracy", "chose_unadapted"]] = [1.0, 1.0]
    frame = reports.frame(read(results))
    table = reports.tables(frame, "selection", selections=selections)[1]
    assert "here is mano, which always refuses to adapt: it" in table.caption
    selections.loc[selections.index[of_rule][-1], "chose_unadapted"] = 0.0
    assert "here is mano: it" in reports.tables(frame, "selection", selections=selections)[1].caption


def test_a_planted_collapse_is_refused_by_im_and_accepted_by_entropy(results, tmp_path):
    record = next(one for one in read(results) if one.entry == "shot_im" and one.seed == 0)
    facts = label_free_facts(results, "tiny", record.scores.label_free_facts)
    sealed = sealed_facts(results, "tiny", record.scores.sealed_facts)
    outputs = facts["target_outputs"].copy()
    outputs[-1] = np.array([-1e-3, -9, -9, 0], dtype=np.float16)  # one class with certainty
    sealed["correct"][-1] = False
    planted = {
        "label_free_facts": pack({**facts, "target_outputs": outputs}),
        "sealed_facts": pack({**sealed, "correct": np.packbits(sealed["correct"], axis=1)}),
    }
    for name, content in planted.values():
        file = facts_file(tmp_path, "tiny", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    scores = record.scores.model_copy(update={field: name for field, (name, _) in planted.items()})
    chosen = reports.rule_selections(tmp_path, [record.model_copy(update={"scores": scores})]).set_index("rule")
    assert chosen.loc[["im", "corr_c", "diversity"], "accepts"].eq(0).all()
    assert chosen.loc[["entropy", "confidence"], "accepts"].eq(1).all()
    assert chosen.loc["entropy", "chose_worst"] == 1 and chosen.loc["im", "chose_worst"] == 0
    gate = reports.tables(reports.frame([record]), "selection", selections=chosen.reset_index())[2].data
    hurt = gate.set_index("quantity")["value"]
    assert hurt["gate hurt %"] == hurt["gate hurt entropy"] == 100 and hurt["gate hurt im"] == 0


def test_the_oracle_is_cross_fitted_and_ranks_are_weighted():
    generator = np.random.default_rng(0)
    equal = generator.random((20, 2000)) < 0.5
    assert abs(cross_fitted(equal) - 0.5) < 0.03 < equal.mean(1).max() - 0.5 + 0.02
    better = np.vstack((equal[:3], generator.random((1, 2000)) < 0.9))
    assert cross_fitted(better) == pytest.approx(better[-1].mean())
    assert weighted_spearman(np.arange(4.0), np.arange(4.0)) == pytest.approx(1)
    assert weighted_spearman(np.arange(4.0), -np.arange(4.0)) < 0
    assert np.isnan(weighted_spearman(np.zeros(4), np.arange(4.0)))
