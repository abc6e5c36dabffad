//! The conversion from its beginning to its report.

use archive::{
    ArchiveError, Chain, Digest, Finished, Gap, Head, Layout, Opened, Point, Problem, SealedPoint, SetWriter, Source,
    Store, TopicState, WriterOptions,
};
use contract::{Before, Code, Report, stamp};
use foreign::{Set, Surveyed};
use jiff::Timestamp;
use uuid::Uuid;

use crate::compare::{all, compare};
use crate::positions::Positions;
use crate::request::{Progress, Request, Tell, internal, run_of};
use crate::seal::{Moment, seal};
use crate::write::write;

/// Converts an archive into a set of ours, which must not be there, or be what a conversion of this archive left.
///
/// # Errors
/// When there is no such archive, or something of it is missing or cannot be read: nothing is written then. When the set is
/// another one's. When what was stored is not what was read: nothing is sealed then. Whatever else failed, the same conversion
/// goes on later.
pub async fn convert(
    (store, name): (&Store, &str),
    to: &Store,
    request: &Request,
    tell: Tell<'_>,
) -> Result<Report, ArchiveError> {
    let missing = || ArchiveError::Missing {
        what: "an archive that the OSO tool wrote, with the name",
        name: name.to_owned(),
        place: store.place().to_owned(),
    };
    let set = Set::find(store, name).await?.ok_or_else(missing)?;
    let from = &set;
    let layout = Layout::new(&request.set);
    let work = request.work(from)?;
    let run = run_of(from, &work);
    if let Some(report) = finished(to, &layout, from, request, (&run, &work)).await? {
        return Ok(report);
    }
    tell(Progress::Reading);
    let Surveyed { point, contents, gaps } = from.contents(request.records).await?;
    let groups = from.groups().await?;
    let mut options = options(&layout, request, (&run, &work), from.moment());
    options.source.topics = topics(&point);
    let mut writer = match SetWriter::open(to.clone(), options).await? {
        Opened::Writer(writer) => *writer,
        Opened::Sealed(sealed) => return done_before(*sealed, &layout, &run),
    };
    for topic in topics(&point) {
        writer.know_topic(topic);
    }
    let mut report = report_of(&layout, &run, request);
    report.earlier = writer.claim().moved;
    let mut positions = Positions::new(&point.seal, writer.state())?;
    let before = positions.records();
    write(&mut writer, &point, &mut positions, request.segment_max_bytes, tell).await?;
    report.records = positions.records().saturating_sub(before);
    let moves = positions.finish(gaps.clone())?;
    tell(Progress::Comparing);
    let back = writer.read_back(all(writer.state()));
    compare(back.await?, (&request.set, &point.seal.topics), &contents).await?;
    let losses = point.notes();
    let mut configs = point.configs().await?;
    // A topic of which the archive has none may have had some: what it does not say is not known.
    configs.retain(|_, own| !own.is_empty());
    let moment = Moment { moves, configs, groups, losses: losses.clone() };
    let (entry, digest, warnings) = seal(&mut writer, (to, &layout), from, request, moment).await?;
    fill(&mut report, &writer, (&entry, &digest), &gaps)?;
    report.outcome = if gaps.is_empty() { "Completed" } else { "CompletedWithGaps" }.into();
    report.warnings = losses.iter().map(Problem::to_string).chain(warnings).collect();
    match keep(to, &layout, &report).await {
        Ok(place) => report.stored_at = Some(place),
        Err(error) => report.warnings.push(format!("the report could not be stored: {error}")),
    }
    Ok(report)
}

