"""Cases on a Ray cluster of two nodes, processes of this machine: the same numbers, and no case is lost with a node."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_suite import CPU, SUITE, blobs

from tlbench import api, records, runner
from tlbench.errors import TlbenchError
from tlbench.runner import local, scheduler
from tlbench.runner.worker import Limits

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of many kinds

ONE_THREAD = Limits(threads=1)


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = nodes.add_node(num_cpus=1)
    yield nodes, second
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def suite_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    for name, seed, shift in (("a", 1, 0.0), ("b", 2, 0.7)):
        samples = blobs(seed, 60, shift)
        np.savez(tmp_path / f"{name}.npz", x=samples.x.numpy(), y=samples.y.numpy())
    file = tmp_path / "tiny.toml"
    file.write_text(SUITE.replace("seeds = [0]", "seeds = [0, 1, 2, 3]"), encoding="utf-8")
    return file


def planned(file, results):
    suite = api.load_suite(file)
    records.prepare(results, suite.name)
    return runner.plan_run(suite, results, file.parent)


def numbers(ended):
    return {(r.entry, r.seed): (r.status, r.scores, r.identity) for r in ended}


def test_no_cluster_says_so(suite_file, tmp_path):
    from tlbench.runner.pools.ray_pool import RayPool

    with pytest.raises(
        TlbenchError, match=r"--ray auto: There is no Ray cluster at that address .*`ray start --head` starts one"
    ):
        RayPool(planned(suite_file, tmp_path / "r").worker_setup(), "auto")


def test_the_same_numbers_on_a_cluster_and_all_records_although_a_node_dies(cluster, suite_file, tmp_path):
    from tlbench.runner.pools.ray_pool import RayPool

    alone = list(local.run(planned(suite_file, tmp_path / "alone"), tmp_path / "alone", CPU, limits=ONE_THREAD))
    nodes, second = cluster
    plan = planned(suite_file, tmp_path / "far")
    pool = RayPool(plan.worker_setup(ONE_THREAD), nodes.address)
    assert pool.size() == 2
    ended = []
    for record in scheduler.run_plan(plan, tmp_path / "far", pool, limits=ONE_THREAD):
        ended.append(record)
        if len(ended) == 2:
            nodes.remove_node(second)  # with whatever it runs
    assert numbers(ended) == numbers(alone)
    assert numbers(records.read_all(tmp_path / "far")) == numbers(alone)
    assert all(record.status == "done" for record in ended)


def test_a_cluster_too_small_for_a_case_says_so(cluster, suite_file, tmp_path):
    from tlbench.runner.pools.ray_pool import RayPool

    with pytest.raises(TlbenchError, match=r"A case needs .*'CPU': 99.*Ask for less per case"):
        RayPool(planned(suite_file, tmp_path / "r").worker_setup(), cluster[0].address, cores=99)
