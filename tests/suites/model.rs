//! The model brokers of the simulation against real ones: random histories of producers, transactions, deletions, topics,
//! groups and questions go to both, and the meaning of every answer must be the same.
//!
//! A real cluster starts anew in the middle of each history, so that leader epochs are not all 0. Producer ids are named
//! in the order in which they were given, topic ids by their topics, and times of the broker's clock are hidden.
//!
//! Deletions come after the start anew: a real broker that starts forgets producers whose batches are deleted, and may give
//! a topic the configs that one of the same name had before it was deleted (seen on 3.9.2 and 4.3.1).
//!
//! Where the releases differ, the model can be either (`State::is_old`): what 3.9 does otherwise is named there.
//!
//! What is left out, and why: the newest time of a log after a deletion (a real segment remembers what was deleted of it), compaction (when the cleaner runs is its own affair; `fidelity` has it on real brokers),
//! logs of several segments (the model has one), compression by the broker, retention by time, sessions of fetches
//! (nobody here uses them), members of groups, more than one broker (elections are `outages`' matter).

#[path = "model/client.rs"]
mod client;
#[path = "model/draw.rs"]
mod draw;
#[path = "model/make.rs"]
mod make;
#[path = "model/player.rs"]
mod player;
#[path = "model/reads.rs"]
mod reads;
#[path = "model/see.rs"]
mod see;
#[path = "model/step.rs"]
mod step;
#[path = "model/writes.rs"]
mod writes;

use std::time::{SystemTime, UNIX_EPOCH};

use contract::ConnectionSpec;
use futures::StreamExt;
use harness::kafka::{Kafka, NEW, OLD, Options};
use sim::broker::{Kafka as Model, ModelDialer, State};
use sim::gate::Gate;
use sim::trace::Trace;
use wire::{Dialer, TcpDialer};

use client::Client;
use draw::{History, history};
use player::{Line, Player};

/// Histories that share a start of the cluster.
const TOGETHER: usize = 20;
/// Histories at the same time.
const AT_ONCE: usize = 6;

/// The leader epochs after the start anew: the model cannot know how often a real cluster elects.
type Epochs = std::collections::BTreeMap<(String, i32), i32>;

/// What a history gave.
struct Played {
    seed: u64,
    lines: Vec<Line>,
    epochs: Epochs,
}

fn prefix(seed: u64) -> String {
    format!("h{seed}")
}

async fn dial(port: u16) -> Client {
    let dialer = TcpDialer::new(ConnectionSpec::default());
    Client::new(dialer.dial("127.0.0.1", port).await.expect("the broker listens"))
}

/// Plays histories on a real broker, and starts it anew between their parts.
fn on_a_broker(kafka: &mut Kafka, histories: &[(u64, History)], time: i64) -> Vec<Played> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = kafka.port();
    let players: Vec<Player> = runtime.block_on(async {
        let one = |(seed, history): &(u64, History)| {
            let (prefix, steps) = (prefix(*seed), history.before.clone());
            async move {
                let mut player = Player::new(dial(port).await, &prefix, time);
                player.coordinated().await;
                player.play(&steps).await;
                player
            }
        };
        futures::stream::iter(histories.iter().map(one)).buffered(AT_ONCE).collect().await
    });
    kafka.stop(0, false);
    kafka.restart(0);
    runtime.block_on(async {
        let one = |(player, (seed, history)): (Player, &(u64, History))| {
            let (seed, steps) = (*seed, history.after.clone());
            async move {
                let mut player = player.on(dial(port).await);
                player.coordinated().await;
                player.wait().await;
                let epochs = player.epochs().await;
                player.play(&steps).await;
                Played { seed, lines: player.lines().to_vec(), epochs }
            }
        };
        let pairs = players.into_iter().zip(histories).map(one);
        futures::stream::iter(pairs).buffered(AT_ONCE).collect().await
    })
}

/// Plays a history on a model broker, which takes its new leader epochs from the real one.
fn on_the_model(version: &str, seed: u64, history: &History, time: i64, epochs: &Epochs) -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut state = State::new(1);
        state.is_old = version == OLD;
        let model = Model::new(state, seed, &Trace::default());
        let dialer = ModelDialer::new(&model, &Gate::new(0));
        let client = Client::new(dialer.dial("broker-1", 9092).await.unwrap());
        let mut player = Player::new(client, &prefix(seed), time);
        player.play(&history.before).await;
        model.change(|state| state.restart(epochs, 0));
        player.play(&history.after).await;
        player.lines().to_vec()
    })
}

/// The first difference of a history, with what came before it.
fn difference(played: &Played, model: &[Line]) -> Option<String> {
    let at = played.lines.iter().zip(model).position(|(real, model)| real != model)?;
    let told = |line: &Line| format!("  {}\n    -> {}", line.step, line.answer);
    let before: Vec<_> =
        model[at.saturating_sub(400)..at].iter().filter(|line| !line.step.starts_with("Look")).map(told).collect();
    let (real, model) = (&played.lines[at], &model[at]);
    // Of a long answer only what differs.
    let (theirs, ours): (Vec<_>, Vec<_>) = (real.answer.lines().collect(), model.answer.lines().collect());
    let first = theirs.iter().zip(&ours).position(|(a, b)| a != b).unwrap_or(theirs.len().min(ours.len()));
    let part =
        |lines: &[&str]| lines[first.saturating_sub(3).min(lines.len())..(first + 6).min(lines.len())].join("\n");
    Some(format!(
        "history {} step {at}:\n{}\n  {}\n--- the broker says (from line {first})\n{}\n--- the model says\n{}",
        played.seed,
        before.join("\n"),
        real.step,
        part(&theirs),
        part(&ours)
    ))
}

/// Plays histories on a release and on the model, and returns the differences.
fn compare(version: &'static str, seeds: std::ops::Range<u64>) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let time = now - 7_200_000;
    let properties = ["delete.topic.enable=true".to_owned(), "log.segment.delete.delay.ms=1000".to_owned()].to_vec();
    let mut kafka = Kafka::with(Options { version, properties, ..Options::default() });
    let all: Vec<(u64, History)> = seeds.map(|seed| (seed, history(seed))).collect();
    let (mut differences, mut steps) = (Vec::new(), 0);
    for some in all.chunks(TOGETHER) {
        let played = on_a_broker(&mut kafka, some, time);
        for (played, (seed, history)) in played.iter().zip(some) {
            steps += played.lines.len();
            differences.extend(difference(played, &on_the_model(version, *seed, history, time, &played.epochs)));
        }
    }
    println!("{version}: {} histories, {steps} steps, {} of them differ", all.len(), differences.len());
    differences
}

/// Histories: `MODEL_HISTORIES` of them on both releases, or a few on the newest.
#[test]
fn the_model_answers_as_brokers_do() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("MODEL_FIRST").unwrap_or(1);
    let (versions, count) = match number("MODEL_HISTORIES") {
        Some(count) => (vec![OLD, NEW], count),
        None => (vec![NEW], 12),
    };
    let one = |version| compare(version, first..first + count);
    let differences: Vec<String> = versions.into_iter().flat_map(one).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
