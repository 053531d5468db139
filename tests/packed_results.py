"""A run of the tiny suite with candidates, its files of predictions and facts, and what the loaders give of them."""

from __future__ import annotations

from pathlib import Path

from tiny_results import THREE_SEEDS
from tiny_suite import write_domains

from tlbench import api, records
from tlbench.records.candidates import label_free_facts, sealed_facts
from tlbench.records.packs import KINDS


def run_with_candidates(folder: Path) -> Path:
    """The folder, with the tiny suite on two pairs and three seeds: 12 cases, some of which have the same files."""
    write_domains(folder)
    (folder / "tiny.toml").write_text(f"{THREE_SEEDS}\n[selection]\ncheckpoints = 2\n")
    api.run(folder / "tiny.toml", results=folder / "results", device="cpu")
    return folder


def files(results: Path) -> dict[str, bytes]:
    """The files of predictions and facts, loose ones and packs, by their paths below the suite's folder."""
    suite = results / "tiny"
    return {file.relative_to(suite).as_posix(): file.read_bytes() for kind in KINDS for file in (suite / kind).iterdir()}


def loaded(results: Path) -> list[list[object]]:
    """All that the loaders give of each record."""
    values = []
    for record in records.read_all(results):
        predicted, correct = records.predictions(results, record)
        facts = label_free_facts(results, "tiny", record.scores.label_free_facts)
        sealed = sealed_facts(results, "tiny", record.scores.sealed_facts)
        arrays = {"predicted": predicted, "right": correct, **facts, **{f"sealed {name}": sealed[name] for name in sealed}}
        values.append([record.identity, [(name, array.tolist()) for name, array in arrays.items()]])
    return values
