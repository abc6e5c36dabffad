//! An hour, or a minute, of everything that happens to runs at once: Jobs that a queue suspends and resumes, containers beside
//! the runner, nodes that fall silent, evictions, pods and Jobs that somebody removes, resources that are made again beside
//! orphaned Jobs, other writers, wrong clocks, quotas, full queues, definitions of another age, operators that are killed. `just
//! torture operator` takes longer.
//!
//! What must hold: what a status says a run did is what the archive has, a restore starts within 30 s, terminal stays terminal, no
//! Job is left over, Events are bounded, and in the end everything is at rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Operator, wait_for};
use harness::process::free_port;
use serde_json::{Value, json};

use super::kubelet::{Kubelet, Play, Seen, failure, report};
use super::{BACKUPS, RESTORES, admits, backup, phase, restore};

/// How long everything may take to come to rest once nobody disturbs it any more: the longest wait between two attempts, and
/// the time that finished Jobs stay.
const REST: Duration = Duration::from_secs(600);
/// Most resources that live at once.
const MOST: usize = 24;
/// Runs of a class that work at once: more are there most of the time.
const PLACES: &str = "--max-concurrent-runs=4";
/// How soon a restore has its run while an operator works and there is a place.
const STARTS: Duration = Duration::from_secs(30);
/// How long an operator takes to lead after another was killed: the Lease of that one runs out first.
const LEADS: Duration = Duration::from_secs(10);
/// Most pods that a quota leaves: none.
const QUOTA: &str = "no-pods";
const SPACE: &str = "default";

/// What runs really did, and what becomes of their pods.
#[derive(Default)]
struct Archive {
    seed: u64,
    /// Records by id of the run.
    done: BTreeMap<String, u64>,
    /// When each attempt was seen first.
    begun: BTreeMap<(String, u32), Instant>,
    /// Nothing goes wrong any more.
    calm: bool,
}

impl Archive {
    /// Plays the runner of a pod: what it does is drawn once for each attempt.
    fn play(&mut self, pod: &Seen) -> Play {
        let run = pod.spec.run.as_ref().unwrap().id.clone();
        let key = (run.clone(), pod.attempt);
        let begun = *self.begun.entry(key).or_insert_with(Instant::now);
        let mut draw = fastrand::Rng::with_seed(self.seed ^ text_number(&run) ^ u64::from(pod.attempt));
        let (wait, fate, records) = (draw.u64(300..4_000), draw.u32(0..100), draw.u64(1..10_000));
        if begun.elapsed() < Duration::from_millis(wait) {
            return if fate % 7 == 0 && !self.calm { Play::Unschedulable } else { Play::Run };
        }
        let endless = pod.spec.backup.as_ref().is_some_and(|backup| backup.continuous);
        let fate = if self.calm { 0 } else { fate };
        match fate {
            _ if endless && !self.calm => Play::Run,
            // The runner did its work, and its report is lost.
            50..56 => {
                self.finish(&run, records);
                Play::Exit(0, String::new())
            }
            56..62 => Play::Evict,
            62..72 => Play::Exit(3, failure(&pod.spec, "KB2001", "no broker could be reached")),
            72..74 => Play::Exit(4, failure(&pod.spec, "KB2002", "the broker refused the credentials")),
            74..82 => {
                let (outcome, records) = self.finish(&run, records);
                Play::Beside(0, report(&pod.spec, outcome, records), [None, Some(0), Some(137)][(fate % 3) as usize])
            }
            82..88 => {
                let text = failure(&pod.spec, "KB2001", "no broker could be reached");
                Play::Beside(3, text, [Some(0), Some(137)][(fate % 2) as usize])
            }
            // A node that never answers again.
            88..90 => Play::Run,
            _ => {
                let (outcome, records) = self.finish(&run, records);
                Play::Exit(0, report(&pod.spec, outcome, records))
            }
        }
    }

    /// The run is in the archive, and nothing is done twice.
    fn finish(&mut self, run: &str, records: u64) -> (&'static str, u64) {
        if let Some(known) = self.done.get(run) {
            return ("AlreadyDone", *known);
        }
        self.done.insert(run.to_owned(), records);
        ("Completed", records)
    }
}

