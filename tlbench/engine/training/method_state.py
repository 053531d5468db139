"""All that a trained method holds between two steps, as data that can be written to a file and put back.

That is: parameters and buffers, and what its modules have as attributes, as far as it is made of tensors, numbers, texts and
containers of these. Code (functions, bound methods) and modules that stand in attributes are named, not kept. Whatever else a
method holds can't be put back honestly: such a method keeps no checkpoint, and says so. Two things can't be seen from
here and are the method's promise: no state at the level of its file, none in a library.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.errors import NotSerializableError
from tlbench.methods.base import AlternatingUpdate, DeepMethod, Phase

_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has: its tables of parameters, buffers, modules and hooks, and whether it trains."""


def state_of_method(method: DeepMethod) -> dict[str, Any]:
    """The state of a method as tensors, numbers, texts and containers of these.

    Raises:
        NotKept: it holds something else.
    """
    names = _names(method)
    modules: dict[str, Any] = {}
    for name, module in method.named_modules():
        if hooked := [table for table in _OWN if table.endswith("_hooks") and getattr(module, table)]:
            raise NotSerializableError(f"{name or 'the method'} has hooks ({hooked[0]})")
        where = f"{name}." if name else ""
        held = {k: _written(value, names, f"{where}{k}") for k, value in vars(module).items() if k not in _OWN}
        modules[name] = {"training": module.training, "attributes": held}
    own = {t.untyped_storage().data_ptr() for t in (*method.parameters(), *method.buffers()) if t.numel()}
    for name, held in modules.items():
        if any(t.untyped_storage().data_ptr() in own for t in _tensors(held["attributes"])):
            raise NotSerializableError(f"an attribute of {name or 'the method'} shares its memory with a parameter or a buffer")
    return {
        "modules": modules,
        "parameters": {name: (p.detach(), p.requires_grad) for name, p in method.named_parameters()},
        "buffers": {name: buffer.detach() for name, buffer in method.named_buffers()},
    }


def restore_method(method: DeepMethod, state: dict[str, Any]) -> None:
    """Bring a method that was built anew to a state from `kept`.

    Raises:
        NotKept: it is not built as the one that was kept; it may be changed in part, and is of no use any more.
    """
    modules = dict(method.named_modules())
    named = {**modules, **dict(method.named_parameters())}
    if modules.keys() != state["modules"].keys():
        raise NotSerializableError("it has other modules now")
    for name, held in state["modules"].items():
        module = modules[name]
        module.training = held["training"]
        for key in [key for key in vars(module) if key not in _OWN and key not in held["attributes"]]:
            delattr(module, key)
        for key, value in held["attributes"].items():
            module.__dict__[key] = _read(value, module.__dict__.get(key), named, f"{name}.{key}")
    for kind, tensors in (("parameter", dict(method.named_parameters())), ("buffer", dict(method.named_buffers()))):
        if tensors.keys() != state[f"{kind}s"].keys():
            raise NotSerializableError(f"it has other {kind}s now")
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            value, learns = state["parameters"][name]
            _same_shape(name, parameter, value)
            parameter.copy_(value)
            parameter.requires_grad_(learns)
        for name, buffer in method.named_buffers():
            _same_shape(name, buffer, state["buffers"][name])
            buffer.copy_(state["buffers"][name])


def phase_functions(method: DeepMethod, phases: Sequence[Phase]) -> list[Any]:
    """What the functions of the phases are, with the constants that they close over: the same when state is put back.

    Raises:
        NotKept: a function closes over something that may change from step to step.
    """
    names = _names(method)
    return [[_function(one, names, f"phase {number}") for one in _functions(phase)] for number, phase in enumerate(phases)]


def _functions(phase: Phase) -> Iterator[Callable[..., Any]]:
    losses = phase.loss if isinstance(phase.loss, tuple) else (phase.loss,)
    made = [one.loss if isinstance(one, AlternatingUpdate) else one for one in losses]
    scales = [group.scale for group in phase.groups or ()]
    yield from (one for one in (*made, phase.begin, phase.after, phase.combine, *scales) if callable(one))


