"""Every shipped suite on its own data: all its domains load, its pairs can be run, and one short run is done.

Suites that are slow to load get smaller data (`SMALLER`). What the comments of a suite state is tested too.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

import tlbench
from tlbench import data, engine, methods
from tlbench.data.readers import simulated
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.suite import Suite, locate_suite, parse_suite, shipped_suites
from tlbench.terms import Domain

ELSEWHERE = {"svhn_mnist": "train_32x32.mat", "cifar10_stl10": "data_batch_1.bin"}
"""Suites whose files are not in our data root, and a file that they ask for."""
BUILT_IN = {"quickstart", "rotated_digits", "digits_corrupted", "digits_labels", "simulated_shifts", "shapes_sim2real"}
FROM_FILES = {
    *("mnist_usps", "digits_jda", "office_caltech10_surf", "office_caltech10_images", "pacs", "amazon_reviews_bow"),
    *("amazon_reviews_text", "ucihar", "wisdm", "gas_drift", "adult", "school"),
    *("digits_shot_to_mnist", "digits_shot_to_usps"),
    *("digits_stream", "gas_drift_stream", "beijing_air_stream"),
    "retina_vessels",
    *("colored_mnist", "rotated_mnist", "office_caltech10_multi_source"),
}
SMALLER: dict[str, dict[str, Any]] = {
    "mnist_usps": {"samples": 1000},
    "digits_shot_to_mnist": {"samples": 1000},
    "digits_shot_to_usps": {"samples": 1000},
    "amazon_reviews_bow": {"samples": 300},
    "amazon_reviews_text": {"samples": 300, "size": 512},
    "office_caltech10_images": {"size": 24},
    "adult": {"samples": 1000},
    "shapes_sim2real": {"count": 40},
    "colored_mnist": {"samples": 1000},
    "rotated_mnist": {"samples": 1000},
    "beijing_air_stream": {"samples": 300},
}
"""Keys of `[data]` that make a load or a run quick."""
PAIR_TO_RUN = {"digits_corrupted": "clean:noise_s3", "rotated_digits": "upright+turned_s15+turned_s30:turned_s45"}
"""Pairs to run in place of the first one."""


def small(name: str) -> Suite:
    """A shipped suite with five steps, and less data where they are slow to load."""
    raw = tomllib.loads(locate_suite(name).read_text(encoding="utf-8"))
    raw["data"] = {**raw.get("data", {}), **SMALLER.get(name, {})}
    raw["train"] = {**raw["train"], "steps": 5, "trace": 0}
    return parse_suite(raw, name, (backbones.suite_errors, methods.suite_errors))


def loaded(suite: Suite, root: Path) -> dict[str, Domain]:
    return {name: data.load(declaration, root) for name, declaration in suite.domains.items()}


def run_briefly(name: str, root: Path) -> None:
    suite = small(name)
    domains = loaded(suite, root)
    engine.check_pairs(suite, domains, suite.pairs)
    case = suite.cases([suite.protocol.baseline], [PAIR_TO_RUN[name]] if name in PAIR_TO_RUN else [], [0])[0]
    record = engine.run_case(case, suite, domains, torch.device("cpu"))
    assert record.status == "done", record.reason


def test_every_shipped_suite_is_listed() -> None:
    assert {*ELSEWHERE, *BUILT_IN, *FROM_FILES} <= set(shipped_suites())


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_suite_of_built_in_data_runs(name: str, tmp_path: Path) -> None:
    run_briefly(name, tmp_path)


@pytest.mark.filterwarnings("ignore:.*are turned upright:UserWarning")  # one photograph of Office-Caltech10
@pytest.mark.data
@pytest.mark.parametrize("name", sorted(FROM_FILES))
def test_a_suite_of_files_runs(name: str, data_root: Path) -> None:
    suite = small(name)
    for declaration in suite.domains.values():
        for source in filter(None, (declaration.main, declaration.test)):
            for path in re.findall(r"'([\w/.]+\.(?:gz|npz|mat|tar|dat))'", str(source.options)):
                if not (data_root / path).is_file():
                    pytest.skip(f"no {path} in {data_root}")
    run_briefly(name, data_root)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_a_suite_of_external_data_names_what_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=ELSEWHERE[name]):
        loaded(small(name), tmp_path)


def write_torchvision(folder: Path) -> None:
    """A few random images in the files of SVHN, MNIST, CIFAR-10 (binary) and STL-10, every class twice at least."""
    rng, y = np.random.default_rng(0), (np.arange(40) % 10).astype(np.uint8)
    raw, cifar, stl = folder / "MNIST" / "raw", folder / "cifar-10-batches-bin", folder / "stl10_binary"
    for created in (raw, cifar, stl):
        created.mkdir(parents=True)

    def images(*shape: int) -> Any:
        return rng.integers(0, 256, shape, dtype=np.uint8)

    for svhn, idx, split in (("train", "train", "train"), ("test", "t10k", "test")):
        # SVHN writes 0 as 10, and rows come last
        savemat(folder / f"{svhn}_32x32.mat", {"X": images(32, 32, 3, 40), "y": np.where(y == 0, 10, y)[:, None]})
        head = np.array([0x803, 40, 28, 28], dtype=">i4").tobytes()
        (raw / f"{idx}-images-idx3-ubyte").write_bytes(head + images(40, 28, 28).tobytes())
        (raw / f"{idx}-labels-idx1-ubyte").write_bytes(np.array([0x801, 40], dtype=">i4").tobytes() + y.tobytes())
        images(40, 3, 96, 96).tofile(stl / f"{split}_X.bin")
        (y + 1).tofile(stl / f"{split}_y.bin")  # STL-10 counts from 1
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        np.concatenate([y[:, None], images(40, 3072)], axis=1).tofile(cifar / f"{name}.bin")


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_a_suite_of_external_data_runs_on_files_of_the_same_format(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    write_torchvision(tmp_path / "torchvision")
    for kind in (datasets.SVHN, datasets.STL10):
        monkeypatch.setattr(kind, "_check_integrity", lambda self: True)  # the real files have another md5
    run_briefly(name, tmp_path)
    domains = loaded(small(name), tmp_path)
    assert {tuple(domain.samples.x.shape[1:]) for domain in domains.values()} == {
        (1, 28, 28) if name == "svhn_mnist" else (3, 32, 32)
    }
    if name == "cifar10_stl10":
        for domain in domains.values():
            assert "frog" not in domain.classes and "monkey" not in domain.classes and len(domain.classes) == 9
            assert len(domain.samples) % 36 == 0  # nine of ten classes of 40 samples remain


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_a_suite_says_where_it_is_from_and_how_it_is_run(name: str) -> None:
    head = locate_suite(name).read_text(encoding="utf-8").partition('\nname = "')[0]
    assert all(line.startswith("# ") for line in head.splitlines())
    assert f"# Run: tlbench run {name}" in head
    raw = tomllib.loads(locate_suite(name).read_text(encoding="utf-8"))
    stated = all("licence" in {**raw.get("data", {}), **domain} for domain in raw["domains"].values())
    assert stated or re.search(r"\b[Ll]icence\b", head), "neither its domains nor its head say under which licence they are"


# --- what the suites state ---


@pytest.mark.data
def test_the_nearest_neighbour_on_the_digits_of_jda(data_root: Path, tmp_path: Path) -> None:
    """The published results, to 0.01 points."""
    if not (data_root / "digits_jda" / "MNIST_vs_USPS.mat").is_file():
        pytest.skip(f"no digits_jda/MNIST_vs_USPS.mat in {data_root}")
    frame = tlbench.run("digits_jda", results=tmp_path, data=data_root, device="cpu", methods=["nearest_neighbor"], seeds=[0])
    accuracy = dict(zip(frame["pair"], 100 * frame["target_accuracy"], strict=True))
    assert set(accuracy) == {"usps:mnist", "mnist:usps"}
    assert abs(accuracy["usps:mnist"] - 44.70) < 0.0101 and abs(accuracy["mnist:usps"] - 65.94) < 0.0101


@pytest.mark.data
@pytest.mark.parametrize("name", ["ucihar", "wisdm"])
def test_series_are_channels_by_time(name: str, data_root: Path) -> None:
    suite = small(name)
    channels = {"ucihar": 9, "wisdm": 3}[name]
    domain = data.load(suite.domains[suite.pairs[0][1]], data_root)
    assert tuple(domain.samples.x.shape[1:]) == (channels, 128) and domain.classes == tuple("012345")


def test_adatime_has_ten_scenarios() -> None:
    pairs = [f"{sources[0][1:]}>{target[1:]}" for sources, target in small("ucihar").pairs]
    assert " ".join(pairs) == "2>11 6>23 7>13 9>18 12>16 18>27 20>5 24>8 28>27 30>20"
    assert len(small("wisdm").pairs) == 10


def test_the_simulated_suite_states_the_bayes_accuracy_of_every_domain() -> None:
    for name, declaration in small("simulated_shifts").domains.items():
        stated = re.fullmatch(r"simulated, Bayes accuracy (0\.\d{4})", declaration.source or "")
        assert stated, name
        accuracy = simulated.bayes_accuracy(simulated.Options.model_validate(declaration.main.options))
        assert f"{accuracy:.4f}" == stated[1], name
        assert name.endswith(declaration.main.options["part"]) and name.startswith(declaration.main.options["shift"])


def test_the_corrupted_digits_are_the_same_images_at_every_severity(tmp_path: Path) -> None:
    suite = small("digits_corrupted")
    assert len(suite.domains) == 31 and len(suite.pairs) == 30
    labels = [data.load(suite.domains[name], tmp_path).samples.y for name in ("noise_s1", "noise_s5", "blend_s3")]
    assert torch.equal(labels[0], labels[1]) and torch.equal(labels[0], labels[2])
    clean = data.load(suite.domains["clean"], tmp_path)
    assert len(clean.samples) + len(labels[0]) == 1797


@pytest.mark.data
def test_the_groups_of_adult_do_not_see_what_makes_them(data_root: Path) -> None:
    if not (data_root / "adult" / "adult.data.gz").is_file():
        pytest.skip(f"no adult/adult.data.gz in {data_root}")
    suite = small("adult")
    for source, target in (("men", "women"), ("no_degree", "degree")):
        alone = [data.load(suite.domains[name], data_root) for name in (source, target)]
        assert alone[0].classes == ("<=50K", ">50K")
        sources, fitted = data.fit_features(alone[:1], alone[1])
        assert sources[0].samples.x.shape[1] == fitted.samples.x.shape[1] == alone[0].samples.x.shape[1]


@pytest.mark.data
def test_the_schools_are_one_task_each(data_root: Path) -> None:
    if not (data_root / "school" / "school.mat").is_file():
        pytest.skip(f"no school/school.mat in {data_root}")
    domains = loaded(small("school"), data_root)
    assert sum(len(domain.samples) for domain in domains.values()) == 15362
    assert len(domains["others"].groups) == 130 and domains["others"].targets == ("Y",) and domains["others"].classes == ()
    assert domains["others"].samples.y.shape == (13304, 1) and domains["others"].samples.y.dtype == torch.float32
