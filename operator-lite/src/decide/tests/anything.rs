//! The decisions against everything that may happen: pods that end in any way, Jobs that vanish, several replicas that act
//! on what they read a while ago.

use std::collections::BTreeMap;

use api::oso::RunClaim;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::{JobView, Mode, Start, Step, Subject, Wish, decide, is_over};
use super::{at, every, exit, job, noted, subject, wish};

/// A cluster with one resource, and replicas that act on what they read.
struct World {
    now: Timestamp,
    version: u32,
    subject: Subject,
    jobs: BTreeMap<String, JobView>,
    /// Every Job that was ever made.
    made: BTreeMap<String, u32>,
    ticks: Vec<Timestamp>,
    /// What shapes a run now.
    digest: String,
}

impl World {
    fn read(&self, mode: &Mode) -> (u32, Subject, Wish, Vec<JobView>) {
        let wish = Wish { digest: self.digest.clone(), ..wish(mode.clone()) };
        (self.version, self.subject.clone(), wish, self.jobs.values().cloned().collect())
    }

    /// A step that was decided on `version` of the resource is carried out, as far as the API server lets it.
    fn carry_out(&mut self, step: Step, version: u32) {
        let current = version == self.version;
        let write = |world: &mut Self, change: &mut dyn FnMut(&mut Subject)| {
            if current {
                change(&mut world.subject);
                world.version += 1;
            }
        };
        match step {
            Step::Claim(tick) => {
                if current {
                    self.ticks.extend(tick.schedule);
                }
                write(self, &mut |subject| {
                    subject.claim = Some(tick.claim.clone());
                    subject.last_schedule = tick.schedule.or(subject.last_schedule);
                });
            }
            Step::Again { next, .. } | Step::Renew(next) => {
                write(self, &mut |subject| subject.claim = Some((*next).clone()));
            }
            Step::NoteStart => write(self, &mut |subject| subject.claim.as_mut().unwrap().ran = Some(true)),
            Step::Clear(names) => self.jobs.retain(|name, _| !names.contains(name)),
            Step::Note(uid) => write(self, &mut |subject| subject.claim.as_mut().unwrap().job_uid = Some(uid.clone())),
            Step::Conclude(verdict) => {
                let now = self.now.to_string();
                write(self, &mut |subject| {
                    let claim = subject.claim.as_mut().unwrap();
                    claim.finished_at = Some(now.clone());
                    claim.outcome = Some(verdict.outcome().into());
                    claim.wrote = verdict.wrote;
                });
            }
            // The resource is read again before a Job is made.
            Step::Make if current => {
                let claim = self.subject.claim.clone().unwrap();
                let view = job(&claim, None);
                if !self.jobs.contains_key(&view.name) {
                    assert!(self.jobs.values().all(|job| job.live_pods == 0), "two pods of one set");
                    assert_eq!(claim.digest, self.digest, "it is made as it is claimed");
                    *self.made.entry(view.name.clone()).or_default() += 1;
                    self.jobs.insert(view.name.clone(), view);
                }
            }
            Step::Sweep(names) => {
                self.jobs.retain(|name, _| !names.contains(name));
                write(self, &mut |subject| subject.claim.as_mut().unwrap().job_uid = None);
            }
            _ => {}
        }
    }
}