fn text_number(text: &str) -> u64 {
    text.bytes().fold(14_695_981_039_346_656_037, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(1_099_511_628_211))
}

/// What was seen of resources, by uid.
#[derive(Default)]
struct Judge {
    /// Ends of resources that run once.
    ends: BTreeMap<String, (String, Value)>,
    attempts: BTreeMap<String, BTreeMap<String, u64>>,
    /// How long restores have waited for their run while an operator worked, and when they were looked at last.
    waits: BTreeMap<String, (Duration, Instant)>,
    longest_wait: Duration,
    faults: BTreeSet<String>,
}

impl Judge {
    fn look(&mut self, object: &Value, archive: &Archive) {
        let (status, uid) = (&object["status"], object["metadata"]["uid"].as_str().unwrap().to_owned());
        let (name, run) = (object["metadata"]["name"].as_str().unwrap(), &status["run"]);
        let Some(id) = run["id"].as_str() else { return };
        self.waits.remove(&uid);
        let attempt = run["attempt"].as_u64().unwrap_or(0);
        let seen = self.attempts.entry(uid.clone()).or_default().entry(id.to_owned()).or_default();
        *seen = attempt.max(*seen);
        if run["outcome"] == "Completed" {
            let done = archive.done.get(id);
            let field = if object["kind"] == "KafkaRestore" { "recordsRestored" } else { "recordsProcessed" };
            match done {
                None => self.faults.insert(format!("{name} says that {id} completed, and it is not in the archive")),
                Some(records) if status[field] != *records => {
                    self.faults.insert(format!("{name} says that {id} moved {}, and it moved {records}", status[field]))
                }
                Some(_) => false,
            };
        }
        let once = object["spec"]["schedule"].is_null() && object["spec"]["continuous"] != true;
        if once && run["finishedAt"].is_string() {
            let end = (phase(object).to_owned(), json!([id, run["outcome"], run["finishedAt"]]));
            let before = self.ends.entry(uid).or_insert_with(|| end.clone());
            if *before != end {
                self.faults.insert(format!("{name} was at its end: {before:?}, and is now {end:?}"));
            }
        }
    }
}

impl Judge {
    /// Counts how long a restore waits for its run. `works` is whether an operator does.
    fn wait(&mut self, object: &Value, works: bool) {
        let waits = object["kind"] == "KafkaRestore" && object["metadata"]["deletionTimestamp"].is_null();
        if !waits || object["status"]["run"]["id"].is_string() {
            return;
        }
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        // Others that were before it have the places.
        let queued = object["status"]["message"].as_str().is_some_and(|text| text.contains("waits for one of"));
        let (waited, seen) = self.waits.entry(uid).or_insert((Duration::ZERO, Instant::now()));
        if works && !queued {
            *waited += seen.elapsed();
        }
        *seen = Instant::now();
        self.longest_wait = self.longest_wait.max(*waited);
        if *waited > STARTS {
            let fault = format!("{} has no run after {waited:?}: {}", object["metadata"]["name"], object["status"]);
            self.faults.insert(fault);
        }
    }
}

/// Everybody who disturbs.
struct Rivals<'a> {
    cluster: &'a Cluster,
    draw: fastrand::Rng,
    made: u32,
    acts: BTreeMap<&'static str, u32>,
}

