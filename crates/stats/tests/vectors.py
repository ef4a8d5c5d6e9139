#!/usr/bin/env python3
"""Writes data/vectors.json: what scipy, pymannkendall and plain counting say of samples that vectors.rs asks this crate about.

    pip install 'scipy>=1.17' pymannkendall && python3 vectors.py

The data file is kept, so the tests need neither Python nor scipy. The same versions write the same file.
"""

import importlib.metadata
import itertools
import json
import math
import pathlib

import numpy
import pymannkendall
import scipy
from scipy import optimize, stats

random = numpy.random.default_rng(20240229)


def floats(values):
    return [float(value) for value in values]


def ranks():
    sizes = [1, 5, 6, 7, 20, 40, 100, 199, 2_000, 20_000, 54_321, 1_000_000, 40_000_001, 10**9, 10**10]
    for count, q in itertools.product(sizes, [0.5, 0.9, 0.99, 0.999, 0.9999]):
        # The lower rank has at most 2.5 % below it: binom.ppf is the first number with at least that much up to it.
        low, high = int(stats.binom.ppf(0.025, count, q)), int(stats.binom.ppf(0.975, count, q)) + 1
        yield {"count": count, "q": q, "ranks": [low, high] if low >= 1 and high <= count else None}


def trends():
    series = [
        [1, 2, 3],
        [3, 1, 2, 2],
        [5, 4, 3, 2, 1],
        [10, 12, 11, 13, 14, 13.5, 15, 17, 16, 18],
        [10, 12, 11, 10, 12, 10, 11, 10, 12, 11],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 2],
        *(floats(random.normal(100, 5, size)) for size in (8, 9, 10, 11, 30, 100)),
        *(floats(100 + 0.3 * numpy.arange(size) + random.normal(0, 2, size)) for size in (10, 20, 50)),
        [float(value) for value in random.integers(0, 6, 40)],
    ]
    for values in series:
        test = pymannkendall.original_test(values)
        exact = len(values) <= 10 and len(set(values)) == len(values)
        p = stats.kendalltau(range(len(values)), values, method="exact").pvalue if exact else test.p
        yield {
            "values": floats(values),
            "s": int(test.s),
            "variance": float(test.var_s),
            "z": float(test.z),
            "p": float(p),
            "slope": float(stats.theilslopes(values).slope),
        }


def distances():
    for size, other in [(1, 1), (5, 8), (20, 20), (100, 300), (1_000, 1_000)]:
        a = floats(numpy.sort(random.exponential(2.0, size).round(2)))
        b = floats(numpy.sort(random.exponential(2.5, other).round(2)))
        yield {
            "a": a,
            "b": b,
            "between": float(stats.ks_2samp(a, b).statistic),
            "exponential_mean_2": float(stats.kstest(a, stats.expon(scale=2.0).cdf).statistic),
        }


def anderson():
    for size in (5, 20, 100, 400):
        for drawn in (random.exponential(3.0, size), random.uniform(0.1, 6.0, size), random.weibull(2.0, size)):
            values = numpy.sort(drawn)
            rank = numpy.arange(1, size + 1)

            def known(law):
                terms = (2 * rank - 1) * (law.logcdf(values) + law.logsf(values[::-1]))
                return -size - terms.mean()

            # Between the levels of the table scipy interpolates, and beyond them it stays at 0.01 and 0.15.
            any_mean = stats.anderson(values, "expon", method="interpolate")
            yield {
                "values": floats(values),
                # scipy.stats.anderson estimates the scale; its statistic has no correction for the size either.
                "any_mean": float(any_mean.statistic),
                "any_mean_p": float(any_mean.pvalue),
                "mean_3": float(known(stats.expon(scale=3.0))),
                "uniform_0_to_50": float(known(stats.uniform(0.0, 50.0))),
            }


def isotonic():
    for size in (1, 2, 10, 50):
        values, weights = random.normal(numpy.arange(size) / 5, 1.0), random.uniform(0.2, 5.0, size)
        fitted = optimize.isotonic_regression(values, weights=weights).x
        yield {"values": floats(values), "weights": floats(weights), "fitted": floats(fitted)}


def walsh(values):
    return numpy.sort([(a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2)])


def signed_rank_sums(count):
    """How many of the 2^count sets of ranks have each sum."""
    ways = [1]
    for rank in range(1, count + 1):
        ways = [a + b for a, b in zip(ways + [0] * rank, [0] * rank + ways)]
    return ways


def paired():
    for size in (1, 2, 5, 6, 7, 10, 16, 30, 50):
        values = floats(random.normal(0.4, 1.0, size))
        other = floats(random.normal(1.0, 2.0, size + 3))
        means, interval = walsh(values), None
        if size >= 6:
            ways, outside = signed_rank_sums(size), -1
            below = 0
            while below + ways[outside + 1] <= 0.025 * 2**size:
                outside += 1
                below += ways[outside]
            interval = [float(means[outside]), float(means[len(means) - 1 - outside])]
            # The same said by scipy: a shift beyond the interval is refused, one within is not.
            for end, inward in zip(interval, (1e-9, -1e-9)):
                for by, refused in ((-inward, True), (inward, False)):
                    p = stats.wilcoxon(numpy.array(values) - end - by, method="exact").pvalue
                    assert (p <= 0.05) == refused, (size, p)
        flips = None
        if size <= 16:
            signs = ((numpy.arange(2**size)[:, None] >> numpy.arange(size)) & 1) * 2 - 1
            flips = float(numpy.mean(numpy.abs(signs @ values) >= abs(math.fsum(values)) - 1e-9))
        yield {
            "values": values,
            "other": other,
            "center": float(numpy.median(means)),
            "ci95": interval,
            "sign_flip": flips,
            "shift": float(numpy.median(numpy.subtract.outer(other, values))),
        }


def main():
    made_with = {"scipy": scipy.__version__, "numpy": numpy.__version__, "pymannkendall": importlib.metadata.version("pymannkendall")}
    cases = {case.__name__: list(case()) for case in (ranks, trends, distances, anderson, isotonic, paired)}
    lines = [f'"made_with": {json.dumps(made_with)}']
    for name, rows in cases.items():
        lines.append(f'"{name}": [\n' + ",\n".join(json.dumps(row, allow_nan=False) for row in rows) + "\n]")
    path = pathlib.Path(__file__).parent / "data" / "vectors.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
