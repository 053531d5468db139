"""A case that is cut off goes on from its checkpoint to the same numbers, bit for bit; what can't be kept is said."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
import torch
from checkpointed_runs import numbers, run
from method_choice import others_slow
from plugin_files import Cut, plugged

from tlbench import methods
from tlbench.methods.base import DeepMethod

DEEP_METHODS = [name for name in methods.method_names() if issubclass(methods.method_class(name), DeepMethod)]


@pytest.mark.parametrize("method", others_slow(DEEP_METHODS))
def test_a_method_goes_on_to_the_same_numbers(tmp_path, method):
    whole, _ = run(method, None)
    assert whole.status == "done", whole.reason
    file = tmp_path / "kept" / "case.pt"
    for until in (9, 20):  # twice: the second goes on from what the first went on to
        with pytest.raises(Cut):
            run(method, file, until=until)
    again, checkpointer = run(method, file)
    assert checkpointer is not None and any("resumed from a checkpoint" in text for text in again.notes), checkpointer.notes
    assert numbers(again) == numbers(whole)
    checkpointer.clear()
    assert not file.parent.exists()


def test_what_a_method_holds_beside_its_parameters_is_kept(tmp_path):
    body = (
        "class Hoarder(DeepMethod):\n"
        "    reads = frozenset({'source'})\n"
        "    def build(self):\n"
        "        self.memory = {'mean': None, 'rows': [], 'seen': set()}\n"
        "        self.draws = torch.Generator().manual_seed(3)\n"
        "        self.alias = [self.net.head, 2.5]\n"
        "        self.register_buffer('hidden', torch.zeros(3), persistent=False)\n"
        "    def loss(self, step):\n"
        "        now = step.source.x.mean(dim=0).detach()\n"
        "        old = self.memory['mean']\n"
        "        self.memory['mean'] = now if old is None else 0.9 * old + 0.1 * now\n"
        "        self.memory['rows'].append(int(step.indices['source'][0]))\n"
        "        self.memory['seen'].add(int(step.indices['source'][0]))\n"
        "        self.hidden += torch.rand(3, generator=self.draws)\n"
        "        self.late = len(self.memory['rows'])\n"
        "        assert self.alias[0] is self.net.head\n"
        "        pull = self.memory['mean'].mean() * len(self.memory['seen']) + self.hidden.sum() + self.late\n"
        "        return self.supervised(step) * (1 + 0.01 * pull)\n"
    )
    with plugged(tmp_path, "hoarder", "import torch\n" + body):
        whole, _ = run("hoarder", None)
        assert whole.status == "done", whole.reason
        file = tmp_path / "case.pt"
        with pytest.raises(Cut):
            run("hoarder", file, until=9)
        again, _ = run("hoarder", file)
        assert any("resumed" in text for text in again.notes) and numbers(again) == numbers(whole)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    def build(self):\n        self.kept = iter([1])\n", "no checkpoint: kept is a list_iterator"),
        ("    def build(self):\n        self.view = self.net.head.weight.detach()[:1]\n", "shares its memory with a parameter"),
        (
            "    def phases(self):\n        bank = []\n"
            "        def loss(step):\n            bank.append(1)\n            return self.supervised(step)\n"
            "        return (Phase(loss, self.reads),)\n",
            "loss closes over a list, which may change from step to step",
        ),
        (
            "    def build(self):\n        self.net.register_forward_hook(lambda *a: None)\n",
            "net has hooks",
        ),
    ],
    ids=["an iterator", "a view", "a closure", "a hook"],
)
def test_what_cannot_be_kept_is_said_and_the_case_goes_on(tmp_path, body, words):
    head = "from tlbench.methods.base import Phase\nclass Odd(DeepMethod):\n    reads = frozenset({'source'})\n"
    loss = "    def loss(self, step):\n        return self.supervised(step)\n"
    with plugged(tmp_path, "odd", head + loss + body):
        file = tmp_path / "case.pt"
        record, _ = run("odd", file)
        assert record.status == "done" and any(words in text for text in record.notes), record.notes
        assert not file.exists()


def torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


def hostile(content: bytes) -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save({"format": Cut}, buffer)  # a class: code, which is not loaded
    return hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()


@pytest.mark.parametrize("harm", [torn, flipped, hostile, lambda content: b""], ids=["torn", "flipped", "hostile", "empty"])
def test_a_checkpoint_that_is_not_whole_is_never_read(tmp_path, harm: Callable[[bytes], bytes]):
    whole, _ = run("coral", None)
    file = tmp_path / "case.pt"
    with pytest.raises(Cut):
        run("coral", file, until=9)
    file.write_bytes(harm(file.read_bytes()))
    again, _ = run("coral", file)
    assert not any("resumed" in text for text in again.notes) and numbers(again) == numbers(whole)


def test_a_checkpoint_of_another_machine_or_version_is_left_alone(tmp_path):
    file = tmp_path / "case.pt"
    with pytest.raises(Cut):
        run("coral", file, until=9, machine="another")
    again, _ = run("coral", file)
    assert again.status == "done" and not any("resumed" in text for text in again.notes)


def test_a_disk_that_is_full_or_read_only_costs_the_checkpoint_and_not_the_case(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    record, _ = run("coral", tmp_path / "file" / "case.pt")
    assert record.status == "done" and any("no checkpoint: " in text for text in record.notes)
