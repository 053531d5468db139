"""Average ranks and their groups."""

from toy_records import PAIRS, grid

from tlbench import reports


def test_ranks_are_of_complete_entries_and_say_what_too_few_pairs_cannot():
    frame = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.7), *grid("partial", 0.9, pairs=PAIRS[:4])])
    found = reports.ranking(frame)
    assert found.entries == ("dann", "source_only")
    assert found.average_rank.tolist() == [1, 2]
    assert found.groups == ()
    (table,) = reports.ranks(frame)
    assert "partial (4 of 6 pairs)" in table.caption
    assert "not independent" in table.caption
    few = reports.frame([*grid("source_only", 0.5, pairs=PAIRS[:2]), *grid("dann", 0.7, pairs=PAIRS[:2])])
    (table,) = reports.ranks(few)
    assert "sign test over 2 pairs is 0.5" in table.caption
    assert "Too few pairs" in table.caption
    assert reports.ranks(reports.frame(grid("dann", 0.7))) == []


def test_entries_that_ranks_cannot_tell_apart_share_a_letter():
    level = {"source_only": 0.5, "b": 0.505, "winner": 0.8}
    made = [one for row, at in level.items() for one in grid(row, at, spread=0.02)]
    (table,) = reports.ranks(reports.frame(made))
    groups = table.cells["group"]
    assert set(groups["source_only"]) & set(groups["b"])
    assert not set(groups["winner"]) & set(groups[table.cells.index[-1]])
