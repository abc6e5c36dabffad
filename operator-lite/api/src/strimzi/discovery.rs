//! What a run needs of a Strimzi cluster, from the resources that Strimzi keeps: `Kafka` and `KafkaUser`, `v1` or `v1beta2`.
//! Pure: the operator reads the resources. No Secret is read; runs mount them by name and key.
//!
//! What is missing has a reason, which is that of the resource's condition, and says what to do.

use contract::names::check_server;
use contract::{KafkaSpec, SaslMechanism, SaslSpec, SecurityProtocol, TlsSpec};
use serde_json::Value;

use super::{Authentication, AuthenticationType, ClusterRef};

/// Why a run cannot begin yet: a stable word, and the same in words.
pub type Missing = (&'static str, String);

/// No listener fits.
const NO_LISTENER: &str = "NoCompatibleListener";
/// The listener has no address yet, or no certificates.
const NOT_READY: &str = "StrimziClusterNotReady";
/// The label that names the cluster of a KafkaUser.
const CLUSTER_LABEL: &str = "strimzi.io/cluster";

/// Who a run is at the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Nobody.
    Nobody,
    /// A client certificate: Secret, key of the certificate, key of the private key.
    Certificate(String, String, String),
    /// A user and the Secret and key of its password.
    Password(String, String, String),
}

/// The cluster that a resource refers to, and the namespace of the resource.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The reference.
    pub cluster: &'a ClusterRef,
    /// Namespace of the resource.
    pub own: &'a str,
}

impl Place<'_> {
    /// Namespace of the cluster.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.cluster.namespace.as_deref().unwrap_or(self.own)
    }

    fn shown(&self) -> String {
        format!("Kafka {:?} in namespace {:?}", self.cluster.name, self.namespace())
    }

    /// That there is no such cluster.
    #[must_use]
    pub fn absent(&self) -> Missing {
        let text = format!("spec.strimziClusterRef: there is no {}; correct the name, or create it", self.shown());
        ("StrimziClusterNotFound", text)
    }
}

/// A listener of a cluster.
struct Listener<'a> {
    name: &'a str,
    tls: bool,
    internal: bool,
    authentication: Option<&'a str>,
}

impl Listener<'_> {
    fn words(&self) -> String {
        let (place, tls) =
            (if self.internal { "internal" } else { "external" }, if self.tls { "tls" } else { "plain" });
        format!("{} ({place}, {tls}, authentication {})", self.name, self.authentication.unwrap_or("none"))
    }
}

/// How the brokers of a cluster are reached by somebody with this login.
///
/// # Errors
/// What is missing.
pub fn brokers(
    place: Place<'_>,
    kafka: &Value,
    wanted: Option<AuthenticationType>,
    login: &Login,
) -> Result<KafkaSpec, Missing> {
    let all = listeners(kafka);
    let listener = choose(place, &all, wanted)?;
    let status = status_of(kafka, listener.name);
    let servers = status.and_then(|status| status.get("bootstrapServers")?.as_str()).unwrap_or_default();
    let bootstrap_servers: Vec<String> =
        servers.split(',').map(str::trim).filter(|server| !server.is_empty()).map(str::to_owned).collect();
    if bootstrap_servers.is_empty() {
        let text = format!(
            "{} does not tell the address of its listener {:?} yet (status.listeners); wait until it is ready{}",
            place.shown(),
            listener.name,
            conditions(kafka)
        );
        return Err((NOT_READY, text));
    }
    if let Some((wrong, rule)) = bootstrap_servers.iter().find_map(|server| Some((server, check_server(server).err()?)))
    {
        let text = format!(
            "{} tells {wrong:?} as an address of its listener {:?}, which is none: {rule}",
            place.shown(),
            listener.name
        );
        return Err((NOT_READY, text));
    }
    let security_protocol = match (login, listener.tls) {
        (Login::Password(..), true) => SecurityProtocol::SaslSsl,
        (Login::Password(..), false) => SecurityProtocol::SaslPlaintext,
        (Login::Nobody | Login::Certificate(..), true) => SecurityProtocol::Ssl,
        (Login::Nobody | Login::Certificate(..), false) => SecurityProtocol::Plaintext,
    };
    let tls = if listener.tls { Some(tls(place, listener.name, status, login)?) } else { None };
    let sasl = match login {
        Login::Password(user, secret, key) => Some(SaslSpec {
            mechanism: SaslMechanism::ScramSha512,
            username_file: None,
            username: Some(user.clone()),
            password_file: format!("{secret}/{key}"),
        }),
        Login::Nobody | Login::Certificate(..) => None,
    };
    Ok(KafkaSpec { bootstrap_servers, security_protocol, tls, sasl, ..KafkaSpec::default() })
}

