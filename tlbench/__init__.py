"""tlbench: accuracy, negative transfer and throughput of domain adaptation and transfer learning, side by side.

`tlbench.run(suite)` gives the records of a suite as a pandas DataFrame, `tlbench.report(results)` its tables, and
`tlbench.fit(method, (x, y), x_target)` one method on arrays of your own. A method file imports all that it needs from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pydantic import Field

    from tlbench import selection, transferability
    from tlbench.api import fit, list_methods, list_suites, load_model, load_suite, report, run
    from tlbench.errors import NotApplicableError, TlbenchError
    from tlbench.methods.base import (
        AlternatingUpdate,
        DeepMethod,
        Group,
        OnlineAdaptation,
        Passes,
        Phase,
        Predictor,
        ShallowMethod,
    )
    from tlbench.terms import Labelled, Step, Task

__all__ = [
    "AlternatingUpdate",
    "DeepMethod",
    "Field",
    "Group",
    "Labelled",
    "NotApplicableError",
    "OnlineAdaptation",
    "Passes",
    "Phase",
    "Predictor",
    "ShallowMethod",
    "Step",
    "Task",
    "TlbenchError",
    "__version__",
    "fit",
    "list_methods",
    "list_suites",
    "load_model",
    "load_suite",
    "report",
    "run",
    "selection",
    "transferability",
]

_MODULES = {
    **dict.fromkeys(("fit", "list_methods", "list_suites", "load_model", "load_suite", "report", "run"), "tlbench.api"),
    **dict.fromkeys(("AlternatingUpdate", "DeepMethod", "Group", "OnlineAdaptation", "Passes"), "tlbench.methods.base"),
    **dict.fromkeys(("Phase", "Predictor", "ShallowMethod"), "tlbench.methods.base"),
    **dict.fromkeys(("Labelled", "Step", "Task"), "tlbench.terms"),
    **dict.fromkeys(("NotApplicableError", "TlbenchError"), "tlbench.errors"),
    "Field": "pydantic",
    "selection": "tlbench.selection",
    "transferability": "tlbench.transferability",
}
"""The module of each public name. It is imported at the first use: torch and pandas take seconds to import."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tlbench' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(_MODULES[name])
    # a package, or a name of a module
    value = globals()[name] = module if module.__name__ == f"tlbench.{name}" else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
