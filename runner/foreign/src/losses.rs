//! What an archive says that it lost, and what reading it shows, by topic, partition and offsets.

use archive::Problem;

use crate::batcher::Met;
use crate::fault::Fault;
use crate::manifest::{Manifest, Partition, Segment, Topic};
use crate::pieces::holes;
use crate::set::{Look, Set, is_as_listed};
use crate::survey::Examined;

/// What is known of an archive's faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// What is damaged or missing, and should not be.
    pub problems: Vec<Problem>,
    /// What the archive never had, or has otherwise than the source: no damage of it.
    pub notes: Vec<Problem>,
}

impl Losses {
    fn note(&mut self, key: &str, what: impl Into<String>) {
        self.notes.push(Problem { key: key.to_owned(), what: what.into() });
    }

    fn problem(&mut self, key: &str, what: impl Into<String>) {
        self.problems.push(Problem { key: key.to_owned(), what: what.into() });
    }
}

/// The highest offset that a partition accounts for; `None` where it says nothing.
pub(crate) fn reach(partition: &Partition) -> Option<i64> {
    let segments = partition.segments.iter().map(|segment| segment.span().1);
    let ranges = partition.gaps.iter().chain(&partition.pruned).map(|range| range.end);
    segments.chain(ranges).chain(partition.covered_through).max()
}

/// What the manifest says.
pub(crate) fn of_manifest(manifest: &Manifest) -> Losses {
    let mut out = Losses::default();
    for topic in &manifest.missing {
        out.note(&contract::words::safe(topic), "the newest run did not find this topic in the source");
    }
    for topic in &manifest.topics {
        if topic.configs.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime") {
            out.note(&topic.name, "its times are those of producers: the archive lost the append times of the source");
        }
        if let Some(count) = topic.count {
            let named = topic.partitions.len();
            if (named as u64) < u64::from(count.unsigned_abs()) {
                let what = format!(
                    "{named} of {count} partitions are in the archive: of the others it is not known whether they had records"
                );
                out.note(&topic.name, what);
            }
        }
        for partition in &topic.partitions {
            of_partition(topic, partition, &mut out);
        }
    }
    out
}

fn of_partition(topic: &Topic, partition: &Partition, out: &mut Losses) {
    let place = format!("{}/{}", topic.name, partition.id);
    for gap in partition.gaps.iter().filter(|gap| gap.start <= gap.end) {
        let reason = contract::words::safe(&gap.reason);
        out.note(
            &place,
            format!("offsets {} to {} are lost: the source no longer had them ({reason})", gap.start, gap.end),
        );
    }
    for range in partition.pruned.iter().filter(|range| range.start <= range.end) {
        let reason = contract::words::safe(&range.reason);
        out.note(
            &place,
            format!("offsets {} to {} were taken away from the archive ({reason})", range.start, range.end),
        );
    }
    let all_covered = partition.segments.iter().all(|segment| segment.covered.is_some());
    let ranges = partition.gaps.iter().chain(&partition.pruned).map(|range| (range.start, range.end));
    let known = partition.segments.iter().map(Segment::span).chain(ranges).collect();
    for (from, to) in holes(known) {
        if all_covered {
            out.problem(&place, format!("offsets {from} to {to} are missing, and nothing says why"));
        } else {
            let what =
                format!("offsets {from} to {to} have no record: the source may have had none there, or they are lost");
            out.note(&place, what);
        }
    }
    let reach = reach(partition);
    let next = reach.map_or(0, |reach| reach + 1);
    if let Some(end) = partition.snapshot_end.filter(|end| next < *end) {
        out.problem(&place, format!("offsets {next} to {} are missing: the newest run was to read them", end - 1));
    }
    if let (Some(end), Some(log_end)) = (partition.snapshot_end, partition.high_watermark)
        && log_end > end
    {
        let what = format!("offsets {end} to {} are not in the archive: a transaction was open", log_end - 1);
        out.note(&place, what);
    }
}

