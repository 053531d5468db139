"""Laws of test-time adaptation on a stream of real digits."""

from __future__ import annotations

import copy

import pytest
import torch
from streamed_digits import IMAGE, STREAM_METHODS, VECTOR, batch_statistics_scores, digits, stream_scores, trained

SELECTS_ALL = {"eata": {"entropy_margin": 10.0, "cosine_margin": 10.0}, "sar": {"entropy_margin": 10.0, "reset_below": 0.0}}
OPTIONS = {"rotta": {"capacity": 32}, "note": {"capacity": 32}, "cotta": {"confidence": 0.0}, **SELECTS_ALL}
"""Options under which a method adapts to each batch of 32 samples, and draws no views where it can do without."""


def accuracy(name: str, order: torch.Tensor, **options) -> float:
    """The accuracy of a method with an mlp on the corrupted digits in an order, in batches of 64."""
    _, target = digits(VECTOR)
    sizes = [64] * (len(order) // 64)
    x, y = target.x[order][: sum(sizes)], target.y[order][: sum(sizes)]
    return float((stream_scores(trained(name, VECTOR, **options), x, sizes).argmax(dim=1) == y).double().mean())


@pytest.mark.parametrize("name", ["tent", "rpl", "eata", "sar", "cotta"])
def test_a_rate_of_zero_leaves_the_statistics_of_the_batch(name):
    options = {"lr": 0.0, **({"confidence": 0.0} if name == "cotta" else {})}
    method, (_, target) = trained(name, steps=20, **options), digits()
    expected = torch.cat([batch_statistics_scores(method, x) for x in target.x[:96].split([64, 1, 31])])
    torch.testing.assert_close(stream_scores(method, target.x[:96], [64, 1, 31]), expected, rtol=1e-4, atol=1e-4)


def test_a_prior_of_nothing_leaves_the_statistics_of_the_batch():
    method, (_, target) = trained("bn_alpha", steps=20, prior=0.0), digits()
    plain = copy.deepcopy(method)
    for stage, wrapper in enumerate(plain.norms):
        plain.net.backbone.stages[stage][1] = wrapper.norm
    scores = stream_scores(method, target.x[:64], [64])
    torch.testing.assert_close(scores, batch_statistics_scores(plain, target.x[:64]), rtol=1e-2, atol=1e-2)


def test_a_large_prior_leaves_the_statistics_of_the_source():
    method, (_, target) = trained("bn_alpha", steps=20, prior=1e12), digits()
    with torch.no_grad():
        expected = method.net(target.x[:64])
    torch.testing.assert_close(stream_scores(method, target.x[:64], [64]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [IMAGE, VECTOR])
@pytest.mark.parametrize("name", STREAM_METHODS)
def test_earlier_predictions_do_not_depend_on_later_samples(name, shape):
    """Batches of one sample are among those, for which an mlp has no batch statistics."""
    method, (_, target) = trained(name, shape, steps=10), digits(shape)
    x, other = target.x[:150], target.x[:150].clone()
    other[100:] = 2 * target.x[400:450]
    sizes = [70, 1, 28, 1, 50]
    first, second = (stream_scores(copy.deepcopy(method), stream, sizes) for stream in (x, other))
    assert torch.equal(first[:100], second[:100])
    assert not torch.equal(first[100:], second[100:])
    assert bool(first.isfinite().all())


@pytest.mark.parametrize("name", STREAM_METHODS)
def test_a_reset_gives_back_the_state_before_the_stream(name):
    method, (_, target) = trained(name, steps=10, **OPTIONS.get(name, {})), digits()
    same = torch.cat([target.x[:64], target.x[:64]])
    scores = stream_scores(copy.deepcopy(method), same, [32] * 4, resets=(2,))
    if name in {"memo", "rotta"}:  # views are drawn anew
        torch.testing.assert_close(scores[:32], scores[64:96], rtol=1e-2, atol=1e-2)
    else:
        assert torch.equal(scores[:32], scores[64:96])
    if name not in {"lame", "bn_alpha", "memo"}:  # these have no state
        going_on = stream_scores(method, same, [32] * 4)
        assert not torch.equal(going_on[:32], going_on[64:96])


def test_a_stream_sorted_by_class_collapses_tent_and_not_lame_or_note():
    _, target = digits()
    by_class = target.y.argsort(stable=True)
    shuffled = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    tent, lame, note = ([accuracy(name, order) for order in (shuffled, by_class)] for name in ("tent", "lame", "note"))
    assert tent[0] > 0.75 and tent[1] < 0.4
    assert lame[1] > lame[0] - 0.02 and lame[1] > tent[1] + 0.15
    assert note[1] > note[0] - 0.1 and note[1] > tent[1] + 0.15


def test_batch_statistics_help_on_a_shuffled_stream():
    _, target = digits()
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    unadapted = accuracy("bn_alpha", order, prior=1e12)
    for name in ("bn_alpha", "tent", "rpl", "sar", "eata", "cotta"):
        assert accuracy(name, order) > unadapted + 0.1, name
