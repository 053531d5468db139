"""A label for each pixel: images and masks, networks of pixels, and methods on them."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from tlbench import data, engine, runner
from tlbench.engine.data.inputs import Inputs
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.runner.plan import with_files
from tlbench.suite import Network, parse_suite
from tlbench.terms import IGNORED

SIDE = 16
METHODS = ("source_only", "target_only", "fine_tune", "dann", "coral", "min_entropy", "fda", "mean_teacher", "adabn", "tent")


def write_pairs(root, count=3, mask_side=SIDE, mask_mode="L"):
    rng = np.random.default_rng(0)
    for folder in ("image", "mask"):
        (root / "photos" / folder).mkdir(parents=True)
    for number in range(count):
        values = np.where(np.arange(mask_side)[:, None] < number + 3, 255, 0).astype(np.uint8)
        image = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / "photos" / "image" / f"{number}.png")
        mask = Image.fromarray(np.repeat(values, mask_side, axis=1)).convert(mask_mode)
        mask.save(root / "photos" / "mask" / f"{number}.png")


def load(root, **more):
    table = {"reader": "masks", "task": "pixels", "path": "photos", "images": "image", "masks": "mask", "size": SIDE, **more}
    declaration, errors = data.declare("photos", table, {})
    if declaration is None:
        raise TlbenchError(" ".join(errors))
    return data.load(declaration, root)


def test_each_pixel_has_the_label_of_its_mask(tmp_path):
    write_pairs(tmp_path)
    domain = load(tmp_path, label_map={"0": "ground", "255": "roof"})
    assert domain.classes == ("ground", "roof") and domain.position_task == "pixels"
    assert domain.samples.x.dtype == torch.uint8 and domain.samples.x.shape == (3, 3, SIDE, SIDE)
    roofs = (domain.samples.y.view(3, SIDE, SIDE) == 1).sum(dim=(1, 2))
    assert roofs.tolist() == [3 * SIDE, 4 * SIDE, 5 * SIDE]
    assert (load(tmp_path, ignore=255).samples.y == IGNORED).sum() == 12 * SIDE
    assert load(tmp_path, size=8).samples.y.shape == (3, 64), "masks follow the size of the images"


@pytest.mark.parametrize(
    ("written", "more", "error"),
    [
        ({"mask_side": 8}, {}, r"The mask mask/0.png has 8x8 pixels, and its image 16x16"),
        ({"mask_mode": "RGB"}, {}, r"The mask mask/0.png has the mode RGB. A mask has one channel"),
        ({}, {"masks": "masks"}, r"There is no image in 'masks'. .*'mask'"),
        ({}, {"images": ["image", "mask"]}, "give two lists of equal length"),
        ({}, {"classes": ["0", "1"]}, r"Label '255' .* is not among the 2 classes"),
        ({}, {"shifts": [{"kind": "rotation", "degrees": 9.0}]}, "This shift moves pixels, and their labels would stay"),
    ],
)
def test_bad_masks_get_one_clear_error(tmp_path, written, more, error):
    write_pairs(tmp_path, **written)
    with pytest.raises(TlbenchError, match=error):
        load(tmp_path, **more)


@pytest.mark.parametrize("kind", ["folder", "w:gz"])
def test_hidden_and_other_files_among_images_and_masks_are_left_out_with_a_note(tmp_path, kind):
    write_pairs(tmp_path)
    photos = tmp_path / "photos"
    for name in ("image/._0.png", "mask/._0.png", "image/list.txt", "mask/Thumbs.db"):
        (photos / name).write_bytes(b"junk")
    (photos / "mask" / "9.png").write_bytes((photos / "mask" / "0.png").read_bytes())
    if kind != "folder":
        with tarfile.open(tmp_path / "a.tar", kind) as archive:
            for folder in ("image", "mask"):
                archive.add(photos / folder, folder)
    with pytest.warns(UserWarning, match="left out"):
        domain = load(tmp_path, path="photos" if kind == "folder" else "a.tar")
    assert domain.samples.x.shape[0] == 3
    assert domain.notes == (
        "1 hidden file or folder is left out: image/._0.png",
        "1 file is no images and left out: 1 .txt",
        "2 hidden files and folders are left out: mask/._0.png, mask/Thumbs.db",
        "1 masks belong to no image and are left out",
    )
    (photos / "mask" / "0.bmp").write_bytes((photos / "mask" / "0.png").read_bytes())
    with pytest.raises(TlbenchError, match=r"mask/0\.bmp and mask/0\.png belong to one image"):
        load(tmp_path)


def test_images_are_turned_upright_and_so_are_their_masks(tmp_path):
    """A photo on its side, 24 x 16 as it is stored, and masks of what is seen: the bright half of the image is class 1."""
    seen = np.zeros((24, 16), np.uint8)
    seen[12:] = 1
    exif = Image.Exif()
    exif[0x0112] = 6
    on_its_side = Image.fromarray(seen).transpose(Image.Transpose.ROTATE_90)
    for folder in ("image", "mask"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
    for name in ("0", "1"):
        on_its_side.point(lambda value: 255 * value).convert("RGB").save(
            tmp_path / "photos" / "image" / f"{name}.png", exif=exif
        )
    Image.fromarray(seen).save(tmp_path / "photos" / "mask" / "0.png")
    on_its_side.save(tmp_path / "photos" / "mask" / "1.png", exif=exif)
    with pytest.warns(UserWarning, match="turned upright"):
        domain = load(tmp_path)
    bright = (domain.samples.x[:, 0] > 127).flatten(1)
    assert torch.equal(domain.samples.y == 1, bright) and bright.float().mean() == 0.5
    on_its_side.save(tmp_path / "photos" / "mask" / "1.png")
    with pytest.raises(TlbenchError, match="has 24x16 pixels, and its image 16x24"):
        load(tmp_path)


def test_an_image_without_a_mask_is_refused(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "photos" / "mask" / "1.png").unlink()
    with pytest.raises(TlbenchError, match=r"The image image/1.png has no mask"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "width"),
    [
        ("unet", {"channels": 4, "depth": 2}, 4),
        ("torchvision_segmentation:lraspp_mobilenet_v3_large", {"width": 6}, 6),
    ],
)
def test_networks_give_features_of_each_pixel_in_its_order(name, options, width):
    backbone = backbones.build_backbone(name, (3, 32, 32), options).eval()
    x = torch.randn(2, 3, 32, 32)
    features = backbone(x)
    assert features.shape == (2, 1024, width) and backbone.positions == 1024 and backbone.width == width
    learned = sum(parameter.numel() for stage in backbone.stages for parameter in stage.parameters())
    assert learned == sum(parameter.numel() for parameter in backbone.parameters()), "every parameter is in a stage"
    if name == "unet":
        changed = x.clone()
        changed[:, :, 5, 25] += 10
        moved = (backbone(changed) - features).abs().sum(dim=2)[0]
        down, across = divmod(int(moved.argmax()), 32)
        assert abs(down - 5) <= 4 and abs(across - 25) <= 4, "a pixel changes the features around it most"


def suite(entries):
    tables = {
        "name": "shapes",
        "version": 1,
        "data": {"reader": "shapes", "task": "pixels", "count": 24, "size": 16, "shapes": 2},
        "domains": {
            "rendered": {"seed": 0},
            "camera": {"seed": 1, "shifts": [{"kind": "contrast", "factor": 0.6}, {"kind": "noise", "sigma": 0.05}]},
        },
        "pairs": {"list": ["rendered:camera"]},
        "protocol": {
            "task": "pixels",
            "target_labels": 4,
            "scored": "held_out",
            "grants": ["source", "target", "stream"],
            "seeds": [0],
        },
        "net": {"backbone": "unet", "channels": 4, "depth": 2},
        "train": {"steps": 12, "batch": 4, "positions": 32, "lr": 0.01},
        "methods": {entry: {} for entry in entries},
    }
    return parse_suite(tables, "shapes")


def test_methods_run_on_pixels_and_scores_are_of_all_pixels(tmp_path):
    shapes = with_files(suite(METHODS), tmp_path, list(METHODS))
    domains = runner.load_domains(shapes, ["rendered", "camera"], tmp_path)
    engine.check_pairs(shapes, domains, shapes.pairs)
    for case in shapes.cases():
        record = engine.run_case(case, shapes, domains, torch.device("cpu"))
        assert record.status == "done", (case.entry, record.reason)
        scores = record.scores
        assert scores.scored_positions == scores.scored_samples * 256
        assert 0 <= scores.mean_iou <= scores.dice <= 1 and scores.dice == pytest.approx(scores.macro_f1, abs=0.3)


def test_inputs_of_images_are_scaled_before_positions_are_packed():
    x = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    assert Inputs(Network(), channels_last=False)(x).max() == pytest.approx(1.0)
