"""`tlbench new`: a method file or a suite file that works, from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlbench.cli import console
from tlbench.errors import TlbenchError

app = typer.Typer(help="Write a commented method or suite that works, as a start for your own.", no_args_is_help=True)

TEMPLATES = Path(__file__).parents[1] / "templates"


@app.command("method")
def new_method(
    name: Annotated[str, typer.Argument(help="Name of the method, a Python identifier; NAME.py is written here.")],
) -> None:
    """Write a method that runs and passes `tlbench check`."""
    _write_template("method.py", name, Path(f"{name}.py"))
    console.echo(f"wrote {name}.py; next: tlbench check {name}.py, then tlbench run SUITE --plugin {name}.py")


@app.command("suite")
def new_suite(name: Annotated[str, typer.Argument(help="Name of the suite; NAME.toml is written here.")]) -> None:
    """Write a suite that runs, on data that ship with scikit-learn."""
    _write_template("suite.toml", name, Path(f"{name}.toml"))
    console.echo(f"wrote {name}.toml; next: tlbench check {name}.toml, then tlbench run {name}.toml")


def _write_template(template: str, name: str, path: Path) -> None:
    """Write a template under a name.

    Raises:
        TlbenchError: the name is no identifier in lower case, or the file exists.
    """
    if not name.isidentifier() or not name.islower():
        raise TlbenchError(
            f"{name!r} can't be the name. It is also the name of a file and of a key: use lower-case letters, digits and '_'."
        )
    if path.exists():
        raise TlbenchError(f"{path} exists already, and nothing was written. Choose another name.")
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    path.write_text(text.replace("@NAME@", name).replace("@CLASS@", class_name), encoding="utf-8")
