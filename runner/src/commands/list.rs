//! `ls`: sets and points of a store; topics, partitions and segments of a point.

use archive::{Catalog, Point, SetSummary, Store, find};
use contract::{ExitCode, Failure, RunSpec};

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
    let sets = Catalog::new(store.clone()).summaries().await?;
    let sound = sets.iter().all(|set| set.problems.is_empty());
    let exit = if sound { ExitCode::Done } else { ExitCode::No };
    if output == Output::Json {
        print::json(&sets)?;
        return Ok(exit);
    }
    print::table(&["SET", "KIND", "POINTS", "NEWEST", "STATE", "CLUSTER"], &sets.iter().map(row).collect::<Vec<_>>());
    for set in &sets {
        for problem in &set.problems {
            print::line(&format!("damaged: {}: {problem}", set.name));
        }
    }
    if !sound {
        print::line("Points that are listed can be restored by their names; `verify NAME` says all that is wrong.");
    }
    Ok(exit)
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
    let found = find(store, name).await?;
    let (point, layout) = (Point::open(store, &found).await?, &found.layout);
    for note in point.notes() {
        print::warning(&note.to_string());
    }
    if output == Output::Json {
        print::json(&serde_json::json!({
            "set": layout.set(), "entry": point.entry, "seal": point.seal, "gaps": point.gaps(),
            "segments": point.segments(),
        }))?;
        return Ok(());
    }
    print::line(&format!(
        "{}  (set {}, entry {}, cluster {})",
        point.seal.point,
        layout.set(),
        point.entry,
        point.seal.owner.cluster_id
    ));
    if detail.segments {
        segments(&point, layout).await?;
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

async fn segments(point: &Point, layout: &archive::Layout) -> Result<(), Failure> {
    let mut sums = vec![(0u64, 0u64); point.segments().len()];
    let mut take = |_, row: &archive::SegmentRow| {
        if let Some((partitions, records)) = sums.get_mut(row.segment as usize) {
            *partitions += 1;
            *records += row.committed;
        }
    };
    point.each_row(None, &mut take).await?;
    let rows = point.segments().iter().zip(sums).map(|(segment, (partitions, records))| {
        vec![
            layout.segment(segment.claim, &segment.nonce, segment.seq).to_string(),
            print::size(segment.size),
            partitions.to_string(),
            records.to_string(),
        ]
    });
    print::table(&["SEGMENT", "SIZE", "PARTITIONS", "RECORDS"], &rows.collect::<Vec<_>>());
    Ok(())
}
