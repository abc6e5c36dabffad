//! Looks at what a server says in a SCRAM login (RFC 5802) before the library reads it: what could cost a run its
//! processor, its memory or its life is refused here. Pure; it computes nothing and believes nothing.

/// Fewest rounds of hashing (RFC 7677). With fewer, whoever hears the proof can guess the password.
const FEWEST: u32 = 4_096;
/// Most rounds: about a second of work.
const MOST: u32 = 1_000_000;
/// Longest message. Those of brokers have about 100 bytes.
const LONGEST: usize = 4_096;

/// The first answer of the server: `r=<nonce>,s=<salt>,i=<rounds>` and extensions.
///
/// # Errors
/// What is wrong with it, in words with a fix.
pub(crate) fn check_first(message: &[u8]) -> Result<(), String> {
    let mut attributes = attributes(message)?;
    let mut next = |name| attribute(attributes.next(), name);
    let nonce = next(b'r')?;
    let salt = next(b's')?;
    let rounds = next(b'i')?;
    if nonce.is_empty() || salt.is_empty() {
        return Err(unreadable());
    }
    let digits =
        rounds.iter().all(u8::is_ascii_digit).then_some(rounds).and_then(|rounds| std::str::from_utf8(rounds).ok());
    match digits.filter(|digits| !digits.is_empty()).map(str::parse) {
        Some(Ok(FEWEST..=MOST)) => Ok(()),
        Some(Ok(rounds)) => Err(out_of_bounds(&rounds.to_string())),
        Some(Err(_)) => Err(out_of_bounds("more than 4294967295")),
        None => Err(unreadable()),
    }
}

/// The last answer of the server: `v=<signature>` or `e=<error>`.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn check_last(message: &[u8]) -> Result<(), String> {
    match attributes(message)?.next() {
        Some([b'v' | b'e', b'=', _, ..]) => Ok(()),
        _ => Err(unreadable()),
    }
}

fn attributes(message: &[u8]) -> Result<impl Iterator<Item = &[u8]>, String> {
    if message.len() > LONGEST {
        return Err(format!("its answer to SCRAM has {} bytes; at most {LONGEST} are read", message.len()));
    }
    // A message of the protocol: its fields stand between commas.
    Ok(message.split(|byte| *byte == b','))
}

fn attribute(found: Option<&[u8]>, name: u8) -> Result<&[u8], String> {
    match found {
        Some([first, b'=', value @ ..]) if *first == name => Ok(value),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> String {
    "its answer to SCRAM does not follow RFC 5802; connect to a Kafka listener".to_owned()
}

fn out_of_bounds(rounds: &str) -> String {
    format!(
        "it asks for {rounds} iterations of SCRAM, and {FEWEST} to {MOST} are allowed; set this user's password again, with iterations between them"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brokers_say_passes() {
        for rounds in ["4096", "8192", "16384", "1000000"] {
            assert_eq!(check_first(format!("r=fyko+d2lbbFgONRv9qkxdawL,s=c2FsdA==,i={rounds}").as_bytes()), Ok(()));
        }
        assert_eq!(check_first(b"r=nonce,s=c2FsdA==,i=4096,x=extension"), Ok(()));
        assert_eq!(check_last(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Ok(()));
        assert_eq!(check_last(b"e=invalid-proof"), Ok(()));
    }

    #[test]
    fn rounds_have_bounds() {
        for rounds in ["0", "1", "4095", "1000001", "4294967295", "99999999999999999999"] {
            let said = check_first(format!("r=nonce,s=c2FsdA==,i={rounds}").as_bytes()).unwrap_err();
            assert!(said.contains("iterations of SCRAM") && said.contains("4096 to 1000000"), "{said}");
        }
        for rounds in ["", "+4096", "-1", " 4096", "4096 ", "0x1000", "four"] {
            assert_eq!(check_first(format!("r=nonce,s=c2FsdA==,i={rounds}").as_bytes()), Err(unreadable()), "{rounds}");
        }
    }

    #[test]
    fn what_is_cut_or_strange_is_refused() {
        let whole = b"r=nonce,s=c2FsdA==,i=4096";
        for length in 0..whole.len() {
            assert!(check_first(&whole[..length]).is_err(), "{length}");
        }
        for bad in [
            &b"r,s=c2FsdA==,i=4096"[..],
            b"r=n,s,i=4096",
            b"r=n,,i=4096",
            b"m=x,r=n,s=c2FsdA==,i=4096",
            b"e=other-error",
        ] {
            assert_eq!(check_first(bad), Err(unreadable()));
        }
        for bad in [&b""[..], b"v", b"v=", b"e", b",", b"x=1", b"\xff\xff"] {
            assert_eq!(check_last(bad), Err(unreadable()));
        }
        assert!(check_first(&[b'r'; LONGEST + 1]).unwrap_err().contains("4097 bytes"));
    }
}
