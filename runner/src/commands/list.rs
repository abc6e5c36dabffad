//! `ls`: sets and points of a store; topics, partitions and segments of a point.

use archive::{ArchiveError, Catalog, Point, Problem, SetSummary, Store};
use contract::{ExitCode, Failure, ForeignRecords, RunSpec};
use foreign::Set;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::{Output, print};
use crate::connect;
use crate::context::Context;

/// What to show of a point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail {
    pub(crate) partitions: bool,
    pub(crate) segments: bool,
}

/// Lists a store, or a point when a name is given.
pub(crate) async fn list(
    context: &Context,
    spec: &RunSpec,
    name: Option<&str>,
    detail: Detail,
    output: Output,
) -> Result<ExitCode, Failure> {
    let store = connect::store(context, spec).await?;
    match name {
        None => sets(&store, output).await,
        Some(name) => point(&store, name, detail, output).await.map(|()| ExitCode::Done),
    }
}

/// Lists what is sound, then what is not; the exit code tells whether there is any of the latter.
async fn sets(store: &Store, output: Output) -> Result<ExitCode, Failure> {
    let (sets, others) = (Catalog::new(store.clone()).summaries().await?, others(store).await?);
    let sound = sets.iter().chain(&others).all(|set| set.problems.is_empty());
    let exit = if sound { ExitCode::Done } else { ExitCode::No };
    if output == Output::Json {
        let theirs = others.iter().map(|set| OtherSet { set, written_by: "oso" });
        print::json(&Lines { ours: &sets, theirs: theirs.collect() })?;
        return Ok(exit);
    }
    let theirs = others.iter().map(|set| {
        let mut row = row(set);
        if let Some(kind) = row.get_mut(1) {
            "OSO tool".clone_into(kind);
        }
        row
    });
    let rows: Vec<_> = sets.iter().map(row).chain(theirs).collect();
    print::table(&["SET", "KIND", "POINTS", "NEWEST", "STATE", "CLUSTER"], &rows);
    for set in sets.iter().chain(&others) {
        for problem in &set.problems {
            print::line(&format!("damaged: {}: {problem}", set.name));
        }
    }
    if !sound {
        print::line("Points that are listed can be restored by their names; `verify NAME` says all that is wrong.");
    }
    Ok(exit)
}

/// Archives that the OSO tool wrote, beside our own.
async fn others(store: &Store) -> Result<Vec<SetSummary>, ArchiveError> {
    let mut out = Vec::new();
    for name in Set::names(store).await? {
        let read = match Set::find(store, &name).await {
            Ok(Some(set)) => set.listed(ForeignRecords::Cleaned).await,
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        let (points, cluster, problems) = match read {
            Ok(point) => (vec![point.summary().stamp], point.seal.owner.cluster_id.clone(), Vec::new()),
            Err(error) if error.is_damage() => {
                (Vec::new(), String::new(), vec![Problem { key: String::new(), what: error.to_string() }])
            }
            Err(error) => return Err(error),
        };
        out.push(SetSummary {
            name,
            namespace: String::new(),
            resource: String::new(),
            cluster_id: if cluster.is_empty() { "unknown".to_owned() } else { cluster },
            incremental: true,
            points,
            unfinished: false,
            problems,
        });
    }
    Ok(out)
}

/// All sets as JSON, ours first.
struct Lines<'a> {
    ours: &'a [SetSummary],
    theirs: Vec<OtherSet<'a>>,
}

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.ours.len() + self.theirs.len()))?;
        self.ours.iter().try_for_each(|set| list.serialize_element(set))?;
        self.theirs.iter().try_for_each(|set| list.serialize_element(set))?;
        list.end()
    }
}

/// A set of another tool.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OtherSet<'a> {
    #[serde(flatten)]
    set: &'a SetSummary,
    written_by: &'static str,
}

