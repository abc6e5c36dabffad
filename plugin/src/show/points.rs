//! Backups and their recovery points as a table. Pure.

use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::view::listing::{Backup, Point};
use crate::words::{count, size};

/// The points of all backups, newest first within each.
#[must_use]
pub fn points(backups: &[Backup], wide: bool, style: &Style) -> String {
    let mut titles = vec!["POINT", "AGE", "KIND", ">TOPICS", ">RECORDS", ">SIZE"];
    if wide {
        titles.extend([">PARTITIONS", "TAKEN", "NEWEST RECORD", "CLUSTER", "NAMESPACE"]);
    }
    let mut rows = Vec::new();
    for backup in backups {
        for point in backup.points.iter().rev() {
            rows.push(row(backup, point, wide, style));
        }
        if backup.points.is_empty() {
            rows.push(vec![backup.name.clone().into(), Cell::toned("no point yet", Tone::Warn)]);
        }
    }
    // As with kubectl, wide rows go on beyond the edge.
    let bound = if wide { None } else { style.width };
    table(&titles, &rows, &Style { width: bound, ..style.clone() })
}

fn row(backup: &Backup, point: &Point, wide: bool, style: &Style) -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![
        point.name.clone().into(),
        style.distance(point.at).into(),
        if backup.incremental { "incremental" } else { "full" }.into(),
        count(point.topics).into(),
        count(point.records).into(),
        size(point.bytes).into(),
    ];
    if wide {
        let newest = point.newest.map_or_else(|| "-".to_owned(), |at| style.time(at));
        let taken = style.time(point.at);
        cells.push(count(point.partitions).into());
        let cluster = backup.cluster_id.clone().unwrap_or_else(|| "-".to_owned());
        cells.extend([taken, newest, cluster, backup.namespace.clone()].map(Cell::from));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::{backup, style};

    #[test]
    fn newest_points_come_first() {
        let text = points(&[backup("nightly", &[1, 2]), backup("empty", &[])], false, &style(Some(80)));
        assert_eq!(
            text,
            "POINT                     AGE            KIND   TOPICS   RECORDS      SIZE\n\
             nightly-20261102-020000   20d ago        full        3     2 000   2.0 KiB\n\
             nightly-20261101-020000   21d ago        full        3     1 000   1.0 KiB\n\
             empty                     no point yet\n"
        );
    }
}
