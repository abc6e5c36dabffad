//! Trying out whether a store keeps the rules that the archive rests on, and how fast it answers.
//!
//! Writes below `_check/<nonce>/` only, and removes what it wrote.

use std::time::Duration;

use bytes::Bytes;
use contract::{Code, Verdict};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::time::{Instant, timeout};

use crate::store::Created;
use crate::{ArchiveError, Store};

/// Writers that try to create one object, and how often.
const WRITERS: usize = 4;
const ROUNDS: usize = 25;
/// More objects than one page of any known list.
const LISTED: usize = 1_050;
/// Requests at once.
const PARALLEL: usize = 16;
/// Parts of the large object: two whole ones and a rest.
const PART: usize = 8 << 20;
const REST: usize = 12_345;
/// What each step may take once one has failed.
const HURRY: Duration = Duration::from_secs(3);
/// Seconds that our clock and the store's may be apart.
const MOST_APART: i64 = 60;
/// Requests whose time is taken.
const TIMED: usize = 20;

/// One thing that was tried.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// Whether the store does it right; a note where a run works without it.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
}

impl Finding {
    fn of(name: &'static str, good: bool, detail: String) -> Self {
        Self { name, verdict: if good { Verdict::Ok } else { Verdict::Fail }, detail }
    }

    /// Whether a run can use the store as far as this shows.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.verdict != Verdict::Fail
    }
}

/// Tries everything, and says each finding as it comes; each stands for itself. `clock` tells the time of this machine.
///
/// # Errors
/// When the store cannot be written and read at all.
pub async fn probe(
    store: &Store,
    nonce: &str,
    clock: impl Fn() -> Timestamp + Sync,
    mut say: impl FnMut(Finding),
) -> Result<(), ArchiveError> {
    let probe = Probe { store, folder: format!("_check/{nonce}") };
    say(probe.round_trip().await?);
    let steps: [(&'static str, BoxFuture<'_, Seen>); 7] = [
        ("clock", probe.clock(&clock).boxed()),
        ("create-if-absent", probe.one_winner().boxed()),
        ("ranges", probe.ranges().boxed()),
        ("multipart", probe.multipart().boxed()),
        ("lists", probe.lists().boxed()),
        ("overwrite", probe.overwrite().boxed()),
        ("latency", probe.latency().boxed()),
    ];
    let mut hurry = false;
    for (name, step) in steps {
        // It becomes a result that says so.
        let result = if hurry { timeout(HURRY, step).await.unwrap_or_else(|_| Ok(late())) } else { step.await };
        let (good, detail) = result.unwrap_or_else(|error| (false, format!("{error}{}", follows(name, &error))));
        hurry |= !good;
        say(Finding::of(name, good, detail));
    }
    say(probe.clean().await);
    Ok(())
}

/// Whether something works, and what was seen.
type Seen = Result<(bool, String), ArchiveError>;

fn late() -> (bool, String) {
    (false, format!("not finished within {} s, after something else had failed", HURRY.as_secs()))
}

/// How far the store's time of a write is from ours, which lay between two looks at our clock. All in milliseconds.
fn apart(before: i64, after: i64, written: i64) -> (bool, String) {
    // Stores tell whole seconds.
    let (early, late) = (before - 1_000 - written, written - after - 1_000);
    let seconds = early.max(late) / 1_000;
    let way = if early > late { "ahead of" } else { "behind" };
    if seconds <= 0 {
        return (true, "this machine and the store agree to a second".to_owned());
    }
    let text = format!("the clock of this machine is {seconds} s {way} the store's");
    if seconds <= MOST_APART {
        return (true, text);
    }
    let fix = "stores refuse requests that are signed 15 minutes off, and recovery points get wrong names; synchronize the clock of the node (NTP)";
    (false, format!("{text}: {fix}"))
}

/// What it means for backups that a step fails, and what helps.
fn follows(name: &str, error: &ArchiveError) -> &'static str {
    match (name, error.code()) {
        ("create-if-absent", Code::StoreRefused) => ". No backup works here: claims are creates that must not replace",
        ("multipart", Code::StoreRefused) => {
            ". Backups work: segments go whole, up to 64 MiB each. Set backup.segmentMaxBytes to 1048576"
        }
        // The others say it all themselves.
        _ => "",
    }
}

struct Probe<'a> {
    store: &'a Store,
    folder: String,
}

