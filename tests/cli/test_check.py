"""`tlbench new` and `tlbench check`: templates that work, and files that pass the contract checks."""

from __future__ import annotations

from pathlib import Path

from command_line import tlbench
from plugin_files import HEADER, LOOKS, LOOKS_AT
from tiny_suite import SUITE, write_domains

from tlbench import records


def test_a_new_method_and_a_new_suite_work_at_once(tmp_path):
    assert tlbench("new", "method", "my_method", cwd=tmp_path).returncode == 0
    assert tlbench("new", "suite", "my_suite", cwd=tmp_path).returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my_method.py", "my_suite.toml"]
    file = tmp_path / "my_suite.toml"
    text = file.read_text().replace("steps = 300", "steps = 5").replace("seeds = [0, 1, 2]", "seeds = [0]")
    file.write_text(text + "[methods.my_method]\nweight = 0.3\n")
    check = tlbench("check", "my_method.py", cwd=tmp_path)
    run = tlbench("run", "my_suite.toml", "--plugin", "my_method.py", cwd=tmp_path)
    assert check.returncode == 0, check.stderr
    assert check.stdout.count("ok  ") >= 10 and "ok  The result depends on every split that `reads` names" in check.stdout
    assert run.returncode == 0, run.stderr
    on_file = records.read(tmp_path / "results" / "my_suite" / "my_method.jsonl")
    assert [(r.status, r.options) for r in on_file] == [("done", {"weight": 0.3})]
    assert "my_method" in run.stdout
    listed = tlbench("list", "methods", "--plugin", "my_method.py", cwd=tmp_path)
    assert "my_method" in listed.stdout and "MyMethod: say here" in listed.stdout


def test_check_names_the_line_of_a_host_device_synchronisation(tmp_path):
    (tmp_path / "looks.py").write_text(HEADER.format(name="looks") + LOOKS)
    done = tlbench("check", "looks.py", cwd=tmp_path)
    note = (
        f"note: a step reads a value at {LOOKS_AT}; on a GPU it is a host-device synchronisation, and prevents a CUDA graph\n"
    )
    assert (done.returncode, done.stderr) == (
        0,
        note,
    ) and "ok  Two runs of the same case give the same predictions" in done.stdout


def test_a_template_overwrites_nothing(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1\n")
    done = tlbench("new", "method", "mine", cwd=tmp_path)
    assert (
        done.returncode == 2
        and done.stderr == "tlbench: mine.py exists already, and nothing was written. Choose another name.\n"
    )
    assert (tmp_path / "mine.py").read_text() == "x = 1\n"
    done = tlbench("new", "suite", "../Mine", cwd=tmp_path)
    assert done.returncode == 2 and "use lower-case letters" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.py"]


def test_checks_of_valid_files(first_run):
    suite = tlbench("check", "tiny.toml", cwd=first_run[0])
    results = tlbench("check", "results/tiny/coral.jsonl", cwd=first_run[0])
    assert suite.returncode == 0 and "Suite tiny has 2 domains, 1 pair, 5 methods" in suite.stdout
    assert results.returncode == 0 and results.stdout == "ok  The records are plausible: 1 in all, 1 done.\n"


BAD = 'class Bad(DeepMethod):\n    reads = frozenset({{"source"}})\n    def loss(self, step):\n        return {}\n'
"""A method whose loss is an expression, in line `BAD_LINE` of a file with the header."""
BAD_LINE = HEADER.count("\n") + 4


def write_bad(folder: Path, body: str) -> None:
    """A plugin file bad.py, and the tiny suite with it."""
    write_domains(folder)
    (folder / "bad.py").write_text(HEADER.format(name="bad") + body)
    (folder / "tiny.toml").write_text(SUITE + "[methods.bad]\n")


def test_a_failing_check_names_the_line_once_and_what_passes(tmp_path):
    write_bad(tmp_path, BAD.format("F.linear(step.source.x, step.target).sum()"))
    done = tlbench("check", "bad.py", cwd=tmp_path)
    first, reason = done.stderr.splitlines()
    assert done.returncode == 2 and first == f"tlbench: bad.py:{BAD_LINE - 3}: method bad:"
    assert reason.startswith("  predicts_finite_scores and ") and " more checks: TypeError: linear(): " in reason
    assert reason.endswith(
        f" (bad.py:{BAD_LINE}). step.target is None because `reads` lacks 'target'. Add 'target' to `reads`."
    )
    assert done.stdout.startswith("ok  The file defines one method with a docstring")
    with_debug = tlbench("check", "bad.py", "--debug", cwd=tmp_path)
    assert with_debug.returncode == 2 and "Traceback (most recent call last):" in with_debug.stderr
    assert f'bad.py", line {BAD_LINE}, in loss' in with_debug.stderr


def test_reads_that_is_no_set_is_one_sentence(tmp_path):
    write_bad(tmp_path, BAD.format("self.supervised(step)").replace('frozenset({"source"})', '"source"'))
    plugin = ("--plugin", "bad.py")
    for words in (("check", "bad.py"), ("run", "tiny.toml", *plugin), ("check", "tiny.toml", *plugin)):
        done = tlbench(*words, cwd=tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr, words
        assert done.stderr.count("Bad.reads = 'source' is no set. Write reads = frozenset({'source'}).") == 1, done.stderr


def test_an_import_that_fails_names_its_line(tmp_path):
    for name, text, words in (
        ("exits", '"""A method."""\nimport sys; sys.exit(3)', "SystemExit: 3 (line 2)"),
        (
            "untyped",
            HEADER.format(name="untyped") + "class U(DeepMethod):\n    weight = Field(1.0)\n",
            "TypeError: The option 'weight' has no type",
        ),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        done = tlbench("check", f"{name}.py", cwd=tmp_path)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_run_prints_the_traceback_on_request(tmp_path):
    write_bad(tmp_path, BAD.format("1 / 0"))
    words = ("run", "tiny.toml", "--plugin", "bad.py", "--method", "bad", "--device", "cpu", "--no-tables")
    for options in ((), ("--debug", "--json")):
        done = tlbench(*words, *options, cwd=tmp_path)
        assert done.returncode == 1
        assert f"ZeroDivisionError: division by zero (bad.py:{BAD_LINE})" in (done.stdout if options else done.stderr)
        assert (f'bad.py", line {BAD_LINE}, in loss' in done.stderr) == bool(options), done.stderr
