"""Lines of earlier schemas: they load, they are copied byte by byte, and they state the same facts as today's lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_suite import CPU, blobs, case, domain, record, suite

from tlbench import engine, records
from tlbench.errors import TlbenchError
from tlbench.records import merge
from tlbench.terms import SCHEMA, Cost, Machine, Record, Scores

GOLDEN = Path(__file__).parents[1] / "golden"
OLD_LINES = {
    number: (GOLDEN / f"record_schema{number}.jsonl").read_text(encoding="utf-8").strip() for number in range(1, SCHEMA)
}
LATER_KEYS = {
    *("sweep_levels", "backbone", "weights", "plugins", "engine", "trainable_parameters", "adapter_bytes"),
    *("online_accuracy", "stream_peak_memory_bytes"),
    *("label_set", "h_score", "known_accuracy", "unknown_accuracy", "weights_source"),
    *("per_task", "task_score", "label_free_facts", "sealed_facts", "selection_seconds"),
    *("model", "entity_f1", "per_entity_f1", "mean_iou", "dice", "scored_positions", "exact_match", "answer_f1", "positions"),
}
"""Optional fields that came after schema 2."""
OLD_KINDS = {"deep": "trained", "shallow": "solved"}


def old_line(number: int = 0, schema: int = 2, **changes) -> tuple[str, Record]:
    """A line as an earlier schema wrote it, and the record of today with the same facts."""
    kind = changes.pop("kind", "deep")
    today = record(number, kind=kind, reads=("source", "target", "target_labeled"), **changes)
    facts = json.loads(records.to_line(today))
    facts |= {"schema": schema, "kind": OLD_KINDS[kind], "reads": ["source", "target", "few"]}
    return json.dumps(facts, ensure_ascii=False), today


def write_lines(results: Path, *lines: str) -> Path:
    file = records.file_of(results, "tiny", "source_only")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return results


def test_a_line_of_schema_2_loads_with_the_words_of_today():
    facts, loaded = json.loads(OLD_LINES[2]), records.from_line(OLD_LINES[2])
    assert (facts["schema"], facts["kind"], facts["reads"]) == (2, "trained", ["few"])
    assert (loaded.schema_, loaded.kind, loaded.reads) == (2, "deep", ("target_labeled",))
    assert loaded.entry == facts["row"] and loaded.reason is facts["why"] is None
    assert loaded.machine.concurrent_cases == facts["machine"]["places"]
    assert loaded.scores.scored_samples == facts["scores"]["scored_rows"]
    assert loaded.cost.step_optimizer_seconds == facts["cost"]["step_optimiser_seconds"]
    unchanged = {key: value for key, value in facts.items() if key not in {"schema", "kind", "reads"}}
    written = json.loads(records.to_line(loaded))
    assert written["code"].pop("engine") is written["weights"] is written["backbone"] is written["plugins"] is None
    for block in ("scores", "cost"):
        later = {key: value for key, value in written[block].items() if key in LATER_KEYS}
        assert set(later.values()) == {None}
        written[block] = {key: value for key, value in written[block].items() if key not in later}
    assert {key: written[key] for key in unchanged} == unchanged


@pytest.mark.parametrize("schema", range(1, SCHEMA))
@pytest.mark.parametrize("kind", OLD_KINDS)
def test_kinds_and_splits_of_every_earlier_schema(schema, kind):
    line, today = old_line(schema=schema, kind=kind)
    assert records.from_line(line) == today.model_copy(update={"schema_": schema})
    assert records.from_line(OLD_LINES[schema]).kind == "deep"


def test_new_lines_keep_their_json_keys():
    """Attributes have the field's words; the keys in files stay those of the first records."""
    line = records.to_line(
        record(
            reason="The case failed.",
            kind="shallow",
            reads=("source", "target_labeled"),
            scores=Scores(scored_samples=7),
            cost=Cost(step_optimizer_seconds=0.5),
            machine=Machine(device="cpu", torch="2", concurrent_cases=3),
        )
    )
    facts = json.loads(line)
    assert (facts["schema"], facts["row"], facts["why"]) == (SCHEMA, "source_only", "The case failed.")
    assert (facts["kind"], facts["reads"]) == ("shallow", ["source", "target_labeled"])
    assert facts["scores"]["scored_rows"] == 7 and facts["machine"]["places"] == 3
    assert facts["cost"]["step_optimiser_seconds"] == 0.5
    assert not {"entry", "reason"} & set(facts) and "scored_samples" not in facts["scores"]
    assert "concurrent_cases" not in facts["machine"] and "step_optimizer_seconds" not in facts["cost"]
    old_keys, new_keys = ({**json.loads(one)} for one in (OLD_LINES[2], line))
    assert list(old_keys) == [key for key in new_keys if key not in LATER_KEYS]
    for block in ("scores", "cost", "machine", "code"):
        assert list(old_keys[block]) == [key for key in new_keys[block] if key not in LATER_KEYS]


