"""Selection rules on positions: what is stored of candidates, and that it belongs to the stored predictions."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import torch
from tagged_files import NET, suite_of, write_tagged

from tlbench import engine, records, reports, runner, selection
from tlbench.checks.candidates import candidate_errors
from tlbench.engine.candidates.samples import POSITIONS
from tlbench.runner.plan import with_files

METHODS = ("source_only", "dann", "tent")
SENTENCES = 40


def run(root, *, target_lines=None, checkpoints=2):
    write_tagged(root, SENTENCES)
    if target_lines is not None:
        file = root / "mail.tsv"
        file.write_text(target_lines(file.read_text(encoding="utf-8")), encoding="utf-8")
    protocol = {"task": "tokens", "grants": ["source", "target", "stream"], "source_held_out": 0.5, "seeds": [0]}
    train = {"steps": 20, "batch": 4, "positions": 4, "lr": 0.03}
    more = {"selection": {"checkpoints": checkpoints}} if checkpoints else {}
    methods = {name: {} for name in METHODS}
    suite = with_files(suite_of(net=NET, protocol=protocol, train=train, methods=methods, **more), root, list(METHODS))
    loaded = runner.load_domains(suite, ["news", "mail"], root)
    domains = {name: dataclasses.replace(domain, fingerprint=name) for name, domain in loaded.items()}  # seeds follow from it
    engine.check_pairs(suite, domains, suite.pairs)
    return {case.entry: engine.run_case(case, suite, domains, torch.device("cpu")) for case in suite.cases()}


def arrays(record):
    names = record.scores.label_free_facts, record.scores.sealed_facts
    return [dict(np.load(io.BytesIO(record.attached_facts[name]), allow_pickle=False)) for name in names]


def test_facts_are_of_fixed_positions_of_each_sample(tmp_path):
    by_name = run(tmp_path)
    plain = run(tmp_path, checkpoints=0)
    for name in ("source_only", "dann"):
        facts, sealed = arrays(by_name[name])
        assert facts["target_outputs"].shape == (2, SENTENCES * POSITIONS, 6), "five tags and the level"
        assert facts["source_outputs"].shape[1] == len(facts["source_labels"]) == SENTENCES // 2 * POSITIONS
        assert sealed["predicted"].shape == (2, SENTENCES * POSITIONS) and "mixed_classes" not in facts
        assert all(np.isfinite(facts[f"rule_{rule}"]).all() for rule in ("class_ami", "rank_me", "dev"))
        logits = facts["target_outputs"].astype(float)[-1]
        assert np.array_equal((logits[:, :-1] + logits[:, -1:]).argmax(1), sealed["predicted"][-1])
        assert selection.score("im", target_logits=logits[:, :-1]) > 0
        records.append(tmp_path / "results", by_name[name])
        assert [*candidate_errors(tmp_path / "results", by_name[name])] == []
        named = {"label_free_facts": None, "sealed_facts": None}
        assert by_name[name].scores.model_copy(update=named) == plain[name].scores
    stored = list(records.iterate_records(tmp_path / "results", ()))
    chosen = reports.rule_selections(tmp_path / "results", stored)
    assert {"im", "entropy", "dev", "k_labels_5", "last"} <= set(chosen["rule"])


def test_tags_of_the_target_change_nothing_that_a_rule_reads(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    first = run(tmp_path / "one")["dann"]
    swapped = run(
        tmp_path / "other", target_lines=lambda text: text.replace("NOUN", "Y").replace("VERB", "NOUN").replace("Y", "VERB")
    )
    assert first.status == "done"
    assert first.scores.label_free_facts == swapped["dann"].scores.label_free_facts
    assert first.scores.sealed_facts != swapped["dann"].scores.sealed_facts