fn listeners(kafka: &Value) -> Vec<Listener<'_>> {
    let all = kafka.pointer("/spec/kafka/listeners").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |listener: &'_ Value, path: &str| listener.pointer(path).and_then(Value::as_str).map(str::to_owned);
    all.iter()
        .filter_map(|listener| {
            let kind = text(listener, "/type");
            Some(Listener {
                name: listener.get("name")?.as_str()?,
                tls: listener.get("tls").and_then(Value::as_bool).unwrap_or(false),
                internal: kind.is_none_or(|kind| ["internal", "cluster-ip"].contains(&kind.as_str())),
                authentication: listener.pointer("/authentication/type").and_then(Value::as_str),
            })
        })
        .collect()
}

/// How Strimzi writes an authentication.
fn word(wanted: Option<AuthenticationType>) -> Option<&'static str> {
    wanted.map(|wanted| match wanted {
        AuthenticationType::Tls => "tls",
        AuthenticationType::ScramSha512 => "scram-sha-512",
    })
}

/// The listener: by name, else by the authentication that is wanted, encrypted ones first, internal before external.
fn choose<'a, 'l>(
    place: Place<'_>,
    all: &'l [Listener<'a>],
    wanted: Option<AuthenticationType>,
) -> Result<&'l Listener<'a>, Missing> {
    let word = word(wanted);
    let known = || all.iter().map(Listener::words).collect::<Vec<_>>().join(", ");
    // A certificate goes over TLS only.
    let fits = |listener: &&Listener<'_>| {
        listener.authentication == word && (wanted != Some(AuthenticationType::Tls) || listener.tls)
    };
    let shown = word.unwrap_or("none");
    if let Some(name) = &place.cluster.listener {
        let Some(listener) = all.iter().find(|listener| listener.name == name) else {
            let text = format!(
                "spec.strimziClusterRef.listener: {} has no listener {name:?}; it has: {}",
                place.shown(),
                known()
            );
            return Err((NO_LISTENER, text));
        };
        if !fits(&listener) {
            let text = format!(
                "spec.strimziClusterRef.listener: {} of {} does not take authentication {shown}; name another listener, or \
                 change spec.authentication",
                listener.words(),
                place.shown()
            );
            return Err((NO_LISTENER, text));
        }
        return Ok(listener);
    }
    // The first of those that are alike: the order of the resource counts.
    let best = all.iter().filter(fits).min_by_key(|listener| (!listener.tls, !listener.internal));
    best.ok_or_else(|| {
        let text = format!(
            "spec.authentication: no listener of {} takes authentication {shown}; it has: {}",
            place.shown(),
            known()
        );
        (NO_LISTENER, text)
    })
}

/// What Strimzi tells of a listener; older versions call the name `type`.
fn status_of<'a>(kafka: &'a Value, name: &str) -> Option<&'a Value> {
    let all = kafka.pointer("/status/listeners")?.as_array()?;
    let is = |field: &str| all.iter().find(|status| status.get(field).and_then(Value::as_str) == Some(name));
    is("name").or_else(|| is("type"))
}

/// What the conditions of a resource complain of, as the end of a sentence.
fn conditions(object: &Value) -> String {
    let all = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text = |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).map(str::to_owned);
    let bad = all.into_iter().find(|condition| {
        let (kind, status) = (text(condition, "type"), text(condition, "status"));
        kind.as_deref() == Some("NotReady") && status.as_deref() == Some("True")
    });
    let why = bad.and_then(|bad| text(bad, "message").or_else(|| text(bad, "reason")));
    why.map(|why| format!("; it says: {}", why.chars().take(300).collect::<String>())).unwrap_or_default()
}

fn tls(place: Place<'_>, listener: &str, status: Option<&Value>, login: &Login) -> Result<TlsSpec, Missing> {
    let (certificate_file, key_file) = match login {
        Login::Certificate(secret, certificate, key) => {
            (Some(format!("{secret}/{certificate}")), Some(format!("{secret}/{key}")))
        }
        Login::Nobody | Login::Password(..) => (None, None),
    };
    let spec = TlsSpec { certificate_file, key_file, ..TlsSpec::default() };
    if let Some(own) = &place.cluster.ca_secret {
        return Ok(TlsSpec { ca_file: Some(format!("{}/{}", own.name, own.key)), ..spec });
    }
    let told = status.and_then(|status| status.get("certificates")?.as_array()).map_or(&[][..], Vec::as_slice);
    let ca_certificates: Vec<String> = told.iter().filter_map(Value::as_str).flat_map(bodies).collect();
    if !ca_certificates.is_empty() {
        return Ok(TlsSpec { ca_certificates, ..spec });
    }
    let secret = format!("{}-cluster-ca-cert", place.cluster.name);
    if place.namespace() == place.own {
        return Ok(TlsSpec { ca_file: Some(format!("{secret}/ca.crt")), ..spec });
    }
    let text = format!(
        "{} does not tell the certificates of its listener {listener:?}, and its Secret {secret:?} lies in another namespace than \
         this resource, where its run cannot mount it; put this resource beside the cluster, or copy the Secret here with a tool \
         of yours and name it in spec.strimziClusterRef.caSecret",
        place.shown()
    );
    Err(("CertificatesNotReachable", text))
}

