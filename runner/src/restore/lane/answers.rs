//! What a lane does with the broker's word on each batch of a request.

use std::sync::atomic::Ordering;

use contract::{Code, CrashPoint, Failure, crash};
use wire::{ProduceAnswer, Request, Verdict, WireError, code};

use super::queue::Queue;
use super::{Lane, LaneEnd, Memory, Target, Trouble, lost};

impl Lane {
    /// Takes the answers to one request: all of them, also behind one that brings trouble.
    pub(super) fn take(&mut self, places: &[usize], answers: &[ProduceAnswer]) -> Result<(), Failure> {
        for place in places {
            let (Some(target), Some(queue)) = (self.shared.targets.get(*place), self.partitions.get_mut(place)) else {
                return Err(lost(*place));
            };
            let same = |answer: &&ProduceAnswer| answer.topic == target.topic && answer.partition == target.partition;
            let Some(answer) = answers.iter().find(same) else {
                queue.doubted();
                let missing = WireError::Unanswered { request: Request::Produce, subject: target.subject() };
                self.trouble.add(Trouble::End(LaneEnd::Recover(missing)));
                continue;
            };
            if Verdict::of_produce(answer.error) == Verdict::Appended {
                let offset = Some(answer.base_offset).filter(|_| self.shared.acks != 0);
                let done = match queue.acknowledged(offset) {
                    Ok(done) => done,
                    Err(misplaced) => {
                        queue.doubted();
                        let error = elsewhere(&target.subject(), answer.base_offset, misplaced.expected);
                        self.trouble.add(Trouble::End(LaneEnd::Recover(error)));
                        continue;
                    }
                };
                let Some(done) = done else { continue };
                self.held -= done.size;
                self.shared.records.fetch_add(u64::from(done.records.unsigned_abs()), Ordering::Relaxed);
                self.shared.bytes.fetch_add(done.size as u64, Ordering::Relaxed);
            } else if let Some(trouble) = refused(target, queue, answer) {
                self.trouble.add(trouble);
            }
        }
        if self.trouble.is_none() {
            crash::at(CrashPoint::Produced);
            // Trouble that comes later has all its time again, however long this lane had nothing to do until then.
            self.backoff = None;
        }
        Ok(())
    }
}

/// Marks the queue as the answer says; what follows, unless it follows already from a batch before.
fn refused(target: &Target, queue: &mut Queue<Memory>, answer: &ProduceAnswer) -> Option<Trouble> {
    let error = WireError::Broker {
        request: Request::Produce,
        subject: target.subject(),
        code: answer.error,
        message: answer.message.clone(),
    };
    let fail = |code, text| Some(Trouble::End(LaneEnd::Fail(Failure::new(code, text))));
    match Verdict::of_produce(answer.error) {
        Verdict::Appended => None,
        Verdict::NotYet => {
            queue.refused();
            Some(Trouble::Resend(error))
        }
        Verdict::TooLarge => {
            queue.refused_as_too_large();
            Some(Trouble::Halve)
        }
        Verdict::OutOfSequence if queue.is_halted() => None,
        Verdict::OutOfSequence | Verdict::Unknown => {
            queue.doubted();
            Some(Trouble::End(LaneEnd::Recover(error)))
        }
        Verdict::Fenced => fail(Code::Fenced, format!("another attempt of this restore took over: {error}")),
        Verdict::Refused(code) => fail(code, format!("{error}{}", advice(answer.error))),
    }
}

/// What helps against refusals that have one known cause.
fn advice(error: i16) -> &'static str {
    match error {
        code::INVALID_TOPIC => "; brokers take no records from outside into their internal topics",
        code::POLICY_VIOLATION => "; a policy of the target cluster refuses them",
        87 => {
            "; the broker's validation of records refuses them (in a compacted topic every record needs a key), \
             change it for the time of the restore or restore into another topic"
        }
        // No other refusal has one known cause.
        _ => "",
    }
}

/// Something stands between our records: another producer's, or only a marker that came once more. The ends of the partitions
/// tell which.
fn elsewhere(subject: &str, offset: i64, expected: i64) -> WireError {
    WireError::no_progress(subject, format!("records were written at offset {offset} where {expected} was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI32;

    fn answered(error: i16) -> (Option<Trouble>, Queue<Memory>) {
        let target = Target { topic: "t".into(), partition: 3, leader: AtomicI32::new(1) };
        let mut queue: Queue<Memory> = Queue::new(0);
        let answer =
            ProduceAnswer { topic: "t".into(), partition: 3, error, base_offset: -1, message: Some("why".into()) };
        (refused(&target, &mut queue, &answer), queue)
    }

    /// A leader that lost its place may have appended before: only what was checked before the append goes again.
    #[test]
    fn only_a_batch_that_surely_was_not_appended_is_sent_again() {
        for error in (-1..=133).filter(|error| *error != 0) {
            let (trouble, _) = answered(error);
            let again = matches!(trouble, Some(Trouble::Resend(_) | Trouble::Halve));
            assert_eq!(again, [10, 18, 19].contains(&error), "{error}");
        }
        for error in [3, 5, 6, 7, 20, 45, 46, 56, 59, 74, 75] {
            let (trouble, _) = answered(error);
            assert!(matches!(trouble, Some(Trouble::End(LaneEnd::Recover(_)))), "{error}");
        }
    }

    #[test]
    fn a_refusal_for_good_names_the_partition_and_the_brokers_words() {
        for (error, code) in [
            (1, Code::WriteRefused),
            (17, Code::WriteRefused),
            (29, Code::NotAuthorized),
            (32, Code::TimestampRefused),
            (44, Code::WriteRefused),
            (47, Code::Fenced),
            (50, Code::WriteRefused),
            (54, Code::WriteRefused),
            (76, Code::BrokerUnsupported),
            (87, Code::WriteRefused),
            (90, Code::Fenced),
        ] {
            let Some(Trouble::End(LaneEnd::Fail(failure))) = answered(error).0 else { panic!("{error}") };
            assert_eq!(failure.code, code, "{error}");
            assert!(failure.message.contains("t/3") && failure.message.contains("why"), "{}", failure.message);
        }
    }

    #[test]
    fn what_follows_from_a_batch_before_says_nothing_new() {
        let target = Target { topic: "t".into(), partition: 0, leader: AtomicI32::new(1) };
        let mut queue: Queue<Memory> = Queue::new(0);
        let answer = |error| ProduceAnswer { topic: "t".into(), partition: 0, error, base_offset: -1, message: None };
        assert!(matches!(refused(&target, &mut queue, &answer(19)), Some(Trouble::Resend(_))));
        assert!(refused(&target, &mut queue, &answer(45)).is_none());
    }

    #[test]
    fn the_worst_trouble_counts() {
        let recover = || Trouble::End(LaneEnd::Recover(WireError::broker(Request::Produce, "t/0", 6)));
        let fail = |code| Trouble::End(LaneEnd::Fail(Failure::new(code, "x")));
        let mut all = super::super::Troubles::default();
        all.add(Trouble::Resend(WireError::broker(Request::Produce, "t/0", 19)));
        all.add(recover());
        all.add(fail(Code::WriteRefused));
        all.add(fail(Code::Fenced));
        all.add(recover());
        let Some(Trouble::End(LaneEnd::Fail(failure))) = all.worst() else { panic!("a failure is worst") };
        assert_eq!(failure.code, Code::Fenced);
    }
}
