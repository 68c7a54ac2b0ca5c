"""Damaged files of every kind that the library writes; `benchmarks.broken_files` tries more of them."""

from benchmarks.broken_files import KINDS, damage_all, table


def test_damage_is_refused_or_changes_nothing():
    counts = damage_all(10, seed=1)
    assert counts.keys() == KINDS.keys()
    for name, row in counts.items():
        assert sum(row.values()) == 10
        assert row["another content"] == row["other exception"] == 0, name
        assert row["refused"] >= 2, name  # those that were cut off
    assert table(counts)[-1].startswith(f"| all | {10 * len(KINDS)} |")
