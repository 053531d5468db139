"""tlbench: accuracy, negative transfer and throughput of transfer methods, side by side.

`tlbench.run(suite)` gives the records as a pandas DataFrame, `tlbench.report(...)` the three tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "report", "run"]

if TYPE_CHECKING:
    from tlbench.api import report, run


def __getattr__(name: str) -> Any:
    # torch and pandas take seconds to import: only who asks for them waits
    if name in {"run", "report"}:
        import importlib

        return getattr(importlib.import_module("tlbench.api"), name)
    raise AttributeError(f"module 'tlbench' has no attribute {name!r}")
