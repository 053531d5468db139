"""A second device for tests: its tensors live in the CPU's memory, and behave towards those of the CPU as a GPU's do.

Tensors of two devices do not meet, none turns into a NumPy array, and the device can be watched: then whatever makes a program
wait for a GPU, or can't be captured, raises. torch takes the device for its "meta" one, which has a place in autograd.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

from tlbench.checks.host_sync import SYNCHRONIZING_OPS
from tlbench.engine.data import batches

ELSEWHERE = torch.device("meta")

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}
"""Rows of a GPU may be numbered on the host, at the price of a copy."""

_watched: ContextVar[bool] = ContextVar("_watched", default=False)
"""Of one thread: what others do meanwhile is theirs."""


class Mixed(Exception):
    """Tensors of two devices met, or a step was watched that waits for the device or copies from one to another."""


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Inside, what waits for the device or copies to or from it raises."""
    token = _watched.set(True)
    try:
        yield
    finally:
        _watched.reset(token)


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device) == ELSEWHERE


def _tensors(of: Any) -> list[Tensor]:
    if isinstance(of, dict):
        of = of.values()
    if isinstance(of, Tensor):
        return [of]
    return [tensor for one in of for tensor in _tensors(one)] if isinstance(of, Iterable) and not isinstance(of, str) else []


def _each(change: Callable[[Any], Any], of: Any) -> Any:
    """A value, or a container of values, changed one by one."""
    if isinstance(of, dict):
        return {key: _each(change, one) for key, one in of.items()}
    if isinstance(of, list | tuple):
        return type(of)([_each(change, one) for one in of])
    return change(of)


@functools.cache
def _shares(func: Any) -> bool:
    """Whether what an operation gives is a view of what it takes, or the same."""
    return any(one.alias_info is not None for one in func._schema.arguments)


class Event:
    """A mark in a stream."""

    def __init__(self, synchronised: list[Event]) -> None:
        self._synchronised = synchronised

    def synchronize(self) -> None:
        """What came before is done; it is remembered that somebody waited."""
        self._synchronised.append(self)


class Stream:
    """A queue of the device. What it is asked for is done at once."""

    def __init__(self, device: torch.device, synchronised: list[Event]) -> None:
        assert device == ELSEWHERE
        self._synchronised = synchronised

    def record_event(self) -> Event:
        """Behind all work so far."""
        return Event(self._synchronised)

    def wait_event(self, event: Event) -> None:
        """The event has passed."""
        assert isinstance(event, Event)


class There(Tensor):
    """A tensor of the second device; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        """Of the same shape, strides and type."""
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=ELSEWHERE
        )
        made.held = held
        return made

    def tolist(self) -> Any:
        """By way of the CPU, as a GPU's tensors."""
        return self.detach().cpu().tolist()

    def record_stream(self, stream: Stream) -> None:
        """Nothing: memory is given back by the CPU."""
        assert isinstance(stream, Stream)

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it with the values, after a look at where the tensors are."""
        kwargs = dict(kwargs or {})
        wanted = kwargs.get("device")
        leaves = [*_tensors(args), *_tensors(kwargs)]
        if func not in COPIES | INDEXED and any(one.ndim for one in leaves if not isinstance(one, cls)):
            raise Mixed(f"{func} takes tensors of two devices")
        if _watched.get():
            _look(func, leaves, args, wanted)
        if wanted is not None:
            kwargs["device"] = torch.device("cpu")
        out = func(*_each(_values, args), **_each(_values, kwargs))
        if (wanted is not None and not _is_there(wanted)) or (func is aten.copy_.default and not isinstance(args[0], cls)):
            return out
        wrapped = _each(_there, out)
        return return_and_correct_aliasing(func, args, kwargs, wrapped) if _shares(func) else wrapped


def _look(func: Any, leaves: list[Tensor], args: Any, wanted: Any) -> None:
    if func in SYNCHRONIZING_OPS:
        raise Mixed(f"a step waits for the device: {func}")
    where = {isinstance(one, There) for one in leaves if one.ndim or func in COPIES}
    if func in COPIES and wanted is not None:
        where.add(_is_there(wanted))
    if len(where) > 1:
        raise Mixed(f"a step copies from one device to another: {func}")
    masked = func in INDEXED and any(one.dtype == torch.bool for one in args[1] if one is not None)
    if masked and (func is aten.index.Tensor or args[2].numel() > 1):
        raise Mixed(f"a step waits for the device: {func} by a mask")


def _values(one: Any) -> Any:
    return one.held if isinstance(one, There) else one


def _there(one: Any) -> Any:
    return There(one) if isinstance(one, Tensor) and not isinstance(one, There) else one


class _Made(TorchDispatchMode):
    """What is made there, or copied there from the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = [*_tensors(args), *_tensors(kwargs)]
        if any(isinstance(one, There) for one in leaves) or not _is_there(kwargs.get("device")):
            return func(*args, **kwargs)
        if _watched.get() and leaves:
            raise Mixed(f"a step copies from one device to another: {func}")
        return There(func(*args, **{**kwargs, "device": torch.device("cpu")}))


class _Filled(TorchFunctionMode):
    """`torch.tensor` fills its tensor before any dispatch is told."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        fills = func in {torch.tensor, torch.as_tensor} and not isinstance(args[0], Tensor)
        if fills and _is_there(kwargs.get("device")):
            return func(*args, **{**kwargs, "device": "cpu"}).to(ELSEWHERE)
        return func(*args, **kwargs)


@contextlib.contextmanager
def second_device(monkeypatch: Any) -> Iterator[torch.device]:
    """The device, for as long as the block runs."""
    known = optimizer._get_fused_kernels_supported_devices()
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: [*known, ELSEWHERE.type])
    # else `Module.to` puts the new tensor's shape into the old one, and leaves the values where they are
    monkeypatch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
    with _Made(), _Filled():
        yield ELSEWHERE


def streams(monkeypatch: Any) -> list[Event]:
    """Let `torch.cuda` give streams of the second device; memory is pinned nowhere. The events that a program waited for."""

    @contextlib.contextmanager
    def on(stream: Stream) -> Iterator[None]:
        with _Made(), _Filled():  # the modes of torch are those of a thread
            yield

    synchronised: list[Event] = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(device, synchronised))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(device, synchronised))
    monkeypatch.setattr(torch.cuda, "stream", on)
    allocate = batches.empty_samples
    monkeypatch.setattr(batches, "empty_samples", lambda stores, counts, pin_memory: allocate(stores, counts))
    return synchronised
