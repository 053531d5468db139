"""Advice from the records of other data sets: planted gains and losses, abstention, and its record."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import tlbench
from tlbench import cli
from tlbench.transferability.data_sets import DATA_SETS, data_set_of
from tlbench.transferability.recommendation import advise, deltas, track_record

RESULTS = Path(tlbench.__file__).parents[1] / "results"
SUITES = RESULTS.with_name("suites")


def planted(gains: dict[str, float], suites: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lines = [
        {"suite": f"s{suite}", "pair": f"a:b{pair}", "method": method, "delta": gain + rng.normal(), "train_seconds": 2.0}
        for suite in range(suites)
        for pair in range(4)
        for method, gain in gains.items()
    ]
    return pd.DataFrame(lines).assign(data_set=lambda cells: cells["suite"])


def test_a_method_that_gains_everywhere_is_recommended():
    advice = advise(planted({"good": 5.0, "bad": -5.0}))
    assert advice.method == "good" and advice.low < 5 < advice.high and advice.hurt == 0 and advice.train_seconds == 2
    record = track_record(planted({"good": 5.0, "bad": -5.0}))
    assert record.right == record.suites == record.data_sets == 8 and record.gain == record.gain_of_oracle == pytest.approx(
        5, abs=0.5
    )
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


def test_suites_of_one_data_set_count_once_and_never_advise_each_other():
    evidence = planted({"good": 1.0, "other": 0.5}, suites=6)
    copies = [evidence[evidence["suite"] == "s0"].assign(suite=f"copy{copy}", delta=40.0) for copy in range(9)]
    both = pd.concat([evidence, *copies])
    assert advise(both).data_sets == 6 and advise(both).gain < 8  # as mean over 15 suites: 24
    assert advise(planted({"good": 5.0}).assign(data_set="one")).method is None
    record = track_record(both)
    assert (record.suites, record.data_sets) == (15, 6)
    unlike = both.assign(delta=both["delta"].where(both["data_set"] == "s0", -5.0))  # only the copies gain
    assert track_record(unlike).gain == 0 < track_record(unlike).gain_of_oracle


def test_suites_that_read_files_of_one_folder_are_of_one_data_set():
    def folders(value):
        if isinstance(value, dict):
            return {folder for one in value.values() for folder in folders(one)}
        if isinstance(value, list):
            return {folder for one in value for folder in folders(one)}
        return {value.split("/")[0]} if isinstance(value, str) and re.fullmatch(r"[a-z0-9_]+(/[\w.-]+)+", value) else set()

    sets_of: dict[str, set[str]] = {}
    for file in SUITES.glob("*.toml"):
        declared = tomllib.loads(file.read_text(encoding="utf-8"))
        if declared.get("data", {}).get("reader") != "datasets":  # whose paths are those of a hub
            for folder in folders([declared.get("data", {}), declared["domains"]]) - {"weights", "word_vectors"}:
                sets_of.setdefault(folder, set()).add(data_set_of(declared["name"]))
    assert len(sets_of) > 15 and {folder: names for folder, names in sets_of.items() if len(names) > 1} == {}
    assert {suite for suite in DATA_SETS if not (SUITES / f"{suite}.toml").is_file()} == set()


def test_the_command_on_the_records_on_file(tmp_path):
    words = ["recommend", "quickstart", "--results", str(RESULTS)]
    done = CliRunner().invoke(cli.app, words)
    assert (
        done.exit_code == 0
        and "record: each suite from other data sets" in done.stdout
        and "best trivial choice" in done.stdout
    )
    content = json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout)
    assert 0 <= content["record"]["right"] <= content["record"]["suites"]
    assert content["record"]["gain_of_oracle"] >= content["record"]["gain"]
    nothing = CliRunner().invoke(cli.app, ["recommend", "quickstart", "--results", str(tmp_path)])
    assert nothing.exit_code == 0 and "cannot tell" in nothing.stdout


def test_no_records_have_no_deltas():
    from tlbench import reports

    assert deltas(reports.frame([])).empty
