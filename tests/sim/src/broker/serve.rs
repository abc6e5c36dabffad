//! One connection: frames in, answers out, one request at a time as brokers do it, broken where a fault says so.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, ApiKey, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, ListGroupsRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

use super::faults::Broken;
use super::state::{Power, State};
use crate::gate::Gate;
use crate::rng::Rng;
use crate::trace::Trace;

/// A model cluster.
#[derive(Debug, Clone)]
pub struct Kafka {
    state: Arc<Mutex<State>>,
    /// Something changed: who waits looks again.
    pub(super) changed: Arc<Notify>,
    rng: Arc<Rng>,
    pub(super) trace: Trace,
}

impl Kafka {
    /// A cluster.
    pub fn new(state: State, seed: u64, trace: &Trace) -> Self {
        let rng = Arc::new(Rng::new(seed, "network"));
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default(), rng, trace: trace.clone() }
    }

    /// The cluster to look at.
    pub fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the cluster.
    pub fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.look());
        self.changed.notify_waiters();
        result
    }

    /// Waits for a while, as long as networks take.
    pub(super) async fn latency(&self) {
        let extra = self.look().faults.slow_ms;
        let micros = self.rng.between(100, 2500);
        tokio::time::sleep(Duration::from_micros(micros) + Duration::from_millis(extra)).await;
    }

    fn life(&self, broker: i32) -> Option<(u64, Power)> {
        self.look().brokers.get(&broker).map(|b| (b.life, b.power))
    }

    /// Resolves when the broker is not what it was when the connection was made.
    async fn broken(&self, broker: i32, life: u64) {
        loop {
            let changed = self.changed.notified();
            match self.life(broker) {
                Some((now, power)) if now == life && power != Power::Down => changed.await,
                _ => return,
            }
        }
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(self, broker: i32, mut stream: DuplexStream, gate: Gate) {
        let Some((life, _)) = self.life(broker) else { return };
        tokio::select! {
            biased;
            () = gate.dead() => {}
            () = self.broken(broker, life) => {}
            result = self.answer_all(broker, &mut stream, &gate) => drop(result),
        }
    }

    async fn answer_all(&self, broker: i32, stream: &mut DuplexStream, gate: &Gate) -> std::io::Result<()> {
        loop {
            let length = stream.read_i32().await?;
            let mut frame = BytesMut::zeroed(length as usize);
            stream.read_exact(&mut frame).await?;
            gate.pass().await;
            self.latency().await;
            let mut body = frame.freeze();
            let api = i16::from_be_bytes([body[0], body[1]]);
            let Some(answer) = self.answer(broker, &mut body).await else { return Ok(()) };
            while self.life(broker).is_some_and(|(_, power)| power == Power::Silent) {
                self.changed.notified().await;
            }
            self.latency().await;
            gate.pass().await;
            let fault = self.look().faults.take_broken(api);
            self.trace.step(format_args!("broker {broker} answers {api}: {} bytes{}", answer.len(), told(fault)));
            let half = answer.len() / 2;
            match fault {
                None => {
                    stream.write_i32(answer.len() as i32).await?;
                    stream.write_all(&answer).await?;
                }
                Some(Broken::Close) => return Ok(()),
                Some(Broken::Never) => std::future::pending().await,
                Some(Broken::CutAndClose) => {
                    stream.write_i32(answer.len() as i32).await?;
                    stream.write_all(&answer[..half]).await?;
                    return Ok(());
                }
                Some(Broken::CutAndHang) => {
                    stream.write_i32(answer.len() as i32).await?;
                    stream.write_all(&answer[..half]).await?;
                    std::future::pending::<()>().await;
                }
                Some(Broken::Announce(length)) => {
                    stream.write_i32(length).await?;
                    stream.write_all(&answer[..half]).await?;
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// The answer to one request; `None` closes the connection, as brokers do with what they cannot read.
    async fn answer(&self, broker: i32, body: &mut Bytes) -> Option<BytesMut> {
        let api = ApiKey::try_from(i16::from_be_bytes([*body.first()?, *body.get(1)?])).ok()?;
        let version = i16::from_be_bytes([*body.get(2)?, *body.get(3)?]);
        let header = RequestHeader::decode(body, api.request_header_version(version)).ok()?;
        macro_rules! reply {
            ($request:ident, |$read:ident| $make:expr) => {{
                let $read = $request::decode(body, version).ok()?;
                let mut answer = $make;
                self.look().faults.inject(api as i16, &mut answer);
                answer.throttle_time_ms = self.throttle(api as i16).max(answer.throttle_time_ms);
                Some(encode(&header, api, version, &answer))
            }};
        }
        match api {
            ApiKey::ApiVersions => reply!(ApiVersionsRequest, |_read| self.api_versions()),
            ApiKey::Metadata => reply!(MetadataRequest, |read| self.metadata(broker, &read)),
            ApiKey::Fetch => reply!(FetchRequest, |read| self.fetch(broker, &read, version).await),
            ApiKey::ListOffsets => reply!(ListOffsetsRequest, |read| self.list_offsets(broker, &read, version)),
            ApiKey::OffsetForLeaderEpoch => {
                reply!(OffsetForLeaderEpochRequest, |read| self.leader_epochs(broker, &read))
            }
            ApiKey::DescribeConfigs => reply!(DescribeConfigsRequest, |read| self.describe_configs(&read)),
            ApiKey::DescribeProducers => reply!(DescribeProducersRequest, |read| self.describe_producers(&read)),
            ApiKey::FindCoordinator => reply!(FindCoordinatorRequest, |read| self.find_coordinator(&read, version)),
            ApiKey::ListGroups => reply!(ListGroupsRequest, |_read| self.list_groups(broker)),
            ApiKey::OffsetFetch => reply!(OffsetFetchRequest, |read| self.offset_fetch(broker, &read, version)),
            ApiKey::Produce => reply!(ProduceRequest, |read| self.produce(broker, &read, version)),
            ApiKey::InitProducerId => reply!(InitProducerIdRequest, |read| self.init_producer(&read)),
            ApiKey::AddPartitionsToTxn => reply!(AddPartitionsToTxnRequest, |read| self.add_partitions(&read)),
            ApiKey::EndTxn => reply!(EndTxnRequest, |read| self.end_txn(&read)),
            ApiKey::DescribeTransactions => {
                reply!(DescribeTransactionsRequest, |read| self.describe_transactions(broker, &read))
            }
            ApiKey::CreateTopics => reply!(CreateTopicsRequest, |read| self.create_topics(&read)),
            ApiKey::IncrementalAlterConfigs => {
                reply!(IncrementalAlterConfigsRequest, |read| self.alter_configs(&read))
            }
            ApiKey::DeleteTopics => reply!(DeleteTopicsRequest, |read| self.delete_topics(&read)),
            ApiKey::CreatePartitions => reply!(CreatePartitionsRequest, |read| self.create_partitions(&read)),
            ApiKey::OffsetCommit => reply!(OffsetCommitRequest, |read| self.offset_commit(broker, &read)),
            ApiKey::DeleteRecords => reply!(DeleteRecordsRequest, |read| self.delete_records(broker, &read)),
            other => panic!("the model does not know {other:?}"),
        }
    }

    fn throttle(&self, api: i16) -> i32 {
        self.look().faults.throttle.get(&api).copied().unwrap_or(0)
    }

    /// A number of the network's stream.
    pub(super) fn random(&self, from: u64, to: u64) -> u64 {
        self.rng.between(from, to)
    }
}

fn told(broken: Option<Broken>) -> String {
    broken.map(|broken| format!(", broken: {broken:?}")).unwrap_or_default()
}

fn encode(header: &RequestHeader, api: ApiKey, version: i16, answer: &impl Encodable) -> BytesMut {
    let mut out = BytesMut::new();
    let shape = if api == ApiKey::ApiVersions { 0 } else { api.response_header_version(version) };
    let head = ResponseHeader::default().with_correlation_id(header.correlation_id);
    head.encode(&mut out, shape).expect("a header can be encoded");
    if let Err(error) = answer.encode(&mut out, version) {
        panic!("the model's answer to {api:?} version {version} cannot be encoded: {error}");
    }
    out
}
