"""Features fitted on the source samples of each pair: n-grams, categories, imputed values; sentence encoders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_suite
import torch
from domain_tables import load_domain as load

from tlbench import data, engine
from tlbench.data import cache
from tlbench.errors import TlbenchError

TABLE = {"reader": "csv", "label": "y", "encode": "onehot", "impute": "mean"}
TEXT = {"reader": "text", "features": "tfidf", "label": "y", "column": "words"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "s.csv").write_text("n,c,y\n1,p,0\n3,q,1\n,p,1\n3,p,0\n")
    (tmp_path / "t.csv").write_text("n,c,y\n,r,0\n9,q,1\n9,,1\n9,q,0\n")
    (tmp_path / "u.csv").write_text("n,c,y\n5,r,0\n7,s,1\n5,r,1\n7,s,0\n")
    (tmp_path / "a.csv").write_text("words,y\nfine book,1\ndull book,0\nfine day,1\n")
    (tmp_path / "b.csv").write_text("words,y\nfine soup,1\nbitter soup,0\ndull soup,0\n")
    return tmp_path


def test_alone_a_domain_is_fitted_on_its_own_samples(root: Path) -> None:
    domain = load(TABLE | {"path": "s.csv"}, root)
    assert domain.unfitted is not None
    assert domain.samples.x.tolist()[2] == [pytest.approx(7 / 3), 1, 0]


def test_in_a_pair_features_are_fitted_on_the_source(root: Path) -> None:
    one, two, three = (load(TABLE | {"path": f"{name}.csv"}, root, name) for name in "stu")
    (source,), target = data.fit_features([one], two)
    assert torch.equal(source.samples.x, one.samples.x) and source.name == "s" and target.name == "t"
    filled = float(np.float32(7 / 3))
    assert target.samples.x.tolist() == [
        [filled, 0, 0],
        [9, 0, 1],
        [9, 0, 0],
        [9, 0, 1],
    ]  # r and a missing value are neither p nor q
    assert target.samples.y.tolist() == two.samples.y.tolist()
    (_, _), pooled = data.fit_features([one, three], two)
    assert pooled.samples.x.shape == (4, 5) and pooled.samples.x[0, 0] == pytest.approx((1 + 3 + 3 + 5 + 7 + 5 + 7) / 7)
    (_,), back = data.fit_features([two], one)
    assert back.samples.x.shape == (4, 4) and back.samples.x[2, 0] == 9
    assert data.fit_features([one], two)[1] is target  # the cases of a pair share it


def test_target_samples_do_not_change_what_is_fitted(root: Path) -> None:
    """Features are fitted on the source samples that are left after the source's own selections, and on nothing else."""
    one, two = (load(TEXT | {"path": f"{name}.csv"}, root, name) for name in "ab")
    (before,), target = data.fit_features([one], two)
    (root / "b.csv").write_text("words,y\nfine tea,1\nfine cake,0\nbook tea cake,0\n")
    (after,), other = data.fit_features([one], load(TEXT | {"path": "b.csv"}, root, "b"))
    assert torch.equal(before.samples.x, after.samples.x) and target.samples.x.shape[1] == other.samples.x.shape[1] == 4
    (root / "a.csv").write_text("words,y\nfine book,1\ndull book,0\nfine night,1\n")
    (changed,), _ = data.fit_features([load(TEXT | {"path": "a.csv"}, root, "a")], two)
    assert not torch.equal(before.samples.x, changed.samples.x)


def test_numbers_are_scaled_by_the_source(root: Path) -> None:
    table = {"reader": "csv", "label": "y", "features": ["n"], "impute": "mean", "standardise": True}
    one, two = (load(table | {"path": f"{name}.csv"}, root, name) for name in "su")
    (source,), target = data.fit_features([one], two)
    n = np.array([1, 3, 7 / 3, 3])
    np.testing.assert_allclose(source.samples.x[:, 0], (n - n.mean()) / n.std(), rtol=1e-5)
    np.testing.assert_allclose(target.samples.x[:, 0], (np.array([5, 7, 5, 7]) - n.mean()) / n.std(), rtol=1e-5)


