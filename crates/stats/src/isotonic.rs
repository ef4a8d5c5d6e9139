//! Isotonic regression: the never falling series that lies nearest to a noisy one.
//!
//! Pool adjacent violators (Barlow and others, "Statistical Inference under Order Restrictions", 1972): one pass, linear time.

/// The never falling values with the least weighted sum of squared distances from `points`, each a value and its weight, in order. Weights
/// are above 0.
pub fn rising(points: &[(f64, f64)]) -> Vec<f64> {
    // A block has a mean, a weight and a length. Blocks rise.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(points.len());
    for (value, weight) in points.iter().copied() {
        assert!(weight > 0.0, "the weight {weight} is not above 0");
        let mut block = (value, weight, 1);
        while let Some((mean, before, count)) = blocks.pop_if(|last| last.0 >= block.0) {
            let both = before + block.1;
            block = ((mean * before + block.0 * block.1) / both, both, count + block.2);
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(mean, _, count)| std::iter::repeat_n(mean, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rises_stays_and_what_falls_becomes_its_weighted_mean() {
        assert_eq!(rising(&[(1.0, 1.0), (2.0, 9.0), (2.0, 1.0), (5.0, 1.0)]), [1.0, 2.0, 2.0, 5.0]);
        assert_eq!(rising(&[(1.0, 1.0), (6.0, 1.0), (3.0, 2.0), (9.0, 1.0)]), [1.0, 4.0, 4.0, 9.0]);
        assert_eq!(rising(&[(3.0, 1.0), (2.0, 1.0), (1.0, 1.0)]), [2.0; 3]);
        assert_eq!(rising(&[]), [0.0; 0]);
    }
}
