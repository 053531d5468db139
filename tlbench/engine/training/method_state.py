"""The state of a deep method between two steps, as data that can be written to a file and restored.

The state consists of parameters, buffers and those attributes of the modules that are tensors, numbers, strings or containers
of these. Functions, bound methods and modules in attributes are stored by name. A method with any other attribute gets no
checkpoint, and its record says so. State at module level or inside a library can't be seen from here; the contract of a method
excludes it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.errors import NotSerializableError, TlbenchError
from tlbench.methods.base import AlternatingUpdate, DeepMethod, Phase

_MODULE_ATTRIBUTES = frozenset(vars(nn.Module()))
"""Attributes of every module: its tables of parameters, buffers, modules and hooks, and its mode."""


def state_of_method(method: DeepMethod) -> dict[str, Any]:
    """The state of a method as tensors, numbers, strings and containers of these.

    Raises:
        NotSerializableError: the method holds something else.
    """
    names = _names(method)
    modules: dict[str, Any] = {}
    for name, module in method.named_modules():
        if hooked := [table for table in _MODULE_ATTRIBUTES if table.endswith("_hooks") and getattr(module, table)]:
            raise NotSerializableError(f"{name or 'the method'} has hooks ({hooked[0]})")
        prefix = f"{name}." if name else ""
        attributes = {key: value for key, value in vars(module).items() if key not in _MODULE_ATTRIBUTES}
        serialized = {key: _serialize(value, names, f"{prefix}{key}") for key, value in attributes.items()}
        modules[name] = {"training": module.training, "attributes": serialized}
    storages = {t.untyped_storage().data_ptr() for t in (*method.parameters(), *method.buffers()) if t.numel()}
    for name, module_state in modules.items():
        if any(t.untyped_storage().data_ptr() in storages for t in _tensors(module_state["attributes"])):
            raise NotSerializableError(f"an attribute of {name or 'the method'} shares its memory with a parameter or a buffer")
    return {
        "modules": modules,
        "parameters": {name: (p.detach(), p.requires_grad) for name, p in method.named_parameters()},
        "buffers": {name: buffer.detach() for name, buffer in method.named_buffers()},
    }


def finite_buffers(method: DeepMethod) -> frozenset[str]:
    """The names of the buffers whose values are all finite."""
    return frozenset(name for name, buffer in method.named_buffers() if bool(buffer.isfinite().all()))


def non_finite(method: DeepMethod, buffers: frozenset[str]) -> bool:
    """Whether a parameter, or one of some buffers, is not finite any more: the training is about to diverge."""
    tensors = [*method.parameters(), *(buffer for name, buffer in method.named_buffers() if name in buffers)]
    return not all(bool(tensor.isfinite().all()) for tensor in tensors)


def check_state(method: DeepMethod, state: Mapping[str, Any]) -> None:
    """Check that `restore_method` can restore a state, and that it is finite, before anything is changed.

    Args:
        method: the method as it is built, before its first step.
        state: what may be a state from `state_of_method`.

    Raises:
        NotSerializableError: the method is built otherwise than the stored one.
        TlbenchError: a value has another shape or type, or is not finite.
    """
    if state.keys() != {"modules", "parameters", "buffers"}:
        raise TlbenchError("the state of its method is incomplete")
    modules = dict(method.named_modules())
    named = {**modules, **dict(method.named_parameters())}
    if modules.keys() != state["modules"].keys():
        raise NotSerializableError("the method has other modules now")
    for name, module_state in state["modules"].items():
        if module_state.keys() != {"training", "attributes"} or not isinstance(module_state["training"], bool):
            raise TlbenchError(f"the state of the module {name!r} is incomplete")
        for key, value in module_state["attributes"].items():
            if not isinstance(key, str) or key in _MODULE_ATTRIBUTES:
                raise TlbenchError(f"the module {name!r} has no attribute {key!r}")
            _deserialize(value, modules[name].__dict__.get(key), named, f"{name}.{key}", dry=True)
    finite = finite_buffers(method)
    parameters, buffers = dict(method.named_parameters()), dict(method.named_buffers())
    for kind, current, stored in (("parameter", parameters, state["parameters"]), ("buffer", buffers, state["buffers"])):
        if current.keys() != stored.keys():
            raise NotSerializableError(f"the method has other {kind}s now")
        for name, tensor in current.items():
            value, trainable = stored[name] if kind == "parameter" else (stored[name], True)
            if type(value) is not Tensor or value.layout is not torch.strided or not isinstance(trainable, bool):
                raise TlbenchError(f"the {kind} {name} is no tensor")
            _check_shape(name, tensor, value)
            if (kind == "parameter" or name in finite) and not bool(value.isfinite().all()):
                raise TlbenchError(f"the {kind} {name} is not finite")


def restore_method(method: DeepMethod, state: Mapping[str, Any]) -> None:
    """Restore the state of a method that was built anew.

    Args:
        method: the method; it is changed in place.
        state: from `state_of_method`.

    Raises:
        NotSerializableError: the method is built otherwise than the stored one. It may be restored in part, and is unusable.
    """
    modules = dict(method.named_modules())
    named = {**modules, **dict(method.named_parameters())}
    if modules.keys() != state["modules"].keys():
        raise NotSerializableError("it has other modules now")
    for name, module_state in state["modules"].items():
        module, attributes = modules[name], module_state["attributes"]
        module.training = module_state["training"]
        for key in [key for key in vars(module) if key not in _MODULE_ATTRIBUTES and key not in attributes]:
            delattr(module, key)
        for key, value in attributes.items():
            module.__dict__[key] = _deserialize(value, module.__dict__.get(key), named, f"{name}.{key}")
    for kind, tensors in (("parameter", dict(method.named_parameters())), ("buffer", dict(method.named_buffers()))):
        if tensors.keys() != state[f"{kind}s"].keys():
            raise NotSerializableError(f"it has other {kind}s now")
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            value, requires_grad = state["parameters"][name]
            _check_shape(name, parameter, value)
            parameter.copy_(value)
            parameter.requires_grad_(requires_grad)
        for name, buffer in method.named_buffers():
            _check_shape(name, buffer, state["buffers"][name])
            buffer.copy_(state["buffers"][name])


def phase_functions(method: DeepMethod, phases: Sequence[Phase]) -> list[Any]:
    """The names of the functions of the phases, with the constants that they close over; they must be equal on resumption.

    Raises:
        NotSerializableError: a function closes over something that may change from step to step.
    """
    names = _names(method)
    return [
        [_function_facts(function, names, f"phase {number}") for function in _functions(phase)]
        for number, phase in enumerate(phases)
    ]


def _functions(phase: Phase) -> Iterator[Callable[..., Any]]:
    losses = phase.loss if isinstance(phase.loss, tuple) else (phase.loss,)
    loss_functions = [loss.loss if isinstance(loss, AlternatingUpdate) else loss for loss in losses]
    scales = [group.scale for group in phase.groups or ()]
    candidates = (*loss_functions, phase.begin, phase.after, phase.combine, *scales)
    yield from (candidate for candidate in candidates if callable(candidate))


def _function_facts(function: Any, names: dict[int, str], where: str) -> Any:
    if id(function) in names:
        return names[id(function)]
    if isinstance(function, functools.partial):
        arguments = [_constant(value, names, where) for value in (*function.args, *function.keywords.values())]
        return [_function_facts(function.func, names, where), arguments]
    if inspect.ismethod(function):
        if id(function.__self__) not in names and not inspect.isclass(function.__self__):
            raise NotSerializableError(f"{where}: {function.__qualname__} belongs to an object that is no module of the method")
        return function.__qualname__
    if inspect.isfunction(function):
        closure = [cell.cell_contents for cell in function.__closure__ or ()]
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        constants = [_constant(value, names, f"{where}: {function.__qualname__}") for value in (*closure, *defaults)]
        return [function.__qualname__, constants]
    if inspect.isbuiltin(function) or inspect.isclass(function):
        return function.__qualname__
    raise NotSerializableError(f"{where}: a {type(function).__name__} is called, which may hold any state")


def _constant(value: Any, names: dict[int, str], where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | frozenset):
        return [_constant(item, names, where) for item in value]
    if id(value) in names:
        return names[id(value)]
    if callable(value) or inspect.ismodule(value):
        return value.__name__ if inspect.ismodule(value) else _function_facts(value, names, where)
    raise NotSerializableError(f"{where} closes over a {type(value).__name__}, which may change from step to step")


def _names(method: DeepMethod) -> dict[int, str]:
    """The names of a method's modules and parameters, by object id."""
    return {id(named): name for name, named in (*method.named_modules(), *method.named_parameters())}