def test_two_splits_of_one_file_are_fitted_independently(root: Path) -> None:
    (root / "d.csv").write_text("n,c,y\n" + "".join(f"{i},{'pqrs'[i]},{i % 2}\n" for i in range(4)))
    splits = [
        load(TABLE | {"path": "d.csv", "shifts": [{"kind": "part", "index": i, "of": 2}]}, root, f"split{i}") for i in (0, 1)
    ]
    (source,), target = data.fit_features(splits[:1], splits[1])
    assert (
        source.samples.x[:, 1:].sum() == 2 and target.samples.x[:, 1:].sum() == 0
    )  # the categories of the other split are unknown
    limited = load(TABLE | {"path": "d.csv", "samples": 2}, root)
    assert limited.samples.x.shape == (2, 3)


def test_test_samples_are_encoded_and_never_fitted_on(root: Path) -> None:
    one = load(TABLE | {"path": "s.csv"}, root, "s")
    two = load(TABLE | {"path": "u.csv", "test": {"path": "t.csv"}}, root, "u")
    (_,), target = data.fit_features([one], two)
    assert target.test is not None and target.test.x.tolist()[1:2] == [[9, 0, 1]]
    assert two.test is not None and two.test.x.shape == (4, 3)  # alone: r and s of its own main rows


def test_shifts_and_preparations_follow_the_encoding(root: Path) -> None:
    scaled = {"shifts": [{"kind": "scaling", "factor": 10.0}], "prepare": [{"kind": "scale", "divide": 2.0}]}
    plain, changed = (load(TABLE | {"path": "s.csv"} | more, root, "s") for more in ({}, scaled))
    assert torch.allclose(changed.samples.x, plain.samples.x * 5)


def test_the_fingerprint_covers_unencoded_samples(root: Path) -> None:
    before = load(TEXT | {"path": "a.csv", "size": 1}, root)
    (root / "a.csv").write_text("words,y\nfine book,1\ndull book,0\nfine night,1\n")
    assert load(TEXT | {"path": "a.csv", "size": 1}, root).fingerprint != before.fingerprint


def test_domains_without_fitted_features_are_the_same_object_in_every_pair(root: Path) -> None:
    for table in (
        {"reader": "csv", "label": "y", "features": ["c"], "categories": {"c": ["", "p", "q", "r", "s"]}},
        TABLE | {"fit": {"path": "s.csv"}},
    ):
        one, two = (load(table | {"path": f"{name}.csv"}, root, name) for name in "st")
        (source,), target = data.fit_features([one], two)
        assert source is one and target is two and one.unfitted is None


def test_mixed_pairs_and_feature_based_shifts_are_errors(root: Path) -> None:
    one, two = load(TABLE | {"path": "s.csv"}, root, "s"), load(TABLE | {"path": "t.csv", "fit": {"path": "s.csv"}}, root, "t")
    with pytest.raises(TlbenchError, match="pair s:t: The domain t has features of its own, and others fit theirs"):
        data.fit_features([one], two)
    with pytest.raises(TlbenchError, match="pair s:a: The features are of different kinds"):
        data.fit_features([one], load(TEXT | {"path": "a.csv"}, root, "a"))
    (root / "w.csv").write_text("n,m,y\n1,2,0\n,3,1\n")
    with pytest.raises(TlbenchError, match=r"pair s:w: .*The samples that features are fitted on have other columns: c, m"):
        data.fit_features([one], load(TABLE | {"path": "w.csv"}, root, "w"))
    shift = {"shifts": [{"kind": "covariate_shift", "strength": 1.0}]}
    _, errors = data.declare("d", TABLE | {"path": "s.csv"} | shift, {})
    assert "This shift needs features, and here they are fitted on the source of each pair" in errors[0]
    assert data.declare("d", TABLE | {"path": "s.csv", "fit": {"path": "s.csv"}} | shift, {})[1] == []


