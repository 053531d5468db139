"""Images in folders and archives, those that do not decode, and hostile ones."""

from __future__ import annotations

import contextlib
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from domain_tables import load_domain, refused_domain
from hypothesis import given
from hypothesis import strategies as st
from reader_files import encoded_image, quick

from tlbench.data.decoding import images
from tlbench.errors import TlbenchError

IMAGES = {"reader": "images", "path": "photos", "domain": "web", "size": 8}


def test_folders_and_archives_of_images(photos: Path) -> None:
    domain = load_domain(IMAGES, photos)
    assert domain.samples.x.shape == (4, 3, 8, 8) and domain.samples.x.dtype == torch.uint8
    assert domain.classes == ("cat", "dog") and domain.samples.y.tolist() == [0, 0, 1, 1]
    assert domain.samples.x[0, :, 0, 0].tolist() == [0, 200, 30]
    for path in ("photos.tar", "photos.tar.gz"):
        assert load_domain(IMAGES | {"path": path, "domain": "photos/web"}, photos).fingerprint == domain.fingerprint
    assert load_domain(IMAGES | {"path": "photos/art", "domain": "", "mode": "grey"}, photos).samples.x.shape == (4, 1, 8, 8)
    assert load_domain(IMAGES | {"crop": 6}, photos).samples.x.shape == (4, 3, 6, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "webb"}, "'webb' is not there"),
        ({"domain": "../photos/web"}, "leaves 'photos'"),
        ({"domain": "web/cat"}, "There is no image in folders <class>/*"),
        ({"path": "photo"}, "folder 'photo' is not there"),
        ({"path": "photos.tar", "domain": "photos/webb"}, "Did you mean 'photos/web'?"),
        ({"crop": 9}, "crop = 9 is larger than size = 8"),
    ],
)
def test_images_that_are_not_there(photos: Path, change: dict[str, Any], message: str) -> None:
    assert message in refused_domain(IMAGES | change, photos)


def test_images_that_do_not_decode_are_named_and_counted(photos: Path) -> None:
    whole = (photos / "photos/web/cat/b.jpg").read_bytes()
    (photos / "photos/web/cat/b.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "photos/web/dog/c.png").write_bytes(b"junk")
    text = refused_domain(IMAGES, photos)
    assert "2 of 5 images do not decode" in text and "cat/b.jpg" in text and "dog/c.png" in text and "skip_bad" in text
    with pytest.warns(UserWarning, match="2 of 5 images do not decode"):
        assert load_domain(IMAGES | {"skip_bad": True}, photos).samples.y.tolist() == [0, 1, 1]


def test_hostile_images_are_refused_domain(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "secret.png").write_bytes(encoded_image("red"))
    (photos / "photos/web/cat/z.png").symlink_to(photos / "secret.png")
    assert "is a link that leaves" in refused_domain(IMAGES, photos)
    (photos / "photos/web/cat/z.png").unlink()
    monkeypatch.setattr(images, "PIXELS_LIMIT", 199)
    assert "20x10 pixels are more than the 199 allowed" in refused_domain(IMAGES, photos)


@pytest.mark.parametrize("kind", ["link", "hard", "up", "absolute", "device"])
def test_hostile_archives_are_refused_domain(tmp_path: Path, kind: str) -> None:
    with tarfile.open(tmp_path / "photos", "w") as archive:
        member = tarfile.TarInfo({"up": "web/../../a.png", "absolute": "/web/a/b.png"}.get(kind, "web/cat/a.png"))
        member.linkname = "/etc/passwd"
        member.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}.get(kind, tarfile.REGTYPE)
        archive.addfile(member)
    assert "is a link, a device or leaves the archive. It is refused." in refused_domain(IMAGES, tmp_path)


@given(share=st.floats(0, 1, exclude_max=True))
@quick
def test_an_archive_cut_anywhere_is_a_clear_error_or_whole(photos: Path, share: float) -> None:
    whole = (photos / "photos.tar").read_bytes()
    (photos / "cut").write_bytes(whole[: int(share * len(whole))])
    with contextlib.suppress(TlbenchError):
        assert len(load_domain(IMAGES | {"path": "cut", "domain": "photos/web"}, photos).samples) <= 4


@pytest.mark.parametrize(
    ("mode", "colour"), [("L", 7), ("RGBA", (7, 7, 7, 255)), ("P", 0), ("1", 0), ("I;16", 7 << 8), ("CMYK", (0, 0, 0, 0))]
)
def test_any_kind_of_image_becomes_rgb(mode: str, colour: Any) -> None:
    held = encoded_image(colour, mode=mode, kind="TIFF" if mode == "CMYK" else "PNG")
    x, good, notes = images.decode([images.EncodedImage(0, "a", lambda: held)], 1, images.ImageOptions(size=4))
    assert x.shape == (1, 3, 4, 4) and len(good) == 1 and notes == ()
    assert len(np.unique(x)) == 1


@pytest.mark.data
def test_office_caltech_and_pacs_photographs(data_root: Path) -> None:
    table = IMAGES | {"path": "office_caltech10/images.tar", "domain": "images/dslr", "size": 64, "crop": 56}
    domain = load_domain(table, data_root)
    assert domain.samples.x.shape == (157, 3, 56, 56) and len(domain.classes) == 10
    path = "pacs_subset/pacs_first20_per_domain_class.tar"
    assert load_domain(IMAGES | {"path": path, "domain": "PACS/sketch"}, data_root).samples.x.shape == (140, 3, 8, 8)
