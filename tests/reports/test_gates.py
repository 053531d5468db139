"""Methods behind a gate: adapted only where a rule prefers the adapted model to the baseline."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import tlbench
from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import api, engine, records, reports
from tlbench.engine.candidates.packing import pack
from tlbench.errors import TlbenchError
from tlbench.records.candidates import facts_file, label_free_facts, sealed_facts
from tlbench.reports.gates import gated_records

ENTRIES = {"source_only": {}, "dann": {}, "coral": {}}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results directory of two methods and their baseline with candidates."""
    folder = tmp_path_factory.mktemp("results")
    domains = {"a": domain("a", blobs(0, 90)), "b": domain("b", blobs(1, 60, shift=1.0))}
    chosen = suite(methods=ENTRIES, train={"steps": 12}, selection={"checkpoints": 2})
    for name in ENTRIES:
        for seed in range(3):
            record = engine.run_case(case(name).model_copy(update={"seed": seed}), chosen, domains, CPU)
            records.append(folder, record)
    return folder


def read(folder):
    return list(records.iterate_records(folder, ()))


def collapsed(results, folder, record):
    """The record with files in which its last candidate predicts one class with certainty."""
    facts = label_free_facts(results, "tiny", record.scores.label_free_facts)
    sealed = sealed_facts(results, "tiny", record.scores.sealed_facts)
    outputs = facts["target_outputs"].copy()
    outputs[-1] = np.array([-1e-3, -9, -9, 0], dtype=np.float16)
    planted = {
        "label_free_facts": pack({**facts, "target_outputs": outputs}),
        "sealed_facts": pack({**sealed, "correct": np.packbits(sealed["correct"], axis=1)}),
    }
    for name, content in planted.values():
        file = facts_file(folder, "tiny", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return record.model_copy(update={"scores": record.scores.model_copy(update={k: n for k, (n, _) in planted.items()})})


def test_a_gate_takes_the_model_of_the_higher_number(results):
    on_file = {(record.entry, record.seed): record for record in read(results)}
    gated = gated_records(results, on_file.values(), ["im", "last", "step_0"])
    assert {record.entry for record in gated} == {
        f"{name} + {rule}" for name in ("dann", "coral") for rule in ("im", "last", "step_0")
    }
    selections = reports.rule_selections(results, on_file.values())
    accepts = selections.set_index(["entry", "seed", "rule"])["accepts"]
    for record in gated:
        name, _, rule = record.entry.partition(" + ")
        method, base = on_file[name, record.seed], on_file["source_only", record.seed]
        adapts = {"last": True, "step_0": False, "im": bool(accepts[name, record.seed, "im"])}[rule]
        assert record.scores == (method if adapts else base).scores
        assert record.notes[-1].startswith(f"gate {rule}: {'adapted' if adapts else 'not adapted'}, ")
        assert record.cost.train_seconds == method.cost.train_seconds + base.cost.train_seconds


def test_a_planted_collapse_is_refused_by_im_and_accepted_by_entropy(results, tmp_path):
    base, method = (next(r for r in read(results) if r.entry == name and r.seed == 0) for name in ("source_only", "dann"))
    method = collapsed(results, tmp_path, method)
    for name in (base.scores.label_free_facts, base.scores.sealed_facts):
        (tmp_path / "tiny" / "facts" / f"{name}.npz").write_bytes(facts_file(results, "tiny", name).read_bytes())
    by_rule = {record.entry: record for record in gated_records(tmp_path, [base, method], ["im", "entropy"])}
    assert "not adapted" in by_rule["dann + im"].notes[-1]
    assert by_rule["dann + im"].scores == base.scores and by_rule["dann + entropy"].scores == method.scores


def test_rows_of_gates_stand_in_the_tables(results):
    result = tlbench("report", "--results", str(results), "--gate", "im", "--table", "transfer", cwd=results)
    assert result.returncode == 0 and "dann + im" in result.stdout and "coral + im" in result.stdout
    shown = tlbench("report", "--results", str(results), "--gate", "step_0", "--table", "accuracy", "--json", cwd=results)
    assert shown.returncode == 0 and '"dann + step_0"' in shown.stdout


def test_the_tables_from_python(results):
    methods, rules, gate = api.report(results, table="selection")
    assert methods.kind == "selection" and "im" in rules.cells.index and "gain im" in gate.cells.columns
    (transfer, *_) = api.report(results, table="accuracy", gate="im")
    assert "dann + im" in transfer.cells.index


def test_methods_that_adapt_on_a_stream_have_gates(tmp_path):
    domains = {"a": domain("a", blobs(0, 90)), "b": domain("b", blobs(1, 60, shift=1.0))}
    protocol = {"grants": ["source", "stream"], "stream": {"order": "by_class"}}
    tables = {"net": {"batch_norm": True}, "train": {"steps": 12}, "selection": {"checkpoints": 2}}
    chosen = suite(methods={"source_only": {}, "tent": {}}, protocol=protocol, **tables)
    on_file = {name: engine.run_case(case(name), chosen, domains, CPU) for name in ("source_only", "tent")}
    for record in on_file.values():
        records.append(tmp_path, record)
    gated = {record.entry: record for record in gated_records(tmp_path, on_file.values(), ["im", "last"])}
    assert gated["tent + last"].scores == on_file["tent"].scores
    selections = reports.rule_selections(tmp_path, on_file.values()).set_index(["entry", "rule"])
    adapts = selections.loc[("tent", "im"), "accepts"] == 1
    assert gated["tent + im"].scores == on_file["tent" if adapts else "source_only"].scores
    assert selections.loc[("tent", "last"), "unadapted"] == pytest.approx(on_file["source_only"].scores.target_accuracy)


def test_rules_of_labels_and_records_without_candidates_are_refused(results):
    with pytest.raises(TlbenchError, match="Unknown rule 'k_labels' of a gate"):
        gated_records(results, read(results), ["k_labels"])
    bare = [record.model_copy(update={"scores": type(record.scores)()}) for record in read(results)]
    with pytest.raises(TlbenchError, match=r"Run a suite with the table \[selection\]"):
        gated_records(results, bare, ["im"])
    result = tlbench("report", "--compare", ".", ".", "--gate", "im", cwd=results)
    assert result.returncode == 2 and "--compare" in result.stderr
