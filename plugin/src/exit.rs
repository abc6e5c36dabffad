//! What the process exits with.

/// Exit codes. A code that is not listed here must be read as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Yes, or done.
    Done = 0,
    /// The answer is no: damage was found, a run failed, something is unprotected.
    No = 1,
    /// The command line is wrong, or names something that does not exist.
    Usage = 2,
    /// It could not be found out: the API, the store or the network failed.
    Unknown = 3,
    /// Waiting took longer than was allowed; the run goes on.
    TimeOut = 4,
    /// Refused: by admission, by access rules, by a safety gate, or for want of `--yes`.
    Refused = 5,
    /// Interrupted.
    Interrupted = 130,
}

/// The table that `help` prints.
pub const TABLE: &str = "\
Exit codes:
  0    yes, or done
  1    the answer is no: damage found, a run failed, something is unprotected
  2    the command line is wrong, or names something that does not exist
  3    could not find out: the API, the store or the network failed
  4    waiting took longer than --timeout; the run goes on
  5    refused: by admission, by access rules, by a safety gate, or for want of --yes
  130  interrupted";
