"""A suite and a method described in words, from the files that ship and from records."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlbench import suite
from tlbench.errors import TlbenchError
from tlbench.metrics import METRICS
from tlbench.reports.tables.captions import SELECTION
from tlbench.suite import PublishedLevel, Suite
from tlbench.suite.augmentation import described
from tlbench.terms import Record, WeightsSource

_URL = re.compile(r"https?://[^\s<>\"')]+[^\s<>\"').,;]")

_SPLITS = {
    "source": "labelled source samples",
    "target": "unlabelled target samples",
    "target_labeled": "the labelled target samples that the suite grants",
    "stream": "the scored samples without labels, in order, each predicted before it is learned from",
}
_SCORED = {
    "adapted": "the unlabelled target samples that were adapted to (transductive)",
    "held_out": "held-out target samples that no method saw (inductive)",
    "test": "the target domain's own test samples",
}
UNKNOWN = "not stated"
"""The modality of a suite that does not ship."""
_MODALITIES = {
    **dict.fromkeys(("images", "torchvision", "idx", "idx_pairs"), "images"),
    **dict.fromkeys(("text", "jsonl"), "text"),
    "wav": "audio",
    "series": "time series",
    "simulated": "simulated",
}
"""By reader; arrays and tables of other readers may hold anything."""
_OF_NETWORKS = {
    "images": ("convnet", "lenet", "shot_lenet", "resnet", "mobilenet_v1", "torchvision", "timm", "conse", "inception_v1"),
    "text": ("hf", "word_vectors"),
    "audio": ("speech_embedding",),
    "time series": ("conv1d",),
}


@dataclass(frozen=True)
class OfSuite:
    """A suite in words."""

    title: str = ""
    citation: str = ""
    modality: str = UNKNOWN
    """What its samples are: images, text, audio, time series, tabular, or simulated."""
    protocol: Sequence[tuple[str, str]] = ()
    data: Sequence[tuple[str, str]] = ()
    weights: Sequence[tuple[str, str]] = ()
    """What the pre-trained weights are: name, data, licence, citation and address, each where it is stated."""
    published: Sequence[tuple[str, str, str]] = ()
    """The published levels: the entry with the source, the address of the source, and the values with their protocol."""


@dataclass(frozen=True)
class MethodDescription:
    """A method in words; empty for one that does not ship."""

    summary: str = ""
    paper: Sequence[tuple[str, str]] = ()
    """Pieces of text, some of them addresses: (text, "") or ("", address)."""
    family: str = ""
    path: str = ""
    code: str = field(default="", repr=False)


def describe_suite(records: Sequence[Record]) -> OfSuite:
    """Describe a suite from its shipped file where that is the version of the records, else from the records alone."""
    shipped = _shipped(records[-1])
    described = _describe(records, shipped)
    stated = [record.weights_source for record in records if record.weights_source is not None]
    source = shipped.net.weights_source if shipped is not None else WeightsSource()
    if source == WeightsSource() and stated:
        source = stated[-1]
    paths = dict.fromkeys(path for record in records for path in record.weights or {})
    return dataclasses.replace(described, weights=_weights(source, list(paths)))


def _weights(source: WeightsSource, paths: Sequence[str]) -> list[tuple[str, str]]:
    """What the weights are, in words; none where no record read any."""
    if not paths:
        return []
    lines = [
        ("Weights", source.name or ", ".join(paths)),
        ("Trained on", source.trained_on or "not stated in the suite"),
        ("Licence of the weights", source.licence or "not stated in the suite"),
        ("To be cited for the weights", source.citation),
        ("Address of the weights", source.url),
    ]
    return [(what, text) for what, text in lines if text]


def _describe(records: Sequence[Record], shipped: Suite | None) -> OfSuite:
    """The description without the weights."""
    last = records[-1]
    if shipped is None:
        reads = dict.fromkeys(split for record in records for split in record.reads)
        text = [
            ("Suite file", "It does not ship with this tlbench, or in another version; the facts below are from the records."),
            ("Read by its methods", _listed(_SPLITS.get(split, split) for split in reads) or "not recorded"),
            ("Labelled target samples", _labels({record.target_labels for record in records}, last.task) or "none"),
        ]
        return OfSuite(protocol=[*text, *_common(last, sorted({record.seed for record in records}))])
    protocol, train = shipped.protocol, shipped.train
    granted = [_SPLITS[split] for split in protocol.grants]
    if labels := _labels({shipped.protocol_of(target).target_labels for _, target in shipped.pairs}, protocol.task):
        granted.append(f"{labels} of the target with labels, which are never scored")
    scored = _SCORED[protocol.scored]
    if protocol.scored == "held_out":
        scored += f" ({protocol.held_out:g} of them)"
    options = ", ".join(f"{key} = {value}" for key, value in shipped.net.options.items())
    lines = [
        ("Granted", _listed(granted)),
        ("Scored", scored),
        *_common(last, list(protocol.seeds)),
        ("Network", f"{shipped.net.backbone}{f' ({options})' if options else ''}"),
        (
            "Budget",
            f"{train.steps} steps of {train.batch} samples of each split, {train.optimizer}, "
            f"learning rate {train.lr:g}, {train.schedule}",
        ),
    ]
    if train.augment:
        lines.append(("Augmentation", ", ".join(map(described, train.augment))))
    data: dict[str, list[str]] = {}
    for name, declaration in shipped.domains.items():
        facts = {"licence": declaration.licence or "not stated in the suite"}
        for key in ("citation", "source"):
            if value := getattr(declaration, key, None):
                facts[key] = str(value)
        for key, value in facts.items():
            data.setdefault(f"{key.capitalize()}: {value}", []).append(name)
    alike = [(key.partition(": ")[0], f"{key.partition(': ')[2]} ({_domains(names, shipped)})") for key, names in data.items()]
    published = [_published(level) for level in shipped.published]
    return OfSuite(shipped.title, shipped.citation, _modality(shipped), lines, alike, published=published)


def _modality(shipped: Suite) -> str:
    """What the samples of a suite are, from its readers or, of arrays, from the network that reads them."""
    sources = [declaration.main for declaration in shipped.domains.values()]
    if any(source.reader == "scikit_learn" and source.options.get("name") == "digits" for source in sources):
        return "images"
    known = [_MODALITIES[source.reader] for source in sources if source.reader in _MODALITIES]
    family = shipped.net.backbone.partition(":")[0]
    return known[0] if known else next((name for name, families in _OF_NETWORKS.items() if family in families), "tabular")


def _published(level: PublishedLevel) -> tuple[str, str, str]:
    values = ", ".join(f"{pair} {value:g}" for pair, value in level.values.items())
    metric = METRICS[level.metric]
    note = f" Protocol: {level.note}." if level.note else ""
    return f"{level.entry}: {level.source}", level.url, f"{level.network}; {metric.title} in {metric.unit}: {values}.{note}"


def _labels(counts: Iterable[int], task: str) -> str:
    """As in "5 samples of each class" or, with label budgets, "1, 3 or 10 samples of each class"; empty without labels."""
    some = [str(count) for count in sorted(counts) if count]
    text = " or ".join([", ".join(some[:-1]), some[-1]] if len(some) > 1 else some)
    return f"{text} samples {'of each class' if task == 'classification' else 'in all'}" if some else ""


def _shipped(record: Record) -> Suite | None:
    file = suite.shipped_suites().get(record.suite)
    if file is None:
        return None
    try:
        shipped = suite.load_suite(file)
    except TlbenchError:
        return None
    return shipped if shipped.version == record.suite_version else None


def _common(record: Record, seeds: Sequence[int]) -> list[tuple[str, str]]:
    metric = METRICS.get(record.metric)
    return [
        ("Compared by", f"{metric.title} ({metric.unit})" if metric else record.metric),
        ("Baseline", record.baseline or "none"),
        ("Seeds", f"{len(seeds)}: {_listed([str(seed) for seed in seeds[:20]], ', ')}{', ...' if len(seeds) > 20 else ''}"),
        ("Chosen how", SELECTION.partition(": ")[2] or SELECTION),
    ]


def _domains(names: Sequence[str], of: Suite) -> str:
    return "all domains" if len(names) == len(of.domains) else ", ".join(names)


def _listed(names: object, comma: str = "; ") -> str:
    return comma.join(names)  # type: ignore[arg-type]


def describe_method(file: Path | None) -> MethodDescription:
    """Describe a method from its file, whose docstring names the paper; nothing is imported."""
    if file is None:
        return MethodDescription()
    code = file.read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(code)) or ""
    summary, _, rest = text.partition("\n")
    paper = " ".join(rest.strip().partition("\n\n")[0].split())
    pieces: list[tuple[str, str]] = []
    end = 0
    for match in _URL.finditer(paper):
        pieces += [(paper[end : match.start()], ""), ("", match[0])]
        end = match.end()
    pieces = [piece for piece in (*pieces, (paper[end:], "")) if piece != ("", "")]
    return MethodDescription(summary, pieces, file.parent.name.replace("_", " "), f"{file.parent.name}/{file.name}", code)


def reads(splits: Sequence[str]) -> str:
    """The splits that a method reads, in words."""
    return _listed([_SPLITS.get(split, split) for split in splits]) or "not recorded"
