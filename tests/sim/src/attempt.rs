//! One attempt of the runner: the real engine with a context whose time, randomness, brokers and store are models.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use archive::{Paths, Store};
use contract::{ExitCode, Report, RunSpec};
use futures::FutureExt;
use jiff::Timestamp;
use runner::context::{Clock, Context};
use runner::emit::Emitter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::state::EPOCH_MS;
use crate::broker::{BOOTSTRAP, Kafka, ModelDialer};
use crate::gate::Gate;
use crate::log::Marks;
use crate::rng::Rng;
use crate::script::{Mode, Script};
use crate::store::ModelStore;
use crate::trace::Trace;

/// Name of the backup.
pub const NAME: &str = "sim";

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Report and exit code; `None` when it was killed.
    pub said: Option<(Report, ExitCode)>,
    /// Virtual milliseconds of start and end.
    pub from_ms: u64,
    /// The end.
    pub to_ms: u64,
    /// Offsets of the source at its start.
    pub marks: BTreeMap<(Uuid, i32), Marks>,
    /// Exchanges with brokers and store.
    pub exchanges: u64,
}

#[derive(Debug)]
struct ModelClock(Instant);

impl Clock for ModelClock {
    fn now(&self) -> Timestamp {
        let now = EPOCH_MS + self.0.elapsed().as_millis() as i64;
        Timestamp::from_millisecond(now).expect("a time of this century")
    }
}

/// What attempts of a simulation share.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) kafka: Kafka,
    pub(crate) store: ModelStore,
    pub(crate) trace: Trace,
    pub(crate) started: Instant,
    pub(crate) script: Arc<Script>,
}

impl Ground {
    /// The specification of run `run`, which began at a virtual time.
    pub(crate) fn spec(&self, run: &str, at_ms: u64) -> RunSpec {
        let set = &self.script.settings;
        let hosts = (1..=self.script.brokers).map(|n| format!("broker-{n}")).chain([BOOTSTRAP.to_owned()]);
        let brokers: Vec<String> = hosts.map(|host| format!("{host}:9092")).collect();
        let mut spec = serde_json::json!({
            "formatVersion": 1,
            "name": NAME,
            "kafka": {
                "bootstrapServers": brokers,
                "connection": {
                    "connectionsPerBroker": set.connections,
                    "connectTimeoutMs": set.timeout_ms.min(10_000),
                    "requestTimeoutMs": set.timeout_ms,
                    "retryDeadlineMs": set.deadline_ms,
                },
            },
            "storage": { "type": "filesystem", "path": "model" },
            "backup": {
                "topics": ["*"],
                "incremental": set.mode == Mode::Incremental,
                "continuous": set.mode == Mode::Continuous,
                "startOffset": if set.latest { "latest" } else { "earliest" },
                "openTransactionWaitSecs": set.transaction_wait,
                "rateLimit": { "bytesPerSec": set.bytes_per_sec },
                "checkpointIntervalSecs": set.checkpoint,
                "pollIntervalMs": 400,
                "topicRefreshSecs": 7,
                "consumerGroupSnapshot": set.groups,
                "segmentMaxBytes": set.segment,
            },
        });
        if set.reread {
            spec["backup"]["onMissingSegments"] = "reread".into();
        }
        if set.concurrent > 0 {
            spec["backup"]["maxConcurrentPartitions"] = set.concurrent.into();
        }
        if set.named_runs {
            let at = Timestamp::from_millisecond(EPOCH_MS + at_ms as i64).expect("a time of this century");
            let at = at.round(jiff::Unit::Second).expect("seconds fit");
            spec["run"] = serde_json::json!({ "id": run, "at": at.to_string() });
        }
        let spec: RunSpec = serde_json::from_value(spec).expect("the specification is right");
        assert!(spec.findings().is_empty(), "{:?}", spec.findings());
        spec
    }

    /// The store without faults.
    pub(crate) fn plain_store(&self) -> Store {
        Store::new(self.store.plain(), "", "model").inline()
    }

    /// Runs one attempt until it ends or its gate dies.
    pub(crate) async fn attempt(&self, spec: &RunSpec, gate: &Gate, cancel: &CancellationToken, number: u32) -> Ended {
        let (dialer, view) = (ModelDialer::new(&self.kafka, gate), self.store.view(gate));
        let context = Context {
            clock: Arc::new(ModelClock(self.started)),
            random: Arc::new(Rng::new(self.script.seed, &format!("attempt {number}"))),
            dialers: Arc::new(move |_| Arc::new(dialer.clone())),
            stores: Arc::new(move |spec, _, _, _| {
                let store = Store::new(Arc::new(view.clone()), spec.prefix(), "model").inline();
                futures::future::ready(Ok(store)).boxed()
            }),
            paths: Paths { secrets: PathBuf::from("/nowhere"), volumes: PathBuf::from("/nowhere") },
            cancel: cancel.clone(),
            waits: contract::Waits::default(),
            workers: 0,
        };
        let now = || self.started.elapsed().as_millis() as u64;
        let (from_ms, marks) = (now(), self.kafka.look().marks());
        let emitter = Emitter::new(&context, false);
        let said = tokio::select! {
            biased;
            () = gate.dead() => None,
            said = runner::run::run(&context, &emitter, spec) => Some(said),
        };
        // Whatever it left running reaches nothing any more.
        gate.kill();
        Ended { said, from_ms, to_ms: now(), marks, exchanges: gate.passed() }
    }
}