fn row(set: &SetSummary) -> Vec<String> {
    let newest = set.points.last().cloned().unwrap_or_else(|| "-".into());
    let kind = if set.incremental { "incremental" } else { "full" };
    let state = match (set.problems.is_empty(), set.unfinished) {
        (false, _) => "DAMAGED",
        (true, true) => "unfinished run",
        (true, false) => "complete",
    };
    vec![set.name.clone(), kind.into(), set.points.len().to_string(), newest, state.into(), set.cluster_id.clone()]
}

async fn point(store: &Store, name: &str, detail: Detail, output: Output) -> Result<(), Failure> {
    let point = foreign::open(store, name).await?;
    for note in point.notes() {
        print::warning(&note.to_string());
    }
    if output == Output::Json {
        print::json(&serde_json::json!({
            "set": point.set(), "entry": point.entry, "seal": point.seal, "gaps": point.gaps(),
            "segments": point.segments(),
        }))?;
        return Ok(());
    }
    let cluster = &point.seal.owner.cluster_id;
    let cluster = if cluster.is_empty() { "unknown" } else { cluster };
    let (name, set) = (&point.seal.point, point.set());
    if point.is_of_guest() {
        print::line(&format!("{name}  (an archive that the OSO tool wrote, cluster {cluster})"));
    } else {
        print::line(&format!("{name}  (set {set}, entry {}, cluster {cluster})", point.entry));
    }
    if detail.segments {
        segments(&point).await?;
    } else if detail.partitions {
        partitions(&point);
    } else {
        topics(&point);
    }
    for fork in point.forks() {
        print::line(&format!(
            "timeline: {}/{} timeline {} begins at offset {}",
            fork.name, fork.partition, fork.timeline, fork.from
        ));
    }
    for gap in point.gaps() {
        print::line(&format!(
            "gap: {}/{} offsets {} to {} ({}{})",
            gap.name,
            gap.partition,
            gap.from,
            gap.to,
            gap.reason,
            gap.timeline.map_or_else(String::new, |timeline| format!(", only timeline {timeline}"))
        ));
    }
    Ok(())
}

fn topics(point: &Point) {
    let rows = point.seal.topics.iter().zip(0u32..).map(|(topic, place)| {
        let of = || point.seal.partitions.iter().filter(move |row| row.topic == place);
        vec![
            topic.name.clone(),
            topic.partitions.to_string(),
            of().map(archive::PartitionState::held).sum::<u64>().to_string(),
            print::size(of().map(archive::PartitionState::held_bytes).sum()),
            if topic.live { String::new() } else { format!("no longer in the source: lineage {}", topic.id) },
        ]
    });
    print::table(&["TOPIC", "PARTITIONS", "RECORDS", "BYTES", ""], &by_name(rows));
}

fn partitions(point: &Point) {
    let rows = point.seal.partitions.iter().filter_map(|row| {
        let topic = point.seal.topics.get(row.topic as usize)?;
        let newest = if row.held() == 0 { "-".into() } else { print::time(row.max_timestamp) };
        Some(vec![
            topic.name.clone(),
            row.partition.to_string(),
            row.first.to_string(),
            row.next.to_string(),
            row.held().to_string(),
            print::size(row.held_bytes()),
            newest,
        ])
    });
    print::table(&["TOPIC", "PARTITION", "FIRST", "NEXT", "RECORDS", "BYTES", "NEWEST RECORD"], &by_name(rows));
}

/// Documents list topics by id; people look for names. Partitions keep their order.
fn by_name(rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|a, b| a.first().cmp(&b.first()));
    rows
}

async fn segments(point: &Point) -> Result<(), Failure> {
    let mut sums = vec![(0u64, 0u64); point.segments().len()];
    let mut take = |_, row: &archive::SegmentRow| {
        if let Some((partitions, records)) = sums.get_mut(row.segment as usize) {
            *partitions += 1;
            *records += row.committed;
        }
    };
    point.each_row(None, &mut take).await?;
    let rows = point.segments().iter().zip(sums).map(|(segment, (partitions, records))| {
        vec![point.segment_key(segment), print::size(segment.size), partitions.to_string(), records.to_string()]
    });
    print::table(&["SEGMENT", "SIZE", "PARTITIONS", "RECORDS"], &rows.collect::<Vec<_>>());
    Ok(())
}