/// The certificates of a PEM text, each as base64 on one line.
fn bodies(pem: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let parts = pem.split(BEGIN).skip(1);
    let body = |part: &str| {
        let body = part.split("-----END").next().unwrap_or_default();
        body.chars().filter(|c| !c.is_whitespace()).collect::<String>()
    };
    let is_base64 =
        |text: &String| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
    parts.map(body).filter(is_base64).collect()
}

/// Who a run is, where no KafkaUser says so. `None`: a KafkaUser does.
#[must_use]
pub fn own_login(who: Option<&Authentication>) -> Option<Login> {
    let Some(who) = who else { return Some(Login::Nobody) };
    if who.kafka_user_ref.is_some() {
        return None;
    }
    match who.kind {
        AuthenticationType::Tls => who
            .certificate_and_key
            .as_ref()
            .map(|pair| Login::Certificate(pair.secret_name.clone(), pair.certificate.clone(), pair.key.clone())),
        AuthenticationType::ScramSha512 => who
            .username
            .as_ref()
            .zip(who.password_secret.as_ref())
            .map(|(user, secret)| Login::Password(user.clone(), secret.name.clone(), secret.key.clone())),
    }
}

/// That there is no such KafkaUser.
#[must_use]
pub fn no_user(place: Place<'_>, name: &str) -> Missing {
    let mut text = format!(
        "spec.authentication.kafkaUserRef: there is no KafkaUser {name:?} in namespace {:?}; correct the name, or create it",
        place.own
    );
    if place.namespace() != place.own {
        let other = place.namespace();
        let more = format!(
            ". One in namespace {other:?}, where the cluster is, does not count: its Secret cannot be mounted here. Put this resource \
             beside the cluster, or copy the Secret here with a tool of yours and name it in spec.authentication"
        );
        text.push_str(&more);
    }
    ("KafkaUserNotFound", text)
}

/// Who a run is that has a KafkaUser.
///
/// # Errors
/// What is missing.
pub fn user_login(place: Place<'_>, wanted: AuthenticationType, name: &str, user: &Value) -> Result<Login, Missing> {
    let text = |path: &str| user.pointer(path).and_then(Value::as_str);
    let shown = format!("spec.authentication.kafkaUserRef: KafkaUser {name:?}");
    let label = user.pointer("/metadata/labels").and_then(|labels| labels.get(CLUSTER_LABEL)?.as_str());
    if let Some(other) = label.filter(|label| *label != place.cluster.name) {
        let why = format!(
            "{shown} is one of cluster {other:?} (label {CLUSTER_LABEL}), and not of {:?}; name another one",
            place.cluster.name
        );
        return Err(("KafkaUserOfAnotherCluster", why));
    }
    let kind = text("/spec/authentication/type").unwrap_or("none");
    let expected = word(Some(wanted)).unwrap_or_default();
    if kind != expected {
        let mut why =
            format!("{shown} has authentication {kind}, and spec.authentication.type is {expected}; make them agree");
        if kind == "tls-external" && wanted == AuthenticationType::Tls {
            why = format!(
                "{shown} has authentication tls-external, so Strimzi keeps no certificate of it; name yours in spec.authentication.certificateAndKey"
            );
        }
        return Err(("KafkaUserMismatch", why));
    }
    let not_ready = |what: &str| {
        let why = format!("{shown} has no {what} in its status yet; wait until it is ready{}", conditions(user));
        ("KafkaUserNotReady", why)
    };
    let secret = text("/status/secret").filter(|secret| !secret.is_empty()).ok_or_else(|| not_ready("Secret"))?;
    Ok(match wanted {
        AuthenticationType::Tls => Login::Certificate(secret.to_owned(), "user.crt".to_owned(), "user.key".to_owned()),
        AuthenticationType::ScramSha512 => {
            let user =
                text("/status/username").filter(|user| !user.is_empty()).ok_or_else(|| not_ready("user name"))?;
            Login::Password(user.to_owned(), secret.to_owned(), "password".to_owned())
        }
    })
}

#[cfg(test)]
mod tests;
