"""Devices by name."""

from __future__ import annotations

import pytest
import torch
from tiny_suite import CPU

from tlbench import engine
from tlbench.errors import TlbenchError


def test_a_device_that_is_not_there_is_refused():
    assert engine.device_of("cpu") == CPU
    with pytest.raises(TlbenchError, match=r"--device: Unknown device 'gpu'\. Did you mean 'cpu'"):
        engine.device_of("gpu")
    if not torch.cuda.is_available():
        assert engine.device_of("auto") == CPU
        for name in ("cuda", "cuda:0", "cuda:7"):
            with pytest.raises(TlbenchError, match=f"--device {name}: .* sees no CUDA device here. Use auto or cpu"):
                engine.device_of(name)
