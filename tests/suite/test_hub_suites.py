"""Suites of external data: each on a small copy of the same schema where its files would be, and without any files."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tlbench import data, engine, methods
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.suite import Suite, locate_suite, parse_suite
from tlbench.terms import Domain

OFFICE_HOME_CLASSES = ["Alarm_Clock", "Bed", "Calendar"]
RNG = np.random.default_rng(0)


def pixels(size: int = 12) -> bytes:
    """A whole PNG of random pixels."""
    stream = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def folders(root: Path, classes_of: Mapping[str, list[str]], suffix: str, count: int = 6) -> None:
    for folder, classes in classes_of.items():
        for name in classes:
            (root / folder / name).mkdir(parents=True)
            for number in range(count):
                (root / folder / name / f"{number}.{suffix}").write_bytes(pixels())


def hub(root: Path, name: str, splits: Mapping[str, Mapping[str, list[Any]]], features: Mapping[str, Any]) -> None:
    """A hub data set as `hf download --local-dir` leaves it: data/<split>-00000-of-00001.parquet."""
    table = tomllib.loads(locate_suite(name).read_text(encoding="utf-8"))
    one = next(t for t in (table.get("data", {}), *table["domains"].values()) if "hub" in t)
    folder = root / "hub" / one["hub"] / one["revision"] / "data"
    folder.mkdir(parents=True)
    for split, columns in splits.items():
        split_data = datasets.Dataset.from_dict(dict(columns), features=datasets.Features(dict(features)))
        pq.write_table(split_data.data.table, folder / f"{split}-00000-of-00001.parquet")


def pictures(labels: list[int], **more: list[Any]) -> dict[str, list[Any]]:
    return {"image": [{"bytes": pixels(), "path": None} for _ in labels], "label": labels, **more}


def office31(root: Path) -> None:
    folders(root, {f"office31/{one}/images": ["back_pack", "bike"] for one in ("amazon", "dslr", "webcam")}, "jpg")


def office_home(root: Path) -> None:
    names = ["Art", "Clipart", "Product", "Real World"]
    labels = [i % 3 for i in range(48)]
    features = {
        "image": datasets.Image(),
        "domain": datasets.Value("string"),
        "label": datasets.ClassLabel(names=OFFICE_HOME_CLASSES),
    }
    domain = [names[i // 12] for i in range(48)]
    hub(root, "office_home", {"train": pictures(labels, domain=domain)}, features)


def visda2017(root: Path) -> None:
    folders(root, {f"visda2017/{one}": ["aeroplane", "bicycle"] for one in ("train", "validation")}, "png")
    (root / "visda2017/train/image_list.txt").write_text("aeroplane/0.png 0\n")


def domainnet(root: Path) -> None:
    names = ["clipart", "infograph", "painting", "quickdraw", "real", "sketch"]
    classes = datasets.ClassLabel(names=["aircraft_carrier", "airplane"])
    features = {"image": datasets.Image(), "label": classes, "domain": datasets.ClassLabel(names=names)}
    columns = pictures([i % 2 for i in range(48)], domain=[i // 8 for i in range(48)])
    hub(root, "domainnet", {"train": columns, "test": columns}, features)


def eurosat_ucmerced(root: Path) -> None:
    names = ["AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial"]
    names += ["Pasture", "PermanentCrop", "Residential", "River", "SeaLake"]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names), "image_id": datasets.Value("string")}
    labels = [i % 10 for i in range(60)]
    hub(root, "eurosat_ucmerced", {"train": pictures(labels, image_id=[str(i) for i in range(60)])}, features)
    kinds = ["agricultural", "airplane", "forest", "freeway", "river"]
    folders(root, {"ucmerced/UCMerced_LandUse/Images": kinds}, "tif")


def camelyon17(root: Path) -> None:
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"]), "center": datasets.Value("int64")}
    columns = pictures([i % 2 for i in range(12)], center=[0, 3, 4] * 4)
    hub(root, "camelyon17", {"train": columns, "test": columns | {"center": [2] * 12}}, features)


def civilcomments(root: Path) -> None:
    def comments(seed: int) -> dict[str, list[Any]]:
        rng = np.random.default_rng(seed)
        words = ["the", "a", "news", "comment", "people", "you", "they", "stupid", "great", "awful", "nice", "idea"]
        toxic = rng.random(80).astype(np.float32)
        attack = np.where(np.arange(80) % 2, rng.uniform(0.1, 1, 80), 0).astype(np.float32)
        return {
            "text": [" ".join(rng.choice(words, 8)) for _ in range(80)],
            "toxicity": toxic.tolist(),
            "identity_attack": attack.tolist(),
        }

    features = {"text": datasets.Value("string"), **dict.fromkeys(("toxicity", "identity_attack"), datasets.Value("float32"))}
    hub(root, "civilcomments", {"train": comments(0), "validation": comments(1), "test": comments(2)}, features)


COPIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "office31": (office31, "folder 'office31' is not there"),
    "office_home": (office_home, "hf download flwrlabs/office-home --repo-type dataset --revision d430d447"),
    "visda2017": (visda2017, "folder 'visda2017' is not there"),
    "domainnet": (domainnet, "hf download wltjr1007/DomainNet"),
    "eurosat_ucmerced": (eurosat_ucmerced, "hf download timm/eurosat-rgb"),
    "camelyon17": (camelyon17, "hf download wltjr1007/Camelyon17-WILDS"),
    "civilcomments": (civilcomments, "hf download google/civil_comments"),
}


def small(name: str) -> Suite:
    """The suite with five steps of a small network on small images."""
    raw = tomllib.loads(locate_suite(name).read_text(encoding="utf-8"))
    for table in (raw["data"], *raw["domains"].values()):
        if "size" in table and raw["net"]["backbone"] != "mlp":
            table |= {"size": 16} | ({"crop": 12} if "crop" in table else {})
    if raw["net"]["backbone"] != "mlp":
        raw["net"] = {"backbone": "convnet", "channels": 4}
    raw["train"] |= {"steps": 5, "trace": 0, "batch": 4}
    return parse_suite(raw, name, (backbones.suite_errors, methods.suite_errors))


def loaded(suite: Suite, root: Path) -> dict[str, Domain]:
    return {name: data.load(declaration, root) for name, declaration in suite.domains.items()}


@pytest.mark.parametrize("name", COPIES)
def test_a_suite_of_external_data_runs_on_a_copy_of_the_same_schema(name: str, tmp_path: Path) -> None:
    COPIES[name][0](tmp_path)
    suite = small(name)
    domains = loaded(suite, tmp_path)
    engine.check_pairs(suite, domains, suite.pairs)
    record = engine.run_case(suite.cases(["source_only"], [], [0])[0], suite, domains, torch.device("cpu"))
    assert record.status == "done", record.reason
    assert all(0 < len(domain.samples) < 60 for domain in domains.values())


@pytest.mark.parametrize("name", COPIES)
def test_without_its_files_the_error_names_what_to_fetch_and_where_it_belongs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(TlbenchError) as caught:
        loaded(small(name), tmp_path)
    assert COPIES[name][1] in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", COPIES)
def test_the_header_names_the_origin_and_the_licence(name: str) -> None:
    text = locate_suite(name).read_text(encoding="utf-8")
    head = text.partition('\nname = "')[0]
    assert all(line.startswith("# ") for line in head.splitlines()) and f"# Run: tlbench run {name}" in head
    assert "icence" in head and "Not yet run on the real files" in head
    for table in tomllib.loads(text)["domains"].values():
        table = tomllib.loads(text)["data"] | table
        assert table["citation"]
        assert ("hub" not in table) or (table["licence"] and table["source"] and len(table["revision"]) == 40)


def test_the_four_kinds_of_land_use_are_the_same_on_both_sides(tmp_path: Path) -> None:
    eurosat_ucmerced(tmp_path)
    domains = loaded(small("eurosat_ucmerced"), tmp_path)
    assert {domain.classes for domain in domains.values()} == {("crops", "forest", "freeway", "river")}
    assert domains["ucmerced"].samples.y.bincount().tolist() == [6] * 4  # aeroplanes are left out


def test_comments_are_toxic_from_one_half_on(tmp_path: Path) -> None:
    civilcomments(tmp_path)
    domains = loaded(small("civilcomments"), tmp_path)
    assert domains["plain"].classes == ("0", "1") and domains["plain"].unfitted is not None
    assert len(domains["plain"].samples) == len(domains["identity"].samples) == 40
