"""Which files of a folder or an archive become images, and what becomes of their pixels: each finding's right value."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from domain_tables import load_domain, refused_domain
from PIL import Image, features
from reader_files import encoded_image

from tlbench.data.decoding import image_files, images, pixels

PHOTOS = {"reader": "images", "path": "photos", "size": 16}
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
RAMP = np.tile(np.linspace(0, 63840, 16).astype(np.uint16), (16, 1))
BRIGHT_RIGHT = np.repeat([[0, 0, 255, 255]], 4, axis=0).repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8)


def write(root: Path, contents: dict[str, bytes], kind: str) -> None:
    """Files of two classes, with others beside them, in a folder or an archive."""
    if kind == "folder":
        for name, content in contents.items():
            (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "photos" / name).write_bytes(content)
        return
    with tarfile.open(root / "photos", kind) as archive:  # type: ignore[call-overload]
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def decoded(content: bytes, **options: Any) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """One image as it is decoded, and the notes on it."""
    x, _, notes = images.decode([images.EncodedImage(0, "a", lambda: content)], 1, images.ImageOptions(size=16, **options))
    return x[0], notes


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["folder", "w", "w:gz"])
def test_hidden_files_and_folders_are_no_images_and_no_classes(tmp_path: Path, kind: str) -> None:
    image = encoded_image("red")
    hidden = {"cat/._0.png": b"\0\5\x16\7", ".ipynb_checkpoints/0.png": image, "cat/.ipynb_checkpoints/1.png": image}
    hidden |= {"__MACOSX/cat/0.png": image, "dog/Thumbs.db": b"x", "@eaDir/0.png": image}
    write(tmp_path, {"cat/0.png": image, "dog/0.png": image, **hidden}, kind)
    with pytest.warns(UserWarning, match="6 hidden files and folders are left out"):
        domain = load_domain(PHOTOS, tmp_path)
    assert domain.classes == ("cat", "dog") and len(domain.samples) == 2
    assert "6 hidden files and folders are left out" in domain.notes[0]


@pytest.mark.parametrize("kind", ["folder", "w", "w:gz"])
def test_suffixes_in_any_case_and_none(tmp_path: Path, kind: str) -> None:
    jpeg, png = encoded_image("red", kind="JPEG"), encoded_image("red")
    names = ("a.jfif", "b.jpe", "c.JPG", "d.Jpeg", "e", "f.jif")
    contents = {f"cat/{name}": jpeg for name in names} | {f"dog/{name}": png for name in ("a.PNG", "b", "c.data")}
    write(tmp_path, contents, kind)
    domain = load_domain(PHOTOS, tmp_path)
    assert domain.samples.y.tolist() == [0] * 6 + [1] * 3 and domain.notes == ()


@pytest.mark.parametrize("kind", ["folder", "w", "w:gz"])
def test_other_files_are_counted_by_suffix(tmp_path: Path, kind: str) -> None:
    image = encoded_image("red")
    contents = {"cat/0.png": image, "dog/0.png": image, "cat/a.txt": b"x", "dog/b.TXT": b"y", "cat/labels": b"z"}
    write(tmp_path, contents | {"lists/all.csv": b"a,b", "cover.png": image, "README": b"x"}, kind)
    with pytest.warns(UserWarning):
        domain = load_domain(PHOTOS, tmp_path)
    assert domain.notes == (
        "4 files are no images and left out: 1 .csv, 2 .txt, 1 no suffix",
        "1 images lie in no folder of a class and are left out",
        "the folders lists hold no image and are no classes",
    )


@pytest.mark.parametrize("kind", ["folder", "w", "w:gz"])
@pytest.mark.parametrize(("name", "message"), [("x.HEIC", "HEIC images are not read"), ("x.svg", "format .svg are not read")])
def test_images_of_formats_that_are_not_read_are_named(tmp_path: Path, kind: str, name: str, message: str) -> None:
    content = HEIC if name == "x.HEIC" else b"<svg/>"
    write(tmp_path, {"cat/0.png": encoded_image("red"), "dog/0.png": encoded_image("red"), f"cat/{name}": content}, kind)
    text = refused_domain(PHOTOS, tmp_path)
    assert f"cat/{name}" in text and message in text and "convert them to JPEG" in text and "skip_bad" in text
    with pytest.warns(UserWarning, match="1 of 3 images do not decode"):
        assert len(load_domain(PHOTOS | {"skip_bad": True}, tmp_path).samples) == 2


def test_a_linked_folder_of_a_class_is_a_class(tmp_path: Path) -> None:
    write(tmp_path, {"cat/0.png": encoded_image("red"), "store/dogs/0.png": encoded_image("blue")}, "folder")
    (tmp_path / "photos" / "web").mkdir()
    (tmp_path / "photos" / "web" / "dog").symlink_to("../store/dogs")
    (tmp_path / "photos" / "web" / "cat").symlink_to("../cat")
    assert load_domain(PHOTOS | {"domain": "web"}, tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("size", [(16, 16), (32, 16), (16, 48)])
def test_images_are_turned_upright(orientation: int, kind: str, size: tuple[int, int]) -> None:
    upright = Image.fromarray(BRIGHT_RIGHT).resize(size).convert("RGB")
    upright.paste((0, 0, 0), (0, size[1] // 2, size[0], size[1]))  # the bright quarter is at the top right
    back = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90}
    transposition = pixels.TRANSPOSITIONS.get(orientation)
    stored = upright if transposition is None else upright.transpose(back.get(transposition, transposition))
    exif = Image.Exif()
    exif[pixels.ORIENTATION_TAG] = orientation
    x, notes = decoded(saved(stored, kind, exif=exif), crop=16)
    assert x[0, 2, 13] > 200 and max(x[0, 2, 2], x[0, 13, 2], x[0, 13, 13]) < 50
    assert any(pixels.UPRIGHTED in note for note in notes) == (orientation > 1 and kind != "TIFF")  # Pillow turns a TIFF itself


def test_damaged_exif_data_leave_the_pixels_as_they_are() -> None:
    content = saved(Image.new("RGB", (16, 16), "red"), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decoded(content)[0][0].mean() > 200


def deep_images() -> dict[str, tuple[bytes, str | None]]:
    """The same ramp in each deep mode, and the note on it."""
    png = Image.fromarray(RAMP)
    ppm = b"P5 16 16 65535\n" + RAMP.astype(">u2").tobytes()
    return {
        "16-bit PNG": (saved(png, "PNG"), None),
        "16-bit PNG with a transparent value": (saved(png, "PNG", transparency=63841), None),
        "16-bit PGM": (ppm, None),
        "16-bit TIFF": (saved(png, "TIFF"), None),
        "32-bit TIFF": (saved(Image.fromarray(RAMP.astype(np.int32)), "TIFF"), pixels.INTEGERS),
        "float TIFF": (saved(Image.fromarray((RAMP / 65535).astype(np.float32)), "TIFF"), pixels.FLOATS),
    }


@pytest.mark.parametrize("name", deep_images())
def test_deep_images_are_scaled_and_not_clipped(name: str) -> None:
    content, note = deep_images()[name]
    for mode in ("rgb", "grey"):
        x, notes = decoded(content, mode=mode)
        assert abs(x[0].astype(int) - (RAMP >> 8).astype(int)).max() <= 1
        assert notes == (() if note is None else (f"1 of 1 images {note}",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 70000]], dtype=np.int32), "32-bit integers from 0 to 70000"),
        (np.array([[-1, 5]], dtype=np.int32), "32-bit integers from -1 to 5"),
        (np.array([[0, 200]], dtype=np.int32), "leaves open which range is meant"),
        (np.array([[0, 200]], dtype=np.float32), "floating-point values from 0 to 200"),
        (np.array([[0, np.nan]], dtype=np.float32), "where values in [0, 1] are read"),
    ],
)
def test_values_of_an_unknown_range_are_refused(tmp_path: Path, values: Any, message: str) -> None:
    write(tmp_path, {"cat/0.tif": saved(Image.fromarray(values), "TIFF"), "dog/0.png": encoded_image("red")}, "folder")
    assert message in refused_domain(PHOTOS, tmp_path)


def test_a_transparent_16_bit_value_is_white() -> None:
    x, _ = decoded(saved(Image.fromarray(RAMP), "PNG", transparency=int(RAMP[0, 0])))
    assert x[0, 0, 0] == 255 and x[0, 0, 1] == RAMP[0, 1] >> 8


def test_first_bytes_of_each_format_are_known() -> None:
    kinds = [kind for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF") if kind != "AVIF" or features.check("avif")]
    for kind in kinds:
        assert image_files.is_image(encoded_image("red", kind=kind)[: image_files.HEAD_BYTES]), kind
    assert not any(map(image_files.is_image, (b"", b"BM text", b"RIFFxxxxWAVE", b"P5 is a text", bytes(16))))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow does not read AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"cat/0.avif": encoded_image("red", kind="AVIF"), "dog/0.png": encoded_image("red")}, "folder")
    x = load_domain(PHOTOS, tmp_path).samples.x
    assert torch.allclose(x[0].float(), x[1].float(), atol=3)
