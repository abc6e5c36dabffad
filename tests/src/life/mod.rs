//! The life of a cluster beside a continuous backup (`just torture life`): brokers are killed, frozen, restarted and
//! replaced by others, topics come, go and come again, partitions are added, records deleted, quotas set, transactions
//! roll back, the runner is killed; and producers write all the time.
//!
//! What must hold: the run never ends by itself, a recovery point comes at least every [`PATIENCE`] checkpoint intervals,
//! and the restore of the last point has what the source has, nothing twice and nothing that was rolled back. The same
//! seed draws the same acts; what becomes of them depends on the machine.

mod acts;
mod judge;
mod watch;
mod writers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::kafka::{Kafka, Options};
use crate::oracle;
use crate::runner::Bench;
use acts::Acts;
use watch::Watch;
use writers::{Shared, Writers};

/// Seconds between two recovery points of the backup.
pub const INTERVAL: u64 = 15;
/// Intervals without a point that are a fault.
pub const PATIENCE: u32 = 3;
/// Name of the backup.
const NAME: &str = "life";

/// What a life showed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Acts that were done, by kind.
    pub acts: std::collections::BTreeMap<&'static str, u32>,
    /// Recovery points that were made.
    pub points: u32,
    /// The longest time without one.
    pub longest: Duration,
    /// Records that were compared.
    pub records: u64,
    /// What did not hold.
    pub faults: Vec<String>,
}

/// Lives for a while and judges what the backup made of it.
pub fn live(seconds: u64, seed: u64) -> Outcome {
    let properties = [
        "min.insync.replicas=2",
        "broker.session.timeout.ms=4000",
        "broker.heartbeat.interval.ms=500",
        "log.cleaner.backoff.ms=2000",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=2000",
    ];
    let properties = properties.map(str::to_owned).to_vec();
    let mut source = Kafka::with(Options { nodes: 4, voters: Some(1), properties, ..Options::default() });
    let bench = Bench::new();
    let backup = json!({
        "topics": ["l-*"], "continuous": true, "checkpointIntervalSecs": INTERVAL, "topicRefreshSecs": 5,
        "consumerGroupSnapshot": true, "openTransactionWaitSecs": 10,
    });
    let shared = Arc::new(Shared::default());
    let mut acts = Acts::new(seed, Arc::clone(&shared));
    acts.begin(&source);
    let writers = Writers::start(&source.bootstrap(), &shared);
    let mut watch = Watch::start(&bench, bench.backup(NAME, &source.bootstrap(), backup));
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end && watch.works() {
        acts.next(&mut source, &mut watch);
        watch.look();
    }
    acts.heal(&mut source);
    writers.end();
    // One that a killed coordinator was to end is ended by the next.
    for (name, topic) in &*shared.topics() {
        for partition in 0..topic.partitions {
            oracle::wait_for_transactions(&source.bootstrap(), name, partition);
        }
    }
    watch.catch_up();
    let mut outcome = watch.end();
    outcome.acts = acts.done();
    judge::judge(&source, &bench, NAME, &shared, &mut outcome);
    if !outcome.faults.is_empty() {
        // Whoever looks for the cause needs both sides as they are.
        let kept = bench.dir.keep();
        source.keep_logs(&kept.join("source"));
        println!("archive and logs of the source are kept in {}", kept.display());
    }
    outcome
}
