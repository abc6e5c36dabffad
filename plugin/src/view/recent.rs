//! The recovery points that the status of a KafkaBackup tells of. They are a list only where none is missing between them:
//! each point names the one before it. Pure.

use api::lower::extends_set;
use api::oso::{KafkaBackup, RunClaim};
use contract::{Before, PointLine};
use jiff::Timestamp;
use kube::ResourceExt;

use super::listing::{Backup, Point};

/// The points from `since` on, all of them when it is absent; `None` where the status may not tell of them all.
#[must_use]
pub fn recent(backup: &KafkaBackup, since: Option<Timestamp>) -> Option<Backup> {
    let status = backup.status.as_ref()?;
    let lines = without_holes(&status.recent_points);
    let first = lines.first()?;
    let whole = first.before == Some(Before::Nothing);
    let points: Vec<Point> = lines.iter().map(Point::of).collect::<Option<_>>()?;
    let covered = whole || since.is_some_and(|since| points.first().is_some_and(|point| point.at <= since));
    covered.then(|| Backup {
        name: backup.name_any(),
        namespace: backup.namespace().unwrap_or_default(),
        cluster_id: None,
        incremental: extends_set(&backup.spec),
        unfinished: status.run.as_ref().is_some_and(RunClaim::is_unfinished),
        problems: Vec::new(),
        points,
    })
}

/// The newest points of which each names the one before.
fn without_holes(lines: &[PointLine]) -> &[PointLine] {
    let names_the_one_before = |pair: &[PointLine]| match pair {
        [one, next] => next.before.as_ref().is_some_and(|before| *before == Before::Point(one.at.clone())),
        _ => false,
    };
    let holes = lines.windows(2).rposition(|pair| !names_the_one_before(pair));
    lines.get(holes.map_or(0, |place| place + 1)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(day: u8, before: &Value) -> Value {
        json!({
            "name": format!("b-202611{day:02}-020000"), "at": format!("2026-11-{day:02}T02:00:00Z"), "topics": 1,
            "partitions": 2, "records": 3, "bytes": 4, "heldBack": 0, "before": before,
        })
    }

    fn days(lines: &[(u8, Value)], since: Option<&str>) -> Option<usize> {
        let lines: Vec<_> = lines.iter().map(|(day, before)| line(*day, before)).collect();
        let object = json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
            "metadata": {"name": "b", "namespace": "shop"},
            "spec": {"kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["orders"],
                     "storage": {"storageType": "pvc", "pvc": {"claimName": "b"}}},
            "status": {"recentPoints": lines},
        });
        let backup: KafkaBackup = serde_json::from_value(object).unwrap();
        recent(&backup, since.map(|since| since.parse().unwrap())).map(|found| found.points.len())
    }

    fn of(day: u8) -> Value {
        json!(format!("2026-11-{day:02}T02:00:00Z"))
    }

    #[test]
    fn a_list_that_begins_with_the_first_point_is_whole() {
        let lines = [(1, json!("none")), (2, of(1)), (3, of(2))];
        assert_eq!(days(&lines, None), Some(3));
        assert_eq!(days(&lines, Some("2026-10-01T00:00:00Z")), Some(3));
        assert_eq!(days(&[], None), None, "nothing is told");
    }

    #[test]
    fn what_may_have_others_before_it_counts_from_its_first_point_on() {
        for lines in [[(2, of(1)), (3, of(2))], [(2, Value::Null), (3, of(2))]] {
            assert_eq!(days(&lines, None), None);
            assert_eq!(days(&lines, Some("2026-11-02T01:00:00Z")), None);
            assert_eq!(days(&lines, Some("2026-11-02T02:00:00Z")), Some(2));
        }
    }

    #[test]
    fn a_point_that_nobody_told_of_ends_the_list() {
        let lines = [(1, json!("none")), (2, of(1)), (4, of(3)), (5, of(4))];
        assert_eq!(days(&lines, None), None);
        assert_eq!(days(&lines, Some("2026-11-04T12:00:00Z")), Some(2));
        // Another set, or a full run that does not know.
        assert_eq!(days(&[(1, json!("none")), (2, Value::Null)], Some("2026-11-01T12:00:00Z")), None);
        assert_eq!(days(&[(1, json!("none")), (9, json!("none"))], None), Some(1), "a new set");
    }
}
