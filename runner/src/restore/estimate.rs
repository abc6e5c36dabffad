//! About how long a restore takes: by its own rate limit, or by how fast a sample of the archive is read here.
//!
//! It is a guess for people; nothing is decided by it. The target is not tried: that would write to it.

use std::time::Duration;

use archive::{Point, Wanted};
use contract::words::{duration, rate};
use contract::{Failure, RateLimit};
use serde::Serialize;
use tokio::time::Instant;

/// Where a sample ends, whatever comes first.
const SAMPLE: u64 = 64 << 20;
const SAMPLE_TIME: Duration = Duration::from_secs(2);

/// How long a restore may take.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Estimate {
    /// Seconds, rounded up.
    pub seconds: u64,
    /// Bytes of batches in a second.
    pub bytes_per_sec: f64,
    /// What sets the pace: `rateLimit`, or `archive` when the target keeps up.
    pub limited_by: &'static str,
}

impl Estimate {
    /// From the work, the limit, and the measured rate of reading.
    fn new(bytes: u64, records: u64, limit: RateLimit, read_per_sec: f64) -> Self {
        let needs = |amount: u64, rate: u64| if rate == 0 { 0.0 } else { amount as f64 / rate as f64 };
        let limited = needs(records, limit.records_per_sec).max(needs(bytes, limit.bytes_per_sec));
        let reading = bytes as f64 / read_per_sec.max(1.0);
        let seconds = limited.max(reading).max(f64::MIN_POSITIVE);
        Self {
            seconds: Duration::try_from_secs_f64(seconds.ceil()).map_or(u64::MAX, |time| time.as_secs()).max(1),
            bytes_per_sec: (bytes as f64 / seconds).round(),
            limited_by: if limited > reading { "rateLimit" } else { "archive" },
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let time = duration(i64::try_from(self.seconds).unwrap_or(i64::MAX));
        let pace = rate(self.bytes_per_sec);
        match self.limited_by {
            "rateLimit" => format!("about {time} at the rate limit, {pace}"),
            _ => format!("about {time} if the target takes {pace}, as fast as the archive is read here"),
        }
    }
}

/// Reads a sample of what the restore would read; `None` when there is nothing to restore.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub(crate) async fn estimate(
    point: &Point,
    wanted: Wanted,
    (bytes, records): (u64, u64),
    limit: RateLimit,
) -> Result<Option<Estimate>, Failure> {
    if bytes == 0 {
        return Ok(None);
    }
    let started = Instant::now();
    let mut stream = point.stream(wanted).await?;
    let mut read = 0;
    while read < SAMPLE
        && started.elapsed() < SAMPLE_TIME
        && let Some(share) = stream.next().await?
    {
        read += share.bytes as u64;
    }
    let per_sec = read as f64 / started.elapsed().as_secs_f64().max(0.000_001);
    Ok(Some(Estimate::new(bytes, records, limit, per_sec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_limit_and_archive_sets_the_pace() {
        let of = |limit| Estimate::new(600_000_000, 1_000_000, limit, 10_000_000.0);
        let free = of(RateLimit::default());
        assert_eq!((free.seconds, free.limited_by), (60, "archive"));
        assert_eq!(free.text(), "about 1m if the target takes 9.5 MiB/s, as fast as the archive is read here");
        let slow = of(RateLimit { records_per_sec: 1_000, bytes_per_sec: 5_000_000 });
        assert_eq!((slow.seconds, slow.limited_by), (1_000, "rateLimit"));
        assert_eq!(slow.text(), "about 16m 40s at the rate limit, 585.9 KiB/s");
        let loose = of(RateLimit { records_per_sec: 0, bytes_per_sec: 50_000_000 });
        assert_eq!((loose.seconds, loose.limited_by), (60, "archive"));
    }
}
