"""Imported by the server from which worker processes are forked, so that a worker starts without importing anything."""

from __future__ import annotations

from tlbench.engine.training.optimizer import import_optimizers
from tlbench.runner import isolation
from tlbench.runner.pools import ddp_pool, process_pool

SERVING = (process_pool, ddp_pool, isolation)
"""The modules with the main functions of workers."""

import_optimizers()
