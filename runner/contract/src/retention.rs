//! Which recovery points the rules of retention take away, and why each of the others stays. Pure.
//!
//! What it never does: look at a clock, or take an age from a name. Ages come from commit times as the store tells them, the order
//! of points from the log of their set. The stamps of names decide only between points of different sets that the store, which may
//! tell whole seconds, dates to the same moment. Data comes from whoever has listed the points of one backup.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stamp::split_point;

/// What may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionRules {
    /// So many of the newest points always stay; at least 1.
    pub least: u32,
    /// Points beyond so many of the newest go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// Points that were committed more seconds ago go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_secs: Option<u64>,
    /// While all points together have more bytes, the oldest go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_total_bytes: Option<u64>,
}

impl RetentionRules {
    /// The rules of `keepLast`, an age and a size: a point stays when it is young, or among the newest `keep_last`. Alone,
    /// `keep_last` is also the most.
    ///
    /// # Errors
    /// The rule that is broken, in words.
    pub fn keeping(
        keep_last: Option<u32>,
        max_age_secs: Option<u64>,
        max_total_bytes: Option<u64>,
    ) -> Result<Self, String> {
        let most = keep_last.filter(|_| max_age_secs.is_none() && max_total_bytes.is_none());
        let rules = Self { least: keep_last.unwrap_or(1), most, max_age_secs, max_total_bytes };
        match rules.finding() {
            Some(finding) => Err(finding),
            None => Ok(rules),
        }
    }

    /// What is wrong with them; `None` when they are good.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        let limits = [self.most.map(u64::from), self.max_age_secs, self.max_total_bytes];
        if self.least == 0 || limits.contains(&Some(0)) {
            return Some("every number of a rule must be above 0".to_owned());
        }
        (limits == [None; 3]).then(|| "one of number, age and size must be given".to_owned())
    }
}

/// Seconds of a number with one unit, as `30d`: s, m, h, d or w. `None` when it is not written so, or is 0.
#[must_use]
pub fn age_secs(text: &str) -> Option<u64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number = text.get(..text.len() - 1).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    // As admission takes it: the number itself has 32 bits.
    let number = number.parse::<u32>().ok().filter(|number| *number > 0)?;
    Some(u64::from(number) * unit)
}

/// A recovery point, as far as the rules look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its set.
    pub set: String,
    /// When it was committed, by the store's clock; `None` where the store does not tell, or tells what cannot be.
    pub committed: Option<Timestamp>,
    /// Stored bytes: of its set when it is whole; in a chain what the set keeps when this is its oldest point. Only looked
    /// at with `max_total_bytes`.
    pub bytes: u64,
    /// Whether it stands alone.
    pub shape: Shape,
    /// Who needs it.
    pub held: Option<Hold>,
}

/// How a point stands in its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A full backup: a set of its own, which goes whole.
    Whole,
    /// One of several points of a set, of which only the oldest can go.
    Chain,
}

/// Who needs a point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Hold {
    /// A restore that has not ended.
    Restore {
        /// Its namespace, empty outside of a cluster.
        namespace: String,
        /// Its name.
        name: String,
        /// Since when, by the store's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    /// The state of a restore that cannot be read: it may be of any point.
    Unread {
        /// The object.
        key: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Why a point stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Stays {
    /// It is the newest of all.
    Newest,
    /// It is the newest of its set, which never goes whole.
    NewestOfSet,
    /// It is among the newest so many.
    AmongNewest {
        /// How many.
        least: u32,
    },
    /// Somebody needs it.
    Held {
        /// Who.
        hold: Hold,
    },
    /// Nobody knows how old it is.
    AgeUnknown,
    /// It is young.
    Young {
        /// Seconds since it was committed.
        age_secs: u64,
    },
    /// A point before it in its set stays.
    Behind {
        /// That point.
        point: String,
    },
    /// No rule takes it away.
    NoRule,
}

/// Why a point goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Goes {
    /// It was committed too long ago.
    TooOld {
        /// Seconds since then.
        age_secs: u64,
    },
    /// There are enough newer ones.
    BeyondMost {
        /// How many are newer.
        newer: u32,
    },
    /// All points together have too many bytes.
    OverBytes {
        /// What they had with this one as the oldest.
        total: u64,
    },
}

/// What becomes of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It stays.
    Stays(Stays),
    /// It may go.
    Goes(Goes),
}

impl Verdict {
    /// Whether it may go.
    #[must_use]
    pub fn goes(&self) -> bool {
        matches!(self, Self::Goes(_))
    }
}

/// The points of several sets, oldest first. Those of each set come in the order of its log and stay in it: a point that
/// looks older than the one before it (a copy of a bucket dates its objects anew) is as old as that one.
#[must_use]
pub fn in_order(sets: Vec<Vec<Candidate>>) -> Vec<Candidate> {
    let mut all = Vec::new();
    for set in sets {
        let mut newest: (Option<Timestamp>, String) = (None, String::new());
        for (place, mut point) in set.into_iter().enumerate() {
            // A name without a stamp is older than all with one.
            let stamp = split_point(&point.name).map_or("", |(_, stamp)| stamp);
            newest = (newest.0.max(point.committed), newest.1.max(stamp.to_owned()));
            point.committed = point.committed.and(newest.0);
            all.push((newest.clone(), place, point));
        }
    }
    // What no time is known of comes first: it takes no newer point's place.
    all.sort_by(|a, b| (&a.0, &a.2.set, a.1).cmp(&(&b.0, &b.2.set, b.1)));
    all.into_iter().map(|(_, _, point)| point).collect()
}

