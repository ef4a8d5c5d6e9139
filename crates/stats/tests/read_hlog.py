#!/usr/bin/env python3
"""Prints what PyPI's `hdrhistogram` reads in an interval log: of each tag its samples and percentiles over the whole log.

    read_hlog.py FILE        one line a tag: tag count p50 p90 p99 p99.9 p99.99 max, in nanoseconds

An independent reader of what stats::hlog writes; the test `a_reader_in_python_reads_the_same_numbers` runs it where the package is.
`golden/run.hlog.txt` is its output for `golden/run.hlog`.
"""

import math
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

HIGHEST_NS, DIGITS = 3_600_000_000_000, 3


def value_at(values: HdrHistogram, quantile: float) -> int:
    """The value that at least this share of the samples is at most (as Rust's and Java's readers have it).

    The package's own get_value_at_percentile rounds the rank to the nearest, which may be the sample before.
    """
    rank = max(1, math.ceil(quantile * values.get_total_count()))
    for item in values.get_recorded_iterator():
        if item.total_count_to_this_value >= rank:
            return values.get_highest_equivalent_value(item.value_iterated_to)
    return 0


def main(path: str) -> None:
    sums = {}
    reader = HistogramLogReader(path, HdrHistogram(1, HIGHEST_NS, DIGITS))
    while (step := reader.get_next_interval_histogram()) is not None:
        total = sums.setdefault(step.get_tag() or "", HdrHistogram(1, HIGHEST_NS, DIGITS))
        total.add(step)
    for tag, total in sorted(sums.items()):
        at = [value_at(total, quantile) for quantile in (0.5, 0.9, 0.99, 0.999, 0.9999)]
        # Rust's max() is the highest value of the bucket; Python's the lowest.
        highest = total.get_highest_equivalent_value(total.get_max_value())
        print(tag, total.get_total_count(), *at, highest)


if __name__ == "__main__":
    main(sys.argv[1])
