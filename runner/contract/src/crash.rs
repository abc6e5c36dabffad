//! Places where a test can end the process as `kill -9` would, or hold it up while a rival acts. They exist in debug builds
//! only; a release build has neither the places nor the switch.

/// Declares the places; a place that is not listed here cannot be used, so that a test can go through all of them.
macro_rules! places {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// A place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum CrashPoint { $($(#[doc = $doc])* $name,)* }

        impl CrashPoint {
            /// Every place with the name that tests use.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $text),)*];
        }
    };
}

places! {
    /// The set's document exists, its log is empty.
    SetCreated = "set-created",
    /// A claim was created once; it is about to be tried a second time.
    ClaimCreated = "claim-created",
    /// The claim is ours.
    Claimed = "claimed",
    /// The reads are planned.
    Planned = "planned",
    /// Batches were packed into a segment that is still open.
    Packed = "packed",
    /// A part of a segment is on its way.
    PartSent = "part-sent",
    /// A segment is about to be completed.
    SegmentClosing = "segment-closing",
    /// A segment is durable, and nothing names it.
    SegmentDurable = "segment-durable",
    /// An entry is about to be created.
    EntryFrozen = "entry-frozen",
    /// An entry was created, and we have not noticed.
    EntryCreated = "entry-created",
    /// The side documents of a seal are written.
    SideWritten = "side-written",
    /// The seal is there, its hint is not.
    Sealed = "sealed",
    /// The hint is there, the summaries are not.
    HintWritten = "hint-written",
    /// A roll-up is due.
    RollupDue = "rollup-due",
    /// Everything is done but for the report.
    SummariesWritten = "summaries-written",
    /// The plan of a restore is saved, and no state names it.
    PlanSaved = "plan-saved",
    /// The state of a restore names the topics that it will create.
    IntentSaved = "intent-saved",
    /// The target topics are claimed.
    TargetsClaimed = "targets-claimed",
    /// Target topics exist.
    TopicsCreated = "topics-created",
    /// The state names the configs that will be held off.
    HoldsSaved = "holds-saved",
    /// The configs are held off.
    ConfigsHeld = "configs-held",
    /// The target is ready; nothing was produced.
    Prepared = "prepared",
    /// The epoch before has a newer epoch, but no marker yet.
    FenceBegun = "fence-begun",
    /// The epoch before is fenced.
    Fenced = "fenced",
    /// A producer id was taken, and the state does not say so.
    ProducerTaken = "producer-taken",
    /// The state names the epoch.
    EpochSaved = "epoch-saved",
    /// A produce request is about to go out.
    Producing = "producing",
    /// A produce request was acknowledged.
    Produced = "produced",
    /// Everything is in the target.
    AllProduced = "all-produced",
    /// Topics have their final configs.
    ConfigsFinal = "configs-final",
    /// What consumer groups had before is saved, and the state does not say where.
    OffsetsSaved = "offsets-saved",
    /// The offsets of a consumer group are about to be committed.
    CommittingOffsets = "committing-offsets",
    /// A share group forgot its topics, and has none of the offsets that it shall have.
    ShareOffsetsDeleted = "share-offsets-deleted",
    /// They are committed, and the state does not say so.
    OffsetsCommitted = "offsets-committed",
    /// The state says that the restore is finished.
    FinishSaved = "finish-saved",
    /// What retention takes away is worked out, and nothing says so.
    PrunePlanned = "prune-planned",
    /// The log of a set says what went of it.
    PruneSaid = "prune-said",
    /// Objects are about to be deleted.
    PruneDeleting = "prune-deleting",
    /// They are deleted, and nobody has counted them.
    PruneDeleted = "prune-deleted",
    /// All objects of one kind of a whole set are deleted, and those of the next kind are not.
    PruneStage = "prune-stage",
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::CrashPoint;

    /// What holds the process up.
    pub type Hold = Box<dyn Fn() + Send + Sync>;

    struct Armed {
        point: CrashPoint,
        left: AtomicU32,
        /// Without it the process ends.
        hold: Option<Hold>,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// Arms one place: `name`, or `name:n` for the n-th time it is reached. With `hold` the process does not end there: it goes
    /// on when that returns.
    pub fn arm(text: &str, hold: Option<Hold>) {
        let (name, times) = text.split_once(':').unwrap_or((text, "1"));
        let found = CrashPoint::ALL.iter().find(|(_, known)| *known == name);
        if let (Some((point, _)), Ok(times)) = (found, times.parse()) {
            drop(ARMED.set(Armed { point: *point, left: AtomicU32::new(times), hold }));
        }
    }

    /// Ends or holds up the process when this place is armed and was reached often enough.
    pub fn at(point: CrashPoint) {
        let reached = |armed: &&Armed| armed.point == point && armed.left.fetch_sub(1, Ordering::Relaxed) == 1;
        let Some(armed) = ARMED.get().filter(reached) else { return };
        match &armed.hold {
            Some(hold) => hold(),
            None => std::process::abort(),
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{Hold, arm, at};

/// Does nothing: this is a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub fn at(_: CrashPoint) {}
