"""What the results on all suites say, in sentences: who helps, who hurts, where, at what cost, and which rule to trust."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import pandas as pd

from tlbench.reports.across.methods import FEWEST, of_baselines
from tlbench.reports.across.rules import best_rule
from tlbench.reports.across.suite_results import SuiteResult, SuiteResults
from tlbench.reports.tables.summary import ADAPTS

LIMITS = """What one may conclude, and what not:

- A verdict is about other seeds on the same pairs and about no other data; an interval over suites is about other suites, and
  too narrow where suites share data.
- A delta starts from the level of its baseline: compare the levels first, with the published ones where a suite names any.
- Options are those of the suite files: nothing is tuned unless an entry says so, and other options can turn a verdict.
- Methods ran on different suites, so that the share of one is no ranking against the share of another; those that read labels
  are not to be compared with those that do not.
- A method that is better on most suites is worse on some: run it on your own data, beside the baseline.

[docs/findings.md](../docs/findings.md) has findings of the records that come with tlbench, with their limits."""
"""What may be concluded from any leaderboard."""
MORE_RULES = "[model selection](../docs/selection.md#what-the-rules-lost-here) compares rules on more"
"""Where a page points that has too little to rank rules."""
MOST = 5
"""The largest number of methods, or of suites, that a sentence names."""


def answers(by_suite: Sequence[SuiteResults], selections: pd.DataFrame | None) -> str:
    """A list of sentences on the methods that read unlabelled target samples, against the baseline of most suites.

    Args:
        by_suite: the results of all suites.
        selections: from `reports.rule_selections`; without candidates on file there is no sentence on rules.
    """
    sentences = []
    for baseline, suites in list(of_baselines(by_suite))[:1]:
        adapting = {suite.name: _adapting(suite) for suite in suites}
        results = [result for of_suite in adapting.values() for result in of_suite.values()]
        if results:
            sentences += [_helps(baseline, adapting), *_methods(adapting), *_suites(adapting), *_cost(baseline, results)]
    if selections is not None and (rule := best_rule(selections)):
        caution = f" Fewer than {FEWEST} suites are no ranking: {MORE_RULES}." if selections["suite"].nunique() < FEWEST else ""
        sentences.append(f"**Which rule to trust?** {rule}{caution}")
    return "\n".join(f"- {sentence}" for sentence in sentences) or "No baseline has three suites yet."


def _adapting(suite: SuiteResults) -> dict[str, SuiteResult]:
    """The results with a verdict of the entries that read unlabelled target samples and no label of the target."""
    return {
        entry: result
        for entry, result in suite.results.items()
        if suite.groups[entry] in ADAPTS and not np.isnan(result.verdict)
    }


def _helps(baseline: str, adapting: dict[str, dict[str, SuiteResult]]) -> str:
    results = [result for of_suite in adapting.values() for result in of_suite.values()]
    better, worse = (sum(result.verdict == verdict for result in results) for verdict in (1.0, -1.0))
    suites = sum(bool(of_suite) for of_suite in adapting.values())
    return (
        f"**Does adaptation without target labels help?** Of {len(results)} results (one a method and suite, {suites} suites) "
        f"{better} are significantly better than {baseline}, {worse} significantly worse, and {len(results) - better - worse} "
        "not significantly different."
    )


def _methods(adapting: dict[str, dict[str, SuiteResult]]) -> list[str]:
    """Sentences on the methods that ran on several suites, by suites better minus suites worse."""
    counts: dict[str, tuple[int, int, int]] = {}
    for of_suite in adapting.values():
        for entry, result in of_suite.items():
            suites, better, worse = counts.get(entry, (0, 0, 0))
            counts[entry] = suites + 1, better + (result.verdict == 1), worse + (result.verdict == -1)
    lines = [(entry, *of) for entry, of in counts.items() if of[0] >= FEWEST]

    def named(chosen: Sequence[tuple[str, int, int, int]]) -> str:
        return "; ".join(f"{entry} ({better} better, {worse} worse of {suites})" for entry, suites, better, worse in chosen)

    helping = sorted((of for of in lines if of[2] > of[3]), key=lambda of: ((of[3] - of[2]) / of[1], of[0]))[:MOST]
    hurting = sorted((of for of in lines if of[2] < of[3]), key=lambda of: ((of[2] - of[3]) / of[1], of[0]))[:MOST]
    sentences = []
    if helping:
        sentences.append(f"**Who helps?** Methods that ran on {FEWEST} suites or more, by suites: {named(helping)}.")
    if hurting:
        sentences.append(f"**Who hurts?** {named(hurting)}.")
    return sentences


def _suites(adapting: dict[str, dict[str, SuiteResult]]) -> list[str]:
    """A sentence on the suites on which more than half of several methods are better, or worse."""
    shares: dict[float, list[str]] = {1.0: [], -1.0: []}
    for suite, of_suite in adapting.items():
        for verdict, names in shares.items():
            if len(of_suite) >= FEWEST and 2 * sum(one.verdict == verdict for one in of_suite.values()) > len(of_suite):
                names.append(suite.rpartition(" v")[0])
    texts = [f"{word} on {', '.join(names)}" for word, names in (("better", shares[1.0]), ("worse", shares[-1.0])) if names]
    if not texts:
        return []
    return [f"**Where?** More than half of the methods (of {FEWEST} or more) are significantly {'; '.join(texts)}."]


def _cost(baseline: str, results: Sequence[SuiteResult]) -> list[str]:
    costs = [result.cost for result in results if not np.isnan(result.cost)]
    if not costs:
        return []
    return [f"**At what cost?** The median result took {median(costs):.1f} times the training time of {baseline}."]