def test_domains_with_fitted_features_are_not_cached(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SMALL_BYTES", 1)
    declaration, _ = data.declare("d", TABLE | {"path": "s.csv"}, {})
    assert declaration is not None
    assert data.load(declaration, root, tmp_path / "cache").unfitted is not None
    assert cache.entries(tmp_path / "cache") == []


def test_a_run_fits_features_for_each_direction(root: Path) -> None:
    suite = tiny_suite.suite(train={"steps": 3})
    domains = {name: load(TABLE | {"path": f"{path}.csv"}, root, name) for name, path in (("a", "s"), ("b", "t"))}
    engine.check_pairs(suite, domains, [(("a",), "b"), (("b",), "a")])
    for sources, target in ((("a",), "b"), (("b",), "a")):
        record = engine.run_case(tiny_suite.case(sources=sources, target=target), suite, domains, tiny_suite.CPU)
        assert record.status == "done", record.reason


# --- sentence encoders ---


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a tiny BERT of random weights, as save_pretrained leaves it."""
    transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")
    root = tmp_path_factory.mktemp("encoder")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[UNK]", *["fine", "dull", "book", "day", "soup", "bitter"]]
    own = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=own, pad_token="[PAD]", unk_token="[UNK]")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=8,
        initializer_range=1.0,
    )
    tokenizer.save_pretrained(root / "bert")
    transformers.BertModel(config).save_pretrained(root / "bert")
    (root / "a.csv").write_text("words,y\nfine book,1\ndull book,0\nfine book,1\n" + "fine " * 50 + ",1\n")
    return root


ENCODED = {"reader": "text", "path": "a.csv", "column": "words", "label": "y", "features": "encoder", "encoder": "bert"}


def test_a_sentence_encoder_reads_texts_from_a_local_folder(encoder: Path) -> None:
    domain = load(ENCODED, encoder)
    x = domain.samples.x
    assert x.shape == (4, 16) and torch.allclose(x.norm(dim=1), torch.ones(4), atol=1e-5)
    assert torch.allclose(x[0], x[2], atol=1e-5) and not torch.allclose(x[0], x[1], atol=1e-3)  # batches change nothing
    assert domain.unfitted is None and load(ENCODED, encoder).fingerprint == domain.fingerprint
    hub = {"reader": "datasets", "path": "a.csv", "text": "words", "label": "y", "words": "encoder", "encoder": "bert"}
    assert torch.allclose(load(hub, encoder).samples.x, x, atol=1e-6)


@pytest.mark.parametrize("reader", ["text", "datasets"])
def test_another_encoder_in_the_folder_gives_other_domains_in_spite_of_the_cache(
    reader: str, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    monkeypatch.setattr(cache, "SMALL_BYTES", 1)
    root = tmp_path / "root"
    shutil.copytree(encoder, root)
    hub = {"reader": "datasets", "path": "a.csv", "text": "words", "label": "y", "words": "encoder", "encoder": "bert"}
    table = ENCODED if reader == "text" else hub
    first = load(table, root, cache=tmp_path / "cache")
    assert load(table, root, cache=tmp_path / "cache").fingerprint == first.fingerprint
    assert len(cache.entries(tmp_path / "cache")) == 1
    weights = root / "bert" / "model.safetensors"
    state = load_file(weights)
    save_file({key: tensor.flip(0) for key, tensor in state.items()}, weights, metadata={"format": "pt"})
    assert load(table, root, cache=tmp_path / "cache").fingerprint != first.fingerprint


def test_a_missing_or_damaged_encoder_is_a_clear_error(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (encoder / "empty").mkdir(exist_ok=True)
    for folder, message in (
        ("empty", "not a whole sentence encoder"),
        ("none", "folder 'none' is not there"),
        ("../x", "leaves the"),
    ):
        with pytest.raises(TlbenchError, match=message):
            load(ENCODED | {"encoder": folder}, encoder)
    weights = encoder / "bert" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(TlbenchError, match="not a whole sentence encoder"):
        load(ENCODED, encoder)
    weights.unlink()
    torch.save({}, encoder / "bert" / "pytorch_model.bin")
    with pytest.raises(TlbenchError, match="not a whole sentence encoder"):
        load(ENCODED, encoder)  # pickled weights are not looked at
    (encoder / "bert" / "pytorch_model.bin").unlink()
    weights.write_bytes(content)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TlbenchError, match=r"pip install 'tlbench\[text\]'"):
        load(ENCODED, encoder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": None}, "features = 'encoder' needs encoder = a folder"),
        ({"features": "hashed"}, "features = 'encoder' needs encoder = a folder"),
        ({"fit": {"a": "b"}}, "A table needs column and label, and takes neither tag nor fit"),
    ],
)
def test_errors_in_the_options_of_encoders(change: dict[str, Any], message: str) -> None:
    table = {key: value for key, value in (ENCODED | change).items() if value is not None}
    assert any(message in sentence for sentence in data.declare("d", table, {})[1])
