//! A backup run: discover, claim, read, seal; and when the source changes while it is read, plan again.
//!
//! ```text
//! readers (one per broker connection) -> collector -> writer task -> segments, log entries
//! ```
//! Frames are accounted from before they are read until their bytes are handed to the store, so memory does
//! not depend on topics, partitions or sizes.

mod history;
mod identity;
mod last;
mod odd;
mod positions;
mod select;
mod transactions;

mod lineages;

mod groups;
mod members;

mod stale;

mod source;

mod lineage;

mod lost;

mod reader;

mod health;
mod quota;
mod readers;

mod moment;
mod seal;

mod cadence;

mod follow;
mod writer_task;

mod collector;
mod session;

pub(crate) use select::{Chosen, discover, rediscover};
pub(crate) use transactions::{Fate, fates};

use std::sync::Arc;
use std::time::Duration;

use archive::{Finished, Head, HeadCopy, Opened, Owner, PartitionState, SetWriter, TopicState, WriterOptions};
use contract::{
    BackupSpec, Before, Code, EventKind, Failure, MemberChange, Membership, PointLine, Report, RunSpec, StartOffset,
};
use wire::{Cluster, Isolation, OffsetAt, Topic};

use crate::connect::backup_needs;
use crate::context::Context;
use crate::emit::Emitter;
use crate::spec_file::work_digest;
use last::Last;
use lineages::Lineages;
use seal::Sealer;
use session::Session;

/// Bytes of frames between the broker and the store: arenas that fill and drain, and answers on their way.
pub(crate) const FRAME_BUDGET: usize = 80 << 20;
/// What ending the uploads of killed runs may take.
const CLEAR_UP: Duration = Duration::from_secs(20);

/// Runs a backup and fills `report`.
///
/// # Errors
/// The failure that ended it; progress made is in the archive.
pub async fn run(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    backup: &BackupSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    loop {
        match Box::pin(attempt(context, emitter, spec, backup, report)).await {
            // Each time somebody wrote to the log: that does not go on for ever.
            Err(failure) if failure.code == Code::PrunedMeanwhile && !context.cancel.is_cancelled() => {
                tracing::info!(%failure, "going on behind what retention wrote");
            }
            ended => return ended,
        }
    }
}

/// Runs it once.
async fn attempt(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    backup: &BackupSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    let cluster = crate::connect::cluster(context, spec, &backup_needs(backup)).await?;
    // The first request is a look into the set: it tells a missing bucket as well as a listing would.
    let store = crate::connect::store_unasked(context, spec).await?;
    let identity::Resolved { mut identity, head } = identity::resolve(context, &store, spec, backup).await?;
    // Topics come and go while a continuous run lasts, and its next pod is the same run: names are checked when it begins.
    let goes_on = |head: &Head| head.entry.run == identity.run && head.entry.spec == work_digest(spec);
    let found = if backup.continuous && head.as_ref().is_some_and(goes_on) {
        select::rediscover(&cluster, backup).await?
    } else {
        select::discover(&cluster, backup).await?
    };
    tell(&identity, report);
    let owner = owner(&cluster, spec)?;
    let place = (&store, &identity.layout);
    let lineages = lineage::find(&cluster, place, head.as_ref(), (&owner, backup), &found.topics, emitter).await?;
    let found = lineages.found(found);
    let last = Last::find(&store, &identity, &owner, backup, emitter).await;
    let last_groups = Arc::new(groups::of_last_point(&store, last.set.as_ref(), backup, emitter).await);
    let groups = if backup.consumer_group_snapshot && !backup.continuous {
        Some(groups::snapshot(&cluster, backup, emitter, &last_groups, groups::PATIENCE).await?)
    } else {
        None
    };
    let options = WriterOptions {
        source: source(&cluster, emitter, backup, (&found.topics, &lineages)).await?,
        ..writer_options(context, owner, spec, backup, &identity)?
    };
    let opened = if let Some(opened) = lost::open(&store, &options, head, &cluster, (backup, &lineages)).await? {
        opened
    } else {
        let again = identity::resolve(context, &store, spec, backup).await?;
        identity = again.identity;
        tell(&identity, report);
        let options = WriterOptions { run: identity.run.clone(), stamp: identity.stamp.clone(), ..options };
        let gone = || Failure::new(Code::Fenced, "the end of the log moved while the set was opened; run again");
        lost::open(&store, &options, again.head, &cluster, (backup, &lineages)).await?.ok_or_else(gone)?
    };
    let writer = match opened {
        Opened::Writer(writer) => *writer,
        Opened::Sealed(sealed) => {
            // The set of a full run knows no other.
            let before = if backup.extends_set() { sealed.line.before.clone() } else { last.before };
            return done_before(*sealed, before, emitter, report);
        }
    };
    report.changed = true;
    let identity = take_stamp(identity, &writer, emitter, spec, backup, report);
    tell_resumed(&identity, &writer, emitter, spec, backup);
    let (run, name, resumed) = (identity.run.clone(), identity.point.clone(), writer.claim().resumed);
    emitter.emit(EventKind::Started { run, name, resumed });
    found.absent.iter().for_each(|topic| tell_absent(emitter, topic));
    if !writer.claim().exclusive {
        emitter.warn(format!(
            "{} does not refuse to create an object twice: two runs at once would not notice each other",
            store.place()
        ));
    }
    clear_up(&writer, emitter, report).await;
    let sealer = Sealer {
        context: context.clone(),
        emitter: emitter.clone(),
        store,
        layout: identity.layout.clone(),
        name: spec.name.clone(),
        backup: Arc::new(backup.clone()),
        stamp: (!backup.continuous).then(|| identity.stamp.clone()),
        before: last.before.clone(),
    };
    Box::pin(Session::new(sealer, cluster, found, groups, last, last_groups, report).run(writer)).await
}

