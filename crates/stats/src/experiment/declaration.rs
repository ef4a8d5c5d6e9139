//! What is declared before the first run, and cannot be chosen by what came of it: arms, metric, direction, margin, budget, looks, seed.
//!
//! Its SHA-256 stands in the result. A report whose metric or margin was changed afterwards has another, and a declaration that was
//! written down elsewhere (a commit, a mail) before the run can be held against it.

use super::looks;
use crate::models;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// What an experiment is going to do. Its fields in this order, as JSON without spaces, are what is hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// `A`, `A'` and `B`: the first two are the same.
    pub arms: Vec<ArmSpec>,
    /// What a run is, in words or flags that say all of it.
    pub workload: String,
    /// The one figure of a run that decides.
    pub metric: String,
    /// Which way is good.
    pub better: Better,
    /// Effects within this much either way count as none.
    pub margin_pct: f64,
    /// Blocks at most.
    pub blocks_max: u64,
    /// Usable blocks after which it may end.
    pub looks: Vec<u64>,
    /// The bound of each look, in standard errors.
    pub looks_z: f64,
    /// How many experiments are judged together with this one, itself too: a claim has to stand among so many.
    pub family: u64,
    /// Of the order in blocks, and of the flips of signs.
    pub seed: u64,
}

/// One arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmSpec {
    /// `A`, `A'` or `B`.
    pub name: String,
    /// What makes it what it is; empty: nothing is changed.
    pub spec: String,
}

/// Which way of a metric is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better: requests a second.
    Higher,
    /// Less is better: time, cost.
    Lower,
}

impl Declaration {
    /// One experiment of `a` against `b` with the margin, budget and looks that are usual here.
    pub fn new(a: &str, b: &str, metric: &str, better: Better, seed: u64) -> Declaration {
        let arm = |name: &str, spec: &str| ArmSpec { name: name.to_owned(), spec: spec.to_owned() };
        Declaration {
            arms: vec![arm("A", a), arm("A'", a), arm("B", b)],
            workload: String::new(),
            metric: metric.to_owned(),
            better,
            margin_pct: MARGIN_PCT,
            blocks_max: BLOCKS_MAX,
            looks: looks::planned(BLOCKS_MAX),
            looks_z: looks::Z,
            family: 1,
            seed,
        }
    }

    /// The same with another budget, which is at least one block. Fewer than eight decide nothing.
    pub fn with_blocks(self, blocks_max: u64) -> Declaration {
        Declaration { blocks_max, looks: looks::planned(blocks_max.max(1)), ..self }
    }

    /// Its hash, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        let json = serde_json::to_string(self).expect("numbers under names are JSON");
        Sha256::digest(json).iter().fold(String::with_capacity(64), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    }

    /// The order of the arms in block `block`: a shuffle that the seed decides, another in each.
    pub fn order(&self, block: u64) -> Vec<usize> {
        models::order(self.seed, block, 0, self.arms.len())
    }

    /// The margin as a logarithm, the same on both sides of 0: 2 % more is as far as 1.96 % less.
    pub fn margin(&self) -> f64 {
        (self.margin_pct / 100.0).ln_1p()
    }
}

/// The margin, unless another is declared.
pub const MARGIN_PCT: f64 = 2.0;
/// Blocks at most, unless others are declared: the last of the looks.
pub const BLOCKS_MAX: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_hashed_and_any_change_of_it_is_another_hash() {
        let declared = Declaration::new("", "somaxconn=8", "requests_per_s", Better::Higher, 1);
        assert_eq!(declared.sha256().len(), 64);
        assert_eq!(declared.sha256(), declared.clone().sha256());
        let mut margin = declared.clone();
        margin.margin_pct = 3.0;
        let mut metric = declared.clone();
        metric.metric = "p99_ns".to_owned();
        let others = [margin, metric, declared.clone().with_blocks(24)];
        assert!(others.iter().all(|other| other.sha256() != declared.sha256()));
        let again: Declaration =
            serde_json::from_str(&serde_json::to_string(&declared).unwrap()).expect("it is read back");
        assert_eq!(again.sha256(), declared.sha256());
    }

    #[test]
    fn each_block_has_every_arm_once_and_no_order_is_preferred() {
        let declared = Declaration::new("", "x=1", "m", Better::Lower, 7);
        let mut first = [0; 3];
        for block in 1..=3_000 {
            let mut order = declared.order(block);
            first[order[0]] += 1;
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2]);
        }
        assert!(first.iter().all(|count| (900..1_100).contains(count)), "{first:?}");
    }
}
