//! A recovery point: what its chain names, and which of it a read touches.

use std::collections::HashSet;
use std::sync::Arc;

use contract::SetOwner;
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::again::reread;
use crate::catalog::{Found, SetCheck, check_guest, check_sealed, name_finding, set_document};
use crate::documents::{GroupSnapshot, SideDocument, TopicConfigs};
use crate::entry::{SegmentRef, SegmentRow, check, decode_document};
use crate::guest::Guest;
use crate::index::Index;
use crate::limit::readable;
use crate::problem::Problem;
use crate::pruned::{Moment, Pruned};
use crate::rollup::SealedPoint;
use crate::segment::{Footer, TRAILER_LEN, Trailer};
use crate::sums::{Sums, differences};
use crate::wanted::{ReadPlan, Wanted};
use crate::{ArchiveError, Chain, Digest, Entry, Fork, Gap, Layout, Seal, SideRef, Store};

/// Segments that are looked at at once.
const CHECKS: usize = 16;

/// A recovery point, loaded.
#[derive(Debug, Clone)]
pub struct Point {
    pub(crate) store: Store,
    pub(crate) layout: Layout,
    /// The seal.
    pub seal: Seal,
    /// Number of the seal in its log.
    pub entry: u64,
    /// Digest of the seal.
    pub digest: Digest,
    stamp: String,
    index: Index,
    noted: Vec<Problem>,
    /// What reads it, where the archive has another layout.
    pub(crate) guest: Option<Arc<dyn Guest>>,
}

/// The group positions of the newest recovery point of a set; empty when there is no point, or it has none. Only its
/// seal is read.
///
/// # Errors
/// When the newest entry, the seal or the document is missing or damaged.
pub async fn newest_groups(store: &Store, layout: &Layout) -> Result<Vec<GroupSnapshot>, ArchiveError> {
    let Some((number, seal)) = newest_point(store, layout).await? else { return Ok(Vec::new()) };
    match seal.groups {
        Some(reference) => side(store, layout, number, "groups.json", &reference).await,
        None => Ok(Vec::new()),
    }
}

/// The topic configs of the newest recovery point of a set; empty when there is no point. Only its seal is read.
///
/// # Errors
/// When the newest entry, the seal or the document is missing or damaged.
pub async fn newest_configs(store: &Store, layout: &Layout) -> Result<TopicConfigs, ArchiveError> {
    match newest_point(store, layout).await? {
        Some((number, seal)) => side(store, layout, number, "configs.json", &seal.configs).await,
        None => Ok(TopicConfigs::new()),
    }
}

async fn newest_point(store: &Store, layout: &Layout) -> Result<Option<(u64, Seal)>, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let Some(newest) = chain.newest().await? else { return Ok(None) };
    let mut entry = chain.entry(newest).await?.0;
    if entry.seal.is_none() {
        let Some(seal) = entry.last_seal else { return Ok(None) };
        entry = chain.entry(seal).await?.0;
    }
    Ok(entry.seal.map(|seal| (entry.n, *seal)))
}

impl Point {
    /// Loads the point that entry `seal` makes; the whole chain up to it is checked, and that it is a point of this set.
    ///
    /// # Errors
    /// When an entry is missing or damaged, or the folder holds another set.
    pub async fn load(store: &Store, layout: &Layout, seal: u64) -> Result<Self, ArchiveError> {
        Self::load_at(store, layout, seal, Moment::Now).await
    }

    /// The same as a restore read it when [`Point::pruned_by`] was `pruned`: what it planned to read is there until it ends,
    /// whatever retention has hidden since.
    ///
    /// # Errors
    /// As [`Point::load`].
    pub async fn load_as_of(
        store: &Store,
        layout: &Layout,
        seal: u64,
        pruned: Option<u64>,
    ) -> Result<Self, ArchiveError> {
        Self::load_at(store, layout, seal, Moment::Entry(pruned)).await
    }

