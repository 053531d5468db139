"""The files of a site: each is written whole or not at all; those that only an earlier build wrote are removed."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tlbench.errors import TlbenchError
from tlbench.reports import escape_control

_HERE = Path(__file__).parent
_MANIFEST = "tlbench-site.json"


def slug(name: str) -> str:
    """A file name from a name in records: unchanged where it is safe on every system, else with a piece of its hash."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")[:80]
    return safe if safe and safe == name else f"{safe}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


class Writer:
    """Writes below one folder, and records what it wrote.

    Raises TlbenchError for a place that can't be written to.
    """

    def __init__(self, out: Path, shared: Mapping[str, object]) -> None:
        """`shared` holds the variables of all pages."""
        self.out, self.shared = out, shared
        self.written: set[str] = set()
        self.environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters["legible"] = lambda text: escape_control(str(text))
        # between tags a quotation mark is itself, and a record has many
        self.environment.filters["in_tag"] = lambda text: Markup(html.escape(text, quote=False))

    def page(self, template: str, path: str, **shown: Any) -> str:
        """Write a page from a template, and return its path."""
        root = "../" * (len(PurePosixPath(path).parts) - 1)
        text = self.environment.get_template(template).render(**self.shared, root=root, **shown)
        return self.file(path, text)

    def file(self, path: str, content: str | bytes) -> str:
        """Write any file of the site, and return its path."""
        target = self.out / path
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                # surrogates that JSON can spell are shown by their code points; none is left here
                temporary.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise TlbenchError(f"The site can't be written to {self.out}: {error.strerror}. Name another directory.") from error
        self.written.add(path)
        return path

    def assets(self) -> None:
        """Write the scripts and styles of all pages, with their licences."""
        for file in sorted((_HERE / "assets").iterdir()):
            self.file(f"assets/{file.name}", file.read_bytes())

    def finish(self) -> None:
        """Remove what an earlier build wrote and this one did not, and leave a list for the next."""
        manifest = self.out / _MANIFEST
        try:
            earlier = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        except (OSError, ValueError, KeyError, TypeError):
            earlier = []
        root = self.out.resolve()
        for path in earlier if isinstance(earlier, list) else []:
            gone = self.out / str(path)
            if path not in self.written and root in gone.resolve().parents:
                gone.unlink(missing_ok=True)
        self.file(_MANIFEST, json.dumps({"files": sorted(self.written)}, indent=0) + "\n")
