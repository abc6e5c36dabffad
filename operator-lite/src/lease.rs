//! Which replica runs the controllers: the one that holds a Lease. For calm only: claims keep runs apart, whoever leads.

use std::collections::BTreeMap;
use std::time::Duration;

use api::lower::job::RUNNER_IMAGE_ANNOTATION;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};

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
pub enum Step {
    /// It is nobody's, or its time is over: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// It is another's.
    Leave,
}

/// What to do with a Lease, or without one. Pure.
#[must_use]
pub fn step(lease: Option<&LeaseSpec>, me: &str, now: Timestamp) -> Step {
    let Some(lease) = lease else { return Step::Take };
    match lease.holder_identity.as_deref() {
        Some(holder) if holder == me => Step::Renew,
        None | Some("") => Step::Take,
        Some(_) => {
            let seconds = i64::from(lease.lease_duration_seconds.unwrap_or(0));
            let renewed = lease.renew_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
            let ends = renewed.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
            if ends < now { Step::Take } else { Step::Leave }
        }
    }
}

/// Tries once to hold the Lease; whether it is ours now. It then says which image runs get.
///
/// # Errors
/// When the API server does not answer.
pub async fn hold(
    client: &Client,
    namespace: &str,
    me: &str,
    runner_image: &str,
    terms: Terms,
) -> Result<bool, Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(NAME).await?;
    let now = Timestamp::now();
    let old = found.as_ref().and_then(|lease| lease.spec.as_ref());
    let step = step(old, me, now);
    if step == Step::Leave {
        return Ok(false);
    }
    let taken = step == Step::Take;
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
    use super::*;

    #[test]
    fn a_lease_is_taken_only_when_its_time_is_over() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let lease = |holder: Option<&str>, ago: i64| LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(now - SignedDuration::from_secs(ago))),
            ..LeaseSpec::default()
        };
        for (lease, wanted) in [
            (None, Step::Take),
            (Some(lease(None, 1)), Step::Take),
            (Some(lease(Some(""), 1)), Step::Take),
            (Some(lease(Some("me"), 100)), Step::Renew),
            (Some(lease(Some("other"), 10)), Step::Leave),
            (Some(lease(Some("other"), 16)), Step::Take),
        ] {
            assert_eq!(step(lease.as_ref(), "me", now), wanted, "{lease:?}");
        }
    }
}
