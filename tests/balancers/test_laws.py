"""What follows from the definitions of the balancers, and the registry."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tlbench import balancers
from tlbench.balancers.base import GradientBalancer, LossBalancer
from tlbench.errors import TlbenchError

NAMES = (
    *("aligned_mtl", "cagrad", "dwa", "equal", "famo", "gradnorm", "gradvac", "imtl", "mgda", "nash_mtl", "pcgrad", "rlw"),
    *("stch", "uncertainty", "upgrad"),
)
GRADIENT_NAMES = tuple(name for name in NAMES if issubclass(balancers.balancer_class(name), GradientBalancer))


def jacobian(tasks: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(tasks, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_folder_is_the_registry_and_listing_imports_no_torch():
    assert tuple(balancers.balancer_names()) == NAMES
    assert all(balancers.balancer_summary(name) for name in NAMES)
    code = "import sys; from tlbench import balancers; balancers.balancer_names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("pcgard", "did you mean 'pcgrad'"),
        ({"kind": "cagrad", "d": 1.0}, "Unknown option 'd' of cagrad"),
        ({"kind": "cagrad", "c": -1.0}, "c = -1.0 must lie between 0"),
        ({"kind": "dwa", "window": 2.5}, "It is of the type int"),
        ({"c": 1.0}, "the key 'kind'"),
    ],
)
def test_a_bad_balancer_gets_one_clear_error(entry, message):
    with pytest.raises(TlbenchError) as error:
        balancers.check_balancer(entry)
    assert message.lower() in str(error.value).lower()


@pytest.mark.parametrize("name", GRADIENT_NAMES)
def test_absent_tasks_take_no_part(name):
    gradients = jacobian(3)
    with_absent = torch.stack([gradients[0], torch.zeros(20).double(), gradients[1], gradients[2]])
    torch.manual_seed(0)
    alone = balancers.make_balancer(name, 3).combine(gradients, torch.tensor([1.0, 2.0, 3.0]))
    torch.manual_seed(0)
    both = balancers.make_balancer(name, 4).combine(with_absent, torch.tensor([1.0, 9.0, 2.0, 3.0]))
    torch.testing.assert_close(both, alone)
    assert torch.equal(balancers.make_balancer(name, 2).combine(torch.zeros(2, 5)), torch.zeros(5))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GRADIENT_NAMES])
def test_absent_tasks_add_no_loss(name):
    balancer = balancers.make_balancer(name, 3)
    assert isinstance(balancer, LossBalancer)
    present = torch.tensor([True, False, True])
    for _ in range(3):
        losses = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
        loss = balancer.loss(losses, present)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(losses.grad).all()
        assert losses.grad[0] > 0 and losses.grad[2] > 0


@pytest.mark.parametrize("name", ["mgda", "nash_mtl", "upgrad"])
def test_no_task_gets_worse_along_the_update(name):
    for seed in range(5):
        gradients = jacobian(5, seed) + jacobian(1, 99) * torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0])[:, None].double()
        update = balancers.make_balancer(name, 5).combine(gradients)
        assert (gradients @ update).min() > -1e-3 * update.norm()  # upgrad regularizes its Gram matrix by 1e-4


def test_mgda_handles_equal_gradients_and_many_tasks():
    one = jacobian(1)
    torch.testing.assert_close(balancers.make_balancer("mgda", 3).combine(one.repeat(3, 1)), one[0])
    many = balancers.make_balancer("mgda", 60)
    gradients = jacobian(60)  # more tasks than parameters: the hull may hold 0
    update = many.combine(gradients)
    assert not many.notes
    assert (gradients @ update - update @ update).min() > -1e-8


def test_pcgrad_without_conflict_is_the_sum_and_two_conflicting_tasks_become_orthogonal():
    gradients = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    torch.testing.assert_close(balancers.make_balancer("pcgrad", 2).combine(gradients), gradients.sum(dim=0))
    conflicting = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    torch.testing.assert_close(balancers.make_balancer("pcgrad", 2).combine(conflicting), torch.tensor([0.5, 1.5]))


def test_imtl_projects_alike_on_every_gradient():
    gradients = jacobian(4)
    projections = gradients @ balancers.make_balancer("imtl", 4).combine(gradients) / gradients.norm(dim=1)
    torch.testing.assert_close(projections, projections.mean().expand(4))


def test_cagrad_stays_within_its_ball_and_is_the_mean_without_one():
    gradients = jacobian(4)
    mean = gradients.mean(dim=0)
    cagrad = balancers.make_balancer("cagrad", 4, {"c": 0.0})
    torch.testing.assert_close(cagrad.combine(gradients), mean)
    assert cagrad.notes == []
    update = balancers.make_balancer("cagrad", 4).combine(gradients) * 1.25
    torch.testing.assert_close((update - mean).norm(), 0.5 * mean.norm())
    assert (gradients @ update).min() > (gradients @ mean).min()


def test_gradnorm_learns_inverse_weights_of_scales_and_leaves_equal_tasks_alone():
    balancer = balancers.make_balancer("gradnorm", 2, {"alpha": 0.0})
    gradients = jacobian(1).repeat(2, 1) * torch.tensor([[1.0], [100.0]])
    for _ in range(400):
        balancer.combine(gradients, torch.tensor([1.0, 100.0]))
    weights = balancer.learned.value
    assert weights.sum() == pytest.approx(2, rel=1e-5)
    assert weights[0] / weights[1] > 10
    equal = balancers.make_balancer("gradnorm", 2)
    for _ in range(20):
        equal.combine(jacobian(1).repeat(2, 1), torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(equal.learned.value, torch.ones(2))


def test_dwa_gives_the_slower_task_more_weight():
    balancer = balancers.make_balancer("dwa", 2, {"window": 1})
    present = torch.ones(2, dtype=torch.bool)
    for losses in ([1.0, 1.0], [1.0, 0.5]):
        balancer.loss(torch.tensor(losses), present)
    losses = torch.ones(2, requires_grad=True)
    balancer.loss(losses, present).backward()
    torch.testing.assert_close(losses.grad, 2 * torch.softmax(torch.tensor([1.0, 0.5]) / 2, dim=0))


def test_memories_are_buffers_so_that_checkpoints_hold_them():
    first, second = (balancers.make_balancer("gradvac", 3) for _ in range(2))
    first.combine(jacobian())
    second.load_state_dict(first.state_dict())
    results = []
    for balancer in (first, second):
        torch.manual_seed(1)
        results.append(balancer.combine(jacobian(seed=4)))
    assert torch.equal(*results)