/// What becomes of each point of one backup, in the order of `points`: oldest first, those of a set in the order of its log.
#[must_use]
pub fn judge(rules: &RetentionRules, now: Timestamp, points: &[Candidate]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(points.len());
    let mut free = Vec::new();
    let mut chains = BTreeSet::new();
    // From the newest on, so that each knows how many are newer.
    for (newer, (place, point)) in (0u32..).zip(points.iter().enumerate().rev()) {
        let last_of_set = point.shape == Shape::Chain && chains.insert(point.set.as_str());
        let verdict = if let Some(stays) = protected(rules, now, point, newer, last_of_set) {
            Verdict::Stays(stays)
        } else {
            free.push(place);
            by_number_and_age(rules, now, point, newer)
        };
        verdicts.push(verdict);
    }
    verdicts.reverse();
    if let Some(most) = rules.max_total_bytes {
        by_bytes(most, points, free.into_iter().rev(), &mut verdicts);
    }
    stay_behind(points, &mut verdicts);
    verdicts
}

/// Why no rule may take a point away.
fn protected(
    rules: &RetentionRules,
    now: Timestamp,
    point: &Candidate,
    newer: u32,
    last_of_set: bool,
) -> Option<Stays> {
    if newer == 0 {
        return Some(Stays::Newest);
    }
    if last_of_set {
        return Some(Stays::NewestOfSet);
    }
    if newer < rules.least {
        return Some(Stays::AmongNewest { least: rules.least });
    }
    if let Some(hold) = &point.held {
        return Some(Stays::Held { hold: hold.clone() });
    }
    age(now, point).is_none().then_some(Stays::AgeUnknown)
}

/// Seconds since a point was committed; `None` where that is not known, or lies ahead.
#[must_use]
pub fn age(now: Timestamp, point: &Candidate) -> Option<u64> {
    u64::try_from(now.duration_since(point.committed?).as_secs()).ok().filter(|_| point.committed <= Some(now))
}

fn by_number_and_age(rules: &RetentionRules, now: Timestamp, point: &Candidate, newer: u32) -> Verdict {
    if rules.most.is_some_and(|most| newer >= most) {
        return Verdict::Goes(Goes::BeyondMost { newer });
    }
    let Some(age_secs) = age(now, point) else { return Verdict::Stays(Stays::AgeUnknown) };
    match rules.max_age_secs {
        Some(most) if age_secs > most => Verdict::Goes(Goes::TooOld { age_secs }),
        Some(_) => Verdict::Stays(Stays::Young { age_secs }),
        None => Verdict::Stays(Stays::NoRule),
    }
}

/// Lets the oldest of `free` go while all that stays has too many bytes.
fn by_bytes(most: u64, points: &[Candidate], free: impl Iterator<Item = usize>, verdicts: &mut [Verdict]) {
    let mut kept = Kept::new(points, verdicts);
    for place in free {
        let total = kept.total();
        if total <= u128::from(most) {
            return;
        }
        let Some(verdict) = verdicts.get_mut(place).filter(|verdict| !verdict.goes()) else { continue };
        *verdict = Verdict::Goes(Goes::OverBytes { total: u64::try_from(total).unwrap_or(u64::MAX) });
        kept.leave_out(place);
    }
}

/// What stays, added up: whole sets one by one, of a chain what it keeps from its oldest point on.
struct Kept<'a> {
    points: &'a [Candidate],
    whole: u128,
    /// Of each chain the places that stay.
    chains: BTreeMap<&'a str, BTreeSet<usize>>,
}

impl<'a> Kept<'a> {
    fn new(points: &'a [Candidate], verdicts: &[Verdict]) -> Self {
        let mut out = Self { points, whole: 0, chains: BTreeMap::new() };
        for (place, (point, _)) in points.iter().zip(verdicts).enumerate().filter(|(_, (_, verdict))| !verdict.goes()) {
            match point.shape {
                Shape::Whole => out.whole += u128::from(point.bytes),
                Shape::Chain => {
                    out.chains.entry(&point.set).or_default().insert(place);
                }
            }
        }
        out
    }

    fn total(&self) -> u128 {
        let oldest = self.chains.values().filter_map(|places| self.points.get(*places.first()?));
        self.whole + oldest.map(|point| u128::from(point.bytes)).sum::<u128>()
    }

    fn leave_out(&mut self, place: usize) {
        let Some(point) = self.points.get(place) else { return };
        match point.shape {
            Shape::Whole => self.whole = self.whole.saturating_sub(u128::from(point.bytes)),
            Shape::Chain => {
                if let Some(places) = self.chains.get_mut(point.set.as_str()) {
                    places.remove(&place);
                }
            }
        }
    }
}

/// Of a chain only the oldest points go, side by side: behind one that stays all others do.
fn stay_behind(points: &[Candidate], verdicts: &mut [Verdict]) {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    let chained = points.iter().zip(verdicts).filter(|(point, _)| point.shape == Shape::Chain);
    for (point, verdict) in chained {
        if !verdict.goes() {
            first.entry(&point.set).or_insert(&point.name);
        } else if let Some(before) = first.get(point.set.as_str()) {
            *verdict = Verdict::Stays(Stays::Behind { point: (*before).to_owned() });
        }
    }
}

#[cfg(test)]
mod tests;