impl Rivals<'_> {
    fn names(&self, kind: &str) -> Vec<String> {
        let all = self.cluster.ok(&["get", kind, "-n", SPACE, "-o", "jsonpath={.items[*].metadata.name}"]);
        all.split_whitespace().filter(|name| *name != "probe").map(str::to_owned).collect()
    }

    fn one(&mut self, kind: &str) -> Option<String> {
        let all = self.names(kind);
        if all.is_empty() { None } else { Some(all[self.draw.usize(0..all.len())].clone()) }
    }

    /// Whatever becomes of it: what is gone meanwhile is no fault.
    fn try_to(&self, arguments: &[&str]) {
        let _ = self.cluster.kubectl(arguments);
    }

    fn make(&mut self) {
        if self.names(BACKUPS).len() + self.names(RESTORES).len() >= MOST {
            let kind = if self.draw.bool() { BACKUPS } else { RESTORES };
            if let Some(name) = self.one(kind) {
                self.try_to(&["delete", kind, "-n", SPACE, &name, "--wait=false"]);
            }
            return;
        }
        self.made += 1;
        let number = self.made;
        let document = match self.draw.u32(0..10) {
            0..3 => backup(SPACE, &format!("once-{number}"), json!({})),
            3..6 => backup(SPACE, &format!("often-{number}"), json!({"schedule": "*/5 * * * * *"})),
            6 => backup(SPACE, &format!("endless-{number}"), json!({"continuous": true})),
            _ => restore(SPACE, &format!("back-{number}"), "probe", json!({})),
        };
        let _ = self.cluster.apply(&document);
    }

    /// Somebody does something.
    fn act(&mut self) -> &'static str {
        let suspend = |yes: bool| json!({"spec": {"suspend": yes}}).to_string();
        let what = match self.draw.u32(0..23) {
            0..6 => {
                self.make();
                "made or removed"
            }
            6..8 => {
                let yes = self.draw.bool();
                let Some(name) = self.one("jobs") else { return "nothing" };
                self.try_to(&["patch", "job", "-n", SPACE, &name, "--type=merge", "-p", &suspend(yes)]);
                "a queue"
            }
            8..10 => {
                let yes = self.draw.bool();
                let Some(name) = self.one(BACKUPS) else { return "nothing" };
                self.try_to(&["patch", BACKUPS, "-n", SPACE, &name, "--type=merge", "-p", &suspend(yes)]);
                "suspended or resumed"
            }
            10..12 => {
                let Some(name) = self.one("pods") else { return "nothing" };
                self.try_to(&["delete", "pod", "-n", SPACE, &name, "--force", "--grace-period=0"]);
                "a pod collected"
            }
            12 => {
                let Some(name) = self.one("jobs") else { return "nothing" };
                self.try_to(&["delete", "job", "-n", SPACE, &name, "--wait=false"]);
                "a Job removed"
            }
            13..15 => {
                let kind = if self.draw.bool() { BACKUPS } else { RESTORES };
                let (number, Some(name)) = (self.draw.u32(..), self.one(kind)) else { return "nothing" };
                self.try_to(&["label", kind, "-n", SPACE, &name, "--overwrite", &format!("rival=r{number}")]);
                "another writer"
            }
            15 => {
                let Some(name) = self.one(RESTORES) else { return "nothing" };
                self.try_to(&[
                    "delete",
                    RESTORES,
                    "-n",
                    SPACE,
                    &name,
                    "--cascade=orphan",
                    "--wait=true",
                    "--timeout=10s",
                ]);
                let _ = self.cluster.apply(&restore(SPACE, &name, "probe", json!({})));
                "made again beside orphans"
            }
            16 => {
                let Some(name) = self.one(BACKUPS) else { return "nothing" };
                let status = json!({"status": {"lastScheduleTime": "2099-01-01T00:00:00Z"}}).to_string();
                let kind = ["--subresource=status", "--type=merge", "-p", &status];
                self.try_to(&[&["patch", BACKUPS, "-n", SPACE, &name][..], &kind].concat());
                "a wrong clock"
            }
            17 => {
                self.try_to(&["create", "quota", QUOTA, "-n", SPACE, "--hard=pods=0"]);
                "a quota"
            }
            18 | 19 => {
                self.try_to(&["delete", "quota", QUOTA, "-n", SPACE]);
                "no quota"
            }
            20 if self.draw.bool() => {
                self.definitions_of_another_age();
                "definitions of another age"
            }
            _ => {
                let Some(name) = self.one("pods") else { return "nothing" };
                let silent = json!({"status": {"conditions": [
                    {"type": "ContainersReady", "status": "True"},
                    {"type": "Ready", "status": "False", "lastTransitionTime": jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap()},
                ]}})
                .to_string();
                let kind = ["--subresource=status", "--type=strategic", "-p", &silent];
                self.try_to(&[&["patch", "pod", "-n", SPACE, &name][..], &kind].concat());
                "a silent node"
            }
        };
        *self.acts.entry(what).or_default() += 1;
        what
    }
}

