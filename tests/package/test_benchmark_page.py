"""The page of benchmarks: the documents have what was measured, and a noisy ratio is not taken for a sure one."""

from __future__ import annotations

import json

from tests.benchmarks import ratio, table
from tests.support.paths import TOP


def test_the_documents_have_the_table_of_the_result():
    found = json.loads((TOP / "tests" / "benchmarks" / "page.json").read_text())
    document = (TOP / "docs" / "reference" / "benchmarks.md").read_text()
    assert table.into(document, found) == document
    assert document.count(table.BEGIN) == document.count(table.END) == 1


def test_a_ratio_is_measured_until_it_is_tight_or_the_bound_is_reached():
    steady = ratio.in_turn(lambda _: 1.0, lambda _: 2.0, 1.5, 3, 9, 60)
    assert (len(steady.ours), steady.ratio, steady.interval, steady.met(1.5)) == (3, 2.0, (2.0, 2.0), "yes")
    noisy = ratio.in_turn(lambda n: (1.0, 4.0)[n % 2], lambda n: (2.0, 3.0)[n // 2 % 2], 1.0, 3, 9, 60)
    assert (len(noisy.ours), noisy.met(1.0)) == (9, "in doubt")
    assert ratio.Measured([1.0, 1.0], [1.1, 1.1]).met(1.0) == "in doubt"
    assert ratio.Measured([2.0] * 5, [1.0] * 5).met(1.0) == "no"
