"""A reference loop in plain torch beside the records of `ewt_pos`: the same sentences and the same network.

The loop imports nothing of tlbench but what reads and splits the sentences. Its network starts from random numbers of its own,
and it draws words at random where the engine draws one from each stretch of a sentence: levels agree, and numbers do not.

    tlbench run ewt_pos --data DIR --results OUT --pair answers:email --method source_only --method target_only
    python -m benchmarks.reference_positions --data DIR --results OUT
"""

from __future__ import annotations

import argparse
import math
import statistics
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlbench import records, runner, session
from tlbench.engine.data.splits import make_case_data
from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import seed_of
from tlbench.terms import IGNORED

SOURCE, TARGET = "answers", "email"
METHODS = ("source_only", "target_only")
STEPS, BATCH, WORDS, RATE, WIDTH, KERNEL = 300, 16, 16, 1e-2, 128, 5


class Tagger(nn.Module):
    """Word ids (B, L) -> logits (B, L, C): word vectors, a convolution over five words, a linear head."""

    def __init__(self, vectors_VD: Tensor, classes: int) -> None:
        super().__init__()
        padding, unknown = torch.zeros(1, vectors_VD.shape[1]), vectors_VD.mean(dim=0, keepdim=True)
        self.vectors = nn.Embedding.from_pretrained(torch.cat([padding, unknown, vectors_VD]), freeze=False, padding_idx=0)
        self.convolution = nn.Conv1d(vectors_VD.shape[1], WIDTH, KERNEL, padding=KERNEL // 2)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, ids_BL: Tensor) -> Tensor:
        features_BDL = torch.relu(self.convolution(self.vectors(ids_BL).transpose(1, 2)))
        logits_BLC: Tensor = self.head(features_BDL.transpose(1, 2))
        return logits_BLC


def train(x_NL: Tensor, y_NL: Tensor, vectors_VD: Tensor, classes: int, seed: int) -> Tagger:
    """Cross-entropy over random words of random sentences, by Adam with a rate that falls as a cosine."""
    torch.manual_seed(seed)
    tagger = Tagger(vectors_VD, classes)
    optimizer = torch.optim.Adam(tagger.parameters(), lr=RATE)
    order: list[int] = []
    for step in range(STEPS):
        while len(order) < BATCH:
            order += torch.randperm(len(x_NL)).tolist()
        batch, order = order[:BATCH], order[BATCH:]
        y_BL = y_NL[batch]
        words_BK = torch.multinomial((y_BL != IGNORED).float(), WORDS, replacement=True)
        logits_BLC = tagger(x_NL[batch])
        index_BKC = words_BK[:, :, None].expand(-1, -1, classes)
        loss = F.cross_entropy(logits_BLC.gather(1, index_BKC).flatten(0, 1), y_BL.gather(1, words_BK).flatten())
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return tagger


def tensors(subset: Subset | None) -> tuple[Tensor, Tensor]:
    """The sentences (N, L) and tags (N, L) of a split."""
    assert subset is not None and subset.y is not None
    return subset.x.long(), subset.y


def main() -> None:
    """Print the accuracy of both, in per cent over the words of the scored sentences, for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, action="append", help="one of the two; without it both")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    suite = session.load_suite("ewt_pos")
    domains = runner.load_domains(suite, [SOURCE, TARGET], arguments.data)
    fingerprints = {name: domains[name].fingerprint for name in (SOURCE, TARGET)}
    with np.load(arguments.data / "word_vectors/glove_6B_50d_top50k_fp16.npz") as file:
        vectors_VD = torch.from_numpy(file["vectors"].astype(np.float32))
    for method in arguments.method or METHODS:
        ours = {
            record.seed: record.scores.target_accuracy
            for record in records.read(arguments.results / suite.name / f"{method}.jsonl")
            if record.pair == f"{SOURCE}:{TARGET}" and record.scores.target_accuracy is not None
        }
        by_hand = {}
        for case in suite.cases():
            if case.entry != method or case.pair != f"{SOURCE}:{TARGET}":
                continue
            seed = partial(seed_of, case, fingerprints=fingerprints)
            data = make_case_data([domains[SOURCE]], domains[TARGET], suite.protocol, seed, torch.device("cpu"))
            x, y = tensors(data.granted.source if method == "source_only" else data.granted.target_labeled)
            tagger = train(x, y, vectors_VD, len(data.classes), case.seed)
            scored_x, scored_y = tensors(data.scored)
            with torch.no_grad():
                predicted = tagger(scored_x).argmax(dim=2)
            by_hand[case.seed] = float((predicted == scored_y)[scored_y != IGNORED].double().mean())
        for name, levels in (("reference loop", by_hand), ("tlbench", ours)):
            listed = ", ".join(f"{100 * levels[seed]:.2f}" for seed in sorted(levels))
            print(f"{method:12} {name:15} {100 * statistics.fmean(levels.values()):.2f}   ({listed})", flush=True)


if __name__ == "__main__":
    main()
