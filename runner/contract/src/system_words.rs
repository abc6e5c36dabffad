//! What the operating system refuses, in words of our own: one table for files and one for connections. Its own words, which
//! depend on the system and its language, never leave. Pure.

use std::io::{Error, ErrorKind};

/// Numbers that Linux gives to failures for which the standard library has no kind.
const TOO_MANY_FILES: [i32; 2] = [23, 24];
const DISK_FAILS: i32 = 5;

/// Why a file, a folder or a listener cannot be used, in words.
#[must_use]
pub fn of_system(error: &Error) -> String {
    let said = match error.kind() {
        ErrorKind::NotFound => "does not exist",
        ErrorKind::PermissionDenied => "this process has no right to it",
        ErrorKind::IsADirectory => "is a folder, not a file",
        ErrorKind::NotADirectory => "is no folder",
        ErrorKind::InvalidData => "is no text in UTF-8",
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => "the system takes no such name",
        ErrorKind::AlreadyExists => "exists already",
        ErrorKind::DirectoryNotEmpty => "is a folder that is not empty",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::StorageFull => "no space is left there",
        ErrorKind::QuotaExceeded => "a quota of the file system is reached",
        ErrorKind::FileTooLarge => "the file system takes no file of this size",
        ErrorKind::StaleNetworkFileHandle => "the network file system lost it (stale handle); mount it again",
        ErrorKind::ResourceBusy | ErrorKind::ExecutableFileBusy => "another process uses it",
        ErrorKind::TimedOut => "the file system does not answer",
        ErrorKind::Unsupported => "the file system does not offer this",
        ErrorKind::UnexpectedEof => "it ended too early",
        ErrorKind::BrokenPipe => "whoever read it has closed it",
        ErrorKind::OutOfMemory => "this machine has no memory left",
        ErrorKind::AddrInUse => "the port is taken",
        ErrorKind::AddrNotAvailable => "the address is none of this machine's",
        // Others have a number at most.
        _ => return of_number(error),
    };
    said.to_owned()
}

/// Why no connection came about, or why it ended, in words.
#[must_use]
pub fn of_connection(error: &Error) -> String {
    let said = match error.kind() {
        ErrorKind::ConnectionRefused => "nobody listens there (connection refused)",
        ErrorKind::TimedOut => "nobody answers there; a firewall or a network policy may drop what is sent",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "there is no route to it",
        ErrorKind::NetworkDown => "the network of this machine is down",
        ErrorKind::PermissionDenied => "this machine may not connect to it",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => "it broke the connection off",
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::NotConnected => "it closed the connection",
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => {
            "this machine has no address or no free port to connect from"
        }
        ErrorKind::InvalidInput => {
            "this machine cannot connect to such an address (a link-local one, fe80::, needs the name of an interface); write another address of it"
        }
        ErrorKind::Unsupported => "this machine has no addresses of this kind (IPv4 or IPv6)",
        ErrorKind::OutOfMemory => "this machine has no memory left",
        ErrorKind::Interrupted => "it was interrupted",
        // What asks DNS in C libraries has no kind.
        _ => return of_lookup(error).map_or_else(|| of_number(error), str::to_owned),
    };
    said.to_owned()
}

/// What a failed question to DNS says.
fn of_lookup(error: &Error) -> Option<&'static str> {
    let words = error.to_string();
    if crate::names::says_unknown_host(&words) {
        return Some("DNS knows no such name");
    }
    words.contains("failed to lookup address").then_some("DNS gives no answer for the name")
}

fn of_number(error: &Error) -> String {
    match error.raw_os_error() {
        Some(number) if TOO_MANY_FILES.contains(&number) => {
            "this process or machine has too many open files; raise the limit (ulimit -n)".to_owned()
        }
        Some(DISK_FAILS) => "the disk or the file system fails; look at the log of the machine".to_owned(),
        Some(number) => format!("the system refuses it with its error number {number}"),
        None => "the system refuses it without a reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_of_the_system_leave() {
        for number in 1..134 {
            let error = Error::from_raw_os_error(number);
            let system = error.to_string();
            let (system, _) = system.split_once(" (os error").unwrap();
            for said in [of_system(&error), of_connection(&error)] {
                assert!(!said.contains("os error") && !said.contains(system), "{number}: {said}");
            }
        }
    }

    #[test]
    fn failures_of_the_system_have_words() {
        for (number, words) in [(2, "does not exist"), (13, "no right"), (28, "no space"), (5, "disk"), (98, "taken")] {
            let said = of_system(&Error::from_raw_os_error(number));
            assert!(said.contains(words), "{said}");
        }
        for (number, words) in [
            (111, "nobody listens"),
            (104, "broke the connection off"),
            (32, "closed the connection"),
            (22, "link-local"),
            (24, "too many open files"),
            (113, "no route"),
            (71, "error number 71"),
        ] {
            let said = of_connection(&Error::from_raw_os_error(number));
            assert!(said.contains(words), "{number}: {said}");
        }
        let lookup = "failed to lookup address information: ";
        let unknown = Error::other(format!("{lookup}Name or service not known"));
        assert_eq!(of_connection(&unknown), "DNS knows no such name");
        let silent = Error::other(format!("{lookup}Temporary failure in name resolution"));
        assert_eq!(of_connection(&silent), "DNS gives no answer for the name");
    }
}
