//! Error codes: one per kind of failure, stable for ever, each with its exit code and one help text.

use serde::{Deserialize, Serialize};

/// What the process exits with; the operator acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The run did what it was asked to.
    Done = 0,
    /// The answer is no: a check failed, or differences were found.
    No = 1,
    /// The specification is wrong; the same file fails again.
    BadSpec = 2,
    /// Failed; the same run can be tried again and goes on where it stopped.
    Resumable = 3,
    /// Failed; somebody must change something first.
    Final = 4,
    /// Another run holds this backup set.
    Fenced = 5,
    /// Stopped on request after saving progress.
    Interrupted = 75,
}

macro_rules! codes {
    ($($name:ident = $text:literal, $exit:ident, $title:literal, $help:literal;)*) => {
        /// A stable error code, `KB` and four digits.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $title] #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code, in numeric order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as people write it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// One line that names the kind of failure.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do about it.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }

            /// What a run that ends with this code exits with.
            #[must_use]
            pub fn exit(self) -> ExitCode {
                match self { $(Self::$name => ExitCode::$exit,)* }
            }
        }
    };
}

codes! {
    SpecUnreadable = "KB1001", BadSpec, "the run specification cannot be read",
        "The file is not YAML or JSON, or it has a field that does not exist or a value of the wrong type. The message names line and field. `kafka-backup-runner schema` prints every field.";
    SpecInvalid = "KB1002", BadSpec, "a value in the run specification breaks a rule",
        "The message names the field, the value, the rule and the fix. Nothing was read or written.";
    BrokerUnreachable = "KB2001", Resumable, "no broker could be reached",
        "No bootstrap address answered before the deadline. Check names, ports, network policies and whether the listener speaks the security protocol of the specification (a TLS client on a plaintext port looks like silence).";
    AuthenticationFailed = "KB2002", Final, "the broker refused the credentials",
        "User name, password or SASL mechanism do not match what the broker knows. Check the files that the specification names, and the mechanisms of the listener.";
    TlsFailed = "KB2003", Final, "the TLS connection could not be made",
        "The broker's certificate is not trusted by the CA given, does not cover the host name, or the broker refused the client certificate. Check tls.caFile, tls.certificateFile and the listener's names.";
    NotAuthorized = "KB2004", Final, "the broker's access rules forbid this",
        "Backup needs Describe, DescribeConfigs and Read on topics, and Describe and DescribeConfigs on groups; restore needs Create, Write, Alter, AlterConfigs and Describe on topics and Write on its transactional id. The message names the resource.";
    UnknownTopic = "KB2005", Final, "a topic that the specification names does not exist",
        "A topic without wildcards must exist, so that a typing error cannot pass as an empty backup. Correct the name, or use a pattern if it may be absent.";
    NoTopicMatched = "KB2006", Final, "no topic matched the patterns",
        "Nothing would have been done, and success would have been misleading. Compare the patterns with the topic list; internal topics need includeInternalTopics.";
    BrokerUnsupported = "KB2007", Final, "the broker does not offer a protocol version that is needed",
        "Apache Kafka 2.8 or newer is needed. The message names the request.";
    BrokerFailed = "KB2008", Resumable, "the broker kept failing until the deadline",
        "The request was tried again with back-off until its deadline. The run can be repeated and goes on where it stopped.";
    TopicChanged = "KB2009", Resumable, "a topic was deleted or recreated during the run",
        "Topics kept changing their ids while they were read. Each new one starts a lineage of its own; what was read of the old ones stays in the archive. Run again when the cluster is stable.";
    SourceDiverged = "KB2010", Resumable, "the source no longer has what was backed up",
        "The partition's log was cut below the position that the archive holds (an unclean leader election, or a broker that lost its disk), again and again during this run. Nothing was overwritten: what was read before stays on an older timeline. Run again when the cluster is stable.";
    CorruptBatch = "KB2011", Resumable, "the broker sent a damaged record batch",
        "A CRC32C did not match or a batch was malformed, twice for the same bytes. Check the broker's disks; the message names topic, partition and offset.";
    RequestRefused = "KB2012", Final, "the broker refused a request for good",
        "The same request would be refused again. The message names the request, what it was about and Kafka's name for the error, with the broker's own words where it gave any. Change what they name (a topic's config, a policy, a limit or right of the user), then run again.";
    BrokerNameUnknown = "KB2013", Final, "no name of a bootstrap server is known",
        "DNS knew none of the names for a minute: it answered, and said that they do not exist. Check the spelling, the namespace part of the name, and whether the cluster is installed. A continuous backup is tried again; any other run ends.";
    WrongListener = "KB2014", Final, "the listener is of another kind than the specification says",
        "A broker answered in a way that shows what the listener is: it speaks TLS or does not, wants a login or has none, or is no listener of Kafka for clients. The message says which field to change, and to what; the same is found three times over 10 seconds before the run ends. The brokers' `listener.security.protocol.map` says what each listener is.";
    EndpointNotAllowed = "KB2015", Final, "an address is not among the endpoints that the installation allows",
        "A broker advertises an address that allowedEndpoints does not have, and nothing was sent there. The message names broker and address. Correct advertised.listeners of the broker, or have the address added to allowedEndpoints (a value of the chart; ALLOWED_ENDPOINTS of the operator).";
    GroupIsLive = "KB2016", Final, "a consumer group has members",
        "The committed offsets of a group that is consuming are not changed: its members would overwrite them, or skip and repeat records. The message names the members with client id and host. Stop the consumers and run again, or leave the group out.";
    OffsetsNotCommitted = "KB2017", Final, "committed offsets of consumer groups are not as they should be",
        "The message names groups and partitions: their commit was refused or would be (metadata that is longer than the target takes), or somebody committed another offset meanwhile. After a restore, all records are there, unless the message says that nothing was written. Stop the consumers of those groups and run again: it only does what is left.";
    UnknownGroup = "KB2018", Final, "a consumer group that the specification names is not there",
        "A restore: the recovery point does not have the committed offsets that were asked for; the group's name is not there, its offsets could not be read when the backup was made, or the backup was made without consumerGroupSnapshot. A reset: the cluster has no such group. A rollback: it is not among the groups whose offsets were saved. Nothing was written. Compare the names with what is there.";
    OffsetsNotExact = "KB2019", Final, "committed offsets could not all be put where they belong",
        "The cluster does not have those places any more: a topic or a partition is gone, a topic was deleted and made again, or records were deleted. The message names group, topic, partition, the offset that was wanted, what is there instead, and why; the report has all of them (`inexact`). Everything else is done, and to run it again changes nothing. Decide for each group where it goes on: a KafkaOffsetReset sets it.";
    StoreUnreachable = "KB3001", Resumable, "the object store could not be reached or kept failing",
        "Requests were repeated with back-off. Check endpoint, region and network. The run goes on where it stopped when it is repeated.";
    StoreDenied = "KB3002", Final, "the object store refused access",
        "The credentials are wrong or lack a right: get, put and list on the prefix are needed. On a directory: the process may not write there.";
    StoreMissing = "KB3003", Final, "the bucket or directory does not exist",
        "Buckets and base directories are never created by a run, so that a typing error cannot start an empty archive. Create it, or correct the name.";
    StoreFull = "KB3004", Resumable, "the store has no room left",
        "Nothing half-written is visible. Make room and repeat the run: it goes on where it stopped.";
    StoreUnsafe = "KB3005", Final, "the store does not refuse to create an object twice",
        "Two runs could overwrite each other. Incremental sets need a store that honours If-None-Match (or, on a directory, a file system with hard links). Use full backups, or another store.";
    SecretMissing = "KB3006", Resumable, "a file with a secret is missing",
        "The run waited for the file and it did not appear. The message names it.";
    StoreForgets = "KB3007", Resumable, "the object store does not show what it confirmed",
        "A write was confirmed, and the object was absent or of another size for some seconds afterwards. Nothing is damaged: stores that show writes late catch up. The run goes on where it stopped when it is repeated. If it comes back, ask the store's operator about read-after-write consistency.";
    StoreRefused = "KB3008", Final, "the object store refuses a kind of request for good",
        "The same request would be refused again: the bucket is in another region, or the store does not offer what was asked (objects in parts, creates that must not replace). The message has the store's code and what to change. `kafka-backup-runner store-check` tries everything that backups need.";
    SecretUnusable = "KB3009", Final, "a file with a secret cannot be used",
        "The file is there, but it is empty, is no text, is no key of the kind that is needed, or may not be read by the process. The message names it. Correct the secret, or the rights of the mounted file.";
    StoreNameUnknown = "KB3010", Final, "the name of the object store's server is unknown",
        "DNS answered for a minute that there is no such name, and the store had not been reached before. The message names the host. Check storage.endpoint, storage.region and, where the bucket is part of the host name, storage.bucket (or set storage.pathStyle). A continuous backup is tried again; any other run ends.";
    StoreTlsFailed = "KB3011", Final, "the connection to the object store does not fit in its encryption",
        "The store's certificate is not trusted here, is for other names or is over; or http:// and https:// are mixed up in storage.endpoint. The message says which, and what to change. It is said at once, since no retry heals it; a store that answered before is tried again instead.";
    StoreProxyFailed = "KB3012", Final, "the proxy before the object store does not work",
        "The environment names a proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY), and it could not be reached, wants a login or does not connect to the store, three times in a row. Correct the variable, or name the store in NO_PROXY.";
    ArchiveDamaged = "KB4001", Final, "the archive is damaged",
        "An object is missing, cut short, or its digest does not match. Nothing was restored from it. `kafka-backup-runner verify` lists everything that is wrong; restore another recovery point, or repair from a copy of the bucket.";
    ArchiveNewer = "KB4002", Final, "the archive was written by a newer release",
        "It has a format number or a feature that this release does not know. Use the release that the message names, or newer.";
    ForeignOwner = "KB4003", Final, "the backup set belongs to another resource or cluster",
        "Two resources, or two clusters, would be mixed in one set. Use another name or prefix; if the set really is yours (the cluster was rebuilt, the namespace renamed), run once with backup.adopt: true. A restore, and whoever looks into a backup, expects the owner that backupRef names: name the point that is meant, or, if this one is, say accept: [other-owner] in the restore.";
    NoSuchPoint = "KB4004", Final, "there is no such backup set or recovery point",
        "`kafka-backup-runner ls` shows what the store holds. Only finished runs are recovery points.";
    Fenced = "KB4005", Fenced, "another run took over",
        "Two runs worked on one backup set or one restore target; the later one wins, and this run stopped without harm. Wait for the other one.";
    ArchiveRolledBack = "KB4006", Final, "the archive is older than its checkpoint copy says",
        "The folder backup.checkpointFolder holds the number and digest of the newest log entry that was written. The store ends before it, or holds another entry there: the bucket was rolled back, or another archive has this name. Bring the store back. If what it holds shall count, remove the copy.";
    SegmentsMissing = "KB4007", Final, "segments that the backup set builds on are gone",
        "The log names segments that the store does not hold, or holds with another size: something deleted them (a lifecycle rule of the bucket, a clean-up job). Nothing was written on top. The message says how many, and which topics and offsets are lost. Stop what deleted them. Bring the objects back from a copy or from the bucket's older versions and run again. If they are gone for good, set onMissingSegments: reread in the KafkaBackup (backup.onMissingSegments in a run specification): the next run reads again what the source still has and names the rest as gaps. Or begin a new set under another name. Older recovery points stay readable as far as their segments are there.";
    SetMissing = "KB4008", Final, "the backup set has a log but no set.json, or another one's",
        "set.json says whose set it is, and entry 0 of the log names its digest. Nothing was written. Bring the object back from a copy, or have it made again from what the log knows: `kafka-backup-runner repair SPEC SET` says what it would do, and does it with --apply.";
    NoSavedOffsets = "KB4009", Final, "there are no such saved offsets",
        "A rollback puts back committed offsets that a restore or a reset saved before it changed them, in the same cluster. The storage has none of this name: the name or the storage is another one, or they were kept for the hours that were asked for and deleted since. Nothing was written. The status of the KafkaRestore or KafkaOffsetReset has name, place and end.";
    NoOffsetMapping = "KB4010", Final, "there is no offset mapping that fits",
        "A reset with from-mapping goes by the file in which a restore wrote where records went. The message says what does not fit: no such file, one of another cluster, or a committed offset that the file does not lead from. Nothing was written. A KafkaRestore writes the file with autoConsumerGroups or offsetReset, and its status has the place; a run specification does with restore.groups.saveMapping.";
    OwnerUnclear = "KB4012", Final, "it is not clear whose backup sets are meant",
        "The storage has sets of this name that belong to more than one resource or come from more than one source cluster, and what retention takes away must be exactly one's. Nothing was changed. The message names them. Say which is meant: `--cluster-id` of `kubectl kafka-backup prune` and `kafka-backup-runner prune-plan`, and `--owner-namespace` where a store is read without a cluster.";
    PrunedMeanwhile = "KB4013", Resumable, "retention hid something of the backup set while a run was at work on it",
        "A backup goes on by itself behind what retention wrote, and reads again what it had not committed. A restore that was about to begin makes a new plan; nothing was written. Run it again. If its recovery point is gone, name a newer one.";
    TargetNotEmpty = "KB5001", Final, "a target topic already holds records",
        "Nothing was written. Restore under another name with topicMapping, or delete what the topic holds first: purgeTopics in a KafkaRestore, existingTopics: purge in a run specification.";
    BatchTooLarge = "KB5002", Final, "the target topic does not accept the largest batch",
        "Raise max.message.bytes of the target topic to the size in the message. Nothing was written.";
    TimestampRefused = "KB5003", Final, "the target topic does not accept the records' timestamps",
        "message.timestamp.before.max.ms or message.timestamp.after.max.ms of the target is narrower than the records' times. Widen them for the restore. Nothing was written.";
    ForeignWriter = "KB5004", Final, "somebody else writes to a target topic",
        "The broker gave an offset that this restore did not expect. The partition was stopped there. Stop the other producer, delete or purge the topic, and restore again under a new name.";
    TargetMissing = "KB5005", Final, "a target topic does not exist",
        "Create it, or set restore.createTopics: true.";
    TargetMismatch = "KB5006", Final, "a target topic does not fit",
        "The target has fewer partitions than the source. Nothing was written. Restore under another name, or add partitions.";
    StateMismatch = "KB5007", Final, "the state of this restore does not fit what is there",
        "The target topics are not the ones that this restore started with (deleted or recreated), or its state does not fit what was archived. Restore again under a new name.";
    PlanChanged = "KB5008", Final, "the plan is not the one that was looked at",
        "Between the plan and the restore, the recovery point, the target or the specification changed. Nothing was written. Make the plan again, look at it, and restore with its fingerprint.";
    WriteRefused = "KB5009", Final, "the target refuses the records for good",
        "The broker named a rule that no pause changes: a policy, its validation of records, a topic that takes no records from outside. The message names the topic, the partition and the broker's words. Change that rule, or restore into another topic.";
    TargetLost = "KB5010", Final, "the target no longer holds what this restore wrote",
        "Records that this restore produced are gone: retention or compaction was put back, somebody deleted records, or a leader was elected that did not have them. The message names the partition and how many. Find out what deletes there, then restore again under a new name.";
    TargetClaimed = "KB5011", Final, "another unfinished restore holds a target topic, or this name",
        "Two restores never share a target. Let the other one end, or end it with `kafka-backup-runner release`, as the message says. Nothing was written.";
    NothingMatched = "KB5012", Final, "no record would be restored",
        "The topics are there, but no record of them lies in the time window and the partitions that were asked for. Compare restore.startTime and restore.endTime with the times that `ls` shows.";
    ValidationFailed = "KB6001", No, "a check of a validation failed",
        "The recovery point, or the cluster that it was restored into, is not as it should be. The report names every check, what came of it, and what was found (`validation.checks`). Damage of the archive: restore another recovery point, or bring the objects back from a copy. A difference of the cluster: find out what deletes or writes there. A webhook: its own answer says why.";
    Interrupted = "KB9001", Interrupted, "stopped on request",
        "Progress was saved. The same run goes on where it stopped.";
    Internal = "KB9002", Resumable, "an unexpected failure",
        "This is a defect. Please report it with the message and the log.";
}

