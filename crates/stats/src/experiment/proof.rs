//! A profile on trial: each of its knobs against the profile without it, and the whole of it against the default.
//!
//! Many knobs are many chances to be wrong, so a claim has to stand among them (Holm, "A simple sequentially rejective multiple test
//! procedure", 1979). A knob that cannot be tried here is in the table with the reason, never left out.

use super::judge::ALPHA;
use super::{Experiment, Verdict};
use serde::{Deserialize, Serialize};

/// The result. Its head is that of the experiment of the whole profile; see [`Experiment`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The whole profile (B) against the default (A).
    #[serde(flatten)]
    pub whole: Experiment,
    /// Name of the profile.
    pub profile: String,
    /// In the order of the profile.
    pub knobs: Vec<Knob>,
}

/// One knob of a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knob {
    /// Its name.
    pub name: String,
    /// What the profile sets it to.
    pub value: String,
    /// What it does here.
    pub verdict: Outlook,
    /// Why that is said.
    pub reason: String,
    /// By how much the profile with it lies above the profile without it.
    pub effect_pct: Option<f64>,
    /// Its repeated interval.
    pub ci95_pct: Option<[f64; 2]>,
    /// Its `p_looks` among those of the other knobs, by Holm's procedure.
    pub p_holm: Option<f64>,
    /// The experiment; `null` where it could not be made.
    pub experiment: Option<Experiment>,
}

/// What a knob does on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outlook {
    /// The profile is better with it.
    #[serde(rename = "helps")]
    Helps,
    /// The profile is better without it.
    #[serde(rename = "hurts")]
    Hurts,
    /// It makes less than the margin of a difference.
    #[serde(rename = "equivalent")]
    Equivalent,
    /// The runs do not say.
    #[serde(rename = "undecided")]
    Undecided,
    /// It could not be tried.
    #[serde(rename = "not testable here")]
    NotTestable,
}

impl Outlook {
    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Outlook::Helps => "helps",
            Outlook::Hurts => "hurts",
            Outlook::Equivalent => "equivalent",
            Outlook::Undecided => "undecided",
            Outlook::NotTestable => "not testable here",
        }
    }
}

/// What became of the trial of one knob.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Its name.
    pub name: String,
    /// What the profile sets it to.
    pub value: String,
    /// The experiment, or why there is none.
    pub came: Result<Experiment, String>,
}

impl Proof {
    /// What follows from the experiments of a profile.
    pub fn of(profile: &str, whole: Experiment, tried: Vec<Tried>) -> Proof {
        let p: Vec<f64> = tried
            .iter()
            .filter_map(|knob| knob.came.as_ref().ok())
            .map(|e| e.p_looks.unwrap_or(1.0))
            .collect();
        let mut adjusted = holm(&p).into_iter();
        let knobs = tried
            .into_iter()
            .map(|Tried { name, value, came }| match came {
                Ok(experiment) => {
                    let p = adjusted.next().expect("there is one for each experiment");
                    judged(name, value, experiment, p)
                }
                Err(reason) => Knob {
                    name,
                    value,
                    verdict: Outlook::NotTestable,
                    reason,
                    effect_pct: None,
                    ci95_pct: None,
                    p_holm: None,
                    experiment: None,
                },
            })
            .collect();
        let whole = Experiment { command: COMMAND.to_owned(), ..whole };
        Proof { whole, profile: profile.to_owned(), knobs }
    }

    /// Whether each of its experiments can be judged again: see [`Experiment::check`]. Errors: which cannot, and why.
    pub fn check(&self) -> Result<(), String> {
        self.whole.check()?;
        self.knobs.iter().try_for_each(|knob| {
            let checked = knob.experiment.as_ref().map_or(Ok(()), Experiment::check);
            checked.map_err(|why| format!("{}: {why}", knob.name))
        })
    }

    /// The same from its own raw runs.
    pub fn again(&self) -> Proof {
        let tried = self.knobs.iter().map(|knob| Tried {
            name: knob.name.clone(),
            value: knob.value.clone(),
            came: knob.experiment.as_ref().map(Experiment::again).ok_or_else(|| knob.reason.clone()),
        });
        Proof::of(&self.profile, self.whole.again(), tried.collect())
    }

    /// 0, or 3 where something speaks against believing one of the experiments.
    pub fn exit_code(&self) -> u8 {
        let knobs = self.knobs.iter().filter_map(|knob| knob.experiment.as_ref());
        [&self.whole].into_iter().chain(knobs).map(Experiment::exit_code).max().unwrap_or(0)
    }
}

/// What an experiment says of its knob when it is one of several. Alone it was held to the hardest place in the row; here its own counts.
fn judged(name: String, value: String, experiment: Experiment, p: f64) -> Knob {
    let claims = experiment.ci95_pct.filter(|[low, high]| *low > 0.0 || *high < 0.0);
    let is_up = experiment.effect_pct.unwrap_or(0.0) > 0.0;
    let is_good = is_up == (experiment.declaration.better == super::Better::Higher);
    let verdict = match (experiment.verdict, claims) {
        (Verdict::Equivalent, _) => Outlook::Equivalent,
        (_, Some(_)) if p <= ALPHA && is_good => Outlook::Helps,
        (_, Some(_)) if p <= ALPHA => Outlook::Hurts,
        _ => Outlook::Undecided,
    };
    let mut reason = experiment.reason.clone();
    if claims.is_some() && verdict == Outlook::Undecided {
        reason.push_str(&format!("; p is {p:.3} among the knobs (Holm)"));
    }
    Knob {
        name,
        value,
        verdict,
        reason,
        effect_pct: experiment.effect_pct,
        ci95_pct: experiment.ci95_pct,
        p_holm: Some(super::digits(p)),
        experiment: Some(experiment),
    }
}

/// Each `p` as it stands among all of them: the smallest counts as often as there are, the next once less, and none less than one before it.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max((p[at] * (p.len() - rank) as f64).min(1.0));
        adjusted[at] = least;
    }
    adjusted
}

/// What tells it from other results.
const COMMAND: &str = "prove";
