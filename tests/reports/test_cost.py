"""The tables of costs: throughput, details and the Pareto front."""

import pytest
from toy_records import PAIRS, cells, of_classes, record, value

from tlbench import reports
from tlbench.reports.frames import DETAILS
from tlbench.terms import Code, Cost


def cost(seconds, **more):
    return {"train_seconds": seconds, "train_samples_per_second": 100 / seconds, "batch": 64, **more}


def test_costs_are_medians_over_the_cases_done():
    memory = 200 * 2**20
    records = [record(seed=seed, cost=cost(s, peak_memory_bytes=memory)) for seed, s in enumerate([1.0, 2.0, 9.0])]
    records.append(record(seed=3, status="failed", reason="x", cost=cost(99.0)))
    (table,) = reports.throughput(reports.frame(records))
    assert table.cells.loc["source_only"].to_dict() == {
        "cases": "3",
        "train samples/s": "50.0",
        "predict samples/s": "",
        "train seconds": "2.00",
        "peak memory MiB": "200",
    }
    assert value(table, "source_only", "peak_memory_bytes") == memory
    assert "Energy: not readable" in table.caption
    assert "Blank: not measured" in table.caption


def test_sizes_of_what_is_trained_last_are_in_one_unit_for_all_entries():
    rows = {
        "fine_tune": (2_236_682, 9_083_008),
        "linear_probe": (12_810, 51_240),
        "source_only": (2_236_682, None),
        "logistic": (None, None),
    }
    measured = {row: {"trainable_parameters": count, "adapter_bytes": size} for row, (count, size) in rows.items()}
    records = [record(row, cost=cost(1.0, **more)) for row, more in measured.items()]
    (table,) = reports.throughput(reports.frame(records))
    assert table.cells["trained parameters M"].to_dict() == {
        "fine_tune": "2.24",
        "linear_probe": "0.0128",
        "source_only": "2.24",
        "logistic": "",
    }
    assert table.cells["adapter MiB"].to_dict() == {
        "fine_tune": "8.66",
        "linear_probe": "0.0489",
        "source_only": "",
        "logistic": "",
    }
    assert value(table, "linear_probe", "trainable_parameters") == 12_810
    assert value(table, "fine_tune", "adapter_bytes") == 9_083_008
    assert "blank for a method of one phase" in table.caption
    assert reports.cost_details(reports.frame(records)) == []
    assert "0.0128" in reports.render([table], "latex") and "trained parameters M" in reports.render([table], "markdown")
    few = [record(row, cost=cost(1.0, trainable_parameters=n, adapter_bytes=4 * n)) for row, n in (("a", 6), ("b", 900))]
    (table,) = reports.throughput(reports.frame(few))
    assert table.cells[["trained parameters", "adapter KiB"]].to_numpy().tolist() == [["6.00", "0.0234"], ["900", "3.52"]]


def test_machines_precisions_and_batch_sizes_do_not_share_a_table():
    records = [
        record("dann", cost=cost(4.0, energy_joules=12.5, peak_memory_bytes=3 * 2**30), device="cuda"),
        record("dann", cost=cost(8.0), finished="2026-01-02T00:00:00Z"),
        record("coral", cost=cost(5.0), precision="bf16"),
        record("slow", cost=cost(6.0, batch=8)),
        record("logistic", cost=cost(7.0, batch=None), kind="shallow"),
    ]
    made = reports.throughput(reports.frame(records))
    assert [table.title for table in made] == [
        "toy v1: throughput on cuda, fp32, batch 64",
        "toy v1: throughput on cpu, fp32, batch 64",
        "toy v1: throughput on cpu, bf16, batch 64",
        "toy v1: throughput on cpu, fp32, batch 8",
        "toy v1: throughput on cpu, fp32, no batches",
    ]
    assert made[0].cells.loc["dann", ["energy J", "peak memory GiB"]].to_list() == ["12.5", "3.00"]
    assert [table.cells.index.to_list() for table in made] == [["dann"], ["dann"], ["coral"], ["slow"], ["logistic"]]
    assert "fit" in made[-1].caption and "fit" not in made[0].caption


def test_entries_are_sorted_by_accuracy():
    records = [record(row, accuracy=a, cost=cost(1.0)) for row, a in {"low": 0.1, "high": 0.9, "mid": 0.5}.items()]
    (table,) = reports.throughput(reports.frame(records))
    assert table.cells.index.to_list() == ["high", "mid", "low"]


def costly(row, accuracy, seconds, **more):
    cost = {"train_seconds": seconds, "peak_memory_bytes": 2**20, "batch": 64} | more.pop("cost", {})
    return cells(row, {"a:b": [accuracy] * 3}, cost=cost, **more)


