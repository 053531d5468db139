"""The attributes of a method beside parameters and buffers, which a replayed or vectorised step would not change."""

from __future__ import annotations

from typing import Any

from torch import nn


def attributes_of(method: nn.Module) -> dict[str, Any]:
    """The attributes of a method and its modules; they compare equal before and after a step that changes none of them."""
    return {
        f"{name}.{key}": _fingerprint(value)
        for name, module in method.named_modules()
        for key, value in vars(module).items()
        if key not in {"_parameters", "_buffers", "_modules", "noted", "training"}
    }


def _fingerprint(value: Any) -> Any:
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, dict):
        return {key: _fingerprint(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_fingerprint(item) for item in value]
    return id(value)
