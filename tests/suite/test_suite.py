"""Suite files: the shipped ones, and every mistake that one can hold, all of them said at once."""

from __future__ import annotations

import copy
import tomllib

import pytest
from tiny_suite import SUITE

from tlbench import api, checks, methods
from tlbench import suite as suites
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.suite import load_suite, locate_suite, parse_suite, shipped_suites

CHECKS = (backbones.suite_errors, methods.suite_errors)


def raw(**changes):
    """The tables of the tiny suite; `protocol__seeds=[1]` sets a key of a table, None takes it out."""
    tables = copy.deepcopy(tomllib.loads(SUITE))
    for path, value in changes.items():
        *above, key = path.split("__")
        table = tables
        for name in above:
            table = table.setdefault(name, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return tables


def mistakes(**changes) -> str:
    with pytest.raises(TlbenchError) as raised:
        parse_suite(raw(**changes), "mine.toml", CHECKS)
    said = str(raised.value)
    assert said.startswith("mine.toml:\n")
    return said


def test_the_suites_of_the_first_issue_ship():
    assert {"quickstart", "mnist_usps", "office_caltech10_surf", "amazon_reviews_bow"} <= set(shipped_suites())


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_is_right(name):
    suite = load_suite(locate_suite(name), CHECKS)
    assert suite.name == name and suite.version >= 1 and suite.title and suite.citation
    cases = suite.cases()
    assert len(cases) == len(suite.pairs) * len(suite.protocol.seeds) * len(suite.methods)
    assert len(suite.protocol.seeds) >= 3
    assert len({(c.entry, c.pair, c.seed) for c in cases}) == len(cases)
    # cells stay together, so that a run that is stopped leaves whole columns behind
    assert [(c.pair, c.seed) for c in cases] == sorted(
        [(c.pair, c.seed) for c in cases], key=list(dict.fromkeys((c.pair, c.seed) for c in cases)).index
    )
    assert all(kept.options == suite.methods[kept.entry].options for kept in cases)


def test_the_tiny_suite_is_right():
    suite = parse_suite(raw(), "mine.toml", CHECKS)
    assert suite.pairs == ((("a",), "b"),)
    assert [case.entry for case in suite.cases()] == ["source_only", "coral"]
    assert suite.cases()[0].pair == "a:b"


ONE_MISTAKE = {
    "an unknown key at the top": ({"verson": 2}, "Unknown key 'verson'; Did you mean 'version'?"),
    "an unknown table": ({"protocl": {}}, "Unknown key 'protocl'; Did you mean 'protocol'?"),
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
    "no pairs": ({"pairs": None}, "pairs: missing; say all = true"),
    "an empty pairs": ({"pairs": {}}, "pairs: missing; say all = true"),
    "an empty list of pairs": ({"pairs__list": []}, "pairs: no pair"),
    "no path": ({"domains__a": {}}, "domains.a: The key 'path' is missing"),
    "no reader": ({"data__reader": None}, "The key 'reader' is missing. Available readers: "),
    "a version that is a text": ({"version": "1"}, "version: input should be a valid integer, not '1'"),
    "a version of no kind": ({"version": 0}, "version: input should be greater than or equal to 1"),
    "a name with a slash": ({"name": "a/b"}, "name: string should match pattern"),
    "steps that are a text": ({"train__steps": "5"}, "train.steps: input should be a valid integer, not '5'"),
    "steps that are yes": ({"train__steps": True}, "train.steps: input should be a valid integer, not True"),
    "no steps": ({"train__steps": 0}, "train.steps: input should be greater than or equal to 1, not 0"),
    "a batch of one": ({"train__batch": 1}, "train.batch: input should be greater than or equal to 2"),
    "a rate of nothing": ({"train__lr": 0.0}, "train.lr: input should be greater than 0"),
    "an infinite rate": ({"train__lr": float("inf")}, "train.lr: input should be a finite number"),
    "a rate that is none": ({"train__lr": float("nan")}, "train.lr: input should be"),
    "labels below 0": ({"protocol__target_labels": -1}, "protocol.target_labels: input should be greater"),
    "labels that are a text": ({"protocol__target_labels": "ten"}, "protocol.target_labels: input should be"),
    "a share that is no share": ({"protocol__held_out": 1.0}, "protocol.held_out: input should be less than 1"),
    "no seeds": ({"protocol__seeds": []}, "protocol.seeds: tuple should have at least 1 item"),
    "seeds that are texts": ({"protocol__seeds": ["0"]}, "protocol.seeds.0: input should be a valid integer"),
    "a seed twice": ({"protocol__seeds": [0, 1, 0]}, "protocol.seeds: a seed stands in it twice"),
    "a table that is none": ({"train": 3}, "train: input should be"),
    "a method that is no table": ({"methods__coral": 3}, "methods.coral: input should be"),
    "a domain that is no table": ({"domains__a": 3}, "domains.a: input should be"),
    "pairs that are none": ({"pairs": 3}, "pairs: missing; say all = true"),
    "all pairs, perhaps": ({"pairs__all": "yes"}, "pairs.all: must be true or false"),
    "a pair of one": ({"pairs__list": ["a"]}, 'pairs.list: say all = true, or list = ["source:target"'),
    "a path that is a number": ({"domains__a__path": 3}, "domains.a: path = 3 should be a valid string"),
    "an option of a wrong type": ({"methods__coral__weight": "1"}, "methods.coral.weight: Input should be"),
    "an option out of its range": ({"methods__coral__weight": -1.0}, "methods.coral.weight: Input should be greater"),
    "an infinite option": ({"methods__coral__weight": float("inf")}, "methods.coral.weight: Input should be a finite"),
    "a backbone's option of a wrong type": ({"net__hidden": "wide"}, "net.hidden: Input should be"),
    "a misspelt method": ({"methods__corl": {}}, "methods.corl: Unknown method 'corl'. Did you mean 'coral'?"),
    "a misspelt method of a row": (
        {"methods__strong": {"method": "source_onyl"}},
        "methods.strong: Unknown method 'source_onyl'. Did you mean 'source_only'?",
    ),
    "a method like no other": ({"methods__zzz": {}}, "methods.zzz: Unknown method 'zzz'. Available: "),
    "a misspelt backbone": ({"net__backbone": "mlpp"}, "net.backbone: Unknown backbone 'mlpp'. Did you mean 'mlp'?"),
    "a misspelt network of torchvision": (
        {"net": {"backbone": "torchvision:resnet188"}},
        "Did you mean 'resnet18'?",
    ),
    "options of an automatic backbone": ({"net__backbone": "auto"}, "net.hidden: unknown; backbone = 'auto' has no options"),
    "a misspelt metric": (
        {"protocol__metric": "target_acuracy"},
        "protocol.metric: Unknown value 'target_acuracy'. Did you mean 'target_accuracy'?",
    ),
    "a misspelt baseline": (
        {"protocol__baseline": "source_olny"},
        "Unknown method entry 'source_olny'. Did you mean 'source_only'?",
    ),
    "a baseline that is no row": ({"protocol__baseline": "dann"}, "protocol.baseline names a row of [methods]"),
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
    "a target among its sources": ({"pairs__list": ["a+b:b"]}, "pairs.list 'a+b:b': a domain stands in it twice"),
    "a source twice": ({"pairs__list": ["a+a:b"]}, "pairs.list 'a+a:b': a domain stands in it twice"),
    "a domain named as a pair": ({"domains__x:y": {"path": "x"}}, "domains: 'x:y' may not hold '+' or ':'"),
    "a row named as a path": ({"methods": {"source_only": {}, "../x": {"method": "dann"}}}, "methods.'../x': a row's"),
    "a hidden row": ({"methods": {"source_only": {}, ".x": {"method": "dann"}}}, "methods.'.x': a row's"),
}


@pytest.mark.parametrize("fault", ONE_MISTAKE)
def test_a_mistake_is_said(fault):
    changes, sentence = ONE_MISTAKE[fault]
    assert sentence in mistakes(**changes)


def test_all_mistakes_are_said_at_once():
    """The lines of the issue in one file; a name that is missing hides no other mistake."""
    said = mistakes(
        name=None,
        verson=1,
        version="one",
        protocol__target_label=3,
        protocol__metric="acuracy",
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
        "version: input should be a valid integer, not 'one'",
        "Did you mean 'target_labels'?",
        "Did you mean 'target_accuracy'?",
        "Did you mean 'source_only'?",
        "a seed stands in it twice",
        "Did you mean 'steps'?",
        "train.lr: input should be a valid number, not 'fast'",
        "Did you mean 'mlp'?",
        "domains.a: Unknown key 'pth'. Did you mean 'path'?",
        "pairs.list 'a:c': Unknown domain 'c'. Available: a, b",
        "pairs.list 'b:b': a domain stands in it twice",
        "methods.corall: Unknown method 'corall'. Did you mean 'coral'?",
        "Unknown option",
        "methods.strong.weight: Input should be a valid number, not 'much'",
    ):
        assert sentence in said
    lines = said.splitlines()[1:]
    assert len(lines) == len(set(lines)) == 16


def test_a_file_that_is_no_suite(tmp_path):
    with pytest.raises(TlbenchError, match="no suite file"):
        load_suite(tmp_path / "none.toml")
    file = tmp_path / "mine.toml"
    file.write_text("name = mine\n")
    with pytest.raises(TlbenchError, match=r"mine\.toml: not TOML: .*line 1"):
        load_suite(file)
    file.write_text('name = "a"\nname = "b"\n')
    with pytest.raises(TlbenchError, match="not TOML"):
        load_suite(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TlbenchError, match="cannot be read as a text file"):
        load_suite(file)
    file.write_text("")
    with pytest.raises(TlbenchError, match="The key 'name' is missing") as raised:
        load_suite(file)
    assert "The key 'domains' is missing" in str(raised.value) and "The key 'methods' is missing" in str(raised.value)


def test_a_suite_goes_by_name_or_by_path(tmp_path):
    assert locate_suite("quickstart").name == "quickstart.toml"
    with pytest.raises(TlbenchError, match="Did you mean 'quickstart'"):
        locate_suite("quickstrat")
    with pytest.raises(TlbenchError, match="no suite file"):
        locate_suite(str(tmp_path / "quickstart.toml"))
    file = tmp_path / "mine.toml"
    file.write_text(SUITE)
    assert locate_suite(str(file)) == file


def test_filters_choose_and_unknown_ones_are_refused():
    suite = parse_suite(raw(pairs={"all": True}, protocol__seeds=[0, 1]), "mine.toml", CHECKS)
    assert len(suite.cases()) == 8
    assert [(c.entry, c.pair, c.seed) for c in suite.cases(["coral"], ["b:a"], [1])] == [("coral", "b:a", 1)]
    assert [c.seed for c in suite.cases(["coral"], ["b:a"], [7])] == [7]
    with pytest.raises(TlbenchError) as raised:
        suite.cases(["corral"], ["b:c"])
    assert "--method: Unknown method entry 'corral' of suite tiny. Did you mean 'coral'?" in str(raised.value)
    assert "--pair: Unknown pair 'b:c' of suite tiny. Did you mean 'b:a'?" in str(raised.value)


def test_pairs():
    three = {"domains__c": {"path": "c.npz"}}
    assert len(parse_suite(raw(pairs={"all": True}, **three), "x", CHECKS).pairs) == 6
    several = parse_suite(raw(pairs={"list": ["a+b:c", "a:b", "a:b"]}, **three), "x", CHECKS)
    assert several.pairs == ((("a", "b"), "c"), (("a",), "b"))
    assert several.cases(pairs=["a+b:c"])[0].sources == ("a", "b")


def test_two_rows_of_one_method():
    suite = parse_suite(raw(methods={"source_only": {}, "weak": {"method": "dann", "weight": 0.1}}), "x", CHECKS)
    weak = suite.cases(["weak"])[0]
    assert (weak.entry, weak.method, weak.options) == ("weak", "dann", {"weight": 0.1})


def test_the_hash_follows_what_decides_numbers_and_nothing_else():
    plain = parse_suite(raw(), "x", CHECKS).hash
    for same in ({"title": "t"}, {"protocol__seeds": [0, 1]}, {"methods__dann": {}}, {"protocol__metric": "macro_f1"}):
        assert parse_suite(raw(**same), "x", CHECKS).hash == plain, same
    for other in ({"train__steps": 6}, {"net__hidden": [9]}, {"protocol__target_labels": 1}, {"net__mean": 0.4}):
        assert parse_suite(raw(**other), "x", CHECKS).hash != plain, other


def test_digest_is_the_same_for_ever():
    assert suites.digest({"b": [1, 2.5, "é"], "a": None}) == suites.digest({"a": None, "b": [1, 2.5, "é"]})
    assert suites.digest({"a": 1}) == "015abd7f5cc57a2d"


# --- the promises of a suite -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_keeps_its_promises(name):
    kept = checks.check_suite(api.load_suite(name))
    assert not [sentence for sentence in kept if "skipped" in sentence or "too few" in sentence]


def test_promises_of_a_suite_can_be_broken(tmp_path):
    text = SUITE.replace("[methods.coral]", '[methods.target_only]\n[methods.again]\nmethod = "source_only"')
    file = tmp_path / "other.toml"
    file.write_text(text.replace("seeds = [0]", 'baseline = "target_only"'), encoding="utf-8")
    with pytest.raises(TlbenchError) as caught:
        checks.check_suite(api.load_suite(file))
    said = str(caught.value)
    for words in (
        "'tiny' is not the file's name, 'other'",
        "target_only reads target_labeled",
        "methods.again: the same method",
    ):
        assert words in said


def test_what_a_suite_will_show_is_said_beforehand(tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(SUITE + "[methods.target_only]\n", encoding="utf-8")
    kept = checks.check_suite(api.load_suite(file))
    assert "target_only will be skipped: it reads target_labeled, which is not granted" in kept
    assert "1 seeds: too few for an interval, which needs three" in kept