/// What a look at an object shows.
pub(crate) fn of_look(set: &Set, found: &Examined, out: &mut Losses) {
    let Some(segment) = set.at(found.place).and_then(|(_, partition)| partition.segments.get(found.segment)) else {
        return;
    };
    let key = segment.key.as_str();
    match &found.look {
        Look::Missing => {
            let (start, end) = segment.span();
            out.problem(key, format!("the object is missing: offsets {start} to {end}"));
        }
        Look::Bad { fault, .. } => out.problem(key, fault.to_string()),
        Look::There { size, head } => {
            if segment.size.is_some_and(|listed| listed != *size) {
                out.problem(key, format!("it has {size} bytes, and the manifest says {}", segment.size.unwrap_or(0)));
            }
            if let Some(head) = head {
                if !is_as_listed(segment, &found.look) {
                    let what = format!(
                        "it was written over: it says offsets {} to {}, and the manifest {} to {}; what it holds now counts",
                        head.start, head.end, segment.start, segment.end
                    );
                    out.problem(key, what);
                } else if head.records != segment.records {
                    out.problem(
                        key,
                        format!("it counts {} records, and the manifest {}", head.records, segment.records),
                    );
                }
            }
        }
    }
}

/// What reading a segment shows.
pub(crate) fn of_records(set: &Set, found: &Examined, out: &mut Losses) {
    let Some((topic, partition)) = set.at(found.place) else { return };
    let Some(segment) = partition.segments.get(found.segment) else { return };
    let (key, place) = (segment.key.as_str(), format!("{}/{}", topic.name, partition.id));
    match &found.facts {
        None => return,
        Some(Err(fault)) => {
            out.problem(key, fault.to_string());
            return;
        }
        Some(Ok(facts)) => {
            let listed = is_as_listed(segment, &found.look);
            if let Some(actual) = &facts.sha256 {
                of_digest(segment, &Ok(actual.clone()), out);
            }
            if facts.head.is_none() && facts.records != segment.records {
                out.problem(
                    key,
                    format!("it has {} records, and the manifest says {}", facts.records, segment.records),
                );
            }
            if facts.head.is_some() && listed && segment.plain.is_some_and(|plain| plain != facts.plain) {
                let plain = segment.plain.unwrap_or(0);
                out.problem(key, format!("it unpacks to {} bytes, and the manifest says {plain}", facts.plain));
            }
            let span = facts.head.map_or((segment.start, segment.end), |head| (head.start, head.end));
            if facts.records > 0 && facts.span != Some(span) {
                let (first, last) = facts.span.unwrap_or_default();
                out.problem(
                    key,
                    format!("its records have the offsets {first} to {last}, and not {} to {}", span.0, span.1),
                );
            }
            if !facts.ascending {
                out.problem(key, "its offsets do not ascend");
            }
            if facts.trailing {
                out.note(key, "bytes follow its last record; they count nothing");
            }
        }
    }
    for met in found.pieces.iter().map(|taken| &taken.met) {
        of_met(&place, segment.covered.is_none(), met, out);
    }
}

/// What the digest of an object shows.
pub(crate) fn of_digest(segment: &Segment, digest: &Result<String, Fault>, out: &mut Losses) {
    let key = segment.key.as_str();
    match (digest, &segment.sha256) {
        (Err(fault), _) => out.problem(key, fault.to_string()),
        (Ok(actual), Some(listed)) if actual != listed => {
            let what = "its SHA-256 is not the one in the manifest, though it is whole: another run wrote it over, or it was \
                        replaced";
            out.problem(key, what);
        }
        _ => {}
    }
}

fn of_met(place: &str, old: bool, met: &Met, out: &mut Losses) {
    if met.dropped.count > 0 {
        let (count, offsets) = (met.dropped.count, met.dropped.words());
        out.note(
            place,
            format!("{count} records that look like markers of transactions are left out: offsets {offsets}"),
        );
    }
    if met.kept.count > 0 {
        let (count, offsets) = (met.kept.count, met.kept.words());
        out.note(place, format!("{count} records look like markers of transactions and are kept: offsets {offsets}"));
    }
    if met.aborts.count > 0 {
        let what = format!(
            "transactions were rolled back at offsets {}: their records before these are data here, and the archive does not say which",
            met.aborts.words()
        );
        out.note(place, what);
    }
    if met.repeated.count > 0 {
        out.note(place, format!("{} records with an offset that came before are left out", met.repeated.count));
    }
    if old && met.with_headers.count > 0 {
        let what = format!(
            "{} records with headers: names that came twice are lost but for the last value, and a null value may be an empty one: offsets {}",
            met.with_headers.count,
            met.with_headers.words()
        );
        out.note(place, what);
    }
    if met.stripped > 0 {
        out.note(
            place,
            format!("{} records are taken without the headers that the backup added to them", met.stripped),
        );
    }
}