def _serialize(value: Any, names: dict[int, str], where: str) -> Any:
    """A value as tensors, numbers, strings and containers of these; every container becomes a pair of its kind and content."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if id(value) in names:
        return "named", names[id(value)]
    if type(value) is Tensor:
        if value.requires_grad:
            raise NotSerializableError(f"{where} is a tensor with an autograd graph")
        return "tensor", value
    if isinstance(value, torch.Generator):
        return "generator", value.get_state()
    if type(value) is dict:
        return "dict", [(_serialize(k, names, where), _serialize(v, names, where)) for k, v in value.items()]
    for kind in (list, tuple, set, frozenset):
        if type(value) is kind:
            return str(kind.__name__), [_serialize(item, names, where) for item in value]
    if inspect.isroutine(value) or inspect.isclass(value):
        return "code", str(_function_facts(value, names, where))
    raise NotSerializableError(f"{where} is a {type(value).__name__}")


def _tensors(serialized: Any) -> Iterator[Tensor]:
    """All tensors of serialised attributes."""
    if isinstance(serialized, Tensor):
        yield serialized
    elif isinstance(serialized, dict | list | tuple):
        for item in serialized.values() if isinstance(serialized, dict) else serialized:
            yield from _tensors(item)


def _deserialize(value: Any, current: Any, named: Mapping[str, Any], where: str, dry: bool = False) -> Any:
    """The value that was serialised; generators and code are those of `current`, the attribute of the new method.

    Args:
        value: what `_serialize` returned.
        current: the attribute of the new method.
        named: its modules and parameters by name.
        where: the name of the attribute, for errors.
        dry: whether nothing is to be changed.

    Raises:
        NotSerializableError: the method has no such attribute now, or the value is none that `_serialize` returns.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)):
        raise NotSerializableError(f"{where}: a {type(value).__name__} is no value of an attribute")
    kind, content = value
    if kind == "named":
        if content not in named:
            raise NotSerializableError(f"{where}: the method has no module or parameter {content!r} now")
        return named[content]
    if kind == "tensor" and isinstance(content, Tensor):
        return content
    if kind == "generator" and isinstance(current, torch.Generator) and isinstance(content, Tensor):
        generator = torch.Generator(current.device) if dry else current
        generator.set_state(content)
        return generator
    if kind == "code" and current is not None:
        return current
    if kind == "dict":
        return {
            _deserialize(k, None, named, where, dry): _deserialize(v, None, named, where, dry)
            for k, v in _listed(content, where)
        }
    if kind in (containers := {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}):
        return containers[kind]([_deserialize(item, None, named, where, dry) for item in _listed(content, where)])
    raise NotSerializableError(f"{where}: the attribute does not exist now")


def _listed(content: Any, where: str) -> list[Any]:
    if not isinstance(content, list):
        raise NotSerializableError(f"{where}: a container holds no list")
    return content


def _check_shape(name: str, current: Tensor, stored: Tensor) -> None:
    if (current.shape, current.dtype, current.device.type) != (stored.shape, stored.dtype, stored.device.type):
        raise NotSerializableError(f"{name} has another shape or type now")
