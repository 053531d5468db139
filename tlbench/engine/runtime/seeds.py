"""Seeds that are hashed from their use, the data and the case."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping

import torch

from tlbench.terms import SPLIT_OF_OLD, Case

LABELED_TARGET_DRAW = "few"
"""The use that the draw of labelled target samples is hashed as. It is the name in the first records, for another one would
change every number."""

_HASHED_AS = {split: old for old, split in SPLIT_OF_OLD.items()}


def batches_draw(split: str, phase: int) -> str:
    """The use that the batches of a split in a phase are hashed as."""
    return f"batches {_HASHED_AS.get(split, split)} {phase}"


def augmentation_draw(split: str, phase: int) -> str:
    """The use that the views of a split in a phase are hashed as."""
    return f"augmentation {split} {phase}"


def positions_draw(split: str, phase: int) -> str:
    """The use that the positions of the samples of a split in a phase are hashed as."""
    return f"positions {split} {phase}"


def seed_of(case: Case, use: str, fingerprints: Mapping[str, str]) -> int:
    """A seed that is hashed from its use, the data, the pair and the seed number of the case.

    The method is left out on purpose: all methods of a cell start from the same network and see the same batches and the same
    labelled samples, so that deltas against the baseline are paired.

    Args:
        case: the case.
        use: the purpose of the seed, such as "network".
        fingerprints: domain name -> fingerprint, for the domains of the pair.
    """
    facts = [use, sorted(fingerprints.items()), case.sources, case.target, case.seed]
    return int.from_bytes(hashlib.sha256(json.dumps(facts).encode()).digest()[:7], "big")


def generator(seed: int) -> torch.Generator:
    """A generator on the CPU, so that draws do not depend on the device."""
    return torch.Generator().manual_seed(seed)


@contextlib.contextmanager
def seeded_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the block, and restore their states afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
