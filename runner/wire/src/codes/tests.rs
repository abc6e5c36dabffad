//! The table of error codes against a second one, written by number after Kafka 4.3's list.

use super::*;
use contract::ExitCode;

/// The newest code of Kafka 4.3.
const NEWEST: i16 = 133;
const REFRESH: [i16; 19] = [3, 5, 6, 9, 15, 16, 41, 56, 72, 74, 75, 78, 80, 83, 84, 100, 103, 106, 108];
const AGAIN: [i16; 12] = [-1, 2, 7, 13, 14, 19, 20, 51, 70, 71, 88, 89];

fn every() -> impl Iterator<Item = (i16, E)> {
    (-1..=NEWEST).filter_map(|code| Some((code, E::try_from_code(code)?)))
}

#[test]
fn every_code_has_a_name_and_a_class() {
    assert_eq!(every().count(), 134);
    for (code, error) in every() {
        assert!(!matches!(error, E::Unknown(_)), "{code} has no name");
        let class = match code {
            code if REFRESH.contains(&code) => Retry::Refresh,
            code if AGAIN.contains(&code) => Retry::Again,
            _ => Retry::Never,
        };
        assert_eq!(retry(error), class, "{code} {error:?}");
        assert!(name(code).chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{}", name(code));
    }
    assert_eq!(name(6), "NOT_LEADER_OR_FOLLOWER");
    assert_eq!(retry(E::Unknown(NEWEST + 1)), Retry::Never);
    assert!(name(NEWEST + 1).contains("does not know"));
}

#[test]
fn what_may_pass_can_be_run_again_and_what_cannot_is_final() {
    for request in Request::ALL {
        for (code, error) in every() {
            let ending = ending(*request, error);
            let right = match retry(error) {
                Retry::Never => [ExitCode::Final, ExitCode::Fenced].contains(&ending.exit()),
                Retry::Again | Retry::Refresh => ending.exit() == ExitCode::Resumable,
            };
            assert!(right, "{code} {error:?} as an answer to {request} ends as {ending}");
        }
    }
}

#[test]
fn endings_of_their_own_belong_to_their_requests() {
    let produce = [
        (10, Code::BatchTooLarge),
        (18, Code::BatchTooLarge),
        (32, Code::TimestampRefused),
        (45, Code::ForeignWriter),
        (46, Code::ForeignWriter),
        (47, Code::Fenced),
        (90, Code::Fenced),
    ];
    let everywhere = [
        ([29, 30, 31, 53, 65].as_slice(), Code::NotAuthorized),
        (&[33, 34, 58, 66], Code::AuthenticationFailed),
        (&[35, 43, 76], Code::BrokerUnsupported),
        (&[100, 103], Code::TopicChanged),
    ];
    for request in Request::ALL {
        for (code, error) in every() {
            let own = everywhere.iter().find(|(codes, _)| codes.contains(&code)).map(|(_, ending)| *ending);
            let written = produce.iter().find(|(of, _)| *of == code).map(|(_, ending)| *ending);
            let fence = [Request::InitProducerId, Request::AddPartitionsToTxn, Request::EndTxn].contains(request);
            let want = match (own, written, code) {
                (Some(own), _, _) => own,
                (None, Some(ending), _) if *request == Request::Produce => ending,
                (None, Some(Code::Fenced), _) if fence => Code::Fenced,
                (None, None, 2) if *request == Request::Fetch => Code::CorruptBatch,
                _ if REFRESH.contains(&code) || AGAIN.contains(&code) => Code::BrokerFailed,
                _ => Code::RequestRefused,
            };
            assert_eq!(ending(*request, error), want, "{code} {error:?} as an answer to {request}");
        }
    }
}