/// Tells of a run that was finished before what its own report did: counts, gaps and timelines of all its attempts.
fn done_before(
    finished: Finished,
    before: Option<Before>,
    emitter: &Emitter,
    report: &mut Report,
) -> Result<(), Failure> {
    let Finished { line, moved, named, held_back } = finished;
    report.outcome = "AlreadyDone".into();
    report.point = Some(line.name.clone());
    (report.topics, report.partitions) = (line.topics, line.partitions);
    report.earlier = moved;
    report.gaps = session::values(&named.gaps)?;
    report.timelines = session::values(&named.forks)?;
    report.held_back = session::values(&held_back)?;
    named.gaps.iter().for_each(|gap| source::tell_gap(emitter, gap));
    report.made = Some(PointLine { before, ..line });
    Ok(())
}

fn tell(identity: &identity::Identity, report: &mut Report) {
    report.run.clone_from(&identity.run);
    report.set = Some(identity.layout.set().to_owned());
    report.point = Some(identity.point.clone());
}

/// Says that a topic which the backup names is not there, and not backed up.
fn tell_absent(emitter: &Emitter, topic: &str) {
    let member = MemberChange {
        topic: topic.to_owned(),
        topic_id: String::new(),
        change: Membership::Absent,
        partitions_before: None,
        partitions: None,
    };
    if emitter.member(&member) {
        emitter.warn(format!(
            "{member}; nothing of it is backed up (backup.onMissingTopic is warn): correct the name, or create it"
        ));
    }
}

