"""Every error that a suite file can hold, and all of them reported at once."""

from __future__ import annotations

import pytest
from suite_tables import suite_errors

ONE_ERROR = {
    "an unknown key at the top": ({"verson": 2}, "Unknown key 'verson'. Did you mean 'version'?"),
    "a seed beyond 64 bits": ({"protocol__seeds": [10**20 - 1]}, "The seed 99999999999999999999 takes more than 64 bits."),
    "an unknown table": ({"protocl": {}}, "Unknown key 'protocl'. Did you mean 'protocol'?"),
    "an unknown key of the protocol": ({"protocol__target_label": 1}, "Did you mean 'target_labels'?"),
    "an unknown key of the training": ({"train__step": 1}, "train: Unknown key 'step'. Did you mean 'steps'?"),
    "an unknown key of a domain": ({"domains__a__pth": "x"}, "domains.a: Unknown key 'pth'. Did you mean 'path'?"),
    "an unknown key of the data": ({"data__labels": "x"}, "data: Unknown key 'labels'"),
    "an unknown key of the network": ({"net__hiden": [3]}, "net: Unknown key 'hiden'. Did you mean 'hidden'?"),
    "an unknown option": (
        {"methods__coral__wieght": 1.0},
        "methods.coral: Unknown option 'wieght' of coral. Did you mean 'weight'?",
    ),
    "an unknown key of the pairs": ({"pairs__lst": []}, "pairs: Unknown key 'lst'. Did you mean 'list'?"),
    "no name": ({"name": None}, "The key 'name' is missing"),
    "no version": ({"version": None}, "The key 'version' is missing"),
    "no domains": ({"domains": None, "pairs": {"all": True}}, "The key 'domains' is missing"),
    "no methods": ({"methods": None}, "The key 'methods' is missing"),
    "no pairs": ({"pairs": None}, "pairs: The table is missing or empty. Write all = true"),
    "an empty pairs": ({"pairs": {}}, "pairs: The table is missing or empty. Write all = true"),
    "an empty list of pairs": ({"pairs__list": []}, "pairs: No pair is given."),
    "no path": ({"domains__a": {}}, "domains.a: Give either path = a file (or a list)"),
    "no reader": ({"data__reader": None}, "The key 'reader' is missing. Available readers: "),
    "a version that is a text": ({"version": "1"}, "version = '1' should be a valid integer."),
    "a version of no kind": ({"version": 0}, "version = 0 should be greater than or equal to 1."),
    "a name with a slash": ({"name": "a/b"}, "name = 'a/b' should match pattern"),
    "steps that are a text": ({"train__steps": "5"}, "train.steps = '5' should be a valid integer."),
    "steps that are yes": ({"train__steps": True}, "train.steps = True should be a valid integer."),
    "no steps": ({"train__steps": 0}, "train.steps = 0 should be greater than or equal to 1."),
    "a batch of one": ({"train__batch": 1}, "train.batch = 1 should be greater than or equal to 2."),
    "a rate of nothing": ({"train__lr": 0.0}, "train.lr = 0.0 should be greater than 0."),
    "an infinite rate": ({"train__lr": float("inf")}, "train.lr = inf should be a finite number."),
    "a rate that is none": ({"train__lr": float("nan")}, "train.lr = nan should be a finite number."),
    "labels below 0": ({"protocol__target_labels": -1}, "protocol.target_labels = -1 should be greater than or equal to 0."),
    "labels that are a text": ({"protocol__target_labels": "ten"}, "protocol.target_labels = 'ten' should be a valid integer."),
    "a share that is no share": ({"protocol__held_out": 1.0}, "protocol.held_out = 1.0 should be less than 1."),
    "no seeds": ({"protocol__seeds": []}, "protocol.seeds = [] should have at least 1 item"),
    "seeds that are texts": ({"protocol__seeds": ["0"]}, "protocol.seeds[0] = '0' should be a valid integer."),
    "a seed twice": ({"protocol__seeds": [0, 1, 0]}, "protocol.seeds: A seed appears twice."),
    "a table that is none": ({"train": 3}, "train = 3 should be a valid dictionary"),
    "a method that is no table": ({"methods__coral": 3}, "methods.coral = 3 should be a valid dictionary"),
    "a domain that is no table": ({"domains__a": 3}, "domains.a = 3 should be a valid dictionary"),
    "pairs that are none": ({"pairs": 3}, "pairs: The table is missing or empty. Write all = true"),
    "all pairs, perhaps": ({"pairs__all": "yes"}, "pairs.all = 'yes' must be true or false."),
    "a pair of one": ({"pairs__list": ["a"]}, "pairs.list: Each pair must be a text with one colon."),
    "a path that is a number": ({"domains__a__path": 3}, "domains.a: path = 3 should be a valid list"),
    "an option of a wrong type": ({"methods__coral__weight": "1"}, "methods.coral.weight = '1' should be a valid number."),
    "an option out of its range": (
        {"methods__coral__weight": -1.0},
        "methods.coral.weight = -1.0 should be greater than or equal to 0.",
    ),
    "an infinite option": ({"methods__coral__weight": float("inf")}, "methods.coral.weight = inf should be a finite number."),
    "a backbone's option of a wrong type": ({"net__hidden": "wide"}, "net.hidden = 'wide' should be a valid list."),
    "a misspelt method": ({"methods__corl": {}}, "methods.corl: Unknown method 'corl'. Did you mean 'coral'?"),
    "a misspelt method of an entry": (
        {"methods__strong": {"method": "source_onyl"}},
        "methods.strong: Unknown method 'source_onyl'. Did you mean 'source_only'?",
    ),
    "a method like no other": ({"methods__zzz": {}}, "methods.zzz: Unknown method 'zzz'. Available: "),
    "a misspelt backbone": ({"net__backbone": "mlpp"}, "net.backbone: Unknown backbone 'mlpp'. Did you mean 'mlp'?"),
    "a misspelt network of torchvision": (
        {"net": {"backbone": "torchvision:resnet188"}},
        "Did you mean 'resnet18'?",
    ),
    "options of an automatic backbone": ({"net__backbone": "auto"}, "net.hidden: The backbone 'auto' has no options."),
    "a misspelt metric": (
        {"protocol__metric": "target_acuracy"},
        "protocol.metric: Unknown value 'target_acuracy'. Did you mean 'target_accuracy'?",
    ),
    "a misspelt baseline": (
        {"protocol__baseline": "source_olny"},
        "Unknown method entry 'source_olny'. Did you mean 'source_only'?",
    ),
    "a baseline that is no entry": (
        {"protocol__baseline": "dann"},
        "protocol.baseline: Unknown method entry 'dann'. Available: source_only, coral.",
    ),
    "a misspelt grant": (
        {"protocol__grants": ["sources"]},
        "protocol.grants[0]: Unknown value 'sources'. Did you mean 'source'",
    ),
    "a misspelt rule of scoring": ({"protocol__scored": "adaptd"}, "Unknown value 'adaptd'. Did you mean 'adapted'?"),
    "a misspelt optimizer": ({"train__optimizer": "adamm"}, "Unknown value 'adamm'. Did you mean 'adam'?"),
    "a misspelt reader": ({"data__reader": "npzz"}, "data: Unknown reader 'npzz'. Did you mean 'npz'?"),
    "a misspelt preparation": ({"data__prepare": ["zscor"]}, "Unknown kind 'zscor'. Did you mean 'zscore'?"),
    "a misspelt shift": ({"domains__a__shifts": ["rotatoin"]}, "Unknown kind 'rotatoin'. Did you mean 'rotation'?"),
    "an unknown source": ({"pairs__list": ["aa:b"]}, "pairs.list 'aa:b': Unknown domain 'aa'. Did you mean 'a'?"),
    "an unknown target": ({"pairs__list": ["a:z"]}, "pairs.list 'a:z': Unknown domain 'z'. Available: a, b"),
    "one unknown of two sources": ({"pairs__list": ["a+z:b"]}, "Unknown domain 'z'. Available: a, b"),
    "a target among its sources": ({"pairs__list": ["a+b:b"]}, "pairs.list 'a+b:b': A domain appears twice."),
    "a source twice": ({"pairs__list": ["a+a:b"]}, "pairs.list 'a+a:b': A domain appears twice."),
    "a domain named as a pair": ({"domains__x:y": {"path": "x"}}, "domains: The name 'x:y' is empty or holds '+', ':' or '>'"),
    "an entry named as a path": (
        {"methods": {"source_only": {}, "../x": {"method": "dann"}}},
        "methods.'../x': The name of a method entry is also a file name.",
    ),
    "an entry named as a hidden file": (
        {"methods": {"source_only": {}, ".x": {"method": "dann"}}},
        "methods.'.x': The name of a method entry is also a file name.",
    ),
}


