"""Running a suite: the cases that are not on file, and the pools in which they run."""

from tlbench.runner.duration_estimates import wall_seconds
from tlbench.runner.plan import RunPlan, estimate_seconds, load_domains, plan_run

__all__ = ["RunPlan", "estimate_seconds", "load_domains", "plan_run", "wall_seconds"]