/// Ends what killed runs of the set left in the store. Nothing depends on it.
async fn clear_up(writer: &SetWriter, emitter: &Emitter, report: &mut Report) {
    let Some(leftovers) = writer.leftovers() else { return };
    let failure = match tokio::time::timeout(CLEAR_UP, leftovers.abort()).await {
        Ok(Ok(ended)) => {
            report.ended_uploads = ended;
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the store took more than {} s", CLEAR_UP.as_secs()),
    };
    emitter.warn(format!(
        "parts of segments that a killed run left may stay in the bucket, and cost room: {failure}. Allow the run to list \
         and abort uploads in parts (s3:ListBucketMultipartUploads, s3:AbortMultipartUpload), or give the bucket the \
         lifecycle rule AbortIncompleteMultipartUpload"
    ));
}

/// The stamp that the run's point takes: another run may have the one that was asked for.
fn take_stamp(
    identity: identity::Identity,
    writer: &SetWriter,
    emitter: &Emitter,
    spec: &RunSpec,
    backup: &BackupSpec,
    report: &mut Report,
) -> identity::Identity {
    let asked = spec.run.as_ref().map(|run| contract::stamp::stamp(run.at)).filter(|_| !backup.continuous);
    let identity = identity.with_stamp(&spec.name, writer.stamp());
    report.point = Some(identity.point.clone());
    if let Some(asked) = asked.filter(|asked| *asked != identity.stamp && !writer.claim().resumed) {
        let newest = writer.last_stamp().map_or_else(String::new, |last| format!(" (the newest is {last})"));
        emitter.warn(format!(
            "the recovery point is {}: the second {asked} is taken, or not later than the set's newest point{newest}",
            identity.point
        ));
    }
    identity
}

/// A run that nobody named and that finishes an older one reads what the source had then: whoever started it may expect more.
fn tell_resumed(
    identity: &identity::Identity,
    writer: &SetWriter,
    emitter: &Emitter,
    spec: &RunSpec,
    backup: &BackupSpec,
) {
    let old = writer.claim().resumed && !writer.claim().targets.is_empty();
    if spec.run.is_none() && !backup.continuous && old {
        emitter.warn(format!(
            "this finishes run {}, which did not end: the recovery point {} holds what the source had when that run began. \
             What was written since then is in the next recovery point; run again to make it",
            identity.run, identity.point
        ));
    }
}

fn owner(cluster: &Cluster, spec: &RunSpec) -> Result<Owner, Failure> {
    let cluster_id = crate::connect::cluster_id(cluster)?;
    Ok(Owner { namespace: spec.namespace.clone(), name: spec.name.clone(), cluster_id })
}

fn writer_options(
    context: &Context,
    owner: Owner,
    spec: &RunSpec,
    backup: &BackupSpec,
    identity: &identity::Identity,
) -> Result<WriterOptions, Failure> {
    let head = backup.checkpoint_folder.as_ref();
    let head = head.map(|folder| HeadCopy::new(&context.paths.volumes.join(folder), identity.layout.set()));
    Ok(WriterOptions {
        layout: identity.layout.clone(),
        owner,
        incremental: backup.extends_set(),
        continuous: backup.continuous,
        head: head.transpose()?,
        adopt: backup.adopt,
        run: identity.run.clone(),
        spec: work_digest(spec),
        stamp: identity.stamp.clone(),
        nonce: context.nonce(),
        uuid: context.uuid(),
        codec: archive::codec_of(backup.compression),
        level: backup.compression_level,
        workers: context.workers,
        segment_max_bytes: backup.segment_max_bytes,
        source: archive::Source::default(),
    })
}

/// What the source has now, for the first claim of a set. `startOffset: latest` means this moment: what transactions that
/// are open now have written belongs to what comes later.
async fn source(
    cluster: &Cluster,
    emitter: &Emitter,
    backup: &BackupSpec,
    (topics, lineages): (&[Topic], &Lineages),
) -> Result<archive::Source, Failure> {
    let member = |topic: &Topic| TopicState { source_id: lineages.learned_of(topic), ..session::state_of(topic) };
    let members = topics.iter().map(member).collect();
    let mut out = archive::Source { topics: members, begin: Vec::new(), starts: None };
    if backup.start_offset == StartOffset::Earliest {
        return Ok(out);
    }
    // A leader that is away must not hold up what the others lead.
    let ends = cluster.offsets_within(topics, OffsetAt::End, Isolation::Committed, session::PLAN_PATIENCE).await?.found;
    for (topic, p) in topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p))) {
        if let Some(end) = ends.get(&(topic.name.clone(), p.index)) {
            out.begin.push((topic.id, PartitionState::new(p.index, *end)));
        } else {
            let place = format!("{}/{}", topic.name, p.index);
            emitter.warn(format!(
                "{place}: no broker tells its end now; in a new set it begins at its start, not at its end"
            ));
        }
    }
    Ok(out)
}
