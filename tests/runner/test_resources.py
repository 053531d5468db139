"""Threads of a case, and resources that can't be combined."""

from __future__ import annotations

import os

import pytest

from tlbench.runner import resources
from tlbench.runner.worker import Limits


def test_cores_are_shared_out():
    cores = len(os.sched_getaffinity(0))
    assert resources.share_cores(Limits(), resources.Resources()).threads is None
    assert resources.share_cores(Limits(), resources.Resources(workers=2)).threads == max(cores // 2, 1)
    assert resources.share_cores(Limits(), resources.Resources(devices=2)).threads == max(cores // 2, 1)
    assert resources.share_cores(Limits(), resources.Resources(ray="auto")).threads == 1
    assert resources.share_cores(Limits(), resources.Resources(workers=resources.AUTO_WORKERS)).threads == 1
    assert resources.share_cores(Limits(), resources.Resources(workers=1000)).threads == 1
    assert resources.share_cores(Limits(threads=7), resources.Resources(workers=1000)).threads == 7


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (resources.Resources(workers=2, devices=2), "--workers and --devices can't be combined"),
        (resources.Resources(workers=2, ray="auto"), "--workers and --ray can't be combined"),
        (resources.Resources(gpus_per_case=0.5), "--gpus-per-case works only with --ray"),
    ],
)
def test_resources_that_cannot_be_combined(asked, words):
    assert any(words in sentence for sentence in asked.errors())
    assert resources.Resources(workers=2).errors() == resources.Resources(ray="local", gpus_per_case=0.5).errors() == []


def test_ray_by_itself_means_the_cluster_of_this_machine():
    from tlbench.cli import expand_optional_values

    assert expand_optional_values(["run", "x", "--ray"]) == ["run", "x", "--ray", "auto"]
    assert expand_optional_values(["run", "--ray", "--quiet", "x"]) == ["run", "--ray", "auto", "--quiet", "x"]
    assert expand_optional_values(["run", "--ray", "h:6379", "x"]) == ["run", "--ray", "h:6379", "x"]
