//! Loss, duplication and reordering on purpose, on one way of a conversation: for loads and tests.

use bytes::Bytes;

/// How often what happens to a datagram, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odds {
    /// It is dropped.
    pub loss: f64,
    /// It comes twice.
    pub duplicate: f64,
    /// It comes behind the next.
    pub reorder: f64,
}

/// One way.
#[derive(Clone, Debug)]
pub struct Weather {
    odds: Odds,
    random: stats::random::Random,
    /// What comes behind the next.
    late: Option<Bytes>,
    /// How many were dropped, doubled, and held back.
    pub counts: [u64; 3],
}

impl Weather {
    /// The same seed and the same datagrams give the same weather.
    pub fn new(odds: Odds, seed: u64) -> Weather {
        Weather { odds, random: stats::random::Random::new(seed), late: None, counts: [0; 3] }
    }

    /// A datagram sets out: `out` gets what comes of it, and what was held back before it.
    pub fn pass(&mut self, datagram: Bytes, mut out: impl FnMut(Bytes)) {
        let [lost, twice, behind] =
            [self.odds.loss, self.odds.duplicate, self.odds.reorder].map(|odds| self.random.uniform() < odds);
        let counted = [lost, !lost && twice, !lost && behind && self.late.is_none()];
        for (count, happens) in self.counts.iter_mut().zip(counted) {
            *count += u64::from(happens);
        }
        if lost {
            return;
        }
        if twice {
            out(datagram.clone());
        }
        if behind && self.late.is_none() {
            self.late = Some(datagram);
            return;
        }
        out(datagram);
        if let Some(late) = self.late.take() {
            out(late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sets_out_comes_as_often_and_in_the_order_that_was_counted() {
        let mut weather = Weather::new(Odds { loss: 0.1, duplicate: 0.1, reorder: 0.1 }, 7);
        let (mut came, mut behind) = (Vec::<u32>::new(), 0);
        let all = 20_000_u32;
        for n in 0..all {
            weather.pass(n.to_be_bytes().to_vec().into(), |datagram| {
                came.push(u32::from_be_bytes(datagram[..].try_into().unwrap()));
            });
        }
        behind += came.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        let [lost, twice, late] = weather.counts;
        assert_eq!(came.len() as u64 + u64::from(weather.late.is_some()), u64::from(all) - lost + twice);
        for count in [lost, twice, late] {
            assert!((1_500..2_300).contains(&count), "{count} of {all}");
        }
        assert!(behind > 1_000 && behind <= late, "{behind} came behind a later one, {late} were held back");
    }
}
