"""The statistics against SciPy, published figures and properties that they must have."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import polygamma

from tlbench.reports.statistics import average_ranks, intervals, moderated
from tlbench.reports.tables.cost import pareto_front


def pairs_of(*names):
    return [tuple(name.split(":")) for name in names]


# --- new domains


def test_with_one_source_given_new_domains_is_students_interval_over_the_targets():
    rng = np.random.default_rng(0)
    values = rng.normal(50, 5, (2, 5, 3))
    mean, margin = intervals.new_domains(values, pairs_of("clean:a", "clean:b", "clean:c", "clean:d", "clean:e"))
    for entry in range(2):
        by_target = values[entry].mean(axis=1)
        low, high = stats.t.interval(0.95, 4, by_target.mean(), stats.sem(by_target))
        assert (mean[entry] - margin[entry], mean[entry] + margin[entry]) == pytest.approx((low, high))


def test_where_domains_add_up_new_domains_is_students_interval_over_the_domains():
    effect = dict(zip("abcde", [1.0, 4.0, -2.0, 0.5, 3.0], strict=True))
    names = [f"{s}:{t}" for s in effect for t in effect if s != t]
    values = np.array([[[effect[name[0]] + 2 * effect[name[2]]] for name in names]])
    of_domain = 3 * np.array(list(effect.values()))
    low, high = stats.t.interval(0.95, 4, of_domain.mean(), stats.sem(of_domain))
    mean, margin = intervals.new_domains(values, pairs_of(*names))
    assert (mean.item() - margin.item(), mean.item() + margin.item()) == pytest.approx((low, high))


@pytest.mark.parametrize(
    "names",
    [
        ("a:b", "b:a", "a:c", "c:a", "b:c", "c:b"),  # three domains
        ("a:b", "a:c", "a:d"),  # one source and three targets
        ("hub:a", "hub:b", "hub:c", "d:e"),  # most pairs hang on one domain
        ("a:b",),
    ],
)
def test_new_domains_are_not_estimable_from_few_domains_or_from_pairs_that_hang_on_one(names):
    mean, margin = intervals.new_domains(np.ones((1, len(names), 3)), pairs_of(*names))
    assert mean.item() == 1
    assert np.isnan(margin).all()


# --- moderated t and the marks


@pytest.mark.parametrize("y", [1e-8, 1e-3, 0.3, 1.0, 20.0, 1e8])
def test_the_inverse_of_trigamma_inverts_it(y):
    assert polygamma(1, moderated._inverse_trigamma(y)) == pytest.approx(y, rel=1e-4)


def test_the_prior_of_variances_is_recovered():
    rng = np.random.default_rng(0)
    sigma2 = 2.0 * 6 / rng.chisquare(6, 40_000)
    tests = moderated.prior(sigma2 * rng.chisquare(2, 40_000) / 2, df=2)
    assert tests.variance == pytest.approx(2.0, rel=0.05)
    assert tests.df == pytest.approx(6, rel=0.1)


def test_variances_no_more_unlike_than_chance_are_pooled():
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    tests = moderated.moderated_t(np.stack([values[0], values[0] + 1]))
    pooled = np.sqrt(values[0].var(axis=1, ddof=1).mean() / 5)
    margin = stats.t.ppf(0.975, 2 * 4 * 4) * pooled
    assert tests.margin == pytest.approx(np.full((2, 4), margin))


def test_one_strong_cell_among_noise_is_marked_and_the_noise_is_not():
    values = np.random.default_rng(5).normal(size=(6, 6, 3))
    values[2, 3] -= 12
    tests = moderated.moderated_t(values)
    assert tests.mark[2, 3] == -1
    assert (np.delete(tests.mark.ravel(), 2 * 6 + 3) == 0).all()
    assert moderated.moderated_t(values, direction=-1.0).mark[2, 3] == 1


def test_marks_follow_benjamini_and_hochberg():
    values = np.random.default_rng(2).normal(size=(4, 5, 3)) - 1.5
    tests = moderated.moderated_t(values)
    t = abs(tests.mean) * stats.t.ppf(0.975, 100) / tests.margin
    order = np.argsort(-t.ravel())  # equal noise: the largest difference has the least p
    assert (np.diff(tests.p.ravel()[order]) >= 0).all()
    assert ((tests.p <= 0.05) == (tests.mark != 0)).all()


def test_a_deterministic_row_is_certain_and_chance_equality_is_not():
    rng = np.random.default_rng(3)
    noisy = rng.normal(size=(1, 6, 3))
    noisy[0, 0] = 0.4  # three equal deltas by chance, far below the noise of the others
    exact = np.repeat(np.array([[[-0.1], [0.1], [0.0], [0.2], [0.1], [0.3]]]), 3, axis=2)
    tests = moderated.moderated_t(np.concatenate([noisy, exact]))
    assert tests.mark[0, 0] == 0
    assert tests.margin[0, 0] > 0.4
    assert tests.mark[1].tolist() == [-1, 1, 0, 1, 1, 1]
    assert (tests.margin[1] == 0).all()


def test_blanks_and_few_seeds_have_no_mark():
    values = np.random.default_rng(4).normal(size=(2, 3, 3))
    values[0, 1, 2] = np.nan
    tests = moderated.moderated_t(values)
    assert np.isnan(tests.mark).tolist() == [[False, True, False], [False] * 3]
    assert np.isnan(moderated.moderated_t(values[..., :2]).mark).all()


# --- other means


def test_the_interquartile_mean_is_scipys():
    values = np.random.default_rng(0).normal(size=(4, 5, 3))
    values[1, 2, 0] = np.nan
    tests = intervals.interquartile_mean(values)
    assert np.isnan(tests[1])
    for entry in (0, 2, 3):
        assert tests[entry] == pytest.approx(stats.trim_mean(values[entry].ravel(), 0.25))


def test_the_probability_of_improvement_is_mann_whitneys():
    values = np.random.default_rng(0).integers(0, 5, (3, 4, 6)).astype(float)
    base = values[0]
    tests = intervals.probability_of_improvement(values, base)
    assert tests[0] == 0.5
    for entry in (1, 2):
        u = [stats.mannwhitneyu(values[entry, pair], base[pair]).statistic / 36 for pair in range(4)]
        assert tests[entry] == pytest.approx(np.mean(u))


def test_a_sign_test_cannot_go_below_what_all_seeds_agreeing_give():
    for n in (1, 3, 5, 12):
        assert intervals.smallest_sign_test_p(n) == pytest.approx(stats.binomtest(n, n).pvalue)


# --- ranks


def test_the_critical_difference_and_the_f_statistic_are_the_published_ones():
    # Demsar 2006, section 3.2.2: 4 classifiers, 14 data sets; CD = 1.25, F = 3.69 with 3 and 39 degrees of freedom
    assert average_ranks.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert average_ranks.critical_difference(10, 1) / np.sqrt(110 / 6) == pytest.approx(3.164, abs=0.001)
    assert stats.f.sf(3.69, 3, 39) == pytest.approx(0.0197, abs=0.0005)


def test_friedmans_p_follows_scipys_chi_square():
    values = np.random.default_rng(0).normal(size=(4, 9)) + np.arange(4)[:, None] / 2
    rank = stats.rankdata(values, axis=0)
    chi = stats.friedmanchisquare(*values).statistic
    df = 3 - 2 / 9  # Kendall and Babington Smith 1939
    assert average_ranks.friedman_p(rank) == pytest.approx(stats.f.sf(8 * chi / (9 * 3 - chi), df, 8 * df))
    agreeing = np.repeat(np.arange(1.0, 5.0)[:, None], 6, axis=1)
    assert average_ranks.friedman_p(agreeing) == pytest.approx(1 / 24**5)
    assert average_ranks.friedman_p(agreeing[:, :1]) == pytest.approx(1)
    assert average_ranks.friedman_p(np.full((4, 6), 2.5)) == 1


def test_groups_are_the_longest_stretches_below_the_difference():
    names = ("a", "b", "c", "d", "e")
    tests = average_ranks._groups(names, np.array([1.0, 2.0, 2.5, 4.4, 5.0]), 2.0)
    assert tests == (("a", "b", "c"), ("c", "d"), ("d", "e"))
    assert average_ranks._groups(names, np.array([1.0, 3.0, 5.0, 7.0, 9.0]), 2.0) == ()
    assert average_ranks._groups(names, np.array([1.0, 1.1, 1.2, 1.3, 1.4]), 2.0) == (names,)


def test_the_front_holds_the_entries_that_none_dominates():
    gain, cost = np.array([5.0, 4.0, 6.0, 5.0, np.nan]), np.array([1.0, 2.0, 3.0, 1.0, 0.1])
    assert pareto_front(gain, cost).tolist()[:4] == [1, 0, 1, 1]
    assert np.isnan(pareto_front(gain, cost)[4])
