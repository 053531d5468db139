"""Backbones with a text side: class names are embedded where features are, by hf, word_vectors, conse and clip."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tlbench import data, methods
from tlbench.data import tokenization
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.nn import backbones
from tlbench.terms import Task

transformers = pytest.importorskip("transformers")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "coffee", "mug", "mountain", "bike", "laptop", "cat"]


def zero_shot(backbone, texts, x, **options):
    """Scores (N, C) of inputs x (N, ...) by the method on a backbone."""
    method = methods.method_class("zero_shot")(**methods.method_options("zero_shot", options))
    with torch.no_grad():
        return method.fit(Task(len(texts), class_texts=tuple(texts), embed_classes=backbone.embed_classes))(backbone(x))


@pytest.fixture
def bert(tmp_path):
    """A folder with a small BERT of random weights and its tokenizer."""
    folder = tmp_path / "bert"
    folder.mkdir()
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    configuration = transformers.BertConfig(**shape, vocab_size=len(WORDS), max_position_embeddings=40, pad_token_id=0)
    transformers.BertModel(configuration).save_pretrained(folder)
    return folder


def sentence_embedding(folder, text):
    """The mean of the last hidden layer over the tokens of a text alone, without padding."""
    tokenizer, model = transformers.AutoTokenizer.from_pretrained(folder), transformers.AutoModel.from_pretrained(folder)
    with torch.no_grad():
        hidden = model.eval()(**tokenizer([text], return_tensors="pt")).last_hidden_state
    return hidden[0].mean(dim=0)


def test_hf_embeds_class_names_as_it_embeds_texts(bert):
    backbone = backbones.build_backbone(f"hf:{bert}", (12,), {}).eval()
    texts, queries = ("coffee mug", "mountain bike", "cat"), ["a photo of a laptop", "a cat"]
    embedded = backbone.embed_classes(texts)
    expected = torch.stack([sentence_embedding(bert, text) for text in texts])
    assert torch.allclose(embedded, expected, atol=1e-5)
    ids = torch.from_numpy(tokenization.encode(queries, bert, 12).ids)
    scores = zero_shot(backbone, texts, ids, scale=1.0)
    for row, query in enumerate(queries):
        cosines = F.cosine_similarity(sentence_embedding(bert, query), expected)
        assert torch.allclose(scores[row].float(), cosines, atol=1e-5)


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.npz"
    words = np.array(["coffee", "mug", "mountain", "bike", "laptop"])
    np.savez(path, words=words, vectors=np.array([[1, 0], [0, 1], [2, 2], [0, -1], [-1, 0.5]], dtype=np.float16))
    return path


def test_word_vectors_embed_class_names_as_means_of_their_words(vectors):
    backbone = backbones.build_backbone(f"word_vectors:{vectors}", (8,), {})
    embedded = backbone.embed_classes(["Coffee mug", "mountain bike, laptop", "zebra"])
    assert torch.allclose(embedded, torch.tensor([[0.5, 0.5], [1 / 3, 0.5], [0.0, 0.0]]))


def conse_reference(logits, names, top):
    """ConSE of one image in NumPy, by a loop over its most probable classes."""
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    best = sorted(range(len(logits)), key=lambda k: -probabilities[k])[:top]
    total = sum(probabilities[k] for k in best)
    embedding = np.zeros(names.shape[1])
    for k in best:
        norm = np.linalg.norm(names[k])
        embedding += probabilities[k] / total * (names[k] / norm if norm else names[k])
    return embedding


@pytest.mark.parametrize("top", [1, 3, 1000])
@pytest.mark.parametrize("text", ["bert", "vectors"])
def test_conse_is_the_convex_combination_of_the_names_of_imagenet(request, text, top):
    from torchvision import models

    encoder = request.getfixturevalue(text)
    torch.manual_seed(0)
    options = {"network": "squeezenet1_1", "text": str(encoder), "top": top}
    backbone = backbones.build_backbone("conse", (3, 64, 64), options).eval()
    names = list(models.SqueezeNet1_1_Weights.DEFAULT.meta["categories"])
    assert len(names) == 1000 and "coffee mug" in names
    family = "hf" if text == "bert" else "word_vectors"
    embedded = backbones.build_backbone(f"{family}:{encoder}", (32,), {}).eval()
    with torch.no_grad():
        names_KD = embedded.embed_classes(names).numpy().astype(float)
        classes = ("coffee mug", "mountain bike", "laptop")
        assert torch.allclose(backbone.embed_classes(classes), embedded.embed_classes(classes))
        images = torch.randn(2, 3, 64, 64)
        logits = backbone.network[1](images).numpy().astype(float)
        features = backbone(images)
    for image in range(2):
        assert np.allclose(features[image].numpy(), conse_reference(logits[image], names_KD, top), atol=1e-5)
    grey = backbone(torch.randn(2, 1, 64, 64))
    assert grey.shape == (2, backbone.width) and not any("encoder" in name for name, _ in backbone.named_parameters())


def test_what_conse_can_not_use_is_one_sentence(vectors, tmp_path):
    for options, shape, words in [
        ({"text": str(vectors)}, (9, 128), "takes grey or colour images"),
        ({"text": str(vectors), "network": "squeezenet"}, (3, 64, 64), "Did you mean 'squeezenet1_"),
        ({"text": str(tmp_path / "none")}, (3, 64, 64), "There is no file"),
        ({}, (3, 64, 64), "text"),
    ]:
        with pytest.raises(TlbenchError, match=words):
            backbones.build_backbone("conse", shape, options)


@pytest.fixture
def clip(tmp_path):
    """A folder with a small CLIP of random weights and a tokenizer of single letters."""
    folder = tmp_path / "clip"
    folder.mkdir()
    letters = [chr(code) for code in range(97, 123)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    transformers.CLIPTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    common = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ends = {"bos_token_id": len(tokens) - 2, "eos_token_id": len(tokens) - 1, "pad_token_id": len(tokens) - 1}
    configuration = transformers.CLIPConfig(
        text_config={**common, "vocab_size": len(tokens), "max_position_embeddings": 40, **ends},
        vision_config={**common, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(configuration).save_pretrained(folder)
    return folder


def test_clip_gives_the_logits_of_transformers(clip):
    """`CLIPModel.forward` of transformers 5.24 on the same images and texts: logits_per_image."""
    model = transformers.CLIPModel.from_pretrained(clip).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
    texts, images = ("coffee mug", "a mountain bike", "cat"), torch.randn(4, 3, 32, 32)
    prompts = [f"a photo of a {text}" for text in texts]
    with torch.no_grad():
        encoded = tokenizer(prompts, padding=True, return_tensors="pt")
        expected = model(pixel_values=images, **encoded).logits_per_image
    backbone = backbones.build_backbone(f"clip:{clip}", (3, 32, 32), {}).eval()
    scale = float(model.logit_scale.detach().exp())
    scores = zero_shot(backbone, texts, images, templates=["a photo of a {}"], scale=scale)
    assert torch.allclose(scores.float(), expected, atol=1e-4) and backbone.width == 12
    assert float(expected.std()) > 1e-2


def test_the_image_tower_learns_in_stages_and_the_text_tower_does_not(clip):
    backbone = backbones.build_backbone(f"clip:{clip}", (3, 32, 32), {})
    backbone(torch.randn(2, 3, 32, 32)).square().sum().backward()
    in_stages = {id(parameter) for stage in backbone.stages for parameter in stage.parameters()}
    assert {id(parameter) for parameter in backbone.parameters()} == in_stages and len(backbone.stages) >= 3
    assert not any(name.startswith("text") for name, _ in backbone.named_parameters())
    fresh = [backbones.build_backbone(f"clip:{clip}", (3, 32, 32), {"pretrained": pretrained}) for pretrained in (True, False)]
    first, loaded, new = (next(one.parameters()) for one in (backbone, *fresh))
    assert torch.equal(first, loaded) and not torch.equal(first, new)


def test_what_is_no_clip_is_one_sentence(clip, bert):
    for name, shape, words in [
        (f"clip:{bert}", (3, 32, 32), "holds no CLIP network that loads"),
        (f"clip:{clip}", (3, 64, 64), "takes images of 32 x 32 pixels"),
        (f"clip:{clip}", (9, 128), "takes images of 32 x 32 pixels"),
    ]:
        with pytest.raises(TlbenchError, match=words):
            backbones.build_backbone(name, shape, {})


@pytest.mark.data
@pytest.mark.slow
def test_intents_are_found_by_their_names(data_root):
    """MiniLM-L3 on 600 queries of CLINC150: chance is 0.7 %, and all 4,500 test queries give 59 %."""
    folder, table = data_root / "weights" / "paraphrase-MiniLM-L3-v2", data_root / "clinc150" / "data_full.json.gz"
    for path in (folder, table):
        if not path.exists():
            pytest.skip(f"no {path}")
    keys = {"reader": "text", "path": "clinc150/data_full.json.gz", "split": "test", "column": "0", "label": "1"}
    keys |= {"features": "tokens", "vocabulary": "weights/paraphrase-MiniLM-L3-v2", "length": 32, "samples": 600}
    declaration, errors = data.declare("queries", keys, {})
    assert declaration is not None, errors
    queries = data.load(declaration, data_root)
    backbone = backbones.build_backbone(f"hf:{folder}", (32,), {}).eval()
    scores = zero_shot(backbone, [name.replace("_", " ") for name in queries.classes], queries.samples.x)
    assert 0.5 < float((scores.argmax(dim=1) == queries.samples.y).double().mean()) < 0.7


def test_other_backbones_say_that_they_embed_no_names():
    for name, shape in (("mlp", (6,)), ("lenet", (1, 28, 28)), ("features", (6,))):
        with pytest.raises(NotApplicableError, match="embeds no class names"):
            backbones.build_backbone(name, shape, {}).embed_classes(["cat"])


def test_declared_class_embeddings_are_of_the_width_of_the_features():
    embeddings = {"cat": [1.0, 0.0], "dog": [0.0, 1.0]}
    backbone = backbones.build_backbone("features", (2,), {"class_embeddings": embeddings})
    assert torch.equal(backbone.embed_classes(["dog", "cat"]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    for shape, options in (((3,), {}), ((2,), {"width": 4})):
        with pytest.raises(TlbenchError, match="lie in the space of the features"):
            backbones.build_backbone("features", shape, {"class_embeddings": embeddings, **options})
