"""The arguments and options that several commands share; each is defined once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def number_of_workers(text: str) -> int:
    """A number from 1 on, or `auto`, which is 0: as many workers as fit."""
    if text == "auto":
        return 0
    if not str(text).isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither a number from 1 on nor auto.")
    return int(text)


def _suite_names(incomplete: str) -> list[str]:
    """The shipped suites that start like this, for shell completion."""
    from tlbench.suite import shipped_suites

    return [name for name in shipped_suites() if name.startswith(incomplete)]


SuiteName = Annotated[
    str,
    typer.Argument(metavar="SUITE", help="Suite file, or name of a shipped suite.", autocompletion=_suite_names),
]
SuiteNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="SUITE", help="Suite files, or names of shipped suites.", autocompletion=_suite_names),
]
RecordedSuites = Annotated[
    list[str] | None, typer.Argument(metavar="[SUITE]", help="Names of suites. Default: all that have records.")
]
SuitesOfRecords = Annotated[
    list[str] | None,
    typer.Option("--suite", help="Suite file or name (repeat for more). Default: the shipped suites of the folders' names."),
]
SuiteOfResults = Annotated[
    str | None, typer.Option("--suite", help="Suite file of the results. Default: the shipped suite of the folder's name.")
]
ResultsDirectory = Annotated[Path, typer.Argument(metavar="[DIR]", help="Results directory.")]
Results = Annotated[
    Path, typer.Option("--results", metavar="DIR", help="Results directory; records are in DIR/<suite>/<entry>.jsonl.")
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data root. Default: TLBENCH_DATA, else the folder of the suite file."),
]
Download = Annotated[bool, typer.Option("--download", help="Download missing data and weights (hub, torchvision).")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Python file with a method of your own (repeat for more)."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Print the whole traceback where a method raises an error.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Methods = Annotated[
    list[str] | None, typer.Option("--method", metavar="NAME", help="Only this method entry of the suite (repeat for more).")
]
Pairs = Annotated[
    list[str] | None, typer.Option("--pair", metavar="SOURCE:TARGET", help="Only this pair of domains (repeat for more).")
]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="Only this seed number (repeat for more).")]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        parser=number_of_workers,
        metavar="N|auto",
        help="Run N cases at once, each in a process; auto: one a core, on a GPU as many as fit.",
    ),
]
Ray = Annotated[str | None, typer.Option("--ray", metavar="[ADDRESS]", help="Run on a Ray cluster: auto, local or HOST:PORT.")]
GpusPerCase = Annotated[float, typer.Option("--gpus-per-case", min=0.0, help="With --ray: GPUs of a case, such as 0.25.")]
Isolated = Annotated[
    bool,
    typer.Option(
        "--isolated/--no-isolated",
        help="Run the method of each case in a process of its own, which holds no label of a scored sample.",
    ),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="A case that takes longer fails.")
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="POINTS",
        help="Print how many seeds give a 95 % CI of this margin of error, in points of the metric.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")]


def allow_download(download: bool) -> None:
    """Let data readers download, in this process and in those that it starts."""
    if download:
        os.environ["TLBENCH_DOWNLOAD"] = "1"
