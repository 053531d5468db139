"""The rules of the source text: layers of imports, who reads the time, what a method may use, lengths of files and functions.

Each rule is a function from real or made-up source texts to what offends.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import tlbench

LAYERS = (
    *(
        "errors",
        "escaping",
        "plain_files",
        "process_state",
        "content_hashes",
        "label_sets",
        "metrics",
        "ranges",
        "provenance",
        "scores",
        "passages",
        "terms",
        "plugins",
        "registry",
        "user_arrays",
        "threads",
        "clock",
        "data",
        "suite",
        "solvers",
        "nn",
        "balancers",
        "methods",
        "selection",
        "engine",
        "records",
        "runner",
    ),
    *("sweep", "reports", "transferability", "plots", "site", "checks", "bench", "progress", "session", "api", "published"),
    *("cli", "__main__"),
)
"""The packages and top-level modules of tlbench in import order: each imports only those before it."""
PACKAGE = Path(tlbench.__file__).parent
FILE_LINES, METHOD_LINES, FUNCTION_LINES = 300, 80, 60


def sources() -> dict[str, str]:
    """The text of every module of the package by its dotted name; packages are named `tlbench.data.__init__`."""
    return {
        ".".join(("tlbench", *file.relative_to(PACKAGE).with_suffix("").parts)): file.read_text(encoding="utf-8")
        for file in sorted(PACKAGE.rglob("*.py"))
        if "_suites" not in file.parts
    }


def imports(module: str, text: str) -> Iterator[tuple[str, bool]]:
    """Every dotted name that a module imports, wherever the import stands, and whether it runs with the module itself.

    `from a import b` gives both `a` and `a.b`. Text given to `import_module` counts; TYPE_CHECKING blocks do not run.
    """
    tree = ast.parse(text)
    deferred = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        runs = node not in deferred
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, runs
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")
            above = ".".join(parents[: len(parents) - node.level]) if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            yield base, runs
            for alias in node.names:
                yield f"{base}.{alias.name}", runs
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, runs


def layer(name: str) -> str:
    """The layer of a dotted name inside the package; empty for the bare package and for what is outside."""
    levels = name.split(".")
    return levels[1] if levels[0] == "tlbench" and len(levels) > 1 and levels[1] != "__init__" else ""


def upward_imports(texts: Mapping[str, str]) -> list[str]:
    """Imports of a later layer, and modules that are in no layer."""
    offences = []
    for module, text in texts.items():
        if module == "tlbench.__init__":  # the public API: lazy
            offences += [f"{module} imports {name} at once" for name, runs in imports(module, text) if runs and layer(name)]
            continue
        if layer(module) not in LAYERS:
            offences.append(f"{module} is in no layer")
            continue
        position = LAYERS.index(layer(module))
        for name, _ in imports(module, text):
            imported = layer(name)
            if not imported or imported == "__version__":
                continue
            if imported not in LAYERS:
                offences.append(f"{module} imports {name}, which is in no layer")
            elif LAYERS.index(imported) > position:
                offences.append(f"{module} imports {name}")
    return offences


def two_way_imports(texts: Mapping[str, str]) -> list[str]:
    """Pairs of modules that import each other, wherever the imports stand; `from package import submodule` is the submodule."""
    targets: dict[str, set[str]] = {}
    for module, text in texts.items():
        names = {name for name, _ in imports(module, text)}
        modules = {name for name in names if name in texts} | {
            f"{name}.__init__"
            for name in names
            if f"{name}.__init__" in texts and not any(other.startswith(f"{name}.") and other in texts for other in names)
        }
        targets[module] = modules - {module}
    pairs = {
        tuple(sorted((one, other))) for one, others in targets.items() for other in others if one in targets.get(other, ())
    }
    return [f"{one} and {other} import each other" for one, other in sorted(pairs)]


def imports_of(texts: Mapping[str, str], layers: tuple[str, ...], banned: tuple[str, ...]) -> list[str]:
    """Imports, anywhere in the modules of some layers, of a banned name or of anything below it."""
    return [
        f"{module} imports {name}"
        for module, text in texts.items()
        if layer(module) in layers
        for name, _ in imports(module, text)
        if any(name == one or name.startswith(f"{one}.") for one in banned)
    ]


def imported_with(texts: Mapping[str, str], start: str) -> set[str]:
    """All that is imported when `start` is imported: modules of the package, and third-party packages."""
    seen: set[str] = set()
    pending = [start]
    while pending:
        name = pending.pop()
        parents = [".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)]
        for one in (*parents, name):
            if one in seen:
                continue
            seen.add(one)
            for module in (one, f"{one}.__init__"):
                if module in texts:
                    pending += [target for target, runs in imports(module, texts[module]) if runs]
    return seen


def timers(texts: Mapping[str, str]) -> list[str]:
    """Modules other than the clock that read the time."""
    offences = imports_of(texts, tuple(name for name in ("", *LAYERS) if name != "clock"), ("time", "timeit"))
    for module, text in texts.items():
        if layer(module) == "clock":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today", "Event"}:
                expression = ast.unparse(node)
                if "date" in expression or "cuda" in expression:
                    offences.append(f"{module} calls {expression}")
    return offences


def is_method(module: str) -> bool:
    levels = module.split(".")
    return levels[1] == "methods" and (len(levels) == 4 or levels[-1] == "base") and levels[-1] != "__init__"


def outside_the_contract(texts: Mapping[str, str]) -> list[str]:
    """What a method must not use: files, optimizers, seeds, clocks."""
    banned = ("os", "io", "shutil", "pathlib", "random", "torch.optim", "tlbench.clock", "tlbench.engine")
    methods = {module: text for module, text in texts.items() if is_method(module)}
    offences = imports_of(methods, ("methods",), banned)
    for module, text in methods.items():
        for node in ast.walk(ast.parse(text)):
            expression = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            if expression in {"torch.optim", "torch.manual_seed", "torch.cuda", "torch.device", "open"}:
                offences.append(f"{module} uses {expression}")
    return offences


def long_files(texts: Mapping[str, str]) -> list[str]:
    """Files over their limit."""
    lines = {module: len(text.splitlines()) for module, text in texts.items()}
    limits = {module: METHOD_LINES if is_method(module) and "base" not in module else FILE_LINES for module in texts}
    return [f"{module}: {count} lines, {limits[module]} at most" for module, count in lines.items() if count > limits[module]]


def long_functions(texts: Mapping[str, str]) -> list[str]:
    """Functions over their limit, decorators and docstring counted."""
    return [
        f"{module}.{node.name}: {length} lines, {FUNCTION_LINES} at most"
        for module, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