def _function(one: Any, names: dict[int, str], where: str) -> Any:
    if id(one) in names:
        return names[id(one)]
    if isinstance(one, functools.partial):
        rest = [_constant(value, names, where) for value in (*one.args, *one.keywords.values())]
        return [_function(one.func, names, where), rest]
    if inspect.ismethod(one):
        if id(one.__self__) not in names and not inspect.isclass(one.__self__):
            raise NotSerializableError(f"{where}: {one.__qualname__} belongs to an object that is no module of the method")
        return one.__qualname__
    if inspect.isfunction(one):
        held = [cell.cell_contents for cell in one.__closure__ or ()]
        defaults = [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
        return [one.__qualname__, [_constant(v, names, f"{where}: {one.__qualname__}") for v in (*held, *defaults)]]
    if inspect.isbuiltin(one) or inspect.isclass(one):
        return one.__qualname__
    raise NotSerializableError(f"{where}: a {type(one).__name__} is called, which may hold anything")


def _constant(value: Any, names: dict[int, str], where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | frozenset):
        return [_constant(one, names, where) for one in value]
    if id(value) in names:
        return names[id(value)]
    if callable(value) or inspect.ismodule(value):
        return value.__name__ if inspect.ismodule(value) else _function(value, names, where)
    raise NotSerializableError(f"{where} closes over a {type(value).__name__}, which may change from step to step")


def _names(method: DeepMethod) -> dict[int, str]:
    """The names of a method's modules and parameters, by their identity."""
    return {id(one): name for name, one in (*method.named_modules(), *method.named_parameters())}


def _written(value: Any, names: dict[int, str], where: str) -> Any:
    """A value as tensors, numbers, texts and containers of these; every container is a pair of its kind and its content."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if id(value) in names:
        return "named", names[id(value)]
    if type(value) is Tensor:
        if value.requires_grad:
            raise NotSerializableError(f"{where} is a tensor with a gradient's graph")
        return "tensor", value
    if isinstance(value, torch.Generator):
        return "generator", value.get_state()
    if type(value) is dict:
        return "dict", [(_written(k, names, where), _written(v, names, where)) for k, v in value.items()]
    for kind in (list, tuple, set, frozenset):
        if type(value) is kind:
            return str(kind.__name__), [_written(one, names, where) for one in value]
    if inspect.isroutine(value) or inspect.isclass(value):
        return "code", str(_function(value, names, where))
    raise NotSerializableError(f"{where} is a {type(value).__name__}")


def _tensors(written: Any) -> Iterator[Tensor]:
    """All tensors of attributes that `_written` gave."""
    if isinstance(written, Tensor):
        yield written
    elif isinstance(written, dict | list | tuple):
        for one in written.values() if isinstance(written, dict) else written:
            yield from _tensors(one)


def _read(value: Any, now: Any, named: dict[str, Any], where: str) -> Any:
    if not isinstance(value, tuple):
        return value
    kind, content = value
    if kind == "named":
        if content not in named:
            raise NotSerializableError(f"{where}: it has no part {content!r} now")
        return named[content]
    if kind == "tensor":
        return content
    if kind in {"generator", "code"}:
        if kind == "generator" and isinstance(now, torch.Generator):
            now.set_state(content)
            return now
        if kind == "code" and now is not None:
            return now
        raise NotSerializableError(f"{where}: it is not there now")
    if kind == "dict":
        return {_read(k, None, named, where): _read(v, None, named, where) for k, v in content}
    read = [_read(one, None, named, where) for one in content]
    return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](read)


def _same_shape(name: str, now: Tensor, before: Tensor) -> None:
    if now.shape != before.shape or now.dtype != before.dtype:
        raise NotSerializableError(f"{name} has another shape or type now")
