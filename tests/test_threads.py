"""The thread policy: threads sleep while they wait only on a busy machine."""

from __future__ import annotations

import os

from tlbench import threads


def test_threads_sleep_while_they_wait_only_beside_other_programs(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that what is set below is taken back afterwards
    for busy, policy in ((False, None), (True, "PASSIVE")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        monkeypatch.setattr(threads, "is_machine_busy", lambda busy=busy: busy)
        threads.set_wait_policy()
        assert os.environ.get("OMP_WAIT_POLICY") == policy
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.set_wait_policy()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
