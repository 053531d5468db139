"""Every notebook of the documentation runs from its first cell to its last, in a kernel of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
print(sum(bool(cell.get("outputs")) for cell in notebook.cells if cell.cell_type == "code"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_every_cell_shows_something(notebook, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-c", EXECUTE, str(notebook)]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) == notebook.read_text(encoding="utf-8").count('"cell_type": "code"')


def test_there_is_a_notebook_and_it_holds_no_output():
    assert NOTEBOOKS
    assert all('"output_type"' not in notebook.read_text(encoding="utf-8") for notebook in NOTEBOOKS)
