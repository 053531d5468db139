"""Office-Caltech10, 2,533 photographs at 224x224: decoded, mapped, and the memory of a run over them.

    python -m pytest benchmarks/test_photos.py -s -p no:cacheprovider     (file: DATA/office_caltech10/images.tar)

The aims on two cores are a first load of all four domains in at most 45 s, a second one in under 1 s, and at most 1.2 GiB
resident in a process that loads them and runs one case of a pair (a MobileNetV3 with random weights, 20 steps, batch size 16).
The memory of the process is the peak that the kernel reports when it ends; the memory of torch alone, before anything is
loaded, is printed too.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tlbench import data

ARCHIVE = "office_caltech10/images.tar"
DOMAINS = ("amazon", "caltech10", "dslr", "webcam")
FIRST_SECONDS, SECOND_SECONDS, RUN_BYTES = 45.0, 1.0, 1.2 * 2**30

RUN = """
import resource, sys, tomllib
from pathlib import Path
import torch
from tlbench import data, engine, methods
from tlbench.nn import backbones
from tlbench.suite import locate_suite, parse_suite
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
raw = tomllib.loads(locate_suite("office_caltech10_images").read_text())
raw["data"].update(size=256, crop=224)
raw["train"].update(steps=20, batch=16, trace=0)
raw["net"] = {"backbone": "torchvision:mobilenet_v3_small"}
suite = parse_suite(raw, "photos", (backbones.suite_errors, methods.suite_errors))
root, cache = Path(sys.argv[1]), Path(sys.argv[2])
domains = {name: data.load(declaration, root, cache) for name, declaration in suite.domains.items()}
record = engine.run_case(suite.cases(["source_only"], [], [0])[0], suite, domains, torch.device("cpu"))
assert record.status == "done", record.reason
print(before, sum(len(domain.samples) for domain in domains.values()))
"""


@pytest.fixture
def root() -> Path:
    folder = Path(os.environ.get("TLBENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not (folder / ARCHIVE).is_file():
        pytest.skip(f"There is no {ARCHIVE} in {folder}. Set TLBENCH_DATA.")
    return folder


def load_all(root: Path, cache: Path) -> tuple[float, int]:
    """The seconds of a load of the four domains, and the number of their samples."""
    start, samples = time.perf_counter(), 0
    for name in DOMAINS:
        table = {"reader": "images", "path": ARCHIVE, "domain": f"images/{name}", "size": 256, "crop": 224}
        declaration, errors = data.declare(name, table, {})
        assert declaration is not None, errors
        samples += len(data.load(declaration, root, cache).samples)
    return time.perf_counter() - start, samples


@pytest.mark.filterwarnings("ignore:.*EXIF orientation:UserWarning")  # of one photograph
def test_photographs(root: Path, tmp_path: Path) -> None:
    import torch  # the import, which every load needs, is not timed

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    first, decoded = load_all(root, tmp_path)
    second, mapped = load_all(root, tmp_path)
    assert decoded == mapped == 2533 and torch.get_num_threads() > 0
    command = [sys.executable, "-c", RUN, str(root), str(tmp_path)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert completed.returncode == 0, completed.stderr
    before, in_run = map(int, completed.stdout.split())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert in_run == decoded
    print(
        f"\n2,533 photographs at 224x224 on {cores} cores: first load {first:.1f} s, second {second:.3f} s; "
        f"a run over them has {peak / 2**30:.2f} GiB resident at its peak, {before * 1024 / 2**30:.2f} GiB before any is loaded"
        f"\naims: {FIRST_SECONDS:g} s, {SECOND_SECONDS:g} s, {RUN_BYTES / 2**30:g} GiB"
    )
    assert first <= FIRST_SECONDS and second < SECOND_SECONDS and peak <= RUN_BYTES
