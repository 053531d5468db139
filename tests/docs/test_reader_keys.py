"""docs/data.md names every key of every reader: its table of keys is generated from their schemas.

`python tests/docs/test_reader_keys.py` writes the table anew.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

from tlbench.data import readers

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
BEGIN, END = "<!-- keys of readers -->", "<!-- end of the keys of readers -->"
ORDER = (
    *("csv", "parquet", "jsonl", "npz", "mat", "hdf5", "npy", "svmlight", "idx", "idx_pairs", "series"),
    *("images", "masks", "shapes", "wav", "text", "conll", "squad", "datasets", "torchvision", "scikit_learn", "simulated"),
)
"""The built-in readers in the order of the page."""


def default_text(field: Any) -> str:
    """The default of a key as TOML writes it; "needed" where it has none, "" where it is left out."""
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    return "" if value is None or value == {} else f"`{json.dumps(value, ensure_ascii=False)}`"


def description_of(name: str, key: str, field: Any) -> str:
    """The description of a key, which may stand in a part of its annotation."""
    schema = readers.get(name).Options.model_json_schema()["properties"][key]
    texts = re.findall(r'"description": ("(?:[^"\\]|\\.)*")', json.dumps(schema))
    description = field.description or (json.loads(texts[0]) if texts else "")
    choices = [json.loads(text) for text in re.findall(r'"enum": (\[[^\]]*\])', json.dumps(schema))]
    choices += [[json.loads(text)] for text in re.findall(r'"const": ("[^"]*")', json.dumps(schema))]
    unnamed = [one for one in (choices[0] if choices else []) if one not in description]
    return f"{description}: {' or '.join(f'`{one}`' for one in choices[0])}" if unnamed else description


def keys() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Key, description, default, and the readers that have it so."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for name in ORDER:
        for key, field in readers.get(name).Options.model_fields.items():
            grouped.setdefault((key, description_of(name, key, field), default_text(field)), []).append(name)
    return [(*facts, tuple(names)) for facts, names in grouped.items()]


def table() -> str:
    """The table of the page: a line for each key, grouped by the readers that have it."""
    lines = ["| readers | key | meaning | default |", "| --- | --- | --- | --- |"]
    by_readers = sorted(keys(), key=lambda one: (ORDER.index(one[3][0]), one[3]))
    for names, group in itertools.groupby(by_readers, key=lambda one: one[3]):
        for number, (key, description, default, _) in enumerate(group):
            shown = ", ".join(f"`{name}`" for name in names) if number == 0 else ""
            meaning = description.replace("|", "\\|")
            lines.append(f"| {shown} | `{key}` | {meaning} | {default} |")
    return "\n".join(lines)


def test_the_table_of_keys_is_that_of_the_schemas():
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == table(), "run python tests/docs/test_reader_keys.py"


def test_every_key_of_every_reader_is_named_and_described():
    assert set(ORDER) == set(readers.names())
    text = PAGE.read_text(encoding="utf-8")
    for key, description, _, names in keys():
        assert f"`{key}`" in text, (key, names)
        assert description, (key, names)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}", encoding="utf-8")