impl Probe<'_> {
    fn key(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.folder))
    }

    async fn round_trip(&self) -> Result<Finding, ArchiveError> {
        let key = self.key("first");
        self.store.put(&key, Bytes::from_static(b"kafka-backup").into()).await?;
        let read = self.store.get(&key).await?;
        let absent = self.store.get(&self.key("absent")).await?;
        let good = read.as_deref() == Some(b"kafka-backup") && absent.is_none();
        let detail =
            if good { "what was written is read, what is absent is absent" } else { "it reads something else" };
        Ok(Finding::of("write and read", good, detail.into()))
    }

    /// Stores refuse signed requests of a clock that is far from theirs, and recovery points are named after ours.
    async fn clock(&self, clock: &(impl Fn() -> Timestamp + Sync)) -> Seen {
        let key = self.key("clock");
        let before = clock();
        self.store.put(&key, Bytes::from_static(b"now").into()).await?;
        let after = clock();
        let fail = |error: object_store::Error| ArchiveError::store("read", self.store.show(&key), &error);
        let written = self.store.inner().head(&self.store.path(&key)).await.map_err(fail)?.last_modified;
        Ok(apart(before.as_millisecond(), after.as_millisecond(), written.timestamp_millis()))
    }

    /// The rule on which two writers of one set rest.
    async fn one_winner(&self) -> Result<(bool, String), ArchiveError> {
        for round in 0..ROUNDS {
            let key = self.key(&format!("once-{round}"));
            let create = |writer: usize| {
                let key = &key;
                async move {
                    let bytes = Bytes::from(format!("writer {writer}"));
                    (self.store.create(key, bytes.clone()).await, bytes)
                }
            };
            let results = futures::future::join_all((0..WRITERS).map(create)).await;
            let (created, offered): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            let won: Vec<_> = created.iter().map(|one| matches!(one, Created::Done)).collect();
            if let Some(error) = created.into_iter().find_map(|one| match one {
                Created::Unknown(error) if error.code() != Code::StoreUnreachable => Some(error),
                Created::Unknown(_) | Created::Done | Created::Exists => None,
            }) {
                return Err(error);
            }
            let winners: Vec<_> = offered.iter().zip(&won).filter(|(_, won)| **won).map(|(bytes, _)| bytes).collect();
            let stored = self.store.get(&key).await?;
            let late = matches!(self.store.create(&key, Bytes::from_static(b"late")).await, Created::Done);
            if winners.len() != 1 || stored.as_ref() != winners.first().copied() || late {
                let seen = winners.len() + usize::from(late);
                let text = format!(
                    "round {round}: {seen} of {} writers created the same object. Incremental and continuous sets are refused here",
                    WRITERS + 1
                );
                return Ok((false, text));
            }
        }
        Ok((true, format!("{ROUNDS} rounds of {WRITERS} writers at once: one winner each, the rest refused")))
    }

    async fn ranges(&self) -> Result<(bool, String), ArchiveError> {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        let key = self.key("ranges");
        self.store.put(&key, Bytes::from(bytes.clone()).into()).await?;
        let part = self.store.get_range(&key, 70_001..70_101).await?;
        let refused = self.store.get_range(&key, 99_990..100_010).await.is_err();
        let good = Some(part.as_ref()) == bytes.get(70_001..70_101) && refused;
        Ok((good, if good { "a part is read as asked" } else { "a part is not what was asked for" }.into()))
    }

    async fn multipart(&self) -> Result<(bool, String), ArchiveError> {
        let key = self.key("large");
        let path = self.store.path(&key);
        let fail = |error: object_store::Error| ArchiveError::store("write", self.store.show(&key), &error);
        let started = Instant::now();
        let mut upload = self.store.inner().put_multipart(&path).await.map_err(fail)?;
        for (byte, size) in [(1u8, PART), (2, PART), (3, REST)] {
            upload.put_part(vec![byte; size].into()).await.map_err(fail)?;
        }
        upload.complete().await.map_err(fail)?;
        let written = started.elapsed();
        let started = Instant::now();
        let read = self.store.get(&key).await?.unwrap_or_default();
        let good = read.len() == 2 * PART + REST
            && read.first() == Some(&1)
            && read.get(PART) == Some(&2)
            && read.last() == Some(&3);
        let rate = |time: Duration| read.len() as f64 / 1e6 / time.as_secs_f64().max(1e-6);
        let text = format!(
            "three parts: written with {:.0} MB/s, read with {:.0} MB/s",
            rate(written),
            rate(started.elapsed())
        );
        Ok((good, if good { text } else { format!("{} bytes instead of {}", read.len(), 2 * PART + REST) }))
    }

    async fn lists(&self) -> Result<(bool, String), ArchiveError> {
        let keys: Vec<Path> = (0..LISTED).map(|n| self.key(&format!("many/{n:05}"))).collect();
        futures::stream::iter(keys)
            .map(|key| async move { self.store.put(&key, Bytes::from_static(b"x").into()).await })
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await?;
        let started = Instant::now();
        let found = self.store.objects(&self.key("many")).await?;
        let good = found.len() == LISTED && found.first().map(String::as_str) == Some("00000");
        let text = format!("{} of {LISTED} new objects at once, in {} ms", found.len(), started.elapsed().as_millis());
        Ok((good, text))
    }

    async fn overwrite(&self) -> Result<(bool, String), ArchiveError> {
        let key = self.key("summary");
        for text in ["older", "newer"] {
            self.store.put(&key, Bytes::from_static(text.as_bytes()).into()).await?;
        }
        let good = self.store.get(&key).await?.as_deref() == Some(b"newer");
        Ok((good, if good { "the newer bytes are read" } else { "old bytes are read after a write" }.into()))
    }

    async fn latency(&self) -> Result<(bool, String), ArchiveError> {
        let (mut writes, mut reads) = (Vec::new(), Vec::new());
        let bytes = Bytes::from(vec![7u8; 1024]);
        for number in 0..TIMED {
            let key = self.key(&format!("timed-{number}"));
            let started = Instant::now();
            self.store.put(&key, bytes.clone().into()).await?;
            writes.push(started.elapsed());
            let started = Instant::now();
            self.store.get(&key).await?;
            reads.push(started.elapsed());
        }
        let describe = |mut times: Vec<Duration>| {
            times.sort_unstable();
            let at = |place: usize| times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3);
            format!("{:.1} ms, slowest {:.1} ms", at(TIMED / 2), at(TIMED - 1))
        };
        Ok((true, format!("write {}; read {}", describe(writes), describe(reads))))
    }

    /// Backups delete nothing that counts: without the right they work, and what is left over stays.
    async fn clean(&self) -> Finding {
        let folder = Path::from(self.folder.as_str());
        let removed = async {
            let all = self.store.walk(&folder).await?;
            futures::stream::iter(&all)
                .map(|(key, _)| self.store.delete(key))
                .buffer_unordered(PARALLEL)
                .try_collect::<()>()
                .await?;
            Ok::<_, ArchiveError>(all.len())
        };
        let (verdict, detail) = match removed.await {
            Ok(count) => (Verdict::Ok, format!("{count} objects removed")),
            Err(error) => (
                Verdict::Note,
                format!(
                    "objects stay in {}/ ({error}); backups and restores work without the right to delete, but uploads of runs that were killed, saved offsets and evidence whose time is over stay and are paid for; grant it (s3:DeleteObject) to have them removed",
                    self.folder
                ),
            ),
        };
        Finding { name: "delete", verdict, detail }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn clocks_that_are_apart_are_told() {
        let now = 1_800_000_000_000;
        assert!(apart(now, now + 20, now - 999).1.contains("agree"));
        assert!(apart(now, now + 20, now + 900).1.contains("agree"));
        let (good, text) = apart(now, now, now - 31_000);
        assert!(good && text.ends_with("is 30 s ahead of the store's"), "{text}");
        let (good, text) = apart(now, now, now + 601_000);
        assert!(!good && text.contains("is 600 s behind the store's") && text.contains("synchronize"), "{text}");
    }

    #[tokio::test]
    async fn each_step_is_said_and_a_wrong_clock_fails() {
        for (off, good) in [(0, true), (900, false)] {
            let store = Store::new(Arc::new(InMemory::new()), "", "memory");
            let mut said = Vec::new();
            let clock = || Timestamp::now() + jiff::SignedDuration::from_secs(off);
            probe(&store, "n", clock, |finding| said.push((finding.name, finding.is_good()))).await.unwrap();
            let names: Vec<_> = said.iter().map(|(name, _)| *name).collect();
            let steps = ["clock", "create-if-absent", "ranges", "multipart", "lists", "overwrite", "latency"];
            assert_eq!(names, [&["write and read"], &steps[..], &["delete"]].concat());
            assert_eq!(said[1], ("clock", good));
            assert!(said.iter().all(|(name, good)| *good || *name == "clock"), "{said:?}");
        }
    }
}
