"""Backbones that read token ids: encoders and decoders of transformers, and averaged word vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.nn.untrained import untrained_options

transformers = pytest.importorskip("transformers")


def tiny_configuration(kind):
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
    if kind == "bert":
        return transformers.BertConfig(**shape, max_position_embeddings=12, pad_token_id=0)
    if kind == "roberta":
        return transformers.RobertaConfig(**shape, max_position_embeddings=14, pad_token_id=1)
    return transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2, n_positions=12, eos_token_id=49)


@pytest.fixture(params=["bert", "roberta", "gpt2"])
def folder(request, tmp_path):
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(tiny_configuration(request.param))
    model.save_pretrained(tmp_path / request.param, safe_serialization=True)
    return tmp_path / request.param


PADDING = {"bert": 0, "roberta": 1, "gpt2": 49}


def padded_ids(kind):
    ids = torch.randint(2, 48, (3, 10), dtype=torch.int32)
    ids[0, 6:] = PADDING[kind]
    ids[2, 3:] = PADDING[kind]
    return ids


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_features_are_those_of_each_text_alone_without_padding(folder, pooling):
    backbone = backbones.build_backbone(f"hf:{folder}", (10,), {"pooling": pooling}).eval()
    model = transformers.AutoModel.from_pretrained(folder).eval()
    ids = padded_ids(folder.name)
    with torch.no_grad():
        features = backbone(ids)
        for row, count in enumerate([6, 10, 3]):
            hidden = model(input_ids=ids[row : row + 1, :count].long()).last_hidden_state[0]
            expected = {"mean": hidden.mean(dim=0), "first": hidden[0], "last": hidden[-1]}[pooling]
            assert torch.allclose(features[row], expected, atol=1e-5)


def test_all_layers_learn_and_lie_in_stages(folder):
    net = Net(backbones.build_backbone(f"hf:{folder}", (10,), {"dropout": 0.0}), 2)
    torch.nn.functional.cross_entropy(net(padded_ids(folder.name)), torch.tensor([0, 1, 0])).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    in_stages = {id(parameter) for stage in net.backbone.stages for parameter in stage.parameters()}
    assert in_stages == {id(parameter) for parameter in net.backbone.parameters()} and len(net.backbone.stages) >= 3


def test_new_weights_by_declaration(folder):
    torch.manual_seed(1)
    new = backbones.build_backbone(f"hf:{folder}", (10,), {"pretrained": False})
    loaded = [backbones.build_backbone(f"hf:{folder}", (10,), {}) for _ in range(2)]
    weights = [torch.cat([parameter.detach().flatten() for parameter in one.parameters()]) for one in (new, *loaded)]
    assert torch.equal(weights[1], weights[2]) and not torch.equal(weights[0], weights[1])


def test_what_is_no_network_of_texts_is_one_sentence(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    for name, shape, words in [
        (f"hf:{tmp_path / 'empty'}", (10,), "holds no text network that loads"),
        (f"hf:{folder}", (40,), "tokens, and the texts have 40"),
        (f"hf:{folder}", (3, 8, 8), "takes token ids"),
    ]:
        with pytest.raises(TlbenchError, match=words):
            backbones.build_backbone(name, shape, {})


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.npz"
    words = np.array(["good", "bad", "book"])
    np.savez(path, words=words, vectors=np.array([[1, 0], [0, 1], [0.5, 2]], dtype=np.float16))
    return path


def test_word_vectors_are_averaged_over_the_words_that_have_one(vectors):
    backbone = backbones.build_backbone(f"word_vectors:{vectors}", (4,), {})
    ids = torch.tensor([[2, 4, 1, 0], [3, 3, 2, 0], [1, 0, 0, 0]], dtype=torch.int32)
    expected = torch.tensor([[0.75, 1.0], [1 / 3, 2 / 3], [0.0, 0.0]])
    assert torch.allclose(backbone(ids), expected)
    assert backbones.build_backbone(f"word_vectors:{vectors}", (4,), {"hidden": [5]})(ids).shape == (3, 5)


def test_word_vectors_without_pretraining_are_random_and_of_the_same_words(vectors):
    torch.manual_seed(1)
    given = backbones.build_backbone(f"word_vectors:{vectors}", (4,), {}).stages[0].vectors.weight
    random = [backbones.build_backbone(f"word_vectors:{vectors}", (4,), {"pretrained": False}) for _ in range(2)]
    first, second = (one.stages[0].vectors.weight for one in random)
    assert first.shape == given.shape and first.requires_grad
    assert not torch.equal(first, given) and not torch.equal(first, second)
    assert untrained_options("word_vectors", {"network": str(vectors)}) == {"network": str(vectors), "pretrained": False}


def test_a_backbone_and_samples_agree_on_token_ids():
    backbones.check_tokens("hf:folder", tokens=True)
    backbones.check_tokens("lenet", tokens=False)
    with pytest.raises(TlbenchError, match="which auto does not read"):
        backbones.check_tokens("auto", tokens=True)
    with pytest.raises(TlbenchError, match="hf reads token ids, and the samples are none"):
        backbones.check_tokens("hf:folder", tokens=False)
