//! `logs`: what the runner of a backup, restore or validation says, joined with the cluster's events.

use std::time::Duration;

use api::lower::job::CONTAINER;
use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaRestore};
use clap::{Args, ValueEnum};
use contract::{Event, EventKind};
use futures::{AsyncBufReadExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as Happening, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use inspect::{Answer, Question};

use crate::changes::Changes;
use crate::cluster::{Cluster, Connection, failed, pages};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::ReadFrom;
use crate::screen::{Screen, Style, Tone};
use crate::source::Source;
use crate::steps::{or_interrupt, with_source};
use crate::words::{self, count, plural, safe, size};

/// How long a container whose log has ended may take to have ended, too, as the API server knows it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Flags of `logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup logs nightly -n shop         the newest run of a backup, and what the cluster says of it
  kubectl kafka-backup logs back -n shop -f         follow it
  kubectl kafka-backup logs nightly -o raw          lines as the runner writes them")]
pub struct LogsFlags {
    /// Backup, restore or validation
    name: String,
    /// Go on while the run works
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<i64>,
    /// Form of the lines
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Pretty,
    /// As they are.
    Raw,
}

/// Shows what the runner said.
pub(crate) async fn logs(options: LogsFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match or_interrupt(said(&options, connection, screen)).await? {
        None => Ok(Exit::Done),
        Some(target) => kept(&options, &target, connection, screen).await,
    }
}

/// Shows what the newest pod says; where none is left, whose it was.
async fn said(options: &LogsFlags, connection: &Connection, screen: &mut Screen) -> Result<Option<Target>, Error> {
    let cluster = &Cluster::connect(connection).await?;
    let target = target(cluster, &options.name).await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let found = cluster.pods_of(&target.uid).await?;
    if options.output == Form::Pretty {
        happenings(cluster, &target.uid, &found, screen).await?;
    }
    let Some(pod) = found.last() else { return Ok(Some(target)) };
    let parameters = LogParams {
        container: Some(CONTAINER.to_owned()),
        follow: options.follow,
        tail_lines: options.tail,
        ..LogParams::default()
    };
    let name = pod.name_any();
    let stream = pods.log_stream(&name, &parameters).await;
    let mut lines = stream.map_err(|error| failed(&format!("read the log of pod `{name}`"), error))?.lines();
    let cut = |reason: String| Error::Cluster {
        what: format!("the log of pod `{name}` was cut: {reason}"),
        hint: format!("go on: kubectl kafka-backup logs {} -n {} -f --tail 20", options.name, cluster.namespace),
    };
    // What fails here is the API server's, not our output.
    while let Some(line) = lines.try_next().await.map_err(|error| cut(error.to_string()))? {
        say(&line, options.output, screen)?;
        if options.follow {
            screen.flush()?;
        }
    }
    if options.follow && still_works(cluster, &pods, &name).await? {
        return Err(cut("the API server ended it, and the run goes on".to_owned()));
    }
    Ok(None)
}

/// Whether the runner of a pod has not ended. What the API server knows of it may be some seconds old.
async fn still_works(cluster: &Cluster, pods: &Api<Pod>, name: &str) -> Result<bool, Error> {
    let watched = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let (begun, mut changes) = (tokio::time::Instant::now(), Changes::of::<Pod>(watched, Some(name)));
    while begun.elapsed() < PATIENCE {
        let pod = pods.get_opt(name).await.map_err(|error| failed(&format!("read pod `{name}`"), error))?;
        let Some(statuses) = pod.and_then(|pod| pod.status?.container_statuses) else { return Ok(false) };
        let runner = statuses.iter().find(|one| one.name == CONTAINER).and_then(|runner| runner.state.as_ref());
        if runner.is_none_or(|state| state.running.is_none()) {
            return Ok(false);
        }
        changes.next(PATIENCE.saturating_sub(begun.elapsed())).await;
    }
    Ok(true)
}

/// A backup, a restore or a validation.
struct Target {
    uid: String,
    /// What its status says.
    message: String,
    /// A recovery point of the set beside which the run was kept, and the run; `None` where no backup of here has it.
    run: Option<(String, String)>,
}

async fn target(cluster: &Cluster, name: &str) -> Result<Target, Error> {
    let none = || "no run yet".to_owned();
    let restore = cluster.api::<KafkaRestore>().get_opt(name).await;
    if let Some(found) = restore.map_err(|error| failed(&format!("read restore `{name}`"), error))? {
        let uid = found.uid().unwrap_or_default();
        let status = found.status.unwrap_or_default();
        let from = &found.spec.backup_ref;
        let elsewhere = from.storage.is_some()
            || from.namespace.as_ref().is_some_and(|namespace| *namespace != cluster.namespace)
            || found.spec.state_storage.is_some();
        let run = status.recovery_point.zip(status.run.map(|run| run.id)).filter(|_| !elsewhere);
        return Ok(Target { uid, message: status.message.unwrap_or_else(none), run });
    }
    let backup = cluster.api::<KafkaBackup>().get_opt(name).await;
    if backup.map_err(|error| failed(&format!("read backup `{name}`"), error))?.is_none()
        && let Some(target) = validation(cluster, name).await?
    {
        return Ok(target);
    }
    let found: KafkaBackup = cluster.get(name).await?;
    let uid = found.uid().unwrap_or_default();
    let status = found.status.unwrap_or_default();
    let run = status.backup_id.zip(status.run.map(|run| run.id));
    Ok(Target { uid, message: status.message.unwrap_or_else(none), run })
}

/// A validation of that name.
async fn validation(cluster: &Cluster, name: &str) -> Result<Option<Target>, Error> {
    let found = cluster.api::<KafkaBackupValidation>().get_opt(name).await;
    let Some(found) = found.map_err(|error| failed(&format!("read validation `{name}`"), error))? else {
        return Ok(None);
    };
    let uid = found.uid().unwrap_or_default();
    let status = found.status.unwrap_or_default();
    let from = &found.spec.backup_ref;
    let elsewhere =
        from.storage.is_some() || from.namespace.as_ref().is_some_and(|namespace| *namespace != cluster.namespace);
    let run = status.recovery_point.zip(status.run.map(|run| run.id)).filter(|_| !elsewhere);
    Ok(Some(Target { uid, message: status.message.unwrap_or_else(|| "no run yet".to_owned()), run }))
}

/// What was kept after the pod has gone: the lines of the run in the archive.
async fn kept(
    options: &LogsFlags,
    target: &Target,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    screen.say(&format!("the pod of `{}` is gone; its status says: {}", options.name, safe(&target.message)));
    let Some((point, run)) = target.run.clone() else { return Ok(Exit::Done) };
    screen.say("what the run said is read from the archive");
    let here = ReadFrom { store: None, ca_file: None };
    let read = async |source: &Source, screen: &mut Screen| {
        let mut answers = source.ask(Question::Log { name: point.clone(), run });
        while let Some(answer) = answers.next().await? {
            let Answer::Line { text } = answer else { continue };
            say(&text, options.output, screen)?;
        }
        Ok(())
    };
    with_source(&here, connection, &point, false, screen, read).await?;
    Ok(Exit::Done)
}

/// What the cluster says of the resource and its pods, oldest first.
async fn happenings(cluster: &Cluster, uid: &str, pods: &[Pod], screen: &mut Screen) -> Result<(), Error> {
    let api: Api<Happening> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut all = Vec::new();
    let uids = std::iter::once(uid.to_owned()).chain(pods.iter().filter_map(ResourceExt::uid));
    for uid in uids {
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        // A person who may read logs need not be allowed to read events.
        if let Ok(found) = pages(&api, about).await {
            all.extend(found);
        }
    }
    let when = |event: &Happening| -> Option<Timestamp> {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        last.or_else(|| event.event_time.as_ref().map(|time| time.0))
            .or_else(|| event.creation_timestamp().map(|time| time.0))
    };
    all.sort_by_key(when);
    for event in &all {
        let at = when(event).map(|at| screen.style.time(at)).unwrap_or_default();
        let warns = event.type_.as_deref() == Some("Warning");
        let tone = if warns { Tone::Warn } else { Tone::Faint };
        let text = format!(
            "{at}  event    {}: {}",
            event.reason.as_deref().unwrap_or_default(),
            event.message.as_deref().unwrap_or_default()
        );
        let text = screen.style.paint(tone, &text);
        screen.text(&format!("{text}\n"))?;
    }
    Ok(())
}

/// Shows a line of a log: as it is (what acts is escaped as JSON escapes it), or in words.
fn say(line: &str, form: Form, screen: &mut Screen) -> Result<(), Error> {
    match form {
        Form::Raw => screen.json(&format!("{}\n", line.replace('\n', "\\n"))),
        Form::Pretty => screen.text(&format!("{}\n", pretty(line, &screen.style))),
    }
}

/// A line of the runner in words; other lines as they are.
fn pretty(line: &str, style: &Style) -> String {
    let Ok(event) = serde_json::from_str::<Event>(line) else { return other(line, style) };
    // What is no time is shown as it is.
    let at = event.at.parse().map_or_else(|_| safe(&event.at), |at| style.time(at));
    let (word, text) = match event.kind {
        EventKind::Started { run, resumed, .. } => {
            ("started", format!("{}{}", safe(&run), if resumed { ", goes on" } else { "" }))
        }
        EventKind::Planned { topics, partitions, records } => (
            "planned",
            format!("{}, {}, {}", plural(topics, "topic"), plural(partitions, "partition"), plural(records, "record")),
        ),
        EventKind::Progress { records, bytes, percent, pace, .. } => {
            let (done, rate) = (percent.floor(), words::rate(pace.bytes_per_sec));
            let unknown = match pace.unknown_partitions {
                0 => String::new(),
                many => format!("  nobody tells where {} end", plural(many, "partition")),
            };
            ("progress", format!("{done}%  {} records  {}  {rate}{unknown}", count(records), size(bytes)))
        }
        EventKind::Warning { message } => ("warning", style.paint(Tone::Warn, &message)),
        EventKind::Waiting { what, seconds: 0 } => ("waiting", style.paint(Tone::Warn, &what)),
        EventKind::Waiting { what, seconds } => {
            ("waiting", style.paint(Tone::Warn, &format!("{seconds} s so far: {what}")))
        }
        EventKind::Gap { topic, partition, from, to, reason } => {
            ("gap", format!("{}/{partition} offsets {from} to {} ({reason})", safe(&topic), to - 1))
        }
        EventKind::Timeline { topic, partition, timeline, from } => {
            ("timeline", format!("{}/{partition}: {timeline} begins at offset {from}", safe(&topic)))
        }
        EventKind::Committed { entry, point, .. } => {
            ("saved", point.map_or_else(|| format!("entry {entry}"), |point| safe(&point)))
        }
        EventKind::Finished { exit_code, failure } => match failure {
            Some(failure) => ("failed", style.paint(Tone::Bad, &format!("{}: {}", failure.code, failure.message))),
            None => ("finished", format!("exit code {exit_code}")),
        },
        EventKind::Member { member } => ("member", safe(&member.to_string())),
        EventKind::Group { group } => ("group", safe(&group.to_string())),
        EventKind::Checked { check, verdict, message } => {
            ("checked", format!("{}: {}; {}", safe(&check), verdict.word(), safe(&message)))
        }
        EventKind::OffsetsSaved { before } => ("offsets", format!("saved as {}", safe(&before.id))),
        EventKind::Dropped { lines, .. } => {
            ("dropped", format!("{}, because nobody read them in time", plural(lines, "line")))
        }
    };
    format!("{at}  {word:<8} {text}")
}

/// A line that is no event: the report, or a line of the log.
fn other(line: &str, style: &Style) -> String {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { return safe(line) };
    let text = |name: &str| value.pointer(name).and_then(serde_json::Value::as_str);
    match (text("/event"), text("/report/outcome"), text("/fields/message").or_else(|| text("/message"))) {
        (Some("report"), Some(outcome), _) => {
            safe(&format!("{}  report   {outcome}", text("/report/finishedAt").unwrap_or_default()))
        }
        (_, _, Some(message)) => {
            let level = text("/level").unwrap_or("INFO");
            let line = safe(&format!("{}  log      {level} {message}", text("/timestamp").unwrap_or_default()));
            if level == "INFO" { style.paint(Tone::Faint, &line) } else { line }
        }
        _ => safe(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::style;

    #[test]
    fn nothing_that_a_run_says_acts() {
        let evil = "\u{1b}[2J\u{202e}\u{9b}31m\r\nerror: EVIL";
        let event = |kind: serde_json::Value| {
            let mut whole = serde_json::json!({"source": "kafka-backup", "seq": 1, "at": evil});
            whole.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            whole.to_string()
        };
        let lines = [
            event(serde_json::json!({"event": "started", "run": evil, "name": evil, "resumed": true})),
            event(serde_json::json!({"event": "warning", "message": evil})),
            event(serde_json::json!({"event": "waiting", "what": evil, "seconds": 3})),
            event(
                serde_json::json!({"event": "gap", "topic": evil, "partition": 0, "from": 1, "to": 2, "reason": "r"}),
            ),
            event(serde_json::json!({"event": "timeline", "topic": evil, "partition": 0, "timeline": 1, "from": 2})),
            event(serde_json::json!({"event": "committed", "entry": 1, "sealed": true, "point": evil})),
            event(
                serde_json::json!({"event": "finished", "exitCode": 4, "failure": {"code": "KB4001", "message": evil}}),
            ),
            serde_json::json!({"event": "report", "report": {"outcome": evil, "finishedAt": evil}}).to_string(),
            serde_json::json!({"level": evil, "timestamp": evil, "fields": {"message": evil}}).to_string(),
            evil.to_owned(),
        ];
        for line in lines {
            let text = pretty(&line, &style(None));
            assert!(!text.chars().any(contract::words::acts), "{line} is shown as {text:?}");
        }
    }

    #[test]
    fn lines_of_the_runner_are_put_in_words() {
        for (line, text) in [
            (
                r#"{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"committed","entry":3,"sealed":true,"point":"a-1"}"#,
                "2026-11-21T10:00:00Z  saved    a-1",
            ),
            (
                r#"{"source":"kafka-backup","event":"report","report":{"outcome":"Completed","finishedAt":"2026-11-21T10:00:02Z"}}"#,
                "2026-11-21T10:00:02Z  report   Completed",
            ),
            (
                r#"{"timestamp":"2026-11-21T10:00:02Z","level":"WARN","fields":{"message":"slow"}}"#,
                "2026-11-21T10:00:02Z  log      WARN slow",
            ),
            ("plain \u{1b}[31m text", "plain \\u{1b}[31m text"),
        ] {
            assert_eq!(pretty(line, &style(None)), text);
        }
    }
}
