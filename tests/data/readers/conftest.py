"""Folders of files for the readers."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest
from reader_files import ROWS, encoded_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One table in several formats."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import feather, ipc

    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_csv(tmp_path / "d.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "bare.csv", index=False, header=False)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress((tmp_path / "d.csv").read_bytes()))
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    frame.to_parquet(tmp_path / "d.parquet")
    table = pa.Table.from_pandas(frame)
    feather.write_feather(table, str(tmp_path / "d.feather"))
    with ipc.new_stream(str(tmp_path / "d.arrow"), table.schema) as writer:
        writer.write_table(table)
    return tmp_path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two domains of two classes in a folder, and the same in two archives."""
    for domain, shade in (("web", 0), ("art", 100)):
        for label in ("cat", "dog"):
            folder = tmp_path / "photos" / domain / label
            folder.mkdir(parents=True)
            (folder / "a.png").write_bytes(encoded_image((shade, 200, 30)))
            (folder / "b.jpg").write_bytes(encoded_image((shade, 200, 30), kind="JPEG"))
    for name, mode in (("photos.tar", "w"), ("photos.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as archive:  # type: ignore[call-overload]
            archive.add(tmp_path / "photos", "photos")
    return tmp_path