impl Code {
    /// Whether it says that brokers or a store cannot be used: a check of the connections shows which step fails.
    #[must_use]
    pub fn is_found_by_check(self) -> bool {
        matches!(
            self,
            Self::BrokerUnreachable
                | Self::AuthenticationFailed
                | Self::TlsFailed
                | Self::NotAuthorized
                | Self::UnknownTopic
                | Self::NoTopicMatched
                | Self::BrokerUnsupported
                | Self::BrokerNameUnknown
                | Self::WrongListener
                | Self::StoreUnreachable
                | Self::StoreDenied
                | Self::StoreMissing
                | Self::StoreUnsafe
                | Self::SecretMissing
                | Self::SecretUnusable
                | Self::StoreRefused
                | Self::StoreNameUnknown
                | Self::StoreTlsFailed
                | Self::StoreProxyFailed
        )
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.to_ascii_uppercase();
        let found = Self::ALL.iter().find(|code| code.as_str() == wanted).copied();
        found.ok_or_else(|| format!("there is no error code {text:?}"))
    }
}

/// How a run ended when it did not end well: a code and one message that names the thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// The kind of failure.
    pub code: Code,
    /// What happened to which object, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_ordered_and_parse_back() {
        let texts: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.iter().collect::<HashSet<_>>().len(), texts.len());
        assert!(texts.is_sorted());
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(code.help().len() > 20 && !code.title().is_empty());
        }
    }
}
