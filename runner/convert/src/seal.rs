//! Making the recovery point: what the archive says of its moment, the seal, and what stands beside it.

use std::collections::BTreeSet;

use archive::{
    ArchiveError, Converted, Digest, Entry, GroupSnapshot, Layout, Moves, Problem, SealFacts, SetWriter, Store,
    TopicConfigs,
};
use contract::stamp;
use foreign::Set;

use crate::request::Request;

/// What the point is made of.
pub(crate) struct Moment {
    pub(crate) moves: Moves,
    pub(crate) configs: TopicConfigs,
    pub(crate) groups: Option<Vec<GroupSnapshot>>,
    pub(crate) losses: Vec<Problem>,
}

/// Seals the point, reads the log back, and writes the hint and the summaries; what failed of those comes back in words.
///
/// # Errors
/// When another run took over, or the store does not return what it confirmed.
pub(crate) async fn seal(
    writer: &mut SetWriter,
    (to, layout): (&Store, &Layout),
    from: &Set,
    request: &Request,
    moment: Moment,
) -> Result<(Entry, Digest, Vec<String>), ArchiveError> {
    let stamp = writer.stamp().to_owned();
    let point = format!("{}-{stamp}", request.set);
    let mut converted = Converted {
        from: from.manifest().id.clone(),
        manifest: from.digest().clone(),
        records: request.records,
        point: point.clone(),
        losses: Vec::new(),
        more_losses: 0,
    };
    converted.name(&moment.losses);
    let facts = SealFacts {
        point,
        at: stamp::stamp_time(&stamp),
        stamp,
        source_cluster_id: from.manifest().cluster.clone(),
        include_offset_headers: request.include_offset_headers,
        held_back: Vec::new(),
        configs: moment.configs,
        groups: moment.groups.clone(),
        converted: Some(converted),
        writer: request.release.clone(),
    };
    let live: BTreeSet<_> = writer.state().topics.keys().copied().collect();
    let (entry, digest) = writer.seal(moment.moves, &live, facts).await?;
    writer.confirm().await?;
    let mut warnings = Vec::new();
    let hint = writer.write_hint(&entry, &digest).await;
    if let Err(error) = &hint {
        warnings.push(format!("the hint of the recovery point could not be written: {error}"));
    }
    let groups = moment.groups.as_deref();
    let summed = archive::write_summaries(to, layout, (&entry, hint.is_ok()), groups, &request.now).await;
    if let Err(error) = summed {
        warnings.push(format!("the summaries could not be written: {error}"));
    }
    Ok((entry, digest, warnings))
}