impl Rivals<'_> {
    /// Puts a definition in place that knows no claims, and the right one again. Nobody else writes meanwhile: whatever anybody writes
    /// loses the claim, but for the operator, whose writes are refused.
    fn definitions_of_another_age(&mut self) {
        let kind = if self.draw.bool() { "kafkabackups" } else { "kafkarestores" };
        let run = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/run";
        let remove = json!([{"op": "remove", "path": run}]).to_string();
        let name = format!("{kind}.kafka.oso.sh");
        self.cluster.ok(&["patch", "crd", &name, "--type=json", "-p", &remove]);
        std::thread::sleep(Duration::from_secs(self.draw.u64(2..8)));
        let file = format!("{}/../manifests/crds/kafka.oso.sh/{kind}.yaml", env!("CARGO_MANIFEST_DIR"));
        self.cluster.ok(&["apply", "--server-side", "--force-conflicts", "-f", &file]);
        // The API server takes a moment to serve it.
        std::thread::sleep(Duration::from_secs(3));
    }
}

fn objects(cluster: &Cluster) -> Vec<Value> {
    let all = [BACKUPS, RESTORES].into_iter().flat_map(|kind| cluster.list(kind, SPACE));
    all.filter(|object| object["metadata"]["name"] != "probe").collect()
}

/// Whether nothing is to be done for an object any more.
fn rests(object: &Value) -> bool {
    let run = &object["status"]["run"];
    if run.is_null() {
        return object["spec"]["suspend"] == true;
    }
    run["finishedAt"].is_string()
}

#[test]
fn everything_at_once_changes_nothing_of_what_is_true() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(otherwise, |text| text.parse().unwrap())
    };
    let clock = jiff::Timestamp::now().as_second().unsigned_abs();
    let (seconds, seed) = (number("HOSTILE_SECONDS", 60), number("HOSTILE_SEED", clock));
    println!("seed {seed}, {seconds} s");
    let (cluster, port) = (Cluster::start(), free_port());
    cluster.install(port);
    let start = |number: u32| -> Operator {
        cluster.operator_unready(&format!("op-{number}"), port, &["--lease-secs=5", "--lost-node-secs=20", PLACES])
    };
    let mut operator = start(0);
    operator.wait_ready();
    let mut started = Instant::now();
    admits(&cluster);
    let archive = Arc::new(Mutex::new(Archive { seed, ..Archive::default() }));
    let played = Arc::clone(&archive);
    let _kubelet = Kubelet::play(&cluster.kubeconfig(), move |pod| played.lock().unwrap().play(pod));
    let mut rivals = Rivals { cluster: &cluster, draw: fastrand::Rng::with_seed(seed), made: 0, acts: BTreeMap::new() };
    let (mut judge, begun, mut killed) = (Judge::default(), Instant::now(), 0);
    let mut next_kill = Duration::from_secs(15);
    while begun.elapsed() < Duration::from_secs(seconds) {
        // What an older definition keeps the operator from does not count.
        let old = rivals.act() == "definitions of another age";
        if begun.elapsed() > next_kill {
            operator.end(["KILL", "TERM"][(killed % 2) as usize]);
            killed += 1;
            operator = start(killed);
            started = Instant::now();
            next_kill = begun.elapsed() + Duration::from_secs(rivals.draw.u64(10..25));
        }
        for object in objects(&cluster) {
            judge.look(&object, &archive.lock().unwrap());
            judge.wait(&object, !old && started.elapsed() > LEADS);
        }
        std::thread::sleep(Duration::from_millis(rivals.draw.u64(0..600)));
    }
    let disturbed = rivals.acts.clone();
    rivals.try_to(&["delete", "quota", QUOTA, "-n", SPACE]);
    quiet(&cluster, &rivals, &archive, &mut judge);
    nothing_is_left(&cluster, &mut judge);
    drop(operator);
    println!(
        "{disturbed:#?}, {killed} operators killed, {} runs in the archive, a restore had its run after {:?} at most",
        archive.lock().unwrap().done.len(),
        judge.longest_wait
    );
    assert!(judge.faults.is_empty(), "seed {seed}: {:#?}", judge.faults);
}

