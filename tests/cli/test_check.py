"""`tlbench new` and `tlbench check`: templates that work, and files that pass the contract checks."""

from __future__ import annotations

from command_line import tlbench
from plugin_files import HEADER, LOOKS, LOOKS_AT

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
