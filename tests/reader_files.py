"""What the tests of several readers share: rows of a table, encoded images, and settings of property tests."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import HealthCheck, settings
from PIL import Image

CSV = {"reader": "csv", "path": "d.csv", "label": "y"}
quick = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

ROWS = [
    {"a": 1.0, "b": 2, "sex": "F", "year": 2001, "y": "no"},
    {"a": 2.5, "b": 3, "sex": "M", "year": 2002, "y": "yes"},
    {"a": 3.0, "b": 5, "sex": "F", "year": 2003, "y": "yes"},
    {"a": 4.0, "b": 7, "sex": "M", "year": 2004, "y": "no"},
]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"reader": "datasets", "hub": "someone/things", "revision": COMMIT, "label": "y", "features": ["a", "b"]}


def encoded_image(colour: Any, size: tuple[int, int] = (20, 10), kind: str = "PNG", mode: str = "RGB") -> bytes:
    """An image of one colour."""
    stream = io.BytesIO()
    Image.new(mode, size, colour).save(stream, kind)
    return stream.getvalue()
