"""Advice from the records of other suites: planted gains and losses, abstention, and its record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import tlbench
from tlbench import cli
from tlbench.transferability.recommendation import advise, deltas, track_record

RESULTS = Path(tlbench.__file__).parents[1] / "results"


def planted(gains: dict[str, float], suites: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lines = [
        {"suite": f"s{suite}", "pair": f"a:b{pair}", "method": method, "delta": gain + rng.normal(), "train_seconds": 2.0}
        for suite in range(suites)
        for pair in range(4)
        for method, gain in gains.items()
    ]
    return pd.DataFrame(lines)


def test_a_method_that_gains_everywhere_is_recommended():
    advice = advise(planted({"good": 5.0, "bad": -5.0}))
    assert advice.method == "good" and advice.low < 5 < advice.high and advice.hurt == 0 and advice.train_seconds == 2
    record = track_record(planted({"good": 5.0, "bad": -5.0}))
    assert record.right == record.suites == 8 and record.gain == record.gain_of_oracle == pytest.approx(5, abs=0.5)
    assert record.gain_of_random == pytest.approx(0, abs=0.5)
    assert record.best_trivial == ("always the best method on average", record.gain_of_always_best)


def test_where_all_methods_lose_the_advice_is_not_to_adapt():
    evidence = planted({"one": -4.0, "two": -6.0})
    assert advise(evidence).method == "source_only" and advise(evidence).hurt > 0.9
    record = track_record(evidence)
    assert record.right == 8 and record.gain == 0 and record.gain_of_always_best < -3
    assert record.best_trivial == ("always source_only", 0.0)


def test_with_little_evidence_there_is_no_advice():
    assert advise(planted({"good": 5.0}, suites=4)).method is None
    assert track_record(planted({"good": 5.0}, suites=4)) is None


def test_the_record_never_uses_the_suite_that_it_is_of():
    evidence = planted({"good": 5.0, "other": 1.0})
    own = evidence["suite"] == "s3"
    changed = evidence.assign(delta=evidence["delta"].where(~own, -evidence["delta"]))
    assert track_record(changed).right == 7  # it is still recommended there, and loses


def test_the_command_on_the_records_on_file(tmp_path):
    words = ["recommend", "quickstart", "--results", str(RESULTS)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0 and "record: each suite from the others" in done.stdout and "best trivial choice" in done.stdout
    content = json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout)
    assert 0 <= content["record"]["right"] <= content["record"]["suites"]
    assert content["record"]["gain_of_oracle"] >= content["record"]["gain"]
    nothing = CliRunner().invoke(cli.app, ["recommend", "quickstart", "--results", str(tmp_path)])
    assert nothing.exit_code == 0 and "cannot tell" in nothing.stdout


def test_no_records_have_no_deltas():
    from tlbench import reports

    assert deltas(reports.frame([])).empty
