//! How much memory the reading of one document, and of a whole log, may take: a part of what this process may have. Asked
//! once, of the system.

use std::sync::OnceLock;

const MIB: u64 = 1 << 20;
/// Most for one document, however much memory there is: a recovery point of three million partitions fits.
const MOST: u64 = 1024 * MIB;
/// Most for a whole log where nobody says what there is.
const UNLIMITED: u64 = 16 * 1024 * MIB;
/// Least for one document, however little memory there is.
const LEAST: u64 = 64 * MIB;

/// Where the system says what a process may have: limits of its control group, old and new.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Limits of the process itself, one on a line, and the one that counts.
const PROCESS: &str = "/proc/self/limits";
const ADDRESSES: &str = "Max address space";

/// Bytes that the reading of one document may take.
pub(crate) fn of_document() -> u64 {
    part(limit())
}

/// Bytes that what is kept of a whole log may take: three quarters of what there is.
pub(crate) fn of_log() -> u64 {
    limit().map_or(UNLIMITED, |limit| (limit / 4 * 3).max(LEAST))
}

/// What this process may have, where somebody says so.
fn limit() -> Option<u64> {
    static BYTES: OnceLock<Option<u64>> = OnceLock::new();
    *BYTES.get_or_init(|| {
        // Not every system has these files.
        let read = |file: &str| std::fs::read_to_string(file).ok();
        let groups = GROUPS.iter().filter_map(|file| read(file)).filter_map(|text| text.trim().parse().ok());
        let process = read(PROCESS).and_then(|text| address_space(&text));
        groups.chain(process).min()
    })
}

/// The part of what there is.
fn part(limit: Option<u64>) -> u64 {
    limit.map_or(MOST, |limit| (limit / 3 * 2).clamp(LEAST, MOST))
}

/// The limit of addresses, where there is one.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(ADDRESSES))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_gets_two_thirds_of_what_there_is() {
        assert_eq!(part(Some(600 * MIB)), 400 * MIB);
        assert_eq!((part(Some(0)), part(Some(u64::MAX)), part(None)), (LEAST, MOST, MOST));
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max cpu time              unlimited            unlimited            seconds   \n\
                      Max address space         419430400            unlimited            bytes     \n";
        assert_eq!(address_space(limits), Some(400 * MIB));
        assert_eq!(address_space("Max address space         unlimited            unlimited            bytes"), None);
        assert_eq!(address_space(""), None);
    }
}
