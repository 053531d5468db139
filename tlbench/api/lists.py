"""The suites and methods that exist, as DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from tlbench import methods as registry
from tlbench import session
from tlbench.methods.base import DeepMethod
from tlbench.suite import shipped_suites


def list_suites() -> pd.DataFrame:
    """The shipped suites, one row each, by name.

    Returns:
        Columns: `title`, `version`, `task` (classification or regression), `metric`, and the numbers of `domains`, `pairs` of
        domains, `methods` (entries) and `seeds`.
    """
    loaded = {name: session.load_suite(path) for name, path in shipped_suites().items()}
    facts = {
        name: {
            "title": suite.title,
            "version": suite.version,
            "task": suite.protocol.task,
            "metric": suite.protocol.metric,
            "domains": len(suite.domains),
            "pairs": len(suite.pairs),
            "methods": len(suite.methods),
            "seeds": len(suite.protocol.seeds),
        }
        for name, suite in loaded.items()
    }
    return _frame(facts)


def list_methods(plugins: Sequence[str | Path] = ()) -> pd.DataFrame:
    """The methods that exist, one row each, by name.

    Args:
        plugins: Python files with methods outside the package.

    Returns:
        Columns: `family` (the folder of a shipped method, else "plugin"), `kind` (deep or shallow), `reads` and `tasks` (names,
        separated by commas), and `summary`.

    Raises:
        TlbenchError: a plugin can't be read.
    """
    session.register_plugins(map(Path, plugins))
    shipped = Path(registry.__file__).parent
    facts = {}
    for name in registry.method_names():
        file, kind = registry.method_files().get(name), registry.method_class(name)
        facts[name] = {
            "family": file.parent.name if file is not None and file.is_relative_to(shipped) else "plugin",
            "kind": "deep" if issubclass(kind, DeepMethod) else "shallow",
            "reads": ", ".join(sorted(kind.reads)),
            "tasks": ", ".join(sorted(kind.tasks)),
            "summary": registry.method_summary(name),
        }
    return _frame(facts)


def _frame(facts: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Facts by name as a frame whose index is the name."""
    return (
        pd.DataFrame.from_dict(dict(facts), orient="index").rename_axis("name").convert_dtypes(dtype_backend="numpy_nullable")
    )
