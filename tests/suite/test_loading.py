"""Suite files: located by name or by path, read, and refused where they are no suite; every shipped one loads."""

from __future__ import annotations

import pytest
from suite_tables import CHECKS
from tiny_suite import SUITE

from tlbench.errors import TlbenchError
from tlbench.suite import load_suite, locate_suite, shipped_suites


def test_the_first_suites_ship():
    assert {"quickstart", "mnist_usps", "office_caltech10_surf", "amazon_reviews_bow"} <= set(shipped_suites())


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_loads(name):
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
    assert all(case.options == suite.methods[case.entry].options for case in cases)


def test_a_file_that_is_no_suite(tmp_path):
    with pytest.raises(TlbenchError, match="There is no suite file"):
        load_suite(tmp_path / "none.toml")
    file = tmp_path / "mine.toml"
    file.write_text("name = mine\n")
    with pytest.raises(TlbenchError, match=r"mine\.toml: The file is not valid TOML: .*line 1"):
        load_suite(file)
    file.write_text('name = "a"\nname = "b"\n')
    with pytest.raises(TlbenchError, match="is not valid TOML"):
        load_suite(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TlbenchError, match="cannot be read as UTF-8 text"):
        load_suite(file)
    file.write_text("")
    with pytest.raises(TlbenchError, match="The key 'name' is missing") as raised:
        load_suite(file)
    assert "The key 'domains' is missing" in str(raised.value) and "The key 'methods' is missing" in str(raised.value)


def test_a_suite_goes_by_name_or_by_path(tmp_path):
    assert locate_suite("quickstart").name == "quickstart.toml"
    with pytest.raises(TlbenchError, match="Did you mean 'quickstart'"):
        locate_suite("quickstrat")
    with pytest.raises(TlbenchError, match="There is no suite file"):
        locate_suite(str(tmp_path / "quickstart.toml"))
    file = tmp_path / "mine.toml"
    file.write_text(SUITE)
    assert locate_suite(str(file)) == file
