//! The backup format on object storage. FORMAT.md describes every byte.
//!
//! What it does: writes segments and the log of a backup set, finds and reads recovery points, streams the
//! batches of a point, keeps the state of restores, and verifies all of it.
//! What it never does: talk to Kafka, read the wall clock, or update an object in place (but for the summaries).
//! Data comes from the runner as raw batches and leaves as raw batches; bytes go to and from an `ObjectStore`.
//!
//! Modules use only modules listed above them.

mod answer;
mod classify;
mod columns;
mod digest;
mod json_fault;
mod memory;
mod metered;

mod json;

mod error;
mod layout;
mod limit;
mod listing;
mod problem;
mod reason;
mod rollup_ref;
mod time_spent;
mod uploads;

mod again;
mod open;
mod store;

mod settle;

pub mod segment;

mod converted;
mod holdings;
mod long_document;
mod lost;
mod prune_entry;
mod state;

mod entry;
mod rollup;
mod timeline;

mod regain;

mod chain;
mod documents;
mod head;
mod pruned;

mod wanted;

mod index;

mod guest;

mod presence;

mod catalog;

mod sums;

mod point;
mod point_groups;

mod read;
mod upload;
mod writer_options;

mod epochs;
mod replaced;

mod leftovers;

mod base;
mod replay;

mod mend;
mod repair;

mod summary;
mod writer;

mod kept_evidence;
mod restore_state;
mod saved_offsets;
mod verify;

mod prune_plan;

pub mod prune_run;

mod probe;

pub use catalog::{Catalog, Found, LastFull, SetSummary, check_owner, check_set_owner, find, resolve};
pub use chain::{Chain, Head};
pub use converted::Converted;
pub use digest::Digest;
pub use documents::{GroupPosition, GroupSnapshot, SetDocument, SideDocument, TopicConfigs};
pub use entry::{Entry, EntryKind, FORMAT, Fork, Gap, HeldBack, Owner, Seal, SegmentRef, SegmentRow, SideRef};
pub use epochs::first_above_epoch;
pub use error::{ArchiveError, LostPartition};
pub use guest::{Guest, ReadBatch, Served};
pub use head::HeadCopy;
pub use holdings::{Holdings, Tally};
pub use json::{JsonError, from_json, from_json_stream};
pub use kept_evidence::{KeptEvidence, KeptFile};
pub use layout::{EVIDENCE_FOLDER, Layout, OFFSETS_FOLDER, PRUNE_FOLDER, RESTORES_FOLDER};
pub use leftovers::Leftovers;
pub use long_document::LongDocument;
pub use lost::LostSegment;
pub use metered::Passing;
pub use open::{
    Paths, ambient_identity, install_tls, led_by_environment, open_briefly, open_store, open_unasked, proxy_of,
};
pub use point::{Point, newest_configs, newest_groups};
pub use point_groups::PointGroups;
pub use probe::{Finding, probe};
pub use problem::Problem;
pub use prune_entry::{DeadRow, EVERY_ROW, HiddenRow, Prune, SealRef};
pub use prune_plan::{
    ChainPlan, CompactedTopic, Cutting, Heaped, Left, LeftSet, PlannedPoint, PrunePlan, PruneRun, UnfinishedSet,
    WholeSet, prune_plan,
};
pub use read::BatchStream;
pub use reason::{GapReason, HeldReason};
pub use regain::LogStart;
pub use repair::{Repair, repair_set};
pub use replaced::replaced_by;
pub use replay::known_state;
pub use restore_state::RestoreJournal;
pub use rollup::SealedPoint;
pub use rollup_ref::RollupRef;
pub use saved_offsets::{SavedName, SavedOffsets};
pub use segment::{Arena, PendingBatch, ShareRow};
pub use state::{PartitionState, Replaced, SetState, TopicIdPartition, TopicState, UNKNOWN_TARGET};
pub use store::{Created, Pieces, Store};
pub use summary::write_summaries;
pub use time_spent::TimeSpent;
pub use timeline::Timelines;
pub use verify::{
    Drawn, Level, Look, Sample, Verification, names_point, verify_log, verify_look, verify_named, verify_point,
};
pub use wanted::{ReadPlan, Wanted};
pub use writer::{Opened, SetWriter};
pub use writer_options::{Claim, Finished, Moves, Named, SealFacts, Source, WriterOptions, Written, codec_of};
