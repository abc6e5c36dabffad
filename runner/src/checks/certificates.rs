//! What certificates of brokers and stores, and our own one, say: for whom they are, who signed them, how long they last.

use std::collections::BTreeMap;

use contract::{CheckLine, Verdict};
use jiff::Timestamp;
use wire::{About, BrokerId, Cluster};

use super::KAFKA;

/// Days before its end from which on a certificate is worth a word.
const SOON: i64 = 14;
const DAY: i64 = 86_400;

/// A line for each certificate that these brokers showed.
pub(crate) fn lines(cluster: &Cluster, brokers: impl Iterator<Item = BrokerId>, now: Timestamp) -> Vec<CheckLine> {
    let mut shown: Vec<(About, Vec<BrokerId>)> = Vec::new();
    for (id, about) in brokers.filter_map(|id| Some((id, cluster.certificate(id)?))) {
        match shown.iter_mut().find(|(known, _)| *known == about) {
            Some((_, ids)) => ids.push(id),
            None => shown.push((about, vec![id])),
        }
    }
    let by_broker: BTreeMap<_, _> = shown.iter().map(|(about, ids)| (ids, of_brokers(about, ids, now))).collect();
    let ours = cluster.own_certificate().map(|about| line(KAFKA, "our client certificate", &about, now));
    by_broker.into_values().chain(ours).collect()
}

fn of_brokers(about: &About, ids: &[BrokerId], now: Timestamp) -> CheckLine {
    let whose: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let plural = if ids.len() == 1 { "" } else { "s" };
    line(KAFKA, &format!("certificate of broker{plural} {}", whose.join(", ")), about, now)
}

/// A line about one certificate: for whom it is, who signed it, and how long it lasts.
pub(crate) fn line(part: &str, whose: &str, about: &About, now: Timestamp) -> CheckLine {
    let days = (about.ends - now.as_second()).div_euclid(DAY);
    let (verdict, end) = if days < 0 {
        (Verdict::Note, format!("it has ended {} days ago: renew it", -days))
    } else if days < SOON {
        (Verdict::Note, format!("{days} days left; renew it before, else every run fails"))
    } else {
        (Verdict::Ok, format!("{days} days left"))
    };
    let detail = format!("{whose}: for {}; signed by {}; {end}", about.names.join(", "), about.issuer);
    CheckLine::new(part, "tls", verdict, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_near_is_worth_a_word() {
        let about = |days: i64| About { names: vec!["a".into(), "b".into()], issuer: "CN=ca".into(), ends: days * DAY };
        let told = of_brokers(&about(30), &[1, 2], Timestamp::UNIX_EPOCH);
        assert_eq!(told.verdict, Verdict::Ok);
        assert_eq!(told.detail, "certificate of brokers 1, 2: for a, b; signed by CN=ca; 30 days left");
        let told = of_brokers(&about(13), &[1], Timestamp::UNIX_EPOCH);
        assert!(told.verdict == Verdict::Note && told.detail.contains("13 days left; renew it before"), "{told:?}");
        let told = line(KAFKA, "our client certificate", &about(-2), Timestamp::UNIX_EPOCH);
        assert!(told.verdict == Verdict::Note && told.detail.contains("it has ended 2 days ago"), "{told:?}");
    }
}