/// The report of a conversion that was finished before; `None` where there is something to do.
async fn finished(
    to: &Store,
    layout: &Layout,
    from: &Set,
    request: &Request,
    (run, work): (&str, &Digest),
) -> Result<Option<Report>, ArchiveError> {
    let refused = |why: &str| {
        let reason =
            format!("the set {} in {} {why}; choose another name, or delete that set", request.set, to.place());
        Err(ArchiveError::Config { reason, code: Code::ForeignOwner })
    };
    if Set::find(to, &request.set).await?.is_some() {
        return refused("has the name of an archive that the OSO tool wrote, which stays as it is");
    }
    let Some(Head { entry, .. }) = Chain::new(to.clone(), layout.clone()).head().await? else { return Ok(None) };
    if entry.run != run {
        let why = format!(
            "is there, and run {} wrote last to it: it was not begun by this conversion of this archive, or is in use since",
            entry.run
        );
        return refused(&why);
    }
    if entry.seal.is_none() {
        return Ok(None);
    }
    let options = options(layout, request, (run, work), from.moment());
    match SetWriter::open(to.clone(), options).await? {
        Opened::Sealed(sealed) => done_before(*sealed, layout, run).map(Some),
        Opened::Writer(_) => Err(internal(format!("the set {} is sealed and was opened", request.set))),
    }
}

fn done_before(finished: Finished, layout: &Layout, run: &str) -> Result<Report, ArchiveError> {
    let Finished { line, moved, named, .. } = finished;
    Ok(Report {
        run: run.to_owned(),
        kind: KIND.to_owned(),
        outcome: "AlreadyDone".to_owned(),
        set: Some(layout.set().to_owned()),
        point: Some(line.name.clone()),
        topics: line.topics,
        partitions: line.partitions,
        made: Some(line),
        earlier: moved,
        gaps: values(&named.gaps)?,
        ..Report::default()
    })
}

/// The kind of the run in its report.
const KIND: &str = "convert";

fn report_of(layout: &Layout, run: &str, request: &Request) -> Report {
    Report {
        run: run.to_owned(),
        kind: KIND.to_owned(),
        set: Some(layout.set().to_owned()),
        started_at: request.now.clone(),
        changed: true,
        ..Report::default()
    }
}

fn fill(
    report: &mut Report,
    writer: &SetWriter,
    (entry, digest): (&archive::Entry, &Digest),
    gaps: &[Gap],
) -> Result<(), ArchiveError> {
    let sealed = SealedPoint::of(entry, digest);
    let sealed = sealed.ok_or_else(|| internal("a seal that seals nothing".to_owned()))?;
    let line = sealed.line(Some(Before::Nothing));
    report.point = Some(line.name.clone());
    (report.topics, report.partitions) = (line.topics, line.partitions);
    report.bytes = line.bytes.saturating_sub(report.earlier.bytes);
    report.made = Some(line);
    let written = writer.written();
    (report.segments, report.stored_bytes) = (written.segments, written.bytes);
    report.gaps = values(gaps)?;
    Ok(())
}

fn values(gaps: &[Gap]) -> Result<Vec<serde_json::Value>, ArchiveError> {
    let values = gaps.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    values.map_err(|error| internal(format!("as JSON: {error}")))
}

/// Keeps the report beside the set, for people; returns where.
async fn keep(to: &Store, layout: &Layout, report: &Report) -> Result<String, ArchiveError> {
    let key = layout.run(&report.run, "report.json");
    let text = serde_json::to_vec_pretty(report).map_err(|error| internal(format!("as JSON: {error}")))?;
    to.put(&key, text.into()).await?;
    Ok(to.show(&key))
}

/// The topics of the archive: which topics of the source they are, the first run that goes on finds out.
fn topics(point: &Point) -> Vec<TopicState> {
    let topic = |topic: &TopicState| TopicState { source_id: Some(Uuid::nil()), ..topic.clone() };
    point.seal.topics.iter().map(topic).collect()
}

fn options(layout: &Layout, request: &Request, (run, work): (&str, &Digest), at: Timestamp) -> WriterOptions {
    WriterOptions {
        layout: layout.clone(),
        owner: request.owner.clone(),
        incremental: true,
        continuous: false,
        head: None,
        adopt: false,
        run: run.to_owned(),
        spec: work.clone(),
        stamp: stamp::stamp(at),
        nonce: request.nonce.clone(),
        uuid: request.uuid,
        codec: archive::codec_of(request.compression),
        level: request.level,
        workers: request.workers,
        segment_max_bytes: request.segment_max_bytes,
        source: Source::default(),
    }
}
