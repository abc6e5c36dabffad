//! Text for people: pure functions from values to text.

pub mod page;

pub mod table;

pub mod checks;
pub mod converted;
pub mod detail;
pub mod difference;
pub mod evidence;
pub mod groups;
pub mod live;
pub mod points;
pub mod records;
pub mod retention;
pub mod status;
pub mod ticks;
pub mod timeline;
pub mod validations;
pub mod verified;

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use inspect::{PointDetail, TopicDetail};
    use jiff::tz::TimeZone;

    use crate::screen::{Style, Times};
    use crate::view::listing::{Backup, Point};

    /// The style of snapshots: noon of a fixed day, no colours.
    pub(crate) fn style(width: Option<usize>) -> Style {
        Style {
            width,
            colour: false,
            times: Times::Utc,
            zone: TimeZone::UTC,
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            titles: true,
        }
    }

    /// A live topic without partitions.
    pub(crate) fn detail_topic(name: &str, id: &str) -> TopicDetail {
        TopicDetail {
            name: name.into(),
            id: id.into(),
            live: true,
            replication: 1,
            configs: BTreeMap::new(),
            partitions: Vec::new(),
        }
    }

    /// A point that holds these topics.
    pub(crate) fn detail(name: &str, topics: Vec<TopicDetail>) -> PointDetail {
        let (base, stamp) = contract::stamp::split_point(name).unwrap();
        PointDetail {
            name: name.into(),
            set: base.into(),
            at: stamp.to_owned(),
            entry: 1,
            namespace: "shop".into(),
            resource: base.into(),
            cluster_id: "c".into(),
            source_cluster_id: None,
            offset_headers: false,
            writer: "0".into(),
            segments: 0,
            stored_bytes: 0,
            topics,
            gaps: Vec::new(),
            forks: Vec::new(),
            held_back: Vec::new(),
            groups: None,
        }
    }

    /// A backup with points at two o'clock of these days of November.
    pub(crate) fn backup(name: &str, days: &[u8]) -> Backup {
        let point = |(place, day): (u64, &u8)| Point {
            name: format!("{name}-202611{day:02}-020000"),
            at: format!("2026-11-{day:02}T02:00:00Z").parse().unwrap(),
            topics: 3,
            partitions: 12,
            records: 1_000 * (place + 1),
            bytes: 1_024 * (place + 1),
            newest: None,
            held_back: 0,
        };
        Backup {
            name: name.into(),
            namespace: "shop".into(),
            cluster_id: Some("c".into()),
            incremental: false,
            unfinished: false,
            problems: Vec::new(),
            points: (0..).zip(days).map(point).collect(),
        }
    }
}
