"""Records as JSON lines: no record that was written is lost, and broken lines are reported."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys

import pytest
from tiny_suite import CPU, blobs, case, domain, record, suite

from tlbench import engine, records
from tlbench.errors import TlbenchError
from tlbench.records import append, file_of, from_line, prepare, read, read_all, to_line
from tlbench.runner import plan
from tlbench.terms import SCHEMA, Cost, Record, Scores, TracePoint

TEXTS = [
    "plain",
    "two\nlines\rand\r\nmore",
    "unicode line ends \u2028 \u2029 \x85 \x0b \x0c \x1c",
    'é ü 漢字 🙂 " \\ / \t',
    "\x00 \x1b[31m",
    "",
    "{}\n{}",
]


@pytest.mark.parametrize("why", TEXTS, ids=ascii)
def test_round_trip_in_one_line(tmp_path, why):
    trace = [TracePoint(step=3, loss=0.1 + 0.2, target_entropy=1e-300)]
    scores = Scores(target_accuracy=1 / 3, per_class_accuracy={"a\u2028b": 0.5, "": None}, trace=trace)
    written = record(7, status="failed", reason=why, scores=scores, options={"weight": 0.1, "name": why, "list": [1, None]})
    line = to_line(written)
    assert "\n" not in line and "\r" not in line
    assert from_line(line) == written
    assert json.loads(line)["schema"] == SCHEMA
    append_all(tmp_path, written, record(8))
    assert read_all(tmp_path) == [written, record(8)]


def append_all(results, *some):
    for one in some:
        (results / one.suite).mkdir(parents=True, exist_ok=True)
        append(results, one)


def test_append_keeps_the_bytes_before(tmp_path):
    file = file_of(tmp_path, "tiny", "source_only")
    assert file == tmp_path / "tiny" / "source_only.jsonl"
    before = b""
    for number in range(5):
        append_all(tmp_path, record(number))
        now = file.read_bytes()
        assert now.startswith(before) and now.endswith(b"\n") and now.count(b"\n") == number + 1
        before = now
    prepare(tmp_path, "tiny")
    assert file.read_bytes() == before
    assert [r.seed for r in read(file)] == list(range(5))


def test_records_of_entries_and_suites_are_in_their_own_files(tmp_path):
    append_all(tmp_path, record(1), record(2, entry="coral"), record(3, suite="other"))
    assert [r.seed for r in read_all(tmp_path)] == [3, 2, 1]
    assert [r.seed for r in read_all(tmp_path, ("tiny",))] == [2, 1]
    assert read_all(tmp_path / "none") == []


def test_a_number_that_is_none_is_never_written():
    for value in (float("nan"), float("inf"), -float("inf")):
        for make in (lambda v: Scores(macro_f1=v), lambda v: Cost(train_seconds=v), lambda v: TracePoint(step=1, loss=v)):
            with pytest.raises(ValueError, match="finite"):
                make(value)
        assert not {"NaN", "Infinity"} & set(to_line(record(options={"weight": value})).replace(",", " ").split())
    line = to_line(record()).replace('"macro_f1": null', '"macro_f1": NaN')
    with pytest.raises(TlbenchError, match=r"Not a record: scores\.macro_f1 = nan should be a finite number"):
        from_line(line)


def test_what_was_not_measured_is_null():
    facts = json.loads(to_line(record()))
    assert facts["cost"] == dict.fromkeys(facts["cost"])
    assert facts["scores"]["macro_f1"] is None and facts["why"] is None


# --- broken files ---------------------------------------------------------------------------------------------------


def test_a_last_line_that_is_torn_anywhere_is_set_aside(tmp_path, monkeypatch):
    """Within texts of several bytes, at both ends and at every seventh byte: nothing before it is lost, the torn line is moved
    to a file beside, and a warning says so."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a thousand waits for the disk show nothing more
    append_all(tmp_path, record(0), record(1), record(2, status="failed", reason="é \u2028 漢 🙂"))
    file = file_of(tmp_path, "tiny", "source_only")
    content = file.read_bytes()
    start = content.rstrip(b"\n").rindex(b"\n") + 1
    whole = content[:start]
    ends = {*range(start, start + 20), *range(start, len(content), 7), *range(len(content) - 20, len(content) + 1)}
    ends |= {number for number in range(start, len(content)) if content[number] > 127 or content[number - 1] > 127}
    for end in sorted(ends):
        file.write_bytes(content[:end])
        warnings: list[str] = []
        prepare(tmp_path, "tiny", warnings.append)
        beside = sorted(file.parent.glob("*.broken-*"))
        if start < end < len(content) - 1:
            assert file.read_bytes() == whole
            assert [b.read_bytes() for b in beside] == [content[start:end]]
            assert len(warnings) == 1 and "The last line is broken" in warnings[0] and beside[0].name in warnings[0]
            assert str(file) in warnings[0] and "runs again" in warnings[0]
        else:  # nothing of the line, or all of it with or without its end
            assert file.read_bytes() == (whole if end == start else content)
            assert not beside and not warnings
        assert [r.seed for r in read(file)] == [0, 1, 2][: file.read_bytes().count(b"\n")]
        for one in beside:
            one.unlink()
    assert sorted(p.name for p in file.parent.iterdir()) == [".lock", "source_only.jsonl"]


