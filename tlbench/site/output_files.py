"""Files of a site: each written whole or not at all, and those of an earlier build that are no more taken away."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tlbench.errors import TlbenchError
from tlbench.reports import escape_control

_HERE = Path(__file__).parent
_MANIFEST = "tlbench-site.json"


def slug(name: str) -> str:
    """A file's name from a name of records: unchanged where it is safe everywhere, else with a piece of its hash."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")[:80]
    return safe if safe and safe == name else f"{safe}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


class Writer:
    """Writes below one folder and keeps account of what it wrote.

    Raises TlbenchError for a place that can't be written to.
    """

    def __init__(self, out: Path, shared: Mapping[str, object]) -> None:
        """`shared` is what all pages may show."""
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

    def page(self, template: str, path: str, **shown: Any) -> str:
        """A page from a template; gives its path back."""
        root = "../" * (len(PurePosixPath(path).parts) - 1)
        text = self.environment.get_template(template).render(**self.shared, root=root, **shown)
        return self.file(path, text)

    def file(self, path: str, content: str | bytes) -> str:
        """Any file of the site; gives its path back."""
        target = self.out / path
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                # surrogates that JSON can spell are shown by their code points; none is left here
                part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise TlbenchError(f"can't write the site to {self.out}: {error.strerror}; name another directory") from error
        self.written.add(path)
        return path

    def assets(self) -> None:
        """The scripts and styles of all pages, with their licences."""
        for file in sorted((_HERE / "assets").iterdir()):
            self.file(f"assets/{file.name}", file.read_bytes())

    def finish(self) -> None:
        """Take away what an earlier build wrote and this one did not, and leave a list for the next."""
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
