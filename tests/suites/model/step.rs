//! What a history is made of: requests with names in place of ids, so that the same ones go to two clusters. Pure.

/// Which producer a request names: the answer of the n-th `Init` step, its epoch moved by so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Which `Init` step.
    pub slot: usize,
    /// Added to its epoch.
    pub shift: i16,
}

/// How the bytes of a batch are spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Not at all.
    None,
    /// The checksum is wrong.
    Checksum,
    /// The first offset is not 0.
    Base,
    /// The header counts one record more.
    Count,
    /// It says that it is a marker.
    Control,
}

/// A batch to produce.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its producer, and whether it belongs to a transaction.
    pub producer: Option<(Who, bool)>,
    /// First sequence.
    pub sequence: i32,
    /// Codec by its number in the attributes.
    pub codec: u8,
    /// What decides keys, values, headers and times.
    pub seed: u64,
    /// Records.
    pub records: i32,
    /// Bytes of a value at most.
    pub size: usize,
    /// Some keys are null.
    pub null_keys: bool,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// A topic: by its letter, or one that a request names wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The topic of this letter, as it is now.
    Now(char),
    /// Its id before it was deleted and made again; the id of now where it never was.
    Before(char),
    /// An id and a name that nobody has.
    Nobody,
}

/// A partition of a topic and what a fetch asks of it.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// `CurrentLeaderEpoch`, relative to the epoch of now; `None` for -1.
    pub epoch: Option<i32>,
    /// `LastFetchedEpoch`, relative to the epoch of now; `None` for -1.
    pub fetched: Option<i32>,
    /// Bytes of this partition at most.
    pub bytes: i32,
}

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Step {
    /// Makes a topic with partitions and configs.
    Create(char, i32, Vec<(&'static str, &'static str)>),
    /// Deletes a topic.
    Delete(char),
    /// Adds partitions, up to this count.
    Widen(char, i32),
    /// Sets or removes a config.
    Alter(char, &'static str, Option<&'static str>),
    /// Asks for configs.
    Configs(Topic),
    /// Asks for a producer id: of a transaction's name or of none, with an id and epoch that the caller knows.
    Init(Option<u8>, Option<Who>),
    /// Adds partitions to the transaction of a name.
    Add(u8, Who, Vec<(Topic, i32)>),
    /// Ends the transaction of a name.
    End(u8, Who, bool),
    /// Produces batches to one partition; the request names a transaction, or none.
    Produce(Topic, i32, Option<u8>, Vec<Batch>, i16),
    /// Deletes records below an offset; -1 for all.
    Trim(Topic, i32, i64),
    /// A group commits an offset.
    Commit(u8, Topic, i32, i64),
    /// What a group committed.
    Committed(u8),
    /// Which groups there are.
    Groups,
    /// Fetches: version, isolation, bytes at most.
    Fetch(i16, bool, i32, Vec<Spot>),
    /// Offsets: version, isolation, time, relative current leader epoch.
    Offsets(i16, bool, Topic, i32, i64, Option<i32>),
    /// The end of a leader epoch, relative to the epoch of now, as is the current leader epoch.
    EpochEnd(Topic, i32, i32, Option<i32>),
    /// Topics: by name, by id, or all.
    Metadata(By, Vec<Topic>),
    /// Producers of a partition.
    Producers(Topic, i32),
    /// Fetches both isolations of all partitions from every offset; version, bytes of a partition at most.
    Look(char, i16, i32),
}

/// How `Metadata` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By name.
    Name,
    /// By id.
    Id,
    /// For all.
    All,
}
