"""`tlbench bench`: the table of every trained method, and two saved benches against each other."""

from __future__ import annotations

import json
import math

import pytest
import torch
from command_line import tlbench

from tlbench.bench import compare, saved_benches, table, throughput
from tlbench.errors import TlbenchError

CPU = torch.device("cpu")
SMALL = throughput.Settings(backbone="mlp", shape=(12,), classes=3, samples=200, batch=8, steps=12)


@pytest.fixture(scope="module")
def made():
    return throughput.measure_methods(SMALL, ["source_only", "dann", "shot", "tent", "target_only"], CPU)


def test_every_method_has_its_rates_and_no_accuracy(made):
    rows = {row["method"]: row for row in made["methods"]}
    assert list(rows) == ["source_only", "dann", "shot", "tent", "target_only"]
    for name in ("source_only", "dann", "shot", "target_only"):
        cost = rows[name]["cost"]
        assert rows[name]["status"] == "done", rows[name]["reason"]
        assert cost["train_samples_per_second"] > 0 and cost["train_flops_per_sample"] > 0
        assert {"1", "64"} <= {str(n) for n in cost["predict_rates"]}
        assert max(int(n) for n in cost["predict_rates"]) >= 512
        assert cost["steps"] == 12
    assert rows["tent"]["status"] == "skipped" and "batch normalisation" in rows["tent"]["reason"]
    assert "accuracy" not in json.dumps(made)


def test_the_limits_stand_on_the_last_row(made):
    text = table.render(made)
    lines = [line for line in text.splitlines() if line.startswith(("source_only ", "dann ", "shot ", "limit of"))]
    assert lines[-1].startswith("limit of the device") and lines[-1].rstrip().endswith("100")
    assert len(lines) == 4
    assert "tent: skipped" in text
    flops = made["limits"]["flops_per_second"]
    assert flops["fp32"] > 0 and flops["bf16"] > 0 and made["limits"]["copy_bytes_per_second"] > 0
    assert table.render(made, "markdown").count("|") > 50


def test_shares_of_a_step_are_shares(made):
    for row in made["methods"]:
        if row["status"] == "done":
            shares = table.table_values(row["cost"], gpu=False)[3:6]
            assert all(0 < share < 100 for share in shares) and sum(shares) <= 100.01


def test_the_command_writes_what_it_prints_and_compares_it(tmp_path):
    words = (
        "bench",
        "--backbone",
        "mlp",
        "--shape",
        "12",
        "--samples",
        "200",
        "--batch",
        "8",
        "--steps",
        "12",
        "--device",
        "cpu",
    )
    ran = tlbench(*words, "--method", "source_only", "--out", "new.json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "source_only" in ran.stdout and "limit of the device" in ran.stdout
    facts = json.loads((tmp_path / "new.json").read_text())
    assert facts["settings"]["batch"] == 8 and [row["method"] for row in facts["methods"]] == ["source_only"]
    facts["methods"][0]["cost"]["step_seconds_median"] /= 1.5
    (tmp_path / "old.json").write_text(json.dumps(facts))
    slower = tlbench("bench", "--compare", "old.json", "new.json", cwd=tmp_path)
    assert slower.returncode == 1 and "source_only: training step" in slower.stdout and "+50.0%" in slower.stdout
    assert tlbench("bench", "--compare", "old.json", "new.json", "--threshold", "60%", cwd=tmp_path).returncode == 0
    assert tlbench("bench", "--compare", "new.json", "old.json", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shape", "3x"), "--shape 3x"),
        (("--backbone", "lenett"), "Did you mean 'lenet'"),
        (("--method", "danm"), "Did you mean 'dan"),
        (("--method", "logistic"), "A shallow method takes no steps"),
        (("--device", "tpu"), "--device: Unknown device 'tpu'"),
        (("--backbone", "lenet", "--shape", "12"), "(12,)"),
        (("--compare", "none.json", "none.json"), "no file none.json"),
        (("--compare", "bad.json", "bad.json"), "bad.json"),
        (("--compare", "other.json", "other.json"), "neither from"),
        (("--compare", "other.json", "other.json", "--threshold", "much"), "--threshold much"),
        (("--precision", "fp7"), "fp7"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else None,
)
def test_a_mistake_is_one_text(words, said, tmp_path, monkeypatch, capsys):
    from tlbench import cli

    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "other.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tlbench", "bench", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


# --- two files ------------------------------------------------------------------------------------------------------


def pytest_json(path, **medians):
    """A file as pytest-benchmark writes it: name -> (median, first quartile, third quartile)."""
    benchmarks = [{"fullname": name, "stats": {"median": m, "q1": q1, "q3": q3}} for name, (m, q1, q3) in medians.items()]
    path.write_text(json.dumps({"machine_info": {"cpu": {"brand_raw": "x", "count": 2}}, "benchmarks": benchmarks}))
    return saved_benches.read_bench(path)


def test_what_got_slower_beyond_the_threshold(tmp_path):
    old = pytest_json(
        tmp_path / "o.json", a=(1.0, 0.99, 1.01), b=(1.0, 0.9, 1.1), c=(1.0, 0.99, 1.01), d=(2.0, 2, 2), gone=(1, 1, 1)
    )
    new = pytest_json(
        tmp_path / "n.json", a=(1.2, 1.19, 1.21), b=(1.08, 1.0, 1.2), c=(1.04, 1.03, 1.05), d=(1.0, 1, 1), new=(1, 1, 1)
    )
    found = compare.compare(old, new, 0.05)
    verdicts = {change.name: change.verdict for change in found.changes}
    assert verdicts == {"a": "slower", "b": "unclear", "c": "same", "d": "faster"}
    assert [change.name for change in found.slower] == ["a"]
    assert found.gone == ("gone",) and found.added == ("new",) and found.unlike == ()
    text = compare.format_comparison(found)
    assert "1 of 4 slower beyond 5%" in text and "+20.0%" in text and "gone: no longer there" in text


def test_contenders_of_one_benchmark_are_compared_apart(tmp_path):
    path = tmp_path / "turns.json"

    def saved(engine):
        seconds = {"engine": engine, "by hand": [1.0, 1.0, 1.0]}
        stats = {"median": 99.0, "q1": 99.0, "q3": 99.0}
        one = {"fullname": "x", "stats": stats, "extra_info": {"seconds": seconds}}
        path.write_text(json.dumps({"machine_info": {}, "benchmarks": [one]}))
        return saved_benches.read_bench(path)

    found = compare.compare(saved([1.0, 1.0, 1.0]), saved([2.0, 2.1, 2.2]))
    assert {change.name: change.verdict for change in found.changes} == {"x: engine": "slower", "x: by hand": "same"}


def test_other_conditions_are_named(tmp_path, made):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(made))
    old = saved_benches.read_bench(path)
    path.write_text(json.dumps({**made, "threads": 99, "settings": {**made["settings"], "batch": 9}}))
    found = compare.compare(old, saved_benches.read_bench(path))
    assert len(found.unlike) == 2 and any("99 now" in fact for fact in found.unlike)
    assert not found.slower and math.isclose(found.changes[0].ratio, 1.0)


def test_nothing_in_common_is_said(tmp_path):
    found = compare.compare(pytest_json(tmp_path / "o.json", a=(1, 1, 1)), pytest_json(tmp_path / "n.json", b=(1, 1, 1)))
    assert "nothing is in both files" in compare.format_comparison(found)


def test_a_saved_bench_with_a_part_missing(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"kind": saved_benches.KIND, "schema": 2, "methods": [{}]}))
    with pytest.raises(TlbenchError, match="lacks a key"):
        saved_benches.read_bench(path)
