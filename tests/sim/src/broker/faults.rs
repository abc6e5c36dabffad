//! What can go wrong between a broker and its client.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::inject::Inject;

/// How an answer is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Half of it is sent, then the connection closes.
    CutAndClose,
    /// Half of it is sent, then nothing more comes.
    CutAndHang,
    /// Its length is announced as this many bytes, a little is sent, then nothing more comes.
    Announce(i32),
    /// It never comes; the connection stays.
    Never,
    /// The connection closes before it.
    Close,
}

/// Everything that goes wrong now. The default is that nothing does.
#[derive(Debug, Default)]
pub struct Faults {
    /// Fetch answers hold no records until this virtual millisecond.
    pub empty_until: u64,
    /// Milliseconds of throttle that answers to a request ask for, by API key.
    pub throttle: BTreeMap<i16, i32>,
    /// Additional milliseconds before each answer.
    pub slow_ms: u64,
    /// Error codes for requests, by API key; a count of `None` is for ever.
    pub codes: BTreeMap<i16, (i16, Option<u32>)>,
    /// The next answers to requests of this API are broken so.
    pub broken: VecDeque<(i16, Broken)>,
    /// Most bytes per second that Fetch answers together may have; 0 for no limit.
    pub quota: u64,
    /// Virtual millisecond until which the quota is used up.
    pub(super) quota_until: u64,
    /// Codes that were sent because of a fault.
    pub sent: BTreeSet<i16>,
    /// APIs that brokers do not offer beyond this version; a negative one takes the API away.
    pub versions: BTreeMap<i16, i16>,
    /// Metadata answers lack these topics.
    pub unseen: Vec<String>,
    /// Partitions of which a fetch of any offset is out of range.
    pub denied: BTreeSet<(String, i32)>,
    /// Metadata answers have nothing of these topics but a code.
    pub undescribed: BTreeMap<String, i16>,
}

impl Faults {
    /// Puts the code that requests of this API are answered with into an answer; counted only when the answer can carry
    /// one.
    pub(super) fn inject(&mut self, api: i16, answer: &mut impl Inject) {
        let Some((code, left)) = self.codes.get_mut(&api) else { return };
        let code = *code;
        if !answer.inject(code) {
            return;
        }
        self.sent.insert(code);
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                self.codes.remove(&api);
            }
        }
    }

    /// The code that requests of this API are answered with.
    pub(super) fn code(&self, api: i16) -> Option<i16> {
        self.codes.get(&api).map(|(code, _)| *code)
    }

    /// How the next answer to this request is broken, if it is.
    pub fn take_broken(&mut self, api: i16) -> Option<Broken> {
        let at = self.broken.iter().position(|(wanted, _)| *wanted == api)?;
        self.broken.remove(at).map(|(_, broken)| broken)
    }

    /// Milliseconds for which Fetch gives nothing, where the quota is used up.
    pub(super) fn throttled(&self, now: u64) -> Option<i32> {
        (self.quota > 0 && now < self.quota_until).then(|| (self.quota_until - now).min(10_000) as i32)
    }

    /// Counts bytes of a Fetch answer against the quota.
    pub(super) fn spend(&mut self, now: u64, bytes: u64) {
        if let Some(millis) = (bytes * 1000).checked_div(self.quota) {
            self.quota_until = self.quota_until.max(now) + millis;
        }
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        let (versions, sent) = (std::mem::take(&mut self.versions), std::mem::take(&mut self.sent));
        *self = Self { sent, versions, ..Self::default() };
    }
}
