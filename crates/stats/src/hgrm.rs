//! The percentile distribution of one histogram as text (`.hgrm`), as HdrHistogram's `outputPercentileDistribution` writes it.
//!
//! Values are microseconds with three decimals, so that no nanosecond is lost; a comment at the end says so. Plotters of the format
//! (hdrhistogram.github.io/HdrHistogram/plotFiles.html) take the lines with four columns and let the unit be chosen.

use hdrhistogram::Histogram;
use std::fmt::Write;

/// The distribution: value, percentile, samples up to it, and 1 / (1 - percentile), which is the x axis of a plot.
pub fn text(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for tick in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE).filter(|_| !histogram.is_empty()) {
        let (value, quantile) = (tick.value_iterated_to() as f64 / 1e3, tick.quantile_iterated_to());
        count += tick.count_since_last_iteration();
        let _ = write!(out, "{value:>12.3} {quantile:>2.12} {count:>10}");
        if quantile < 1.0 {
            let _ = write!(out, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        out.push('\n');
    }
    let _ = write!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n#[Max     = {:>12.3}, Total count    = {:>12}]\n#[Unit    = microseconds]\n",
        histogram.mean() / 1e3,
        histogram.stdev() / 1e3,
        histogram.max() as f64 / 1e3,
        histogram.len(),
    );
    out
}

/// The format's usual number.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::histogram;

    #[test]
    fn a_distribution_has_the_lines_that_plotters_read() {
        let mut values = histogram();
        for _ in 0..3 {
            values.record(1_000).expect("in range");
        }
        values.record(2_000_500).expect("in range");
        let expected = "       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000          3           1.00
       1.000 0.100000000000          3           1.11
       1.000 0.200000000000          3           1.25
       1.000 0.300000000000          3           1.43
       1.000 0.400000000000          3           1.67
       1.000 0.500000000000          3           2.00
       1.000 0.550000000000          3           2.22
       1.000 0.600000000000          3           2.50
       1.000 0.650000000000          3           2.86
       1.000 0.700000000000          3           3.33
    2000.895 0.750000000000          4           4.00
    2000.895 1.000000000000          4
#[Mean    =      500.846, StdDeviation   =      865.759]
#[Max     =     2000.895, Total count    =            4]
#[Unit    = microseconds]
";
        assert_eq!(text(&values), expected);
    }

    #[test]
    fn nothing_recorded_is_a_head_and_no_lines() {
        let text = text(&histogram());
        assert_eq!(text.lines().filter(|line| line.starts_with(' ') && !line.contains("Value")).count(), 0);
        assert!(text.contains("Total count    =            0]") && !text.contains("NaN"), "{text}");
    }
}
