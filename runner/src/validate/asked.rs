//! The checks that were asked for, in order: each is taken as not made until somebody says what came of it.

use contract::{
    ARCHIVE_CHECKS, CHECK_NAMES, CLUSTER_CHECKS, CheckFinding, CheckVerdict, EventKind, ValidationCheck,
    ValidationChecks,
};
use tokio::time::Instant;

use crate::emit::Emitter;
use crate::pace::millis;

/// All checks of a run.
#[derive(Debug)]
pub(super) struct Asked(Vec<ValidationCheck>);

impl Asked {
    /// Those that a specification asks for.
    pub(super) fn new(checks: &ValidationChecks) -> Self {
        let is_asked = [
            checks.structure,
            checks.checksum,
            checks.decode,
            checks.message_count.is_some(),
            checks.offset_range,
            checks.consumer_group_offsets.is_some(),
        ];
        let own = CHECK_NAMES.into_iter().zip(is_asked).filter(|(_, asked)| *asked).map(|(name, _)| name);
        let hooks = checks.webhooks.iter().map(|hook| hook.name.as_str());
        let open = |name: &str| ValidationCheck::new(name, CheckVerdict::NotRun, "");
        Self(own.chain(hooks).map(open).collect())
    }

    /// Whether this check is asked for.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|check| check.name == name)
    }

    /// What came of a check.
    pub(super) fn made(&mut self, made: ValidationCheck, emitter: &Emitter) {
        let (check, verdict, message) = (made.name.clone(), made.verdict, made.message.clone());
        if let Some(open) = self.0.iter_mut().find(|open| open.name == made.name) {
            *open = made;
            emitter.emit(EventKind::Checked { check, verdict, message });
        }
    }

    /// What came of a check that was begun at this moment.
    pub(super) fn made_since(&mut self, began: Instant, made: ValidationCheck, emitter: &Emitter) {
        self.made(ValidationCheck { millis: millis(began.elapsed()), ..made }, emitter);
    }

    /// The first check of the archive failed because of this; the deeper ones had nothing to read.
    pub(super) fn fail_archive(&mut self, message: &str, finding: CheckFinding, emitter: &Emitter) {
        let first = ARCHIVE_CHECKS.into_iter().find(|name| self.has(name));
        if let Some(name) = first {
            let failed = ValidationCheck::new(name, CheckVerdict::Fail, message).with_findings(vec![finding]);
            self.made(failed, emitter);
        }
        self.not_run_of_archive(message);
    }

    /// Why checks of the archive were not made.
    pub(super) fn not_run_of_archive(&mut self, why: &str) {
        self.not_made(why, |name| ARCHIVE_CHECKS.contains(&name));
    }

    /// Why checks of the cluster were not made.
    pub(super) fn not_run_of_cluster(&mut self, why: &str) {
        self.not_made(why, |name| CLUSTER_CHECKS.contains(&name));
    }

    /// Why the checks that are left were not made.
    pub(super) fn not_run(&mut self, why: &str) {
        self.not_made(why, |_| true);
    }

    fn not_made(&mut self, why: &str, of: impl Fn(&str) -> bool) {
        let open = |check: &&mut ValidationCheck| check.verdict == CheckVerdict::NotRun && check.message.is_empty();
        for check in self.0.iter_mut().filter(open).filter(|check| of(&check.name)) {
            why.clone_into(&mut check.message);
        }
    }

    /// All of them so far.
    pub(super) fn checks(&self) -> &[ValidationCheck] {
        &self.0
    }

    /// All of them.
    pub(super) fn into_checks(self) -> Vec<ValidationCheck> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_made_is_not_run() {
        let checks = ValidationChecks { structure: true, offset_range: true, ..ValidationChecks::default() };
        let mut asked = Asked::new(&checks);
        assert!(asked.has("structure") && !asked.has("decode"));
        asked.not_run_of_cluster("no broker");
        asked.not_run("nothing");
        let found: Vec<_> =
            asked.into_checks().into_iter().map(|check| (check.name, check.verdict, check.message)).collect();
        let not_run = |name: &str, why: &str| (name.to_owned(), CheckVerdict::NotRun, why.to_owned());
        assert_eq!(found, [not_run("structure", "nothing"), not_run("offsetRange", "no broker")]);
    }
}