    async fn load_at(store: &Store, layout: &Layout, seal: u64, moment: Moment) -> Result<Self, ArchiveError> {
        let chain = Chain::new(store.clone(), layout.clone());
        let index = async {
            let (entry, digest) = chain.entry(seal).await?;
            let index = Index::as_of(store, layout, (&entry, &digest), false, moment).await?;
            Ok::<_, ArchiveError>((index, entry, digest))
        };
        let (loaded, document) = futures::join!(Box::pin(index), set_document(store, layout));
        let (index, entry, digest) = loaded?;
        let other = |key: String, reason: String| Err(ArchiveError::OtherSet { key, reason });
        if let Some(reason) = name_finding(layout.set(), &entry) {
            return other(store.show(&layout.entry(seal)), reason);
        }
        let mut noted = match document? {
            SetCheck::Sound(_) => Vec::new(),
            SetCheck::Damaged(problem) => vec![problem],
            SetCheck::Other(_, problem) => return other(problem.key, problem.what),
        };
        let missing = || ArchiveError::damaged(store.show(&layout.entry(seal)), "it is not a seal");
        let mut sealed = *entry.seal.ok_or_else(missing)?;
        if let Some(pruned) = &index.pruned {
            pruned.take_out(seal, &mut sealed);
        }
        if let Some(by) = index.removed {
            let what = format!("retention removed this recovery point with entry {by}: what only it needs is deleted");
            noted.push(Problem::new(store.show(&layout.entry(seal)), what));
        }
        let (store, layout) = (store.clone(), layout.clone());
        Ok(Self { store, layout, seal: sealed, entry: seal, digest, stamp: entry.point, index, noted, guest: None })
    }

    /// The point that an archive of another layout holds. `entry` says what the log of one of ours would say; what belongs to
    /// it is read by `guest`. `digest` is that of what names its contents.
    ///
    /// # Errors
    /// When the entry is not a seal, or its numbers cannot be.
    pub fn of_guest(
        store: &Store,
        entry: Entry,
        digest: Digest,
        (guest, noted): (Arc<dyn Guest>, Vec<Problem>),
    ) -> Result<Self, ArchiveError> {
        let layout = Layout::new(guest.name());
        let shown = store.show(&layout.root());
        if !entry.rows.iter().all(check::is_row) {
            return Err(ArchiveError::damaged(shown, "a row has numbers that cannot be"));
        }
        let index = Index::of_entry(store, &layout, &entry, &digest);
        let (number, stamp) = (entry.n, entry.point);
        let seal = *entry.seal.ok_or_else(|| ArchiveError::damaged(shown, "it is not a seal"))?;
        let (store, guest) = (store.clone(), Some(guest));
        Ok(Self { store, layout, seal, entry: number, digest, stamp, index, noted, guest })
    }

    /// Number of the `prune` entry that counted when this was loaded; `None` where there was none.
    #[must_use]
    pub fn pruned_by(&self) -> Option<u64> {
        self.index.pruned.as_ref().map(|pruned| pruned.entry).or(self.index.removed)
    }

    /// The number of the one that counts now.
    ///
    /// # Errors
    /// When the end of the log cannot be read.
    pub async fn pruned_now(&self) -> Result<Option<u64>, ArchiveError> {
        if self.guest.is_some() {
            return Ok(None);
        }
        let chain = Chain::new(self.store.clone(), self.layout.clone());
        let (entry, _) = chain.entry(self.entry).await?;
        Ok(Pruned::now(&chain, &entry).await?.map(|pruned| pruned.entry))
    }

    /// Whether the archive has another layout than ours, which says less.
    #[must_use]
    pub fn is_of_guest(&self) -> bool {
        self.guest.is_some()
    }

    /// The object of a segment.
    #[must_use]
    pub fn segment_key(&self, segment: &SegmentRef) -> String {
        match &self.guest {
            Some(guest) => guest.key(segment),
            None => self.layout.segment(segment.claim, &segment.nonce, segment.seq).to_string(),
        }
    }

    /// Loads the point that a name means, with what must be known of it.
    ///
    /// # Errors
    /// As [`Point::load`].
    pub async fn open(store: &Store, found: &Found) -> Result<Self, ArchiveError> {
        let mut point = Self::load(store, &found.layout, found.seal).await?;
        point.noted.extend(found.warnings.iter().map(|warning| Problem::new("", warning)));
        Ok(point)
    }

