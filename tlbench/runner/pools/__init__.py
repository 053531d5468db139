"""Pools of worker slots in which cases run: this process, worker processes, one process for each device, Ray actors.

`protocol` defines what a pool does; the scheduler (`tlbench.runner.scheduler`) decides everything else.
"""