@pytest.mark.parametrize("fault", ONE_ERROR)
def test_an_error_is_reported(fault):
    changes, sentence = ONE_ERROR[fault]
    assert sentence in suite_errors(**changes)


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        (["x"], "protocol.seeds[0] = 'x' should be a valid integer."),
        ([0, 1.5], "protocol.seeds[1] = 1.5 should be a valid integer."),
        ([], "protocol.seeds = [] should have at least 1 item, not 0."),
        (3, "protocol.seeds = 3 should be a valid list."),
    ],
)
def test_refused_seeds_are_one_error(seeds, sentence):
    """A list is not called too short for what was refused in it."""
    assert suite_errors(protocol__seeds=seeds).splitlines()[1:] == [f"  {sentence}"]


def test_all_errors_are_reported_at_once():
    """A name that is missing hides no other error."""
    message = suite_errors(
        name=None,
        verson=1,
        version="one",
        protocol__target_label=3,
        protocol__metric="target_acuracy",
        protocol__baseline="source_olny",
        protocol__seeds=[1, 1],
        train__step=3,
        train__lr="fast",
        net__backbone="mpl",
        domains__a__pth="x",
        pairs__list=["a:c", "b:b"],
        methods__corall={},
        methods__coral={"wieght": 1.0},
        methods__strong={"method": "dann", "weight": "much"},
    )
    for sentence in (
        "The key 'name' is missing",
        "Did you mean 'version'?",
        "version = 'one' should be a valid integer.",
        "Did you mean 'target_labels'?",
        "Did you mean 'target_accuracy'?",
        "Did you mean 'source_only'?",
        "A seed appears twice",
        "Did you mean 'steps'?",
        "train.lr = 'fast' should be a valid number.",
        "Did you mean 'mlp'?",
        "domains.a: Unknown key 'pth'. Did you mean 'path'?",
        "pairs.list 'a:c': Unknown domain 'c'. Available: a, b",
        "pairs.list 'b:b': A domain appears twice.",
        "methods.corall: Unknown method 'corall'. Did you mean 'coral'?",
        "Unknown option",
        "methods.strong.weight = 'much' should be a valid number.",
    ):
        assert sentence in message
    lines = message.splitlines()[1:]
    assert len(lines) == len(set(lines)) == 16