def test_gain_per_minute_and_the_pareto_front():
    rows = [
        *costly("source_only", 0.5, 30),
        *costly("quick", 0.6, 60),
        *costly("slow", 0.6, 90),
        *costly("best", 0.8, 120),
        *costly("worse", 0.4, 20, cost={"batch": 8}),
    ]
    (table,) = reports.pareto_table(reports.frame(rows))
    front = table.cells["Pareto front"].to_dict()
    assert front == {"best": "yes", "quick": "yes", "slow": "", "source_only": "yes", "worse": "yes"}
    rate = table.cells["points per CPU-minute"].to_dict()
    assert rate == {"best": "15.0", "quick": "10.0", "slow": "6.67", "source_only": "", "worse": ""}
    assert value(table, "quick", "points_per_minute") == pytest.approx(10)
    assert "blank without a gain" in table.caption
    (on_gpu,) = reports.pareto_table(reports.frame([*costly("a", 0.5, 1, device="cuda"), *costly("b", 0.5, 1, device="cuda")]))
    assert "points per GPU-minute" in on_gpu.cells


def test_machines_and_precisions_are_not_mixed_and_the_tables_say_so():
    rows = [
        *costly("source_only", 0.5, 30),
        *costly("dann", 0.6, 60),
        *costly("source_only", 0.5, 3, device="cuda", precision="bf16"),
        *costly("dann", 0.6, 6, device="cuda", precision="bf16"),
    ]
    frame = reports.frame(rows)
    for made in (reports.throughput(frame), reports.pareto_table(frame)):
        assert len(made) == 2
        assert all("2 machines and 2 precisions, each with a table of its own" in table.caption for table in made)


def test_throughput_is_compared_within_one_software_version():
    old = {"torch": "1.9.0", "device": "cpu"}
    rows = [
        *costly("source_only", 0.5, 3),
        *(one.model_copy(update={"code": Code(tlbench="0.0.1", dirty=True)}) for one in costly("dann", 0.6, 6)),
        *costly("coral", 0.6, 6),
        *(one.model_copy(update={"machine": one.machine.model_copy(update=old)}) for one in costly("mmd", 0.6, 6)),
    ]
    frame = reports.frame(rows)
    tables = reports.throughput(frame)
    assert sorted(tuple(sorted(table.cells.index)) for table in tables) == [("coral", "source_only"), ("dann",), ("mmd",)]
    assert all("3 software versions, each with a table of its own" in table.caption for table in tables)
    titles = {next(iter(table.cells.index)): table.title for table in tables}
    assert "torch 2.11, tlbench 0.0.1" in titles["dann"] and "torch 1.9.0, tlbench 0" in titles["mmd"]
    (accuracy,) = (table for table in reports.tables(frame) if table.kind == "accuracy")
    assert "The records are of 3 software versions: torch 2.11, tlbench 0; " in accuracy.caption
    dirty = sum(one.entry == "dann" for one in rows)
    assert f"{dirty} of {len(rows)} records are of uncommitted code: dann." in accuracy.caption


def test_records_of_one_software_and_machine_need_no_word():
    for table in reports.tables(reports.frame([*costly("source_only", 0.5, 3), *costly("dann", 0.6, 6)])):
        assert not any(words in table.caption for words in ("software versions", "machines:", "uncommitted"))
        assert "torch" not in table.title


def test_details_show_what_was_measured_and_nothing_else():
    (table,) = reports.cost_details(reports.frame(costly("dann", 0.5, 3, cost={"step_seconds_p95": 0.25, "warm_up_steps": 5})))
    assert table.cells.loc["dann"].to_dict() == {"step seconds p95": "0.250", "warm up steps": "5.00"}
    assert reports.cost_details(reports.frame(costly("dann", 0.5, 3))) == []
    assert {"train_seconds", "steps"}.isdisjoint(table.data["quantity"])
    assert "step_seconds_p95" in Cost.model_fields
    assert set(table.data["unit"]) == {"seconds", "steps"}
    everything = dict.fromkeys(DETAILS, 2)
    (whole,) = reports.cost_details(reports.frame(costly("dann", 0.5, 3, cost=everything)))
    shown_with_throughput = {"trainable_parameters", "adapter_bytes"}
    assert set(whole.data["quantity"]) == set(DETAILS) - shown_with_throughput and (whole.data["unit"] != "").all()


def test_every_table_with_an_interval_names_what_it_covers_and_counts_incomplete_entries():
    shares = {"cat": 0.5, "dog": 0.6}
    rows = {"source_only": PAIRS, "dann": PAIRS, "partial": PAIRS[:4]}
    runs = [
        of_classes(row, s, {k: v + s / 100 for k, v in shares.items()}, pair, cost={"train_seconds": 1.0})
        for row, pairs in rows.items()
        for pair in pairs
        for s in range(3)
    ]
    made = reports.tables(reports.frame(runs))
    assert {table.kind for table in made} >= {"accuracy", "transfer", "negative_transfer", "classes", "frontier"}
    for table in made:
        if any("±" in cell for cell in table.cells.to_numpy().ravel()):
            assert "covers other seeds on these pairs" in table.caption, table.kind
        if table.kind not in ("throughput", "detail"):
            assert "partial (4 of 6 pairs)" in table.caption, table.kind
    for table in reports.tables(reports.frame([one for one in runs if one.seed < 2])):
        assert "margin of error of the" not in table.caption, table.kind
        assert not any("±" in cell for cell in table.cells.to_numpy().ravel()), table.kind
