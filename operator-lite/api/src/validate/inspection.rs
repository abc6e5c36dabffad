//! Rules of KafkaBackupInspection.

use crate::finding::{Finding, Findings};
use crate::inspection::KafkaBackupInspectionSpec;

/// Hexadecimal digits of a digest.
const DIGEST: usize = 64;
/// Seconds that an inspection may be idle.
const IDLE: std::ops::RangeInclusive<u32> = 10..=3_600;

/// Findings on an inspection.
#[must_use]
pub fn inspection(spec: &KafkaBackupInspectionSpec) -> Vec<Finding> {
    let mut out = Findings::default();
    if spec.backup_ref.name.is_empty() {
        out.missing("spec.backupRef.name", "must name a KafkaBackup of this namespace", "name it");
    }
    let is_digest = spec.token_digest.len() == DIGEST && spec.token_digest.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_digest {
        let fix = "let `kubectl kafka-backup` make the inspection";
        out.missing("spec.tokenDigest", "must be 64 hexadecimal digits", fix);
    }
    if !IDLE.contains(&spec.idle_secs) {
        out.wrong("spec.idleSecs", spec.idle_secs, "must be 10 to 3600", "leave it out for ten minutes");
    }
    out.into_vec()
}
