"""Pools of worker slots, where cases run: this process, processes of this machine, several devices for each case, a Ray cluster.

`protocol` defines what a pool does; the scheduler (`tlbench.runner.scheduler`) decides everything else.
"""