@pytest.mark.parametrize(
    "wrong",
    [
        {"backbone": ""},
        {"backbone": "x" * 501},
        {"weights": {"file:a.pth": "0" * 63}},
        {"weights": {"file:a.pth": "G" * 64}},
        {"weights": {"": "0" * 64}},
        {"plugins": {"mine": "dirty"}},
        {"plugins": {"mine": "version "}},
        {"code": {"tlbench": "0", "engine": 0}},
        {"code": {"tlbench": "0", "engine": 2**63}},
    ],
    ids=str,
)
def test_fields_of_contents_have_ranges(wrong):
    facts = json.loads(records.to_line(record()))
    right = {"backbone": "mlp", "weights": {"file:a.pth": "0" * 64}, "plugins": {"mine": "version 1"}}
    assert records.from_line(json.dumps(facts | right)).weights == right["weights"]
    with pytest.raises(TlbenchError, match=next(iter(wrong))):
        records.from_line(json.dumps(facts | wrong))


def test_a_case_writes_the_kinds_of_today():
    domains = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2))}
    chosen = suite(methods={"source_only": {}, "nearest_neighbor": {}})
    for name, kind in (("source_only", "deep"), ("nearest_neighbor", "shallow")):
        facts = json.loads(records.to_line(engine.run_case(case(name), chosen, domains, CPU)))
        assert (facts["schema"], facts["kind"], facts["row"]) == (SCHEMA, kind, name)


def test_a_merge_copies_old_lines_byte_by_byte(tmp_path):
    lines = [old_line(number, schema)[0].replace('": ', '":  ') for number, schema in ((0, 1), (1, 2))]
    source, out = write_lines(tmp_path / "source", *lines), tmp_path / "out"
    assert merge.merge([source], out).written == 2
    assert records.file_of(out, "tiny", "source_only").read_text(encoding="utf-8") == "".join(f"{line}\n" for line in lines)
    assert merge.merge([source], out).already_present == 2


def test_the_lines_of_a_record_in_two_schemas_are_one_fact(tmp_path):
    old, today = old_line(0)
    new = records.to_line(today)
    for number, (first, second) in enumerate(((old, new), (new, old))):
        out = write_lines(tmp_path / f"out{number}", first)
        source = write_lines(tmp_path / f"source{number}", second)
        merged = merge.merge([source], out)
        assert (merged.written, merged.already_present, merged.conflicts) == (0, 1, ())
        assert records.file_of(out, "tiny", "source_only").read_text(encoding="utf-8") == f"{first}\n"
    loaded = [records.from_line(line) for line in (old, new)]
    assert merge.conflicts(loaded) == []
    assert "with the same scores" in merge.differences(*loaded)
    better = records.to_line(today.model_copy(update={"scores": Scores(target_accuracy=0.75)}))
    merged = merge.merge([write_lines(tmp_path / "better", better)], out)
    assert merged.written == 1 and len(merged.conflicts) == 1


def test_a_log_takes_an_old_line_for_the_record_of_its_case(tmp_path):
    line, today = old_line(0)
    log = records.ResultsLog(write_lines(tmp_path), "tiny")
    assert log.read_new("source_only") == []
    write_lines(tmp_path, line)
    stands = log.append(today)
    assert (stands.schema_, stands.identity) == (2, today.identity)
    assert len(records.read_all(tmp_path)) == 1
