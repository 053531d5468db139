"""Samples that two tensors share are counted."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlbench import data


@given(
    samples=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    others=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    width=st.sampled_from([1, 3, 64, 65, 500]),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
)
@settings(deadline=None, max_examples=30)
def test_shared_samples_are_counted(samples: list[int], others: list[int], width: int, dtype: torch.dtype) -> None:
    def to_tensor(numbers: list[int]) -> torch.Tensor:
        x = torch.arange(width).repeat(len(numbers), 1) % 7
        x[:, width // 2] = torch.tensor(numbers)  # samples that agree in all but one feature
        return x.to(dtype)

    assert data.count_duplicates(to_tensor(samples), to_tensor(others)) == sum(sample in others for sample in samples)


def test_zeros_of_either_sign_are_equal_and_other_shapes_never_are() -> None:
    a = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert data.count_duplicates(a, torch.tensor([[-0.0, 1.0]])) == 1
    assert (
        data.count_duplicates(a, a[:, :1]) == 0
        and data.count_duplicates(a, a.double()) == 0
        and data.count_duplicates(a[:0], a) == 0
    )
    images = torch.randint(0, 256, (300, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert data.count_duplicates(images[:50], images[25:]) == 25