    /// What must be known of it: newer points that may be missing, and what is damaged and was not needed (roll-ups that
    /// were read from entries, a `set.json` that cannot be read).
    #[must_use]
    pub fn notes(&self) -> Vec<Problem> {
        self.noted.iter().cloned().chain(self.index.problems()).collect()
    }

    /// Refuses the point when it belongs to another owner than its reader expects, as [`crate::check_owner`] does; its seal is
    /// not read again.
    ///
    /// # Errors
    /// [`ArchiveError::NotOwned`] names both. When the newest seal cannot be read, where it decides.
    pub async fn check_owner(&self, expected: &SetOwner) -> Result<(), ArchiveError> {
        if self.guest.is_some() {
            return check_guest(&self.seal, expected);
        }
        check_sealed(&Chain::new(self.store.clone(), self.layout.clone()), &self.seal, expected).await
    }

    /// Compares what the segments hold of each partition with what the seal counts.
    ///
    /// # Errors
    /// The differences, with their numbers.
    pub async fn check_sums(&self) -> Result<(), ArchiveError> {
        let mut sums = Sums::default();
        self.index.each_row(None, &mut |topic, row| sums.add(topic, row)).await?;
        let found = differences(&sums, &self.index.gaps, &self.seal);
        let Some(first) = found.first() else { return Ok(()) };
        let more = if found.len() > 1 { format!(" (and {} more)", found.len() - 1) } else { String::new() };
        let reason = format!("the recovery point does not add up: {first}{more}. Use another recovery point");
        Err(ArchiveError::damaged(self.store.show(&self.layout.entry(self.entry)), reason))
    }

    /// Durable segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[SegmentRef] {
        &self.index.segments
    }

    /// Gaps up to this point.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.index.gaps
    }

    /// Timelines that began up to this point, oldest first.
    #[must_use]
    pub fn forks(&self) -> &[Fork] {
        &self.index.forks
    }

    /// Walks over the rows of these partitions, or of all; of one partition the oldest comes first. A row's `segment` is
    /// its position in [`Self::segments`].
    ///
    /// # Errors
    /// When a roll-up is missing or damaged.
    pub async fn each_row(
        &self,
        only: Option<&HashSet<(Uuid, i32)>>,
        take: &mut (dyn FnMut(Uuid, &SegmentRow) + Send),
    ) -> Result<(), ArchiveError> {
        self.index.each_row(only, take).await
    }

    /// Name of the set.
    #[must_use]
    pub fn set(&self) -> &str {
        self.layout.set()
    }

    /// Topic configs of the moment.
    ///
    /// # Errors
    /// When the document is missing or damaged.
    pub async fn configs(&self) -> Result<TopicConfigs, ArchiveError> {
        if let Some(guest) = &self.guest {
            return Ok(guest.configs());
        }
        side(&self.store, &self.layout, self.entry, "configs.json", &self.seal.configs).await
    }

    /// Group positions of the moment; `None` when they were not asked for.
    ///
    /// # Errors
    /// When the document is missing or damaged.
    pub async fn groups(&self) -> Result<Option<Vec<GroupSnapshot>>, ArchiveError> {
        if let Some(guest) = &self.guest {
            return guest.groups().await;
        }
        match &self.seal.groups {
            Some(reference) => side(&self.store, &self.layout, self.entry, "groups.json", reference).await.map(Some),
            None => Ok(None),
        }
    }

    /// Loads and checks the footer of a segment, without shares that retention took away.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub async fn footer(&self, segment: &SegmentRef) -> Result<Footer, ArchiveError> {
        if let Some(guest) = &self.guest {
            return guest.footer(segment).await;
        }
        let mut footer = load_footer(&self.store, &self.layout, segment).await?;
        if let Some(pruned) = self.pruned() {
            pruned.strip(&mut footer);
        }
        Ok(footer)
    }

    /// What retention took away of the set.
    pub(crate) fn pruned(&self) -> Option<&Arc<Pruned>> {
        self.index.pruned.as_ref()
    }

    /// The point as lists show it, without what retention took away of it.
    #[must_use]
    pub fn summary(&self) -> SealedPoint {
        SealedPoint::of_seal(&self.seal, self.entry, &self.digest, &self.stamp)
    }

    /// Looks at every segment that a read of `wanted` touches: size, and the digest of its footer. Returns their number.
    ///
    /// # Errors
    /// The first segment that is missing, cut short or damaged.
    pub async fn check_segments(&self, wanted: &Wanted) -> Result<u64, ArchiveError> {
        let segments = self.plan(wanted).await?.segments;
        let checks = futures::stream::iter(&segments).map(|segment| async move {
            if let Some(guest) = &self.guest {
                return guest.check(segment).await;
            }
            let key = self.layout.segment(segment.claim, &segment.nonce, segment.seq);
            match self.store.size(&key).await? {
                Some(size) if size == segment.size => self.footer(segment).await.map(drop),
                Some(size) => {
                    let reason = format!("{size} bytes instead of {}", segment.size);
                    Err(ArchiveError::damaged(self.store.show(&key), reason))
                }
                None => Err(ArchiveError::damaged(self.store.show(&key), "the segment is missing")),
            }
        });
        let checked: Vec<()> = checks.buffer_unordered(CHECKS).try_collect().await?;
        Ok(checked.len() as u64)
    }

    /// Which segments hold something of `wanted`, and how much that is at most.
    ///
    /// # Errors
    /// When a roll-up is missing or damaged.
    pub async fn plan(&self, wanted: &Wanted) -> Result<ReadPlan, ArchiveError> {
        self.index.plan(wanted).await
    }
}