/// What a replica read.
type Read = (u32, Subject, Wish, Vec<JobView>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens, in whatever order the replicas read and write: no Job is made twice, no two pods work on the set,
    /// ticks only grow, and each is claimed once.
    #[test]
    fn no_run_is_made_twice(events in prop::collection::vec((0..10u8, 0..3usize, 0..4u8), 1..200)) {
        let mut world = World {
            now: at("10:00:00"), version: 0, subject: subject(), jobs: BTreeMap::new(), made: BTreeMap::new(), ticks: Vec::new(), digest: "d".into(),
        };
        let schedule = every("*/10 * * * * *");
        // What each replica read, and when.
        let mut read: Vec<Option<Read>> = vec![None; 3];
        for (event, replica, detail) in events {
            match event {
                0 | 1 => world.now += SignedDuration::from_secs(1 + i64::from(detail) * 7),
                2 => read[replica] = Some(world.read(&schedule)),
                3..=5 => {
                    // Reads first, if it has not.
                    let known = read[replica].take().unwrap_or_else(|| world.read(&schedule));
                    let step = decide(&known.1, &known.2, &known.3, world.now);
                    world.carry_out(step, known.0);
                }
                // A container starts, or the pod cannot.
                8 => {
                    if let Some(job) = world.jobs.values_mut().find(|job| job.ended.is_none()) {
                        job.start = if detail % 2 == 0 { Start::Ran } else { Start::Stuck };
                    }
                }
                // Somebody edits the specification or the placement.
                9 => {
                    world.digest = format!("d{detail}");
                    world.subject.generation += 1;
                    world.version += 1;
                }
                6 => {
                    let code = [0, 3, 75, 4][usize::from(detail)];
                    if let Some(job) = world.jobs.values_mut().find(|job| job.ended.is_none()) {
                        job.start = Start::Ran;
                        job.ended = Some(exit(code));
                        job.live_pods = 0;
                    }
                }
                _ if detail == 0 => {
                    // Somebody deletes a Job by hand, when it has no live pod any more. Before its uid is written down, it is
                    // made again: nobody can tell it from one that was never made, and the runner goes on with the run.
                    let noted = world.subject.claim.as_ref().is_some_and(|claim| claim.job_uid.is_some());
                    if noted && let Some(name) = world.jobs.values().find(|job| job.live_pods == 0).map(|job| job.name.clone()) {
                        world.jobs.remove(&name);
                    }
                }
                _ => {}
            }
        }
        prop_assert!(world.made.values().all(|count| *count == 1), "{:?}", world.made);
        prop_assert!(world.ticks.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", world.ticks);
        prop_assert!(world.ticks.iter().all(|tick| *tick <= world.now));
    }
}

fn claims() -> impl Strategy<Value = Option<RunClaim>> {
    let some =
        (prop::option::of(any::<bool>()), prop::option::of(any::<bool>()), any::<bool>(), 0_i64..3, any::<bool>());
    let claim = some.prop_map(|(finished, wrote, job, generation, ran)| RunClaim {
        finished_at: finished.map(|_| at("10:00:05").to_string()),
        outcome: finished.map(|well| if well { "Completed" } else { "Failed" }.to_owned()),
        wrote,
        job_uid: job.then(|| "j".to_owned()),
        generation,
        ..noted(ran)
    });
    prop::option::of(claim)
}

proptest! {
    /// What has run, and runs once, rests: whatever it asks for now, whatever is there, at whatever time.
    #[test]
    fn terminal_is_terminal(
        claim in claims(), generation in 0_i64..3, digest in "[ab]", suspended: bool, hours in 0_i64..100, jobs in 0_usize..3,
    ) {
        let subject = Subject { claim: claim.clone(), generation, ..subject() };
        prop_assume!(is_over(&subject, &Mode::Once));
        let wish = Wish { suspended, digest, ..wish(Mode::Once) };
        let jobs: Vec<JobView> = claim.iter().cycle().take(jobs).map(|claim| job(claim, None)).collect();
        let step = decide(&subject, &wish, &jobs, at("10:01:00") + SignedDuration::from_hours(hours));
        prop_assert!(matches!(step, Step::Idle { next: None, .. } | Step::Sweep(_)), "{step:?}");
    }

    /// A run that wrote, or may have, is over for good.
    #[test]
    fn what_may_have_written_never_runs_again(claim in claims(), generation in 0_i64..3) {
        let subject = Subject { claim: claim.clone(), generation, ..subject() };
        let ended = claim.is_some_and(|claim| !claim.is_unfinished() && claim.wrote != Some(false));
        prop_assert!(!ended || is_over(&subject, &Mode::Once));
    }
}

/// A status that somebody wrote by hand: any number of attempts and failures is taken.
#[test]
fn forged_numbers_in_a_claim_cost_nothing() {
    for mode in [Mode::Once, Mode::Continuous] {
        for number in [0, 1, 1_000_000, u32::MAX - 1, u32::MAX] {
            for (job_uid, finished_at) in [
                (None, None),
                (Some("u".to_owned()), None),
                (Some("u".to_owned()), Some("2026-01-01T00:00:00Z".to_owned())),
            ] {
                let claim = RunClaim {
                    id: "r".into(),
                    at: "2026-01-01T00:00:00Z".into(),
                    attempt: number,
                    failures: number,
                    disruptions: number,
                    job_uid,
                    finished_at,
                    ..RunClaim::default()
                };
                let wish = wish(mode.clone());
                let subject = Subject { claim: Some(claim.clone()), ..subject() };
                for jobs in [
                    vec![],
                    vec![job(&claim, None)],
                    vec![job(&claim, Some(exit(1)))],
                    vec![job(&claim, Some(exit(143)))],
                ] {
                    let step = decide(&subject, &wish, &jobs, at("11:00:00"));
                    if let Step::Sweep(names) | Step::Clear(names) = step {
                        assert!(names.len() <= 100, "{}", names.len());
                    }
                }
            }
        }
    }
}