def test_broken_lines_do_not_replace_each_other(tmp_path):
    append_all(tmp_path, record(0))
    file = file_of(tmp_path, "tiny", "source_only")
    for n in (1, 2, 3):
        with file.open("ab") as handle:
            handle.write(b'{"schema": 1, "torn": %d' % n)
        prepare(tmp_path, "tiny")
    torn = [file.with_name(f"{file.name}.broken-{n}").read_bytes()[-1:] for n in (1, 2, 3)]
    assert torn == [b"1", b"2", b"3"] and len(read(file)) == 1


def test_a_file_that_is_torn_in_its_only_line(tmp_path):
    file = file_of(tmp_path, "tiny", "source_only")
    file.parent.mkdir()
    file.write_bytes(to_line(record()).encode()[:50])
    warnings: list[str] = []
    prepare(tmp_path, "tiny", warnings.append)
    assert file.read_bytes() == b"" and len(warnings) == 1 and read(file) == []
    append(tmp_path, record(1))
    assert [r.seed for r in read(file)] == [1]


def test_the_case_of_a_torn_line_runs_again(tmp_path):
    chosen = suite(methods={"nearest_neighbor": {}}, protocol={"seeds": [0, 1], "baseline": "nearest_neighbor"})
    domains = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2))}
    for seed in (0, 1):
        append_all(tmp_path, engine.run_case(case("nearest_neighbor", seed=seed), chosen, domains, CPU))
    file = file_of(tmp_path, "tiny", "nearest_neighbor")

    def left(patch):
        patch.setattr(plan, "load_domains", lambda *rest, **options: domains)
        run = plan.plan_run(chosen, tmp_path, tmp_path)
        return [c.seed for c in run.pending], [r.seed for r in run.on_file]

    with pytest.MonkeyPatch.context() as patch:
        assert left(patch) == ([], [0, 1])
        file.write_bytes(file.read_bytes()[:-20])
        prepare(tmp_path, "tiny")
        assert left(patch) == ([1], [0])
        (first,) = read(file)
        again = Record(**{**dict(first), "seed": 1, "status": "failed", "reason": "it diverged", "scores": Scores()})
        append(tmp_path, again.model_copy(update={"identity": first.identity[::-1]}))
        assert left(patch) == ([1], [0])  # another identity: the case was asked in another way
        second = engine.identity(case("nearest_neighbor", seed=1), chosen, first.data)
        append(tmp_path, again.model_copy(update={"identity": second}))
        assert left(patch) == ([1], [0])  # a failed case is tried again
        append(tmp_path, again.model_copy(update={"identity": second, "status": "skipped"}))
        assert left(patch) == ([], [0, 1])