/// A document beside seal `entry`, as the seal names it.
pub(crate) async fn side<T: for<'de> serde::Deserialize<'de>>(
    store: &Store,
    layout: &Layout,
    entry: u64,
    name: &str,
    reference: &SideRef,
) -> Result<T, ArchiveError> {
    reread(|| async {
        let key = layout.side(entry, name);
        let shown = store.show(&key);
        let bytes = store.get(&key).await?.ok_or_else(|| ArchiveError::damaged(&shown, "it is missing"))?;
        if Digest::of(&bytes) != reference.digest {
            return Err(ArchiveError::damaged(&shown, "its digest does not match the seal"));
        }
        decode_document::<SideDocument<T>>(&shown, &bytes).map(|document| document.content)
    })
    .await
}

pub(crate) async fn load_footer(store: &Store, layout: &Layout, segment: &SegmentRef) -> Result<Footer, ArchiveError> {
    reread(|| load_footer_once(store, layout, segment)).await
}

async fn load_footer_once(store: &Store, layout: &Layout, segment: &SegmentRef) -> Result<Footer, ArchiveError> {
    let key = layout.segment(segment.claim, &segment.nonce, segment.seq);
    let shown = store.show(&key);
    let footer = segment.size.saturating_sub(segment.footer_at);
    let most = readable();
    if footer > most as u64 {
        return Err(ArchiveError::damaged(shown, format!("a footer of {footer} bytes; at most {most} are read")));
    }
    let bytes = store.get_range(&key, segment.footer_at..segment.size).await?;
    footer_of(&shown, segment, &bytes)
}

/// The footer in the last bytes of a segment, checked.
pub(crate) fn footer_of(shown: &str, segment: &SegmentRef, bytes: &[u8]) -> Result<Footer, ArchiveError> {
    let footer_length = usize::try_from(segment.footer_length).unwrap_or(usize::MAX);
    let (footer, trailer) = bytes.split_at_checked(footer_length).unwrap_or_default();
    let digest = blake3::hash(footer);
    let trailer = Trailer::decode(shown, trailer)?;
    let as_logged = Digest(digest.to_hex().to_string()) == segment.digest;
    if !as_logged || trailer.footer_digest != *digest.as_bytes() || trailer.footer_length != segment.footer_length {
        return Err(ArchiveError::damaged(shown, "the footer's digest does not match"));
    }
    let footer = Footer::decode(shown, footer)?;
    let is_this =
        (footer.claim, footer.nonce.as_str(), footer.seq) == (segment.claim, segment.nonce.as_str(), segment.seq);
    if !is_this
        || footer.end() != segment.footer_at
        || segment.footer_at.saturating_add(segment.footer_length).saturating_add(TRAILER_LEN) != segment.size
    {
        return Err(ArchiveError::damaged(shown, "it is another segment than the log names"));
    }
    Ok(footer)
}
