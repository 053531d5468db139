"""Errors that a user can correct: exit code 2, one text on standard error, and nothing has run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import tlbench
from plugin_files import HEADER
from tiny_suite import SUITE, blobs, record

from tlbench import records
from tlbench.terms import Scores


def written(name: str, content: str) -> Callable[[Path], None]:
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
    .replace("seeds = [0]", 'seeds = [0, 0]\nmetric = "target_acuracy"\nbaseline = "source_olny"')
    .replace('list = ["a:b"]', 'list = ["a:c", "b:b"]')
    .replace('backbone = "mlp"', 'backbone = "mpl"')
    .replace("steps = 5", 'stepz = 5\nlr = "fast"')
    + "wieght = 1.0\n[methods.corall]\n"
)


ERRORS: dict[str, tuple[Callable[[Path], None] | None, tuple[str, ...], tuple[str, ...]]] = {
    "no such suite": (None, ("run", "quickstrat"), ("Unknown suite 'quickstrat'. Did you mean 'quickstart'?",)),
    "no such file": (None, ("run", "mine.toml"), ("There is no suite file mine.toml.",)),
    "no TOML": (
        written("bad.toml", "name = tiny\n"),
        ("run", "bad.toml"),
        ("bad.toml: The file is not valid TOML: ", "line 1"),
    ),
    "a wrong suite": (
        written("bad.toml", WRONG_SUITE),
        ("run", "bad.toml"),
        (
            *("The key 'name' is missing", "'nme'. Did you mean 'name'?", "Did you mean 'target_accuracy'?"),
            *("A seed appears twice", "Did you mean 'source_only'?", "Unknown domain 'c'. Available: a, b"),
            *("'b:b': A domain appears twice", "Did you mean 'mlp'?", "Did you mean 'steps'?"),
            *("train.lr = 'fast' should be a valid number", "Did you mean 'weight'?", "Did you mean 'coral'?"),
        ),
    ),
    "two suites, one wrong": (
        written("bad.toml", SUITE.replace("coral", "corral")),
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
    "no CUDA device": (None, ("run", "tiny.toml", "--device", "cuda"), ("sees no CUDA device here. Use auto or cpu",)),
    "results that can't be written": (
        written("results", ""),
        ("run", "tiny.toml"),
        ("results directory results/tiny: ", "Choose another with --results DIR"),
    ),
    "bad data": (
        bad_data,
        ("run", "bad.toml"),
        (
            "domains.missing: The file 'missing.npz' is not there in the data root",
            "--data DIR or TLBENCH_DATA",
            "domains.truncated: ",
            "truncated.npz: This is not a whole npz file",
            "domains.text: ",
            "text.npz: This is not an npz file",
            "domains.nan: 1 features are NaN or infinite as read, in 1 samples, first in sample 3",
            "domains.infinite: 1 features are NaN or infinite as read, in 1 samples, first in sample 4",
            "domains.empty: The domain is empty",
            "domains.unlabelled: ",
            "unlabelled.npz: There is no array 'y'. Available: x",
            "domains.lacking: No sample has the class '1'",
        ),
    ),
    "different feature numbers": (
        narrow,
        ("run", "tiny.toml"),
        ("pair a:b: The domains have samples of different shapes: a [4], b [5]",),
    ),
    "a line that is broken in the middle": (
        broken_middle,
        ("run", "tiny.toml"),
        ("results/tiny/coral.jsonl:\n  line 2: Not JSON",),
    ),
    "the same to report": (broken_middle, ("report",), ("coral.jsonl:\n  line 2: Not JSON",)),
    "no results": (None, ("report",), ("There is no results directory results. `tlbench run SUITE --results results`",)),
    "no results of that suite": (
        lambda folder: (folder / "results" / "tiny").mkdir(parents=True),
        ("report", "tyni"),
        ("There are no records of tyni. Available: tiny.",),
    ),
    "a results file with wrong records": (
        bad_results,
        ("check", "tiny/source_only.jsonl"),
        ("2 records of one case", "record 3: The status is failed, and no reason is given", "record 4: It is of entry 'coral'"),
    ),
    "a method that breaks its contract": (
        written("idle.py", BAD_METHOD),
        ("check", "idle.py"),
        (
            "method idle:\n",
            "depends_exactly_on_reads: `reads` names ['source', 'target'], but the result depends on ['source'].",
            "These parameters never get a gradient: idle.weight, idle.bias",
        ),
    ),
    "a method that does not import": (
        written("broken.py", "import no_such_module_anywhere\n"),
        ("check", "broken.py"),
        ("plugin ", "broken.py: The file cannot be imported: ModuleNotFoundError"),
    ),
    "no such plugin": (None, ("run", "tiny.toml", "--plugin", "none.py"), ("plugin none.py: There is no such Python file",)),
    "nothing to check": (None, ("check", "none.toml"), ("There is no file none.toml.",)),
    "no file of ours to check": (written("x.txt", "x"), ("check", "x.txt"), ("Give a suite (.toml), a method",)),
    "a word that is none": (None, ("report", "--table", "acuracy"), ("acuracy",)),
    "workers that are none": (None, ("run", "tiny.toml", "--workers", "0"), ("neither a number from 1 on nor auto",)),
    "an option that is none": (None, ("run", "tiny.toml", "--sed", "1"), ("--sed",)),
    "a seed that is none": (None, ("run", "tiny.toml", "--seed", "one"), ("--seed",)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_ends_with_2_and_is_one_text(tiny, name):
    if name == "no CUDA device":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device here")
    prepare, words, texts = ERRORS[name]
    if prepare is not None:
        prepare(tiny)
    done = tlbench(*words, cwd=tiny)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2, done.stderr
    for text in texts:
        assert text in done.stderr
    if name == "no CUDA device":
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("tlbench: --device cuda")
    if "broken in the middle" not in name and "the same" not in name:
        assert not list(tiny.glob("results/*/*.jsonl"))  # nothing has run
    passed = name == "a method that breaks its contract"  # its other checks are printed
    assert done.stdout.startswith("ok  ") if passed else done.stdout == ""
