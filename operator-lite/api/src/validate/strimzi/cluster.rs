//! Rules of `strimziClusterRef`, `authentication` and `connection`.

use crate::finding::Findings;
use crate::strimzi::{Authentication, AuthenticationType, ClusterRef, Connection, SecretKey};
use crate::validate::names::{namespace, object_name};

pub(super) fn cluster(out: &mut Findings, cluster: &ClusterRef) {
    const AT: &str = "spec.strimziClusterRef";
    object_name(out, &format!("{AT}.name"), &cluster.name);
    if let Some(name) = &cluster.namespace {
        namespace(out, &format!("{AT}.namespace"), name);
    }
    secret(out, &format!("{AT}.caSecret"), cluster.ca_secret.as_ref());
    if cluster.listener.as_deref() == Some("") {
        out.wrong(&format!("{AT}.listener"), "\"\"", "must not be empty", "name a listener or leave it out");
    }
}

pub(super) fn connection(out: &mut Findings, connection: Option<&Connection>) {
    if let Some(count) = connection.and_then(|connection| connection.connections_per_broker) {
        out.above_zero("spec.connection.connectionsPerBroker", count);
    }
}

/// A Secret and a key in it.
pub(super) fn secret(out: &mut Findings, at: &str, secret: Option<&SecretKey>) {
    let Some(secret) = secret else { return };
    object_name(out, &format!("{at}.name"), &secret.name);
    if secret.key.is_empty() {
        out.wrong(&format!("{at}.key"), "\"\"", "must not be empty", "write a key of the Secret");
    }
}

pub(super) fn authentication(out: &mut Findings, who: Option<&Authentication>) {
    const AT: &str = "spec.authentication";
    let Some(who) = who else { return };
    let unused = |out: &mut Findings, field: &str, why: &str| {
        out.warn(&format!("{AT}.{field}"), None, &format!("has no effect {why}"), "remove it");
    };
    if let Some(user) = &who.kafka_user_ref {
        object_name(out, &format!("{AT}.kafkaUserRef.name"), &user.name);
    }
    secret(out, &format!("{AT}.passwordSecret"), who.password_secret.as_ref());
    if let Some(pair) = &who.certificate_and_key {
        object_name(out, &format!("{AT}.certificateAndKey.secretName"), &pair.secret_name);
    }
    match who.kind {
        AuthenticationType::Tls => {
            if who.kafka_user_ref.is_none() && who.certificate_and_key.is_none() {
                let rule = "with type tls needs kafkaUserRef or certificateAndKey";
                out.missing(AT, rule, "name a KafkaUser, or a Secret with a certificate and its key");
            }
            if who.username.is_some() {
                unused(out, "username", "with type tls");
            }
            if who.password_secret.is_some() {
                unused(out, "passwordSecret", "with type tls");
            }
        }
        AuthenticationType::ScramSha512 => {
            if who.kafka_user_ref.is_none() && (who.username.is_none() || who.password_secret.is_none()) {
                let rule = "with type scram-sha-512 needs kafkaUserRef, or username and passwordSecret";
                out.missing(AT, rule, "name a KafkaUser, or a user and the Secret of its password");
            }
            if who.certificate_and_key.is_some() {
                unused(out, "certificateAndKey", "with type scram-sha-512");
            }
            if who.kafka_user_ref.is_some() && who.username.is_some() {
                unused(out, "username", "beside kafkaUserRef, which names the user");
            }
        }
    }
}
