//! The pass over the archive: `archive::verify` reads it once, as deep as the deepest check that was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archive::{ArchiveError, Found, Level, Look, Point, Sample, Store, Verification, verify_look};
use contract::{Code, EventKind, Failure, Pace, SampleTaken, ValidationReport};

use super::Run;
use super::asked::Asked;
use super::judge::{DEPTHS, Depth, Lacks, judge};
use crate::pace::millis;

/// How often progress is told.
const TICK: Duration = Duration::from_secs(1);

/// Makes the checks of the archive that were asked for.
///
/// # Errors
/// When the store fails; damage is what the checks say.
pub(super) async fn check(
    run: &Run<'_>,
    store: &Store,
    (found, point): (&Found, Option<&Point>),
    with_log: bool,
    asked: &mut Asked,
    out: &mut ValidationReport,
) -> Result<(), Failure> {
    let depths: Vec<Depth> = DEPTHS.into_iter().filter(|depth| asked.has(depth.name)).collect();
    let Some(deepest) = depths.last() else { return Ok(()) };
    let sample = run.part.sample.as_ref().map(|sample| Sample {
        size: sample.size,
        // Programs of every language read the number back.
        seed: sample.seed.unwrap_or_else(|| run.context.random.next() >> 12),
    });
    let look = Look { level: deepest.level, sample, read: Arc::default() };
    let began = tokio::time::Instant::now();
    let verified = {
        let verify = verify_look(store, &found.layout, found.seal, with_log, &look);
        let total = to_read(&look, point);
        Box::pin(with_progress(run, verify, (&look.read, total))).await?
    };
    let millis = millis(began.elapsed());
    fill(out, &verified, sample, millis);
    if sample.is_some() && verified.drawn.is_none() {
        run.emitter.warn("the log is damaged, so no sample was drawn: everything that can be read was read");
    }
    for check in judge(&depths, &verified, &lacks(point), millis) {
        asked.made(check, run.emitter);
    }
    Ok(())
}

/// Stored bytes that the pass will read, as far as they are known before.
fn to_read(look: &Look, point: Option<&Point>) -> u64 {
    let all = point.map_or(0, |point| point.segments().iter().map(|segment| segment.size).fold(0, u64::saturating_add));
    match look.sample.map(|sample| sample.size) {
        _ if look.level == Level::Structure => 0,
        None => all,
        Some(contract::SampleSize::Bytes(bytes)) => bytes.min(all),
        Some(contract::SampleSize::Percent(percent)) => all / 100 * u64::from(percent),
    }
}

/// The work, with progress that is told each second. It has nothing to save: a wish to stop ends it at once.
async fn with_progress(
    run: &Run<'_>,
    work: impl Future<Output = Result<Verification, ArchiveError>>,
    (read, total): (&AtomicU64, u64),
) -> Result<Verification, Failure> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.tick().await;
    let (mut work, mut before) = (std::pin::pin!(work), 0u64);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done?),
            () = run.context.cancel.cancelled() => {
                return Err(Failure::new(Code::Interrupted, "stopped on request while the archive was read"));
            }
            _ = ticks.tick() => {
                let bytes = read.load(Ordering::Relaxed);
                let in_tick = bytes.saturating_sub(before);
                let per_sec = in_tick as f64 / TICK.as_secs_f64();
                before = bytes;
                let left = total.saturating_sub(bytes);
                let remaining_secs = (in_tick > 0 && total > 0).then(|| left.div_ceil(in_tick) * TICK.as_secs());
                let pace = Pace { bytes_per_sec: per_sec, remaining_secs, ..Pace::default() };
                let percent = if total == 0 { 0.0 } else { (bytes as f64 / total as f64 * 100.0).min(99.9) };
                let (topic, whole_at, overdue) = (None, None, None);
                run.emitter.emit(EventKind::Progress { records: 0, bytes, percent, topic, whole_at, overdue, pace });
            }
        }
    }
}

fn fill(out: &mut ValidationReport, found: &Verification, sample: Option<Sample>, millis: u64) {
    out.segments_read = found.segments_read;
    out.bytes_read = found.bytes;
    out.batches_read = found.batches;
    out.records_read = found.records;
    out.read_millis = millis;
    out.bytes_per_sec = (found.bytes > 0).then(|| found.bytes.saturating_mul(1000) / millis.max(1));
    out.sample = sample.zip(found.drawn.as_ref()).map(|(sample, drawn)| SampleTaken {
        size: sample.size,
        seed: sample.seed,
        segments: drawn.segments,
        of_segments: drawn.of_segments,
        bytes: drawn.bytes,
        of_bytes: drawn.of_bytes,
    });
}

/// What the point itself says that it lacks.
fn lacks(point: Option<&Point>) -> Lacks {
    let Some(point) = point else { return Lacks::default() };
    let gaps = point.gaps().iter().map(|gap| {
        let what = format!("offsets {} to {} are missing for good ({})", gap.from, gap.to - 1, gap.reason);
        (format!("{}/{}", gap.name, gap.partition), what)
    });
    let held_back = point.seal.held_back.iter().map(|held| {
        let what = format!("it ends at {} instead of {} ({})", held.from, held.to, held.reason);
        (format!("{}/{}", held.topic, held.partition), what)
    });
    Lacks { gaps: gaps.collect(), held_back: held_back.collect() }
}
