//! Where a list of recovery points comes from: the statuses of the KafkaBackups, where these tell of all that are asked for,
//! else the archive itself. No pod is started for what the cluster knows.

use api::oso::KafkaBackup;
use contract::{Code, Failure};
use inspect::{Answer, PointDetail, Question};
use jiff::Timestamp;

use super::{or_interrupt, with_source};
use crate::cluster::{Cluster, Connection, failed};
use crate::error::Error;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::source::Source;
use crate::view::listing::{Backup, Listing};
use crate::view::recent::recent;

/// Which points are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Backup; all when absent.
    pub(crate) name: Option<String>,
    /// ReadFrom when on; all when absent.
    pub(crate) since: Option<Timestamp>,
    /// Of all points, only those around this moment matter.
    pub(crate) at: Option<Timestamp>,
    /// Whether the archive is read in any case.
    pub(crate) fresh: bool,
}

/// Points, and the resources that they belong to, where there is a cluster.
pub(crate) struct Points<'a> {
    /// The resources.
    pub(crate) resources: Vec<KafkaBackup>,
    place: Origin<'a>,
}

/// Who tells of points.
enum Origin<'a> {
    /// The statuses of the resources: these.
    Statuses(Vec<Backup>),
    /// The archive, which is asked for what is wanted each time.
    Archive(&'a Source, Wanted),
}

impl Points<'_> {
    /// The backups that are asked for.
    pub(crate) async fn list(&self) -> Result<Vec<Backup>, Error> {
        let (source, wanted) = match &self.place {
            Origin::Statuses(told) => return Ok(told.clone()),
            Origin::Archive(source, wanted) => (source, wanted),
        };
        listed(source, wanted.name.clone(), wanted.since).await
    }

    /// Tells people on stderr that nobody looked into the archive.
    pub(crate) fn remark(&self, output: Output, screen: &mut Screen) {
        if matches!((&self.place, output), (Origin::Statuses(_), Output::Table | Output::Wide)) {
            screen.say("as the status of the KafkaBackup tells; --fresh reads the archive");
        }
    }
}

/// The backups of an archive, all or those of one name, with their points from a time on.
///
/// # Errors
/// When the archive cannot be read.
pub(crate) async fn listed(
    source: &Source,
    name: Option<String>,
    since: Option<Timestamp>,
) -> Result<Vec<Backup>, Error> {
    let mut answers = source.ask(Question::Points { name, since: since.map(|since| since.to_string()) });
    let mut listing = Listing::default();
    while let Some(answer) = answers.next().await? {
        listing.take(answer);
    }
    Ok(listing.finish())
}

/// All of one point.
///
/// # Errors
/// When it is not there, or cannot be read.
pub(crate) async fn detail(source: &Source, name: &str) -> Result<PointDetail, Error> {
    let mut answers = source.ask(Question::Point { name: name.to_owned() });
    while let Some(answer) = answers.next().await? {
        if let Answer::Detail(detail) = answer {
            return Ok(*detail);
        }
    }
    Err(Error::Archive(Failure::new(Code::Internal, format!("no answer about {name}"))))
}

/// Works with the points that are asked for.
pub(crate) async fn with_points<T>(
    from: &ReadFrom,
    connection: &Connection,
    wanted: Wanted,
    screen: &mut Screen,
    work: impl AsyncFnOnce(&Points<'_>, &mut Screen) -> Result<T, Error>,
) -> Result<T, Error> {
    let resources = if from.store.is_some() { Vec::new() } else { or_interrupt(known(connection, &wanted)).await? };
    if !wanted.fresh
        && let Some(told) = told(&resources, &wanted)
    {
        return work(&Points { resources, place: Origin::Statuses(told) }, screen).await;
    }
    let name = wanted.name.clone().unwrap_or_default();
    let read = async |source: &Source, screen: &mut Screen| {
        work(&Points { resources, place: Origin::Archive(source, wanted) }, screen).await
    };
    with_source(from, connection, &name, false, screen, read).await
}

/// The KafkaBackups that are meant; none where the name is not that of one.
async fn known(connection: &Connection, wanted: &Wanted) -> Result<Vec<KafkaBackup>, Error> {
    let cluster = Cluster::connect(connection).await?;
    let Some(name) = &wanted.name else { return cluster.list(None).await };
    let found = cluster.api::<KafkaBackup>().get_opt(name).await;
    Ok(found.map_err(|error| failed(&format!("read backup `{name}`"), error))?.into_iter().collect())
}

/// What the statuses tell; `None` where one does not tell of all that is asked for.
fn told(resources: &[KafkaBackup], wanted: &Wanted) -> Option<Vec<Backup>> {
    let covered = |resource| recent(resource, wanted.at.or(wanted.since));
    let mut all: Vec<Backup> = resources.iter().map(covered).collect::<Option<_>>()?;
    for backup in &mut all {
        backup.points.retain(|point| wanted.since.is_none_or(|since| point.at >= since));
    }
    (!all.is_empty()).then_some(all)
}