/// Nobody disturbs any more: schedules and continuous backups are suspended, queues let go, silent pods end. All comes to rest.
fn quiet(cluster: &Cluster, rivals: &Rivals<'_>, archive: &Mutex<Archive>, judge: &mut Judge) {
    archive.lock().unwrap().calm = true;
    for name in rivals.names(BACKUPS) {
        rivals.try_to(&["patch", BACKUPS, "-n", SPACE, &name, "--type=merge", "-p", r#"{"spec":{"suspend":true}}"#]);
    }
    let deadline = Instant::now() + REST;
    loop {
        for job in cluster.list("jobs", SPACE).iter().filter(|job| job["spec"]["suspend"] == true) {
            let owner = job["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default();
            // Those of continuous backups are told to stop.
            if !owner.starts_with("endless") {
                let name = job["metadata"]["name"].as_str().unwrap();
                let resume = r#"{"spec":{"suspend":false}}"#;
                rivals.try_to(&["patch", "job", "-n", SPACE, name, "--type=merge", "-p", resume]);
            }
        }
        let all = objects(cluster);
        for object in &all {
            judge.look(object, &archive.lock().unwrap());
        }
        let tell = |object: &&Value| format!("{}: {}", object["metadata"]["name"], object["status"]);
        let moving: Vec<String> = all.iter().filter(|object| !rests(object)).map(|object| tell(&object)).collect();
        if moving.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "not at rest after {REST:?}: {moving:#?}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// No resource has more Jobs than its last attempts, none is nobody's, Events are bounded, and with the resources all goes.
fn nothing_is_left(cluster: &Cluster, judge: &mut Judge) {
    let all = objects(cluster);
    let uids: BTreeSet<&str> = all.iter().map(|object| object["metadata"]["uid"].as_str().unwrap()).collect();
    // Orphans have no owner: those of a resource that was made again are ended, the others are of nobody.
    let owner = |job: &Value| job["metadata"]["ownerReferences"][0]["uid"].as_str().map(str::to_owned);
    let mut jobs_of: BTreeMap<String, usize> = BTreeMap::new();
    for uid in cluster.list("jobs", SPACE).iter().filter_map(owner) {
        *jobs_of.entry(uid).or_default() += 1;
    }
    for (uid, jobs) in jobs_of.iter().filter(|(uid, _)| uids.contains(uid.as_str())) {
        if *jobs > 3 {
            judge.faults.insert(format!("{jobs} Jobs of {uid} are left"));
        }
    }
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for event in cluster.list("events.v1.events.k8s.io", SPACE) {
        if let Some(uid) = event["regarding"]["uid"].as_str() {
            *told.entry(uid.to_owned()).or_default() += event["series"]["count"].as_u64().unwrap_or(1);
        }
    }
    for (uid, runs) in &judge.attempts {
        // One for the claim, one for each attempt, one for the end, and one for each time that it is stopped.
        let most = runs.values().map(|attempts| 3 + 2 * attempts).sum::<u64>() + 5;
        let events = told.get(uid).copied().unwrap_or(0);
        if events > most {
            judge.faults.insert(format!("{events} Events of {uid}, whose runs had {runs:?} attempts"));
        }
    }
    for kind in [BACKUPS, RESTORES] {
        cluster.ok(&["delete", kind, "-n", SPACE, "--all", "--timeout=60s"]);
    }
    // The collector learns of new kinds only every half minute.
    wait_for(Duration::from_secs(120), || {
        let left = cluster.list("jobs", SPACE).iter().filter(|job| owner(job).is_some()).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} Jobs left")) }
    });
}