def test_a_line_that_is_broken_in_the_middle_is_named(tmp_path):
    append_all(tmp_path, *(record(n) for n in range(4)))
    file = file_of(tmp_path, "tiny", "source_only")
    lines = file.read_bytes().splitlines()
    lines[1], lines[2] = lines[1][:40], lines[2].replace(b'"done"', b'"finished"')
    file.write_bytes(b"\n".join(lines) + b"\n")
    before = file.read_bytes()
    prepare(tmp_path, "tiny")
    assert file.read_bytes() == before  # only a last line can be a write that was cut off
    with pytest.raises(TlbenchError) as raised:
        read(file)
    said = str(raised.value)
    assert said.startswith(f"{file}:\n  line 2: Not JSON") and "\n  line 3: Not a record: status: " in said
    assert len(said.splitlines()) == 3


def test_a_file_of_rubbish_is_cut_short(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text("rubbish\n" * 50)
    with pytest.raises(TlbenchError, match="and 30 more"):
        read(file)
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(TlbenchError, match="The file can't be read"):
        read(file)
    with pytest.raises(TlbenchError, match="There is no results file"):
        read(tmp_path / "none.jsonl")
    file.write_text("\n\n" + to_line(record()) + "\n\n")
    assert len(read(file)) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '{"schema": 99, "anything": "at all"}',
            f"Schema 99 is of a later tlbench; this one reads schemas up to {SCHEMA}. Install the later one.",
        ),
        ("{}", "Not a record: it has no schema number"),
        ("[1]", "Not a record"),
        ('{"schema": "1"}', "no schema number"),
        ('{"schema": 1}', "Not a record: The key 'suite' is missing. The key 'suite_version' is missing."),
        ("", "Not JSON"),
        (to_line(record()).replace('"seed": 0', '"seed": "zero"'), "Not a record: seed = 'zero' should be a valid integer"),
        (
            to_line(record()).replace('"seed": 0', '"sed": 0, "seed": 0'),
            "record: Unknown key 'sed'. Did you mean 'seed'?",
        ),
        (
            to_line(record()).replace('"row": ', '"rows": '),
            "The key 'row' is missing.* Unknown key 'rows'. Did you mean 'row'?",
        ),
        (to_line(record()).replace('"places": ', '"place": '), "machine: Unknown key 'place'. Did you mean 'places'?"),
    ],
    ids=lambda text: text[:30],
)
def test_a_line_that_is_no_record_says_why(line, words):
    with pytest.raises(TlbenchError, match=words):
        from_line(line)


def test_a_directory_that_takes_no_files(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TlbenchError, match=r"results directory .*: .*\. Choose another with --results DIR"):
        prepare(tmp_path / "file", "tiny")
    with pytest.raises(TlbenchError, match=r"The record can't be written: "):
        append(tmp_path / "file", record())


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    append_all(tmp_path, record(0))
    file = file_of(tmp_path, "tiny", "source_only")
    before, write = file.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:30]))
    with pytest.raises(TlbenchError, match="No space left on device"):
        append(tmp_path, record(1))
    monkeypatch.undo()
    assert file.read_bytes() == before


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    if sys.platform == "win32":
        pytest.skip("spawn of pytest's own main")
    (tmp_path / "tiny").mkdir()
    some = [(tmp_path, record(number, reason="x" * 5000)) for number in range(100)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(append, some, chunksize=1)
        pool.close()
        pool.join()
    written = read(file_of(tmp_path, "tiny", "source_only"))
    assert sorted(r.seed for r in written) == list(range(100))


def test_a_torn_line_of_another_process_is_set_aside_before_the_next_record(tmp_path):
    records.append(tmp_path, record(1))
    file = records.file_of(tmp_path, "tiny", "source_only")
    with file.open("ab") as torn:
        torn.write(b'{"suite": "ti')
    records.append(tmp_path, record(2))
    assert [one.seed for one in read(file)] == [1, 2]
    assert file.with_name(f"{file.name}.broken-1").read_bytes() == b'{"suite": "ti'
