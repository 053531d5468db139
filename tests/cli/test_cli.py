"""The command line as a user meets it: real processes on a tiny suite, and every mistake with its exit code and its words."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from command_line import command_server, fresh_tlbench, tlbench
from plugin_files import HEADER, LOOKS, LOOKS_AT
from tiny_suite import SUITE, blobs, record, write_domains

from tlbench import records
from tlbench.terms import Scores

Done = subprocess.CompletedProcess

FOUR = (
    SUITE
    + """
[methods.strong]
method = "coral"
weight = 5.0
[methods.nearest_neighbor]
[methods.target_only]
"""
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, Done]:
    """A folder where a suite has run once, and how that run ended. Tests only read in it."""
    folder = tmp_path_factory.mktemp("ran")
    write_domains(folder)
    (folder / "tiny.toml").write_text(FOUR)
    return folder, fresh_tlbench("run", "tiny.toml", cwd=folder)


@pytest.fixture
def again(ran, tmp_path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(ran[0], tmp_path / "again"))


def rows(folder: Path) -> dict[str, list]:
    """Status of the records on file, by row."""
    found = records.read_all(folder / "results")
    return {row: [r.status for r in found if r.entry == row] for row in dict.fromkeys(r.entry for r in found)}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((folder / "results" / "tiny").glob("*.jsonl*"))}


# --- the whole way --------------------------------------------------------------------------------------------------


def test_a_run(ran):
    folder, done = ran
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("tiny: 5 cases to run on cpu, 0 on file; started ")
    assert lines[1].startswith("[1/5] source_only a:b seed 0: accuracy ") and " samples/s" in lines[1]
    assert (
        lines[-1] == "[5/5] skipped: target_only a:b seed 0: target_only reads target_labeled, which the suite does not grant"
    )
    assert "left" in lines[1] and len(lines) == 6
    assert rows(folder) == {
        "coral": ["done"],
        "nearest_neighbor": ["done"],
        "source_only": ["done"],
        "strong": ["done"],
        "target_only": ["skipped"],
    }
    for title in ("Target accuracy", "delta against source_only", "throughput"):
        assert title in done.stdout
    for row in rows(folder):
        assert row in done.stdout
    for name in rows(folder):
        file = folder / "results" / "tiny" / f"{name}.jsonl"
        assert [r.entry for r in records.read(file)] == [name]
    (strong,) = records.read(folder / "results" / "tiny" / "strong.jsonl")
    assert (strong.method, strong.options) == ("coral", {"weight": 5.0})
    # the first optimizer of a process imports much of torch: seconds that no case is billed for
    (first,) = records.read(folder / "results" / "tiny" / "source_only.jsonl")
    assert first.cost.train_seconds < 0.5


def test_a_second_run_runs_nothing(ran, ended):
    folder, done = ended["the same again"]
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr == "tiny: nothing to run, 5 cases are on file\n"
    assert bytes_of(folder) == bytes_of(ran[0])


def test_filters_choose_cases_and_data_come_from_elsewhere(ran, ended):
    folder, done = ended["filters"]
    assert done.returncode == 0, done.stderr
    assert "2 cases to run on cpu, 2 on file" in done.stderr
    before, after = bytes_of(ran[0]), bytes_of(folder)
    for name in ("coral.jsonl", "strong.jsonl"):
        assert after.pop(name).startswith(before.pop(name))
        assert [r.seed for r in records.read(folder / "results" / "tiny" / name)] == [0, 5]
    assert after == before


def test_a_plan_says_what_would_run_and_writes_nothing(ended):
    folder, done = ended["a plan"]
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny: 4 cases to run, 0 on file\n")
    assert "strong" in done.stdout and "a:b" in done.stdout and "\nabout " in done.stdout
    assert "cases could not be estimated" in done.stdout
    assert sorted(p.name for p in folder.iterdir()) == ["a.npz", "b.npz", "tiny.toml"]


def test_a_terminal_gets_a_bar(again):
    shutil.rmtree(again / "results")
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "tlbench", "run", "tiny.toml"],
        cwd=again,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "160"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    out = done.communicate(timeout=60)[0].decode()
    text = shown.decode()
    assert done.returncode == 0, text
    assert "5/5" in text and "Traceback" not in text and "tiny" in text and "━" in text
    assert "Target accuracy" in out and rows(again)["strong"] == ["done"]


# --- reading results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "format"),
    [("accuracy", "markdown"), ("transfer", "latex"), ("throughput", "csv"), ("all", "json"), ("all", "text")],
)
def test_a_report(ran, table, format):
    done = tlbench("report", "tiny", "--table", table, "--format", format, cwd=ran[0])
    assert done.returncode == 0 and done.stderr == ""
    names = ("source_only", "nearest_neighbor") if table != "transfer" else ("nearest_neighbor",)
    shown = done.stdout.replace("\\_", "_")
    assert all(name in shown for name in names)
    if format == "markdown":
        assert "| source_only" in shown and "|--" in shown.replace(" ", "").replace(":", "-")
        assert "delta" not in shown.lower()
    if format == "latex":
        assert "\\begin{tabular}" in shown and "\\end{tabular}" in shown
    if format == "csv":
        lines = list(csv.reader(io.StringIO(shown.strip())))
        assert len({len(line) for line in lines}) == 1 and len(lines) > 3
    if format == "json":
        assert json.loads(shown)


def test_reports_and_runs_show_the_same_tables(ran):
    folder, done = ran
    assert tlbench("report", cwd=folder).stdout.split() == done.stdout.split()


def test_a_page(ended):
    folder, done = ended["a page"]
    assert done.returncode == 0, done.stderr
    pages = list((folder / "page").rglob("*.html"))
    assert pages and "nearest_neighbor" in pages[0].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("methods", ["dann ", "DANN: features", "source_only", "fine_tune"]),
        ("suites", ["quickstart", "mnist_usps", "office_caltech10_surf"]),
        ("domains", ["quickstart", "upright", "scikit_learn", "idx"]),
        ("backbones", ["lenet", "mlp", "torchvision", "auto"]),
    ],
)
def test_lists(tmp_path, kind, words):
    done = tlbench("list", kind, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert all(word in done.stdout for word in words)
    assert all(line.strip() and len(line.split()) > 1 for line in done.stdout.splitlines())


def test_domains_of_one_suite_of_ones_own(ran):
    done = tlbench("list", "domains", "--suite", "tiny.toml", cwd=ran[0])
    assert [line.split() for line in done.stdout.splitlines()] == [["tiny", "a", "npz"], ["tiny", "b", "npz"]]


def test_help_and_no_words(tmp_path):
    done = fresh_tlbench("--help", cwd=tmp_path)
    assert done.returncode == 0 and all(w in done.stdout for w in ("run", "report", "list", "check", "new"))
    assert tlbench("run", "--help", cwd=tmp_path).returncode == 0


# --- starts and checks ----------------------------------------------------------------------------------------------


def test_a_new_method_and_a_new_suite_work_at_once(tmp_path):
    assert tlbench("new", "method", "my_method", cwd=tmp_path).returncode == 0
    assert tlbench("new", "suite", "my_suite", cwd=tmp_path).returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my_method.py", "my_suite.toml"]
    file = tmp_path / "my_suite.toml"
    text = file.read_text().replace("steps = 300", "steps = 5").replace("seeds = [0, 1, 2]", "seeds = [0]")
    file.write_text(text + "[methods.my_method]\nweight = 0.3\n")
    with ThreadPoolExecutor(2) as pool:
        check, run = pool.map(
            lambda words: tlbench(*words, cwd=tmp_path),
            [("check", "my_method.py"), ("run", "my_suite.toml", "--plugin", "my_method.py")],
        )
    assert check.returncode == 0, check.stderr
    assert check.stdout.count("ok  ") >= 10 and "ok  reads what it says" in check.stdout
    assert run.returncode == 0, run.stderr
    found = records.read(tmp_path / "results" / "my_suite" / "my_method.jsonl")
    assert [(r.status, r.options) for r in found] == [("done", {"weight": 0.3})]
    assert "my_method" in run.stdout
    listed = tlbench("list", "methods", "--plugin", "my_method.py", cwd=tmp_path)
    assert "my_method" in listed.stdout and "MyMethod: say here" in listed.stdout


def test_check_names_the_line_that_a_gpu_waits_for(tmp_path):
    (tmp_path / "looks.py").write_text(HEADER.format(name="looks") + LOOKS)
    done = tlbench("check", "looks.py", cwd=tmp_path)
    note = f"note: a step reads a value at {LOOKS_AT}; a GPU's program waits there, and makes no graph\n"
    assert (done.returncode, done.stderr) == (0, note) and "ok  is deterministic" in done.stdout


def test_a_new_start_overwrites_nothing(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1\n")
    done = tlbench("new", "method", "mine", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == "tlbench: mine.py is there already; nothing was written\n"
    assert (tmp_path / "mine.py").read_text() == "x = 1\n"
    done = tlbench("new", "suite", "../Mine", cwd=tmp_path)
    assert done.returncode == 2 and "use lower-case letters" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.py"]


def test_checks_of_good_files(ended):
    suite, results = ended["check a suite"][1], ended["check results"][1]
    assert suite.returncode == 0 and "suite tiny, 2 domains, 1 pairs, 5 methods" in suite.stdout
    assert results.returncode == 0 and results.stdout == "ok  1 records, 1 done\n"


# --- mistakes -------------------------------------------------------------------------------------------------------


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content, encoding="utf-8") and None


def bad_data(folder: Path) -> None:
    """Seven domains, each broken in its own way."""
    good = blobs(1, 30)
    x, y = good.x.numpy(), good.y.numpy()
    np.savez(folder / "truncated.npz", x=x, y=y)
    whole = (folder / "truncated.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.npz").write_text("x,y\n1,2\n")
    nan, inf = x.copy(), x.copy()
    nan[3, 1], inf[4, 0] = np.nan, np.inf
    np.savez(folder / "nan.npz", x=nan, y=y)
    np.savez(folder / "infinite.npz", x=inf, y=y)
    np.savez(folder / "empty.npz", x=x[:0], y=y[:0])
    np.savez(folder / "unlabelled.npz", x=x)
    np.savez(folder / "lacking.npz", x=x[y != 1], y=y[y != 1])
    names = ("missing", "truncated", "text", "nan", "infinite", "empty", "unlabelled", "lacking")
    domains = "\n".join(f'[domains.{n}]\npath = "{n}.npz"' for n in names)
    domains += "\nclasses = [0, 1, 2]\n"
    head, rest = SUITE.partition("[domains.a]")[0], SUITE.partition("[pairs]")[2].partition("]\n")[2]
    pairs = ", ".join(f'"a:{n}"' for n in names)
    (folder / "bad.toml").write_text(
        f'{head}[domains.a]\npath = "a.npz"\n{domains}\n[pairs]\nlist = [{pairs}]\n{rest}', encoding="utf-8"
    )


def narrow(folder: Path) -> None:
    rows = blobs(2, 30, columns=5)
    np.savez(folder / "b.npz", x=rows.x.numpy(), y=rows.y.numpy())


def broken_middle(folder: Path) -> None:
    (folder / "results" / "tiny").mkdir(parents=True)
    lines = [records.to_line(record(n)) for n in range(3)]
    (folder / "results" / "tiny" / "coral.jsonl").write_text("\n".join([lines[0], lines[1][:50], lines[2], ""]))


def bad_results(folder: Path) -> None:
    lines = [record(0), record(0), record(1, status="failed", scores=Scores()), record(2, entry="coral")]
    (folder / "tiny").mkdir()
    (folder / "tiny" / "source_only.jsonl").write_text("\n".join(map(records.to_line, lines)) + "\n")


BAD_METHOD = HEADER.format(name="idle") + (
    "class Idle(DeepMethod):\n    reads = frozenset({'source', 'target'})\n"
    "    weight: float = Field(1.0, description='of nothing')\n"
    "    def build(self) -> None:\n        self.idle = nn.Linear(2, 2)\n"
    "    def loss(self, step: Step) -> Tensor:\n        return self.supervised(step)\n"
)

WRONG_SUITE = (
    SUITE.replace('name = "tiny"', 'nme = "tiny"')
    .replace("seeds = [0]", 'seeds = [0, 0]\nmetric = "acuracy"\nbaseline = "source_olny"')
    .replace('list = ["a:b"]', 'list = ["a:c", "b:b"]')
    .replace('backbone = "mlp"', 'backbone = "mpl"')
    .replace("steps = 5", 'stepz = 5\nlr = "fast"')
    + "wieght = 1.0\n[methods.corall]\n"
)

MISTAKES: dict[str, tuple[Callable[[Path], None] | None, tuple[str, ...], tuple[str, ...]]] = {
    "no such suite": (None, ("run", "quickstrat"), ("Unknown suite 'quickstrat'. Did you mean 'quickstart'?",)),
    "no such file": (None, ("run", "mine.toml"), ("There is no suite file mine.toml.",)),
    "no TOML": (text("bad.toml", "name = tiny\n"), ("run", "bad.toml"), ("bad.toml: The file is not valid TOML: ", "line 1")),
    "a wrong suite": (
        text("bad.toml", WRONG_SUITE),
        ("run", "bad.toml"),
        (
            *("The key 'name' is missing", "'nme'. Did you mean 'name'?", "Did you mean 'target_accuracy'?"),
            *("A seed appears twice", "Did you mean 'source_only'?", "Unknown domain 'c'. Available: a, b"),
            *("'b:b': A domain appears twice", "Did you mean 'mlp'?", "Did you mean 'steps'?"),
            *("train.lr = 'fast' should be a valid number", "Did you mean 'weight'?", "Did you mean 'coral'?"),
        ),
    ),
    "two suites, one wrong": (
        text("bad.toml", SUITE.replace("coral", "corral")),
        ("run", "tiny.toml", "bad.toml"),
        ("bad.toml:\n  methods.corral: Unknown method 'corral'. Did you mean 'coral'?",),
    ),
    "filters that choose nothing": (
        None,
        ("run", "tiny.toml", "--method", "corl", "--pair", "b:a"),
        (
            "--method: Unknown method entry 'corl' of suite tiny. Did you mean 'coral'?",
            "--pair: Unknown pair 'b:a' of suite tiny",
        ),
    ),
    "no CUDA device": (None, ("run", "tiny.toml", "--device", "cuda"), ("sees no CUDA device here; use auto or cpu",)),
    "results that can't be written": (
        text("results", ""),
        ("run", "tiny.toml"),
        ("results directory results/tiny: ", "choose another with --results DIR"),
    ),
    "bad data": (
        bad_data,
        ("run", "bad.toml"),
        (
            "domains.missing: The file 'missing.npz' is not there in the data root",
            "--data DIR or TLBENCH_DATA",
            "domains.truncated: ",
            "truncated.npz: not a whole npz file",
            "domains.text: ",
            "text.npz: not an npz file",
            "domains.nan: 1 features are NaN or infinite as read, in 1 samples, the first one sample 3",
            "domains.infinite: 1 features are NaN or infinite as read, in 1 samples, the first one sample 4",
            "domains.empty: the domain is empty",
            "domains.unlabelled: ",
            "unlabelled.npz: There is no array 'y'. Available: x",
            "domains.lacking: no row has the class '1'",
        ),
    ),
    "different feature numbers": (narrow, ("run", "tiny.toml"), ("pair a:b: rows of different shape: a [4], b [5]",)),
    "a line that is broken in the middle": (
        broken_middle,
        ("run", "tiny.toml"),
        ("results/tiny/coral.jsonl:\n  line 2: not JSON",),
    ),
    "the same to report": (broken_middle, ("report",), ("coral.jsonl:\n  line 2: not JSON",)),
    "no results": (None, ("report",), ("no results directory results; `tlbench run SUITE --results results`",)),
    "no results of that suite": (
        lambda folder: (folder / "results" / "tiny").mkdir(parents=True),
        ("report", "tyni"),
        ("no records of tyni; there are those of tiny",),
    ),
    "a results file with wrong records": (
        bad_results,
        ("check", "tiny/source_only.jsonl"),
        ("2 records of one case", "record 3: failed without a reason", "record 4: of row 'coral'"),
    ),
    "a method that breaks promises": (
        text("idle.py", BAD_METHOD),
        ("check", "idle.py"),
        (
            "method idle:\n",
            "reads what it says: idle says that it reads ['source', 'target'], its result follows ['source']",
            "parameters that never get a gradient: idle.weight, idle.bias",
        ),
    ),
    "a method that does not import": (
        text("broken.py", "import no_such_module_anywhere\n"),
        ("check", "broken.py"),
        ("plugin ", "broken.py: cannot be imported: ModuleNotFoundError"),
    ),
    "no such plugin": (None, ("run", "tiny.toml", "--plugin", "none.py"), ("plugin none.py: no such Python file",)),
    "nothing to check": (None, ("check", "none.toml"), ("no file none.toml",)),
    "no file of ours to check": (text("x.txt", "x"), ("check", "x.txt"), ("give a suite (.toml), a method (.py)",)),
    "a word that is none": (None, ("report", "--table", "acuracy"), ("acuracy",)),
    "workers that are none": (None, ("run", "tiny.toml", "--workers", "0"), ("neither a number from 1 nor auto",)),
    "an option that is none": (None, ("run", "tiny.toml", "--sed", "1"), ("--sed",)),
    "a seed that is none": (None, ("run", "tiny.toml", "--seed", "one"), ("--seed",)),
}


def elsewhere(folder: Path) -> None:
    (folder / "data").mkdir()
    for name in "ab":
        (folder / f"{name}.npz").rename(folder / "data" / f"{name}.npz")


def tear(folder: Path) -> None:
    file = folder / "results" / "tiny" / "coral.jsonl"
    file.write_bytes(file.read_bytes()[:-100])


def diverge(folder: Path) -> None:
    file = folder / "tiny.toml"
    file.write_text(file.read_text().replace("weight = 5.0", "weight = 1e300"))


STRONG = ("--method", "strong", "--method")
AFTER: dict[str, tuple[Callable[[Path], None] | None, tuple[str, ...]]] = {
    "the same again": (None, ("run", "tiny.toml", "--no-tables")),
    "filters": (
        elsewhere,
        ("run", "tiny.toml", *STRONG, "coral", "--pair", "a:b", "--seed", "5", "--seed", "0", "--data", "data"),
    ),
    "a plan": (
        lambda folder: shutil.rmtree(folder / "results"),
        ("run", "tiny.toml", "--plan", "--seed", "0", "--seed", "3", *STRONG, "nearest_neighbor"),
    ),
    "a torn line": (tear, ("run", "tiny.toml")),
    "divergence": (
        diverge,
        ("run", "tiny.toml", *STRONG, "source_only", "--method", "nearest_neighbor", "--seed", "1"),
    ),
    "a page": (None, ("site", "--out", "page")),
    "check a suite": (None, ("check", "tiny.toml")),
    "check results": (None, ("check", "results/tiny/coral.jsonl")),
}
"""What follows on the first run, each in a copy of its folder."""


@pytest.fixture(scope="module")
def ended(ran, tmp_path_factory) -> dict[str, tuple[Path, Done]]:
    """All of it, two processes at a time: every mistake in a fresh folder, and what follows on the first run."""

    def make(name: str) -> tuple[str, tuple[Path, Done]]:
        folder = folders[name]
        if name in AFTER:
            shutil.copytree(ran[0], folder, dirs_exist_ok=True)
        else:
            write_domains(folder)
            (folder / "tiny.toml").write_text(SUITE)
        prepare, words = (AFTER.get(name) or MISTAKES[name])[:2]
        if prepare is not None:
            prepare(folder)
        return name, (folder, tlbench(*words, cwd=folder))

    folders = {name: tmp_path_factory.mktemp("ended") for name in (*AFTER, *MISTAKES)}
    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(make, folders))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_with_2_and_says_why(ended, name):
    if name == "no CUDA device":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device here")
    folder, done = ended[name]
    assert "Traceback" not in done.stderr
    assert done.returncode == 2, done.stderr
    for words in MISTAKES[name][2]:
        assert words in done.stderr
    if name == "no CUDA device":
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("tlbench: --device cuda")
    if "broken in the middle" not in name and "the same" not in name:
        assert not list(folder.glob("results/*/*.jsonl"))  # nothing has run
    assert done.stdout == ""


# --- cases that go wrong --------------------------------------------------------------------------------------------


def test_a_broken_last_line_is_set_aside_and_its_case_runs_again(ran, ended):
    folder, done = ended["a torn line"]
    assert done.returncode == 0
    assert "coral.jsonl: the last line is broken; it is set aside in coral.jsonl.broken-1" in done.stderr
    assert "1 cases to run on cpu, 4 on file" in done.stderr
    before, after = bytes_of(ran[0]), bytes_of(folder)
    whole = before.pop("coral.jsonl")
    assert after.pop("coral.jsonl.broken-1") == whole[:-100]
    old, new = (records.from_line(text.decode()) for text in (whole, after.pop("coral.jsonl")))
    assert new.scores == old.scores and new.identity == old.identity
    assert after == before and "coral" in done.stdout


def test_a_diverging_row_fails_and_the_others_are_done(ended):
    folder, done = ended["divergence"]
    assert done.returncode == 1
    assert rows(folder)["source_only"] == rows(folder)["nearest_neighbor"] == ["done", "done"]
    assert rows(folder)["strong"] == ["done", "failed"]
    last = records.read(folder / "results" / "tiny" / "strong.jsonl")[-1]
    assert last.reason.startswith("the loss is ") and "lower train.lr or the weight" in last.reason
    assert f"failed: strong a:b seed 1: {last.reason}" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("1 failed; ")
    assert "strong" in done.stdout and "source_only" in done.stdout


SLOW = HEADER + (
    "import os, pathlib, time\n"
    "class Slow(DeepMethod):\n    reads = frozenset({{'source'}})\n"
    "    def loss(self, step: Step) -> Tensor:\n"
    "        if 'SLOW' in os.environ:\n            pathlib.Path(f'pid-{{os.getpid()}}').touch()\n"
    "        time.sleep(float(os.environ.get('SLOW', 0)))\n        return self.supervised(step)\n"
)


@pytest.mark.parametrize(
    ("signals", "slow", "workers", "finished", "code"),
    [
        ([signal.SIGINT], "0.01", 1, ["nearest_neighbor", "slow"], 130),
        ([signal.SIGINT, signal.SIGINT], "0.5", 1, ["nearest_neighbor"], 130),
        ([signal.SIGTERM], "0.5", 1, ["nearest_neighbor"], 143),
        ([signal.SIGINT], "0.015", 2, ["nearest_neighbor", "slow", "slower"], 130),
        ([signal.SIGINT, signal.SIGINT], "0.5", 2, ["nearest_neighbor"], 130),
    ],
    ids=["once", "twice", "SIGTERM", "workers once", "workers twice"],
)
def test_a_run_that_is_stopped_keeps_what_is_finished(tmp_path, signals, slow, workers, finished, code):
    """Ctrl-C once: the running cases end first; twice, or SIGTERM: at once. No worker is left, and the next run goes on."""
    write_domains(tmp_path)
    (tmp_path / "slow.py").write_text(SLOW.format(name="slow"))
    text = SUITE.replace("steps = 5", "steps = 200").partition("[methods.source_only]")[0]
    (tmp_path / "tiny.toml").write_text(
        text.replace("seeds = [0]", 'seeds = [0]\nbaseline = "slow"')
        + "[methods.nearest_neighbor]\n[methods.slow]\n"
        + '[methods.slower]\nmethod = "slow"\n' * (workers > 1)
        + "[methods.coral]\n"
    )
    words = ("run", "tiny.toml", "--plugin", "slow.py", "--no-tables", "--workers", str(workers))
    first = tmp_path / "results" / "tiny" / "nearest_neighbor.jsonl"
    with command_server().begun(*words, cwd=tmp_path, SLOW=slow) as (process, end):
        for _ in range(600):
            if first.is_file() and first.read_bytes().endswith(b"\n") and len([*tmp_path.glob("pid-*")]) == workers:
                break
            time.sleep(0.1)
        for one in signals:
            time.sleep(0.7)  # well inside the slow cases
            os.kill(process, one)
        done = end()
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last == "stopped; every finished case is on file, and the same command goes on from there"
    assert ("press Ctrl-C again to stop at once" in done.stderr) == (signal.SIGINT in signals)
    assert rows(tmp_path) == {row: ["done"] for row in finished}
    clean = {f"{row}.jsonl" for row in finished} | {".lock", "predictions"}
    assert {p.name for p in first.parent.iterdir()} == clean
    assert len(pids := [int(p.name.removeprefix("pid-")) for p in tmp_path.glob("pid-*")]) == workers
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    if len(signals) == 2 and workers == 1:
        kept = first.read_bytes()
        done = tlbench(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "2 cases to run on cpu, 1 on file" in done.stderr
        assert rows(tmp_path) == {"coral": ["done"], "nearest_neighbor": ["done"], "slow": ["done"]}
        assert first.read_bytes() == kept
