//! The decisions, step by step.

mod anything;
mod ends;
mod stops;
mod undo;

use api::lower::job::{Owner, job_name};
use api::oso::RunClaim;
use api::schedule::Schedule;
use contract::Code;
use jiff::Timestamp;

use super::{
    End, Ended, JobView, Mode, Said, Start, Step, Subject, Wish, decide, judge, outlived, retry_words, run_of,
};

fn owner() -> Owner {
    Owner {
        api_version: "kafka.oso.sh/v1alpha1".into(),
        kind: "KafkaBackup".into(),
        namespace: "team".into(),
        name: "nightly".into(),
        uid: "u".into(),
        part: None,
    }
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

fn subject() -> Subject {
    Subject {
        owner: owner(),
        generation: 1,
        created: at("10:00:00"),
        claim: None,
        last_schedule: None,
        since: None,
        trigger: None,
        last_trigger: None,
    }
}

fn wish(mode: Mode) -> Wish {
    let (digest, shape, image) = ("d".into(), "s".into(), "runner:1".into());
    Wish { mode, suspended: false, digest, shape, lost_after: None, most_failures: None, image }
}

fn every(text: &str) -> Mode {
    Mode::Scheduled(Box::new(Schedule::parse(text).unwrap()))
}

fn claimed(step: Step) -> RunClaim {
    match step {
        Step::Claim(tick) => tick.claim,
        other => panic!("{other:?}"),
    }
}

fn job(claim: &RunClaim, ended: impl Into<Option<Ended>>) -> JobView {
    let ended = ended.into();
    JobView {
        name: job_name(&owner(), &run_of(claim).unwrap(), claim.attempt),
        uid: "j".into(),
        deleting: false,
        suspended: false,
        live_pods: usize::from(ended.is_none()),
        lost_since: None,
        queues: std::collections::BTreeMap::new(),
        start: Start::Awaited,
        ended,
    }
}

/// A claim whose Job is written down.
fn noted(ran: bool) -> RunClaim {
    RunClaim {
        at: at("10:00:00").to_string(),
        generation: 1,
        digest: "d".into(),
        attempt: 1,
        job_uid: Some("j".into()),
        ran: Some(ran),
        ..RunClaim::default()
    }
}

fn resting() -> Step {
    Step::Idle { next: None, look: None }
}

/// An end that the runner said nothing of.
fn silent(exit_code: Option<i32>) -> Ended {
    Ended { exit_code, never_ran: false, memory_limit: None, disrupted: false, report: None, message: String::new() }
}

fn exit(code: i32) -> Ended {
    // A runner that ends says what it did.
    let said = Said { outcome: if code == 0 { "Completed" } else { "Failed" }.into(), ..Said::default() };
    Ended { report: (code == 0).then(|| Box::new(said)), ..silent(Some(code)) }
}

#[test]
fn a_run_is_claimed_made_noted_watched_and_concluded() {
    let now = at("10:00:01");
    let (mut subject, wish) = (subject(), wish(Mode::Once));
    let claim = claimed(decide(&subject, &wish, &[], now));
    assert_eq!((claim.id.as_str(), claim.trigger.as_str()), ("nightly-20261121-100001", "once"));
    subject.claim = Some(claim.clone());
    assert_eq!(decide(&subject, &wish, &[], now), Step::Make);
    let working = job(&claim, None);
    assert_eq!(decide(&subject, &wish, std::slice::from_ref(&working), now), Step::Note("j".into()));
    subject.claim.as_mut().unwrap().job_uid = Some("j".into());
    assert_eq!(decide(&subject, &wish, &[working], now), Step::Watch);
    let said = Said { run: claim.id.clone(), outcome: "Completed".into(), ..Said::default() };
    let well = Ended { report: Some(Box::new(said)), ..silent(Some(0)) };
    let done = decide(&subject, &wish, &[job(&claim, well)], now);
    assert!(matches!(done, Step::Conclude(verdict) if verdict.is_completed()));
}

#[test]
fn a_run_that_is_over_does_not_run_again() {
    let wish = wish(Mode::Once);
    let over = |outcome: &str, wrote: bool, generation: i64| {
        let mut subject = subject();
        subject.generation = 2;
        subject.claim = Some(RunClaim {
            finished_at: Some(at("10:00:05").to_string()),
            outcome: Some(outcome.into()),
            wrote: Some(wrote),
            generation,
            ..RunClaim::default()
        });
        decide(&subject, &wish, &[], at("11:00:00"))
    };
    assert_eq!(over("Completed", true, 1), resting());
    assert_eq!(over("Failed", true, 1), resting());
    assert_eq!(over("Failed", false, 2), resting());
    assert!(matches!(over("Failed", false, 1), Step::Claim(_)), "mended before anything was written");
    assert!(matches!(over("Stopped", true, 1), Step::Claim(_)), "it went on without end before");
    assert_eq!(over("Stopped", true, 2), resting());
}

#[test]
fn a_run_whose_runner_changed_nothing_may_be_mended() {
    let wrote = |before: Option<bool>, report: Option<bool>| {
        let claim = RunClaim { wrote: before, failures: 5, ..RunClaim::default() };
        let report = report.map(|changed| Box::new(Said { changed, ..Said::default() }));
        // Brokers that cannot be reached: attempts are used up.
        let ended = Ended { report, ..exit(3) };
        match judge(&claim, &ended, false, false, at("11:00:00")) {
            Step::Conclude(verdict) => verdict.wrote,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(wrote(None, Some(false)), Some(false));
    assert_eq!(wrote(None, Some(true)), Some(true));
    assert_eq!(wrote(Some(true), Some(false)), Some(true), "an attempt before did");
    assert_eq!(wrote(None, None), Some(true), "nothing is known of it");
}

#[test]
fn a_missed_tick_runs_once_and_a_future_one_never() {
    let mut subject = subject();
    let wish = wish(every("0 */10 * * * *"));
    assert!(
        matches!(decide(&subject, &wish, &[], at("10:00:30")), Step::Idle { next: Some(next), .. } if next >= at("10:10:00"))
    );
    // The operator was away for an hour: the newest tick stands for all.
    let Step::Claim(tick) = decide(&subject, &wish, &[], at("11:04:00")) else { panic!() };
    assert_eq!(tick.schedule, Some(at("11:00:00")));
    assert_eq!(tick.claim.tick, Some(at("11:00:00").to_string()));
    assert_eq!(tick.claim.at, at("11:04:00").to_string(), "its data are of now");
    assert_eq!(tick.words(), " for the tick of 2026-11-21T11:00:00Z, which was missed; 5 ticks before it did not run");
    subject.last_schedule = tick.schedule;
    assert!(matches!(decide(&subject, &wish, &[], at("11:04:00")), Step::Idle { next: Some(_), .. }));
}

#[test]
fn an_edited_schedule_counts_from_its_edit() {
    let mut subject = subject();
    subject.last_schedule = Some(at("10:05:00"));
    subject.since = Some(at("11:03:00"));
    let wish = wish(every("0 */10 * * * *"));
    let next = |now: &str| decide(&subject, &wish, &[], at(now));
    assert!(matches!(next("11:04:00"), Step::Idle { next: Some(next), .. } if next == at("11:10:00")));
    assert_eq!(claimed(next("11:10:30")).tick, Some(at("11:10:00").to_string()));
}

#[test]
fn two_runs_never_have_the_same_second() {
    let mut subject = subject();
    subject.trigger = Some("a".into());
    let now = at("10:00:07");
    let first = claimed(decide(&subject, &wish(every("* * * * * *")), &[], now));
    subject.claim =
        Some(RunClaim { finished_at: Some(now.to_string()), outcome: Some("Completed".into()), ..first.clone() });
    let second = claimed(decide(&subject, &wish(every("* * * * * *")), &[], now));
    assert_eq!((first.at, second.at), (now.to_string(), at("10:00:08").to_string()));
}

#[test]
fn suspended_waits_and_a_trigger_runs_once() {
    let mut subject = subject();
    let suspended = Wish { suspended: true, ..wish(every("* * * * * *")) };
    assert_eq!(decide(&subject, &suspended, &[], at("11:00:00")), resting());
    assert_eq!(decide(&subject, &Wish { suspended: true, ..wish(Mode::Once) }, &[], at("11:00:00")), resting());
    subject.trigger = Some("now".into());
    let Step::Claim(tick) = decide(&subject, &suspended, &[], at("11:00:00")) else { panic!() };
    assert_eq!((tick.claim.trigger.as_str(), tick.trigger.as_deref()), ("manual", Some("now")));
    subject.last_trigger = tick.trigger;
    assert_eq!(decide(&subject, &suspended, &[], at("11:00:00")), resting());
}

#[test]
fn each_exit_code_has_its_consequence() {
    let claim = RunClaim {
        at: at("10:00:00").to_string(),
        attempt: 1,
        job_uid: Some("j".into()),
        digest: "d".into(),
        ..RunClaim::default()
    };
    let after = |code: i32, failures: u32, mode: Mode| {
        let claim = RunClaim { failures, ..claim.clone() };
        let subject = Subject { claim: Some(claim.clone()), ..subject() };
        decide(&subject, &wish(mode), &[job(&claim, exit(code))], at("10:05:00"))
    };
    for code in [1, 2, 4] {
        assert!(matches!(after(code, 0, Mode::Once), Step::Conclude(verdict) if !verdict.is_completed()), "{code}");
    }
    assert!(
        matches!(after(75, 3, Mode::Once), Step::Again { next, .. } if next.not_before.is_none() && next.attempt == 2)
    );
    for code in [3, 101, 137] {
        let Step::Again { next, .. } = after(code, 0, Mode::Once) else { panic!("{code}") };
        assert_eq!((next.failures, next.not_before), (1, Some(at("10:05:05").to_string())));
    }
    assert!(matches!(after(3, 5, Mode::Once), Step::Conclude(verdict) if verdict.reason == "RetriesExhausted"));
    let Step::Again { next, .. } = after(3, 50, Mode::Continuous) else { panic!() };
    assert_eq!(next.not_before, Some(at("10:10:00").to_string()));
    assert!(matches!(after(5, 0, Mode::Once), Step::Again { next, .. } if next.not_before.is_some()));
    assert!(matches!(after(5, 1, Mode::Once), Step::Conclude(verdict) if verdict.reason == "Fenced"));
}

#[test]
fn a_failed_attempt_tells_its_number_its_error_and_the_next_time() {
    let failed = |code: Code| {
        let failure = Some((code.as_str().to_owned(), "no route".to_owned()));
        let report = Some(Box::new(Said { failure, ..Said::default() }));
        Ended { report, ..exit(code.exit() as i32) }
    };
    let claim = RunClaim { failures: 1, ..noted(true) };
    let again = |ended: &Ended, endless: bool| match judge(&claim, ended, endless, false, at("10:05:00")) {
        Step::Again { next, why } => Ok((retry_words(&claim, &next, &why, endless), next.last_error)),
        other => Err(other),
    };
    let (text, error) = again(&failed(Code::BrokerUnreachable), false).unwrap();
    assert_eq!(text, "attempt 2 of 6 failed: KB2001: no route; the next one begins at 2026-11-21T10:05:10Z");
    assert_eq!(error.as_deref(), Some("KB2001: no route"));
    assert!(again(&failed(Code::BrokerUnreachable), true).unwrap().0.starts_with("attempt 2 failed: KB2001"));
    let (text, _) = again(&Ended { disrupted: true, ..exit(137) }, false).unwrap();
    assert!(text.starts_with("attempt 1 ended; attempt 2 begins now."), "{text}");
    // One that saved something before it failed is the first of a new row.
    let mut progressed = failed(Code::StoreUnreachable);
    progressed.report = progressed.report.map(|said| Box::new(Said { records: 1, moved: true, ..*said }));
    let (text, error) = again(&progressed, false).unwrap();
    assert!(text.starts_with("attempt 1 of 6 failed: KB3001"), "{text}");
    assert_eq!(error.as_deref(), Some("KB3001: no route"));
    // What cannot heal alone is not tried again; but a name may be given later, and an endless run waits for it.
    for code in [
        Code::AuthenticationFailed,
        Code::NotAuthorized,
        Code::StoreDenied,
        Code::StoreMissing,
        Code::StoreRefused,
        Code::BrokerNameUnknown,
        Code::StoreNameUnknown,
    ] {
        let over = again(&failed(code), false).unwrap_err();
        assert!(matches!(over, Step::Conclude(verdict) if verdict.reason == "RunFailed"), "{code}");
        let unknown = [Code::BrokerNameUnknown, Code::StoreNameUnknown].contains(&code);
        assert_eq!(again(&failed(code), true).is_ok(), unknown, "{code}");
    }
}

/// The archive or the target knows what it did: whoever removes Jobs again and again waits longer and longer.
#[test]
fn a_job_that_is_gone_is_asked_again() {
    let mut claim =
        RunClaim { at: at("10:00:00").to_string(), attempt: 1, job_uid: Some("j".into()), ..RunClaim::default() };
    for (attempt, wait) in [(2, None), (3, Some("10:05:05")), (4, Some("10:05:10"))] {
        let subject = Subject { claim: Some(claim.clone()), ..subject() };
        let Step::Again { next, why } = decide(&subject, &wish(Mode::Once), &[], at("10:05:00")) else { panic!() };
        assert_eq!((next.attempt, next.failures, next.wrote), (attempt, 0, Some(true)));
        assert_eq!(next.not_before, wait.map(|wait| at(wait).to_string()));
        assert!(why.contains("was removed before its result was known"), "{why}");
        claim = RunClaim { job_uid: Some("j".into()), ran: Some(true), ..*next };
    }
}

/// A clock that was a year ahead while it wrote, or a status from elsewhere.
#[test]
fn a_time_that_is_far_ahead_stops_nothing() {
    let now = at("10:05:00");
    let far = "2027-11-21T10:00:00Z".to_owned();
    let claim = RunClaim { attempt: 2, job_uid: None, not_before: Some(far.clone()), ..noted(false) };
    let waits = Subject { claim: Some(claim), ..subject() };
    let Step::Renew(next) = decide(&waits, &wish(Mode::Once), &[], now) else { panic!() };
    assert_eq!(next.not_before.as_deref(), Some("2026-11-21T10:10:00Z"), "the longest wait that there is");
    let waits = Subject { claim: Some(*next), ..subject() };
    assert_eq!(decide(&waits, &wish(Mode::Once), &[], now), Step::Wait(at("10:10:00")));
    assert_eq!(decide(&waits, &wish(Mode::Once), &[], at("10:10:00")), Step::Make);
    // Its Job is removed in time, too.
    let claim = RunClaim { finished_at: Some(far), outcome: Some("Completed".into()), ..noted(true) };
    let over = Subject { claim: Some(claim), ..subject() };
    assert!(matches!(decide(&over, &wish(Mode::Once), &[], now), Step::Sweep(_)));
}

/// The time of a claim names its Jobs: one that does not read is no time of 1970.
#[test]
fn a_claim_that_does_not_read_is_told() {
    let claim = RunClaim { at: "yesterday".into(), ..noted(true) };
    assert_eq!(run_of(&claim), None);
    let subject = Subject { claim: Some(claim), ..subject() };
    let Step::Unreadable(finding) = decide(&subject, &wish(Mode::Once), &[], at("10:05:00")) else { panic!() };
    let text = finding.to_string();
    assert!(text.contains("status.run.at") && text.contains("yesterday"), "{text}");
}

#[test]
fn no_attempt_begins_while_a_pod_of_the_set_lives() {
    let claim = RunClaim { attempt: 2, job_uid: None, ..noted(false) };
    let before = RunClaim { attempt: 1, ..claim.clone() };
    let subject = Subject { claim: Some(claim), ..subject() };
    let next = |job: JobView| decide(&subject, &wish(Mode::Once), &[job], at("10:05:00"));
    let given_up = job(&before, None);
    assert_eq!(next(given_up.clone()), Step::Clear(vec![given_up.name.clone()]));
    assert_eq!(next(JobView { deleting: true, ..given_up }), Step::Watch);
    assert_eq!(next(JobView { live_pods: 1, ..job(&before, exit(3)) }), Step::Watch);
    assert_eq!(next(job(&before, exit(3))), Step::Make);
}

#[test]
fn a_run_whose_container_never_ran_is_made_anew() {
    let now = at("10:05:00");
    let mended = Wish { digest: "mended".into(), ..wish(Mode::Once) };
    let with = |claim: &RunClaim| Subject { claim: Some(claim.clone()), generation: 2, ..subject() };
    let stuck = JobView { start: Start::Stuck, ..job(&noted(false), None) };
    // As it was asked for, it is waited for; mended, it begins anew, and nothing has failed or was written.
    assert_eq!(decide(&with(&noted(false)), &wish(Mode::Once), std::slice::from_ref(&stuck), now), Step::Watch);
    let Step::Again { next, .. } = decide(&with(&noted(false)), &mended, std::slice::from_ref(&stuck), now) else {
        panic!()
    };
    assert_eq!((next.attempt, next.digest.as_str(), next.generation), (2, "mended", 2));
    assert_eq!(
        (next.failures, next.ran, next.wrote, next.job_uid.clone(), next.not_before.clone()),
        (0, Some(false), None, None, None)
    );
    // The stuck pod goes first; then the Job is made.
    let subject = with(&next);
    assert_eq!(decide(&subject, &mended, std::slice::from_ref(&stuck), now), Step::Clear(vec![stuck.name.clone()]));
    let going = JobView { deleting: true, ..stuck.clone() };
    assert_eq!(decide(&subject, &mended, &[going], now), Step::Watch);
    assert_eq!(decide(&subject, &mended, &[], now), Step::Make);
    // It started after all: that is remembered.
    let started = JobView { start: Start::Ran, ..stuck.clone() };
    let Step::Renew(told) = decide(&subject, &mended, &[started], now) else { panic!() };
    assert_eq!(told.wrote, Some(true));
    // Somebody deleted its Job.
    let Step::Again { next, .. } = decide(&with(&noted(false)), &wish(Mode::Once), &[], now) else { panic!() };
    assert_eq!((next.attempt, next.wrote), (2, None));
    // What runs is not given up for an edit.
    let runs = JobView { start: Start::Ran, ..stuck };
    assert_eq!(decide(&with(&noted(false)), &mended, std::slice::from_ref(&runs), now), Step::NoteStart);
    assert_eq!(decide(&with(&noted(true)), &mended, &[runs], now), Step::Watch);
}

/// Whoever removes Jobs as soon as they are there keeps nobody busy.
#[test]
fn a_run_whose_jobs_are_removed_waits_longer_and_longer() {
    let (now, mut claim, mut waits) = (at("10:05:00"), noted(false), Vec::new());
    for _ in 0..8 {
        let subject = Subject { claim: Some(claim.clone()), ..subject() };
        let Step::Again { next, .. } = decide(&subject, &wish(Mode::Once), &[], now) else { panic!() };
        let wait = |time: &String| time.parse::<Timestamp>().unwrap().duration_since(now).as_secs();
        waits.push(next.not_before.as_ref().map_or(0, wait));
        claim = RunClaim { job_uid: Some("j".into()), ..*next };
    }
    assert_eq!(waits, [0, 5, 10, 20, 40, 80, 160, 300]);
    assert_eq!((claim.failures, claim.wrote), (0, None));
}

#[test]
fn an_edit_before_the_job_is_made_shapes_the_run() {
    let claim = RunClaim { job_uid: None, ..noted(false) };
    let subject = Subject { claim: Some(claim), generation: 2, ..subject() };
    let mended = Wish { digest: "mended".into(), ..wish(Mode::Once) };
    let Step::Renew(claim) = decide(&subject, &mended, &[], at("10:05:00")) else { panic!() };
    assert_eq!((claim.digest.as_str(), claim.generation, claim.attempt), ("mended", 2, 1));
}

#[test]
fn an_attempt_that_never_ran_wrote_nothing() {
    let wrote = |never_ran: bool, before: Option<bool>| {
        let ended = Ended { disrupted: true, never_ran, ..silent(None) };
        match judge(&RunClaim { wrote: before, ..noted(false) }, &ended, false, false, at("11:00:00")) {
            Step::Again { next, .. } => next.wrote,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((wrote(true, None), wrote(false, None), wrote(true, Some(true))), (Some(false), Some(true), Some(true)));
}

#[test]
fn what_cannot_work_now_has_no_place() {
    let now = at("10:00:00");
    let again = |wait: Option<&str>| Step::Again {
        next: Box::new(RunClaim { not_before: wait.map(str::to_owned), ..noted(false) }),
        why: String::new(),
    };
    for (step, stuck, keeps) in [
        (Step::Watch, false, true),
        (Step::Watch, true, false),
        (Step::Wait(now), false, false),
        (again(None), false, true),
        (again(Some("later")), false, false),
        (Step::Note("u".into()), false, true),
        (Step::Stop, false, true),
        (resting(), false, false),
    ] {
        assert_eq!(step.keeps_place(stuck), keeps, "{step:?} {stuck}");
    }
    assert!(Step::Make.begins() && !Step::Watch.begins());
}

#[test]
fn the_jobs_of_the_last_two_failed_attempts_stay() {
    let names = |attempt: u32| outlived(&subject(), &RunClaim { attempt, ..noted(false) }).len();
    assert_eq!([1, 2, 3, 4, 5].map(names), [0, 0, 1, 2, 3]);
}

#[test]
fn a_continuous_run_is_stopped_before_it_begins_anew() {
    let claim = RunClaim {
        at: at("10:00:00").to_string(),
        attempt: 1,
        job_uid: Some("j".into()),
        ran: Some(true),
        digest: "old".into(),
        ..RunClaim::default()
    };
    let mut subject = Subject { claim: Some(claim.clone()), ..subject() };
    let wish = wish(Mode::Continuous);
    let working = job(&claim, None);
    let next = |subject: &Subject, job: &JobView| decide(subject, &wish, std::slice::from_ref(job), at("10:05:00"));
    assert_eq!(next(&subject, &working), Step::NoteStop);
    subject.claim.as_mut().unwrap().stopping = Some(true);
    assert_eq!(next(&subject, &working), Step::Stop);
    let ending = JobView { suspended: true, ..working.clone() };
    assert_eq!(next(&subject, &ending), Step::Watch);
    let ended = JobView { live_pods: 0, ..ending };
    let step = next(&subject, &ended);
    let Step::Conclude(verdict) = step else { panic!("{step:?}") };
    assert!(verdict.end == End::Stopped(None) && verdict.reason == "Stopped");
    subject.claim = Some(RunClaim {
        finished_at: Some(at("10:05:01").to_string()),
        outcome: Some("Stopped".into()),
        job_uid: None,
        ..claim
    });
    assert_eq!(claimed(decide(&subject, &wish, &[], at("10:05:02"))).trigger, "continuous");
    let suspended = Wish { suspended: true, ..wish };
    assert_eq!(decide(&subject, &suspended, &[], at("10:05:02")), resting());
}

#[test]
fn a_clock_that_was_ahead_stops_no_schedule() {
    let (mut subject, now) = (subject(), at("10:00:30"));
    let wish = wish(every("0 0 * * * *"));
    subject.last_schedule = Some("2027-11-21T10:00:00Z".parse().unwrap());
    let Step::Idle { next, .. } = decide(&subject, &wish, &[], now) else { panic!() };
    assert_eq!(next, Some(at("11:00:00")), "a year ahead");
    assert_eq!(claimed(decide(&subject, &wish, &[], at("11:00:15"))).tick, Some(at("11:00:00").to_string()));
    subject.last_schedule = Some(at("10:05:00"));
    let Step::Idle { next, .. } = decide(&subject, &wish, &[], now) else { panic!() };
    assert_eq!(next, Some(at("11:00:00")), "no tick is claimed twice");
    assert_eq!(claimed(decide(&subject, &wish, &[], at("11:00:15"))).tick, Some(at("11:00:00").to_string()));
}

#[test]
fn a_finished_job_stays_for_its_log_and_then_goes() {
    let claim = RunClaim {
        at: at("10:00:00").to_string(),
        attempt: 1,
        job_uid: Some("j".into()),
        finished_at: Some(at("10:01:00").to_string()),
        outcome: Some("Completed".into()),
        ..RunClaim::default()
    };
    let subject = Subject { claim: Some(claim.clone()), ..subject() };
    let once = wish(Mode::Once);
    assert_eq!(decide(&subject, &once, &[], at("10:02:00")), Step::Idle { next: None, look: Some(at("10:11:00")) });
    assert_eq!(decide(&subject, &once, &[], at("10:11:00")), Step::Sweep(vec![job(&claim, None).name]));
}
