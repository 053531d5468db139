"""Model selection: what each rule chooses, what it costs against the oracle, and whether it would have refused to adapt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Estimate
from tlbench.reports.statistics.regrets import rule_regrets
from tlbench.reports.table import Table, estimate_texts, number_text, tidy_lines
from tlbench.reports.tables.rule_ranks import TRIVIAL, adapting_cases, ranks_elsewhere

OWN_LOSS = {
    ("entropy", "min_entropy"),
    ("entropy", "tent"),
    ("bnm", "bnm"),
    ("im", "im"),
    ("im", "shot_im"),
    ("im", "shot"),
}
"""Rules that are the loss of a method, which they favour."""
MARK = " °"
SHOWN = ("last", "source_risk", "im", "bnm", "ens_v", "mix_val", "k_labels_5")
"""The rules that have a column in the table of methods; the data of the table have all of them."""
GATES = ("im", "bnm", "entropy", "k_labels_5", "k_labels_10")
"""The rules by which a case may refuse to adapt."""


def selection(chosen: pd.DataFrame | None, suite: str, version: int) -> list[Table]:
    """The tables of selection of one suite: methods by rules, rules, and the gate; none without candidates on file.

    Args:
        chosen: from `reports.rule_selections`.
        suite: the name of the suite.
        version: its version.
    """
    if chosen is None:
        return []
    own = chosen[(chosen["suite"] == suite) & (chosen["suite_version"] == version)].copy()
    if own.empty:
        return []
    own["regret"] = own["oracle"] - own["accuracy"]
    base = own[own["is_baseline"]].set_index(["pair", "seed", "rule"])["accuracy"]
    own["delta"] = own["accuracy"] - base.reindex(pd.MultiIndex.from_frame(own[["pair", "seed", "rule"]])).to_numpy()
    name = f"{suite} v{version}"
    tables: list[Table | None] = [_of_methods(own, suite, version, name), _of_rules(own, suite, version, name, chosen)]
    tables += [_of_gates(own, suite, version, name), _of_configurations(own, suite, version, name)]
    return [table for table in tables if table is not None]


def _estimate(cases: pd.DataFrame, column: str) -> Estimate:
    """The mean in per cent of a column over pairs, with its interval over seeds; no interval where a cell is missing."""
    values = 100 * cases.groupby(["pair", "seed"])[column].mean().unstack("seed").to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        return Estimate(np.array([np.nanmean(values) if np.isfinite(values).any() else np.nan]), np.array([np.nan]))
    return intervals.over_pairs(values[None])


def _text(cases: pd.DataFrame, column: str, *, signed: bool = False) -> str:
    return estimate_texts(_estimate(cases, column), signed=signed)[0] if cases[column].notna().any() else ""


def _mean(cases: pd.DataFrame, column: str, unit: float = 100) -> float:
    return unit * float(cases[column].mean()) if cases[column].notna().any() else float("nan")


def rule_data(lines: Sequence[tuple[object, ...]], suite: str, version: int) -> pd.DataFrame:
    """Lines of entry, rule, quantity, value and unit in the columns `TIDY`; the rule is in the place of a subgroup.

    Args:
        lines: the numbers; those that are missing are left out.
        suite: the name of the suite.
        version: its version.
    """
    names = ("entry", "subgroup", "quantity", "value", "unit")
    return tidy_lines(lines, names, suite=suite, suite_version=version, table="selection")


def method_table(cells: pd.DataFrame, *, title: str, caption: tuple[str, str], data: pd.DataFrame, name: str) -> Table:
    """A table of selection with a line for each method; cells without a text are blank.

    Args:
        cells: the texts by method.
        title: what it shows, without the suite.
        caption: its line and its notes.
        data: the numbers, from `rule_data`.
        name: the suite and its version.
    """
    frame = cells.fillna("").astype(object).rename_axis(index="method")
    line, notes = caption
    whole = " ".join(filter(None, caption))
    return Table(
        suite=name, kind="selection", title=f"{name}: {title}", caption=whole, cells=frame, data=data, line=line, notes=notes
    )


def _of_methods(own: pd.DataFrame, suite: str, version: int, name: str) -> Table:
    """Accuracy chosen and delta of each method under the rules shown, and the oracle."""
    cells: dict[str, dict[str, str]] = {}
    lines: list[tuple[object, ...]] = []
    for entry, of_entry in own.groupby("entry", sort=False):
        method = str(of_entry["method"].iloc[0])
        texts = {}
        for rule, of_rule in of_entry.groupby("rule", sort=False):
            for quantity in ("accuracy", "delta", "regret"):
                mean, margin = (float(one[0]) for one in _estimate(of_rule, quantity))
                lines += [(entry, rule, quantity, mean, "per cent"), (entry, rule, f"{quantity}_margin", margin, "per cent")]
            if rule in SHOWN:
                delta = _mean(of_rule, "delta")
                shown = "" if np.isnan(delta) or of_rule["is_baseline"].all() else f" ({number_text(delta, signed=True)})"
                mark = MARK if (rule, method) in OWN_LOSS else ""
                texts[str(rule)] = f"{_mean(of_rule, 'accuracy'):.1f}{shown}{mark}"
        first = of_entry[of_entry["rule"] == "last"]
        cells[str(entry)] = {**texts, "oracle": f"{_mean(first, 'oracle'):.1f}", "regret of last": _text(first, "regret")}
    columns = [*(rule for rule in SHOWN if rule in set(own["rule"])), "oracle", "regret of last"]
    return method_table(
        pd.DataFrame.from_dict(cells, orient="index").reindex(columns=columns),
        title="accuracy of what a rule selects",
        caption=(
            "Accuracy in per cent of the selected candidate; in brackets the delta against the baseline under the same rule.",
            f"The oracle reads target labels, cross-fitted. {MARK.strip()}: the rule is the method's own loss.",
        ),
        data=rule_data(lines, suite, version),
        name=name,
    )


def _of_rules(own: pd.DataFrame, suite: str, version: int, name: str, chosen: pd.DataFrame) -> Table | None:
    """Regret, and how often a rule fails, over all methods that adapt.

    Args:
        own: the lines of the suite.
        suite: its name.
        version: its version.
        name: both in one text.
        chosen: the lines of all suites, for the rank of the best rule elsewhere.
    """
    adapting = adapting_cases(own)
    if adapting.empty:
        return None
    cells, lines = {}, []
    refusals: dict[str, float] = {}
    summary = rule_regrets(adapting.rename(columns={"unadapted": "reference"}))
    regrets = {str(rule): float(mean) for rule, mean in summary["mean"].items()}
    for rule, cases in adapting.groupby("rule"):
        blind = _mean(cases.assign(blind=cases["oracle"] - cases["mean"]), "blind")
        values = {
            "worst regret": float(summary["worst"][rule]),
            "normalised regret": regrets[str(rule)] / blind if blind > 0 else float("nan"),
            "below unadapted %": float(summary["below reference"][rule]),
            "picked worst %": _mean(cases, "chose_worst"),
            "refused %": _mean(cases, "chose_unadapted"),
            "Spearman": _mean(cases, "spearman", 1),
            "Spearman across": _across(cases),
        }
        refusals[str(rule)] = values["refused %"]
        decimals = {"normalised regret": 2, "Spearman": 2, "Spearman across": 2}
        texts = {key: "" if np.isnan(value) else number_text(value, decimals.get(key, 1)) for key, value in values.items()}
        estimate = Estimate(np.array([regrets[str(rule)]]), _estimate(cases, "regret")[1])  # of cases, as the order is
        cells[str(rule)] = {"regret": estimate_texts(estimate)[0], **texts}
        lines += [("", rule, key, value, "") for key, value in {"regret": regrets[str(rule)], **values}.items()]
    order = list(regrets)
    best = next((rule for rule in order if rule not in TRIVIAL), order[0])
    line = "Regret: accuracy of the oracle minus that of the selected candidate, in points, over the methods that adapt."
    refusing = ", which always refuses to adapt" if refusals[best] == 100 else ""
    sentences = (
        f"The best rule without target labels here is {best}{refusing}: it loses {number_text(regrets[best])} points to the "
        "oracle on average.",
        ranks_elsewhere(best, chosen, suite, version),
        "A normalised regret of 1 is a blind pick.",
    )
    frame = pd.DataFrame.from_dict({rule: cells[rule] for rule in order}, orient="index").astype(object)
    frame.index.name = "method"
    return Table(
        suite=name,
        kind="selection",
        title=f"{name}: selection rules",
        caption=" ".join(filter(None, (line, *sentences))),
        line=line,
        notes=" ".join(filter(None, sentences)),
        cells=frame,
        data=rule_data(lines, suite, version),
    )


def _across(cases: pd.DataFrame) -> float:
    """The mean over pairs of the correlation of ranks, between methods, of what was selected and the oracle."""
    by_method = cases.groupby(["pair", "entry"])[["accuracy", "oracle"]].mean()
    varied = [of_pair for _, of_pair in by_method.groupby("pair") if of_pair.nunique().min() > 1]
    correlations = [of_pair["accuracy"].corr(of_pair["oracle"], method="spearman") for of_pair in varied]
    return float(np.mean(correlations)) if correlations else float("nan")


def _hurt(cases: pd.DataFrame, column: str) -> float:
    """The share in per cent of pairs on which the mean gain over seeds is below zero."""
    return 100 * float((cases.groupby("pair")[column].mean() < 0).mean())


def _of_gates(own: pd.DataFrame, suite: str, version: int, name: str) -> Table | None:
    """ "Adapt only if a rule says so": the last candidate where its number is above that of the unadapted one."""
    cases = own[~own["is_baseline"] & own["rule"].isin(GATES) & own["accepts"].notna()].copy()
    if cases.empty:
        return None
    cases["always"] = cases["last"] - cases["unadapted"]
    cases["gated"] = cases["always"].where(cases["accepts"] > 0, 0.0)
    cells, lines = {}, []
    for entry, of_entry in cases.groupby("entry", sort=False):
        one = of_entry.drop_duplicates(["pair", "seed"])
        values = {"gain %": _mean(one, "always"), "hurt %": _hurt(one, "always")}
        for rule, of_rule in of_entry.groupby("rule"):
            values[f"gain {rule}"] = _mean(of_rule, "gated")
            values[f"hurt {rule}"] = _hurt(of_rule, "gated")
        cells[str(entry)] = {key: number_text(value, signed=key.startswith("gain")) for key, value in values.items()}
        lines += [(entry, None, f"gate {key}", value, "per cent") for key, value in values.items()]
    return method_table(
        pd.DataFrame.from_dict(cells, orient="index"),
        title="adapt only if a rule says so",
        caption=(
            "Gain over the unadapted model in points, and share of pairs that are hurt: adapted always, or if a rule says so.",
            "A rule says so where its number is higher at the last step than for the unadapted model.",
        ),
        data=rule_data(lines, suite, version),
        name=name,
    )


def _of_configurations(own: pd.DataFrame, suite: str, version: int, name: str) -> Table | None:
    """Tuned entries: the trials, what they cost, and the configuration that each rule chose most often."""
    tuned = own[own["trials"] > 0]
    if tuned.empty:
        return None
    cells: dict[str, dict[str, str]] = {}
    lines: list[tuple[object, ...]] = []
    for entry, of_entry in tuned.groupby("entry", sort=False):
        cases = of_entry.drop_duplicates(["pair", "seed"])
        seconds = float(cases["trial_seconds"].sum())
        cells[str(entry)] = {"trials": str(int(cases["trials"].max())), "train s": number_text(seconds)}
        lines += [(entry, None, "trials", float(cases["trials"].max()), ""), (entry, None, "tuning", seconds, "seconds")]
        for rule, of_rule in of_entry.groupby("rule", sort=False):
            counts = of_rule["configuration"].value_counts()
            if rule in SHOWN:
                cells[str(entry)][str(rule)] = f"{counts.index[0]} ({counts.iloc[0]}/{len(of_rule)})"
    return method_table(
        pd.DataFrame.from_dict(cells, orient="index"),
        title="configurations",
        caption=(
            "Trials of each method, the seconds that they trained, and the trial that a rule selected most often (in cases).",
            "Seconds are over all pairs and seeds; trial-0 has the options of the suite.",
        ),
        data=rule_data(lines, suite, version),
        name=name,
    )
