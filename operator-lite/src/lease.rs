//! Which replica runs the controllers: the one that holds a Lease. For calm only: claims keep runs apart, whoever leads.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::lower::job::RUNNER_IMAGE_ANNOTATION;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use crate::error::Error;

/// Name of the Lease.
pub const NAME: &str = "kafka-backup-operator";

/// How leadership is kept.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a Lease holds without renewal.
    pub duration: Duration,
    /// How often it is renewed, and looked at.
    pub period: Duration,
}

/// What to do with a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStep {
    /// It is nobody's, or its time is over: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// It is another's.
    Leave,
}

/// What to do with a Lease, or without one, that did not change for so long. Pure.
///
/// How long is measured here, from the moment of observation: the times that a Lease names are of another machine's clock.
#[must_use]
pub fn step(lease: Option<&LeaseSpec>, me: &str, unchanged_for: Duration, terms: Terms) -> LeaseStep {
    let Some(lease) = lease else { return LeaseStep::Take };
    match lease.holder_identity.as_deref() {
        Some(holder) if holder == me => LeaseStep::Renew,
        None | Some("") => LeaseStep::Take,
        Some(_) => {
            let theirs = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            let duration = theirs.map_or(terms.duration, Duration::from_secs);
            if unchanged_for > duration { LeaseStep::Take } else { LeaseStep::Leave }
        }
    }
}

/// The Lease as this replica saw it last.
#[derive(Debug, Default)]
pub struct Observed(Mutex<Option<(Option<LeaseSpec>, Instant)>>);

impl Observed {
    /// For how long the Lease has been as it is.
    fn unchanged_for(&self, lease: Option<&LeaseSpec>) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.as_ref() {
            Some((before, since)) if before.as_ref() == lease => since.elapsed(),
            Some(_) | None => {
                *seen = Some((lease.cloned(), Instant::now()));
                Duration::ZERO
            }
        }
    }
}

/// Who asks for a Lease, and what it says in it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Namespace of the Lease.
    pub namespace: &'a str,
    /// Name of this replica.
    pub me: &'a str,
    /// The image that runs get.
    pub runner_image: &'a str,
}

/// Tries once to hold the Lease; whether it is ours now. It then says which image runs get.
///
/// # Errors
/// When the API server does not answer.
pub async fn hold(client: &Client, candidate: Candidate<'_>, terms: Terms, observed: &Observed) -> Result<bool, Error> {
    let Candidate { namespace, me, runner_image } = candidate;
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(NAME).await?;
    let now = Timestamp::now();
    let old = found.as_ref().and_then(|lease| lease.spec.as_ref());
    let step = step(old, me, observed.unchanged_for(old), terms);
    if step == LeaseStep::Leave {
        return Ok(false);
    }
    let taken = step == LeaseStep::Take;
    let before = old.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    let spec = LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(terms.duration.as_secs()).ok(),
        acquire_time: if taken { Some(MicroTime(now)) } else { old.and_then(|spec| spec.acquire_time.clone()) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(before + i32::from(taken && found.is_some())),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(NAME.to_owned()),
        resource_version: found.as_ref().and_then(ResourceExt::resource_version),
        annotations: Some(BTreeMap::from([(RUNNER_IMAGE_ANNOTATION.to_owned(), runner_image.to_owned())])),
        ..ObjectMeta::default()
    };
    let lease = Lease { metadata, spec: Some(spec) };
    let written = match found {
        Some(_) => api.replace(NAME, &PostParams::default(), &lease).await,
        None => api.create(&PostParams::default(), &lease).await,
    };
    match written.map_err(Error::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the Lease up, so that another replica need not wait for its end.
///
/// # Errors
/// When the API server does not answer.
pub async fn give_up(client: &Client, namespace: &str, me: &str) -> Result<(), Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let Some(mut lease) = api.get_opt(NAME).await? else { return Ok(()) };
    if let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(me)) {
        spec.holder_identity = None;
        api.replace(NAME, &PostParams::default(), &lease).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const TERMS: Terms = Terms { duration: Duration::from_secs(15), period: Duration::from_secs(3) };

    fn lease(holder: Option<&str>, renewed: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(renewed)),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_only_when_its_time_is_over() {
        let at = Timestamp::UNIX_EPOCH;
        for (lease, seconds, wanted) in [
            (None, 0, LeaseStep::Take),
            (Some(lease(None, at)), 1, LeaseStep::Take),
            (Some(lease(Some(""), at)), 1, LeaseStep::Take),
            (Some(lease(Some("me"), at)), 100, LeaseStep::Renew),
            (Some(lease(Some("other"), at)), 10, LeaseStep::Leave),
            (Some(lease(Some("other"), at)), 16, LeaseStep::Take),
            (Some(LeaseSpec { lease_duration_seconds: None, ..lease(Some("other"), at) }), 14, LeaseStep::Leave),
        ] {
            assert_eq!(step(lease.as_ref(), "me", Duration::from_secs(seconds), TERMS), wanted, "{lease:?}");
        }
    }

    /// A leader whose clock is an hour behind, or ahead, leads for as long as it renews.
    #[tokio::test(start_paused = true)]
    async fn clocks_that_differ_move_no_leadership() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        for hours in [-1, 1] {
            let observed = Observed::default();
            let theirs = |second: i64| {
                lease(Some("other"), now + SignedDuration::from_hours(hours) + SignedDuration::from_secs(second))
            };
            let look = |lease: &LeaseSpec| step(Some(lease), "me", observed.unchanged_for(Some(lease)), TERMS);
            for second in 0..100 {
                assert_eq!(look(&theirs(second)), LeaseStep::Leave, "{hours} h, second {second}");
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            // It renews no more: its time runs from the last change that was seen.
            tokio::time::advance(Duration::from_secs(13)).await;
            assert_eq!(look(&theirs(99)), LeaseStep::Leave);
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!(look(&theirs(99)), LeaseStep::Take);
        }
    }
}
