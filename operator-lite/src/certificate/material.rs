//! What the Secret holds, and when it changes. A new authority is trusted by the API server before it signs anything,
//! and the old one stays trusted until nothing that it signed is in use: no request fails on a rotation.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How long certificates hold.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// An authority.
    pub authority: SignedDuration,
    /// A leaf.
    pub leaf: SignedDuration,
    /// How long a new authority is trusted before it signs, and an old one after.
    pub settle: SignedDuration,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
}

/// What the Secret holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Material {
    /// Authorities, the newest last; at most two.
    pub authorities: Vec<Pair>,
    /// The certificate that is served.
    pub leaf: Option<Pair>,
    /// Which authority signed it, by the time it was made.
    pub signed_by: Option<Timestamp>,
}

/// The next change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// None.
    Keep,
    /// Make an authority, and trust it.
    AddAuthority,
    /// Make a leaf, signed by this one of the authorities.
    SignLeaf(usize),
    /// Trust the oldest authority no more.
    DropAuthority,
}

/// The next change. Pure.
#[must_use]
pub fn step(material: &Material, now: Timestamp, lifetimes: Lifetimes) -> Renewal {
    let Some(newest) = material.authorities.last() else { return Renewal::AddAuthority };
    let last = material.authorities.len() - 1;
    // A third of its time is left: still longer than any leaf that it signs.
    let is_old = |pair: &Pair, life: SignedDuration| pair.ends.duration_since(now) < life / 3;
    if last == 0 && is_old(newest, lifetimes.authority) {
        return Renewal::AddAuthority;
    }
    let has_settled = now.duration_since(newest.made) >= lifetimes.settle;
    let signer = if last == 0 || has_settled { last } else { 0 };
    let Some(leaf) = &material.leaf else { return Renewal::SignLeaf(signer) };
    let by_newest = material.signed_by == Some(newest.made);
    if is_old(leaf, lifetimes.leaf) || (!by_newest && signer == last) {
        return Renewal::SignLeaf(signer);
    }
    let leaf_has_settled = now.duration_since(leaf.made) >= lifetimes.settle;
    if last > 0 && by_newest && leaf_has_settled { Renewal::DropAuthority } else { Renewal::Keep }
}

impl Material {
    /// The authorities to trust, as PEM.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.authorities.iter().map(|authority| authority.certificate.as_str()).collect()
    }

    /// The material after a change.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn after(&self, step: Renewal, names: &[String], now: Timestamp, lifetimes: Lifetimes) -> Result<Self, Error> {
        let mut new = self.clone();
        match step {
            Renewal::Keep => {}
            Renewal::AddAuthority => new.authorities.push(authority(now, lifetimes)?),
            Renewal::DropAuthority => {
                new.authorities.remove(0);
            }
            Renewal::SignLeaf(signer) => {
                let signer = self.authorities.get(signer);
                let signer = signer.ok_or_else(|| Error::Certificate("there is no authority".to_owned()))?;
                new.leaf = Some(leaf(signer, names, now, lifetimes)?);
                new.signed_by = Some(signer.made);
            }
        }
        Ok(new)
    }
}

fn fail(error: impl std::fmt::Display) -> Error {
    Error::Certificate(error.to_string())
}

/// Clocks of others may be behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

fn params(name: &str, now: Timestamp, ends: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    let time = |time: Timestamp| time::OffsetDateTime::from_unix_timestamp(time.as_second()).map_err(fail);
    params.not_before = time(now - BACKDATED)?;
    params.not_after = time(ends)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn authority_params(now: Timestamp, ends: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = params(&format!("kafka-backup-operator {now}"), now, ends)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn authority(now: Timestamp, lifetimes: Lifetimes) -> Result<Pair, Error> {
    let key = KeyPair::generate().map_err(fail)?;
    let ends = now + lifetimes.authority;
    let made = authority_params(now, ends)?.self_signed(&key).map_err(fail)?;
    Ok(Pair { certificate: made.pem(), key: key.serialize_pem(), made: now, ends })
}

fn leaf(signer: &Pair, names: &[String], now: Timestamp, lifetimes: Lifetimes) -> Result<Pair, Error> {
    // The library's words may hold bytes of the key.
    let unread = |_| Error::Certificate("the signing key in the webhook's Secret cannot be read".to_owned());
    let signer_key = KeyPair::from_pem(&signer.key).map_err(unread)?;
    let issuer = Issuer::new(authority_params(signer.made, signer.ends)?, signer_key);
    let key = KeyPair::generate().map_err(fail)?;
    let ends = (now + lifetimes.leaf).min(signer.ends);
    let mut params = params("kafka-backup-operator", now, ends)?;
    let alternatives = CertificateParams::new(names.to_vec()).map_err(fail)?.subject_alt_names;
    params.subject_alt_names = alternatives;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let made = params.signed_by(&key, &issuer).map_err(fail)?;
    Ok(Pair { certificate: made.pem(), key: key.serialize_pem(), made: now, ends })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_of_steps_never_serves_what_is_not_trusted() {
        let lifetimes = Lifetimes {
            authority: SignedDuration::from_hours(24 * 90),
            leaf: SignedDuration::from_hours(24 * 20),
            settle: SignedDuration::from_hours(1),
        };
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut material = Material::default();
        let (mut signed, mut added, mut trusted_at) = (0, 0, Vec::new());
        for _ in 0..365 * 48 {
            let next = step(&material, now, lifetimes);
            if let Renewal::SignLeaf(signer) = next {
                signed += 1;
                if material.authorities.len() > 1 && signer == 1 {
                    assert!(now.duration_since(material.authorities[1].made) >= lifetimes.settle);
                }
            }
            added += i32::from(next == Renewal::AddAuthority);
            material = material.after(next, &["a.b.svc".to_owned()], now, lifetimes).unwrap();
            if let Some(leaf) = &material.leaf {
                assert!(leaf.ends > now, "{now}");
                let by = material.signed_by.unwrap();
                assert!(material.authorities.iter().any(|authority| authority.made == by && authority.ends > now));
            }
            trusted_at.push(material.authorities.len());
            now += SignedDuration::from_mins(30);
        }
        assert!(
            added >= 5 && signed >= 15 && trusted_at.iter().all(|count| (1..=2).contains(count)),
            "{added} {signed}"
        );
    }
}
