use proptest::prelude::*;
use serde_json::json;

use super::*;

fn cluster(more: &Value) -> ClusterRef {
    let mut spec = json!({"name": "events"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn kafka() -> Value {
    let pem = "-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n";
    let listener = |name: &str, kind: &str, tls: bool, authentication: Option<&str>| {
        let mut out = json!({"name": name, "port": 9092, "type": kind, "tls": tls});
        if let Some(authentication) = authentication {
            out["authentication"] = json!({"type": authentication});
        }
        out
    };
    let status = |name: &str, port: u16| json!({"name": name, "bootstrapServers": format!("{name}.kafka.svc:{port}"), "certificates": [pem]});
    json!({
        "spec": {"kafka": {"listeners": [
            listener("plain", "internal", false, None), listener("outside", "nodeport", true, None),
            listener("secure", "internal", true, None), listener("mutual", "internal", true, Some("tls")),
            listener("login", "internal", false, Some("scram-sha-512")), listener("far", "loadbalancer", true, Some("scram-sha-512")),
            listener("token", "internal", true, Some("oauth")),
        ]}},
        "status": {"listeners": [
            {"type": "plain", "bootstrapServers": "a:1, b:2"}, status("outside", 3), status("secure", 4), status("mutual", 5),
            status("login", 6), status("far", 7), status("token", 8),
        ]},
    })
}

fn reached(more: &Value, wanted: Option<AuthenticationType>) -> Result<KafkaSpec, Missing> {
    let cluster = cluster(more);
    let login = match wanted {
        None => Login::Nobody,
        Some(AuthenticationType::Tls) => Login::Certificate("me".into(), "user.crt".into(), "user.key".into()),
        Some(AuthenticationType::ScramSha512) => Login::Password("me".into(), "me".into(), "password".into()),
    };
    brokers(Place { cluster: &cluster, own: "shop" }, &kafka(), wanted, &login)
}

#[test]
fn a_listener_is_found_by_name_else_by_what_is_wanted() {
    use AuthenticationType::{ScramSha512, Tls};
    for (more, wanted, servers, protocol) in [
        (json!({}), None, "secure.kafka.svc:4", SecurityProtocol::Ssl),
        (json!({"listener": "plain"}), None, "a:1 b:2", SecurityProtocol::Plaintext),
        (json!({"listener": "outside"}), None, "outside.kafka.svc:3", SecurityProtocol::Ssl),
        (json!({}), Some(Tls), "mutual.kafka.svc:5", SecurityProtocol::Ssl),
        (json!({}), Some(ScramSha512), "far.kafka.svc:7", SecurityProtocol::SaslSsl),
        (json!({"listener": "login"}), Some(ScramSha512), "login.kafka.svc:6", SecurityProtocol::SaslPlaintext),
    ] {
        let found = reached(&more, wanted).unwrap();
        assert_eq!(
            (found.bootstrap_servers.join(" "), found.security_protocol),
            (servers.to_owned(), protocol),
            "{more}"
        );
        let run = contract::RunSpec {
            kafka: found,
            ..serde_json::from_value(json!({"formatVersion": 1, "name": "a", "storage": {"type": "filesystem", "path": "x"}, "backup": {"topics": ["*"]}})).unwrap()
        };
        assert_eq!(run.findings(), [], "{more}");
    }
    for (more, wanted) in [
        (json!({"listener": "mutual"}), Some(ScramSha512)),
        (json!({"listener": "mutual"}), None),
        (json!({"listener": "token"}), None),
        (json!({"listener": "nowhere"}), None),
    ] {
        let (reason, text) = reached(&more, wanted).unwrap_err();
        assert_eq!(reason, "NoCompatibleListener", "{text}");
    }
}

#[test]
fn certificates_come_from_the_status_unless_a_secret_is_named() {
    let tls = |more: &Value| reached(more, Some(AuthenticationType::Tls)).map(|found| found.tls.unwrap());
    let told = tls(&json!({})).unwrap();
    assert_eq!((told.ca_certificates, told.ca_file), (vec!["QUJDREVG".to_owned()], None));
    assert_eq!(
        (told.certificate_file.as_deref(), told.key_file.as_deref()),
        (Some("me/user.crt"), Some("me/user.key"))
    );
    let own = tls(&json!({"caSecret": {"name": "ca", "key": "a.crt"}})).unwrap();
    assert_eq!((own.ca_certificates.len(), own.ca_file.as_deref()), (0, Some("ca/a.crt")));
    let silent = |namespace: &str| {
        let mut kafka = kafka();
        kafka["status"]["listeners"][3]["certificates"] = Value::Null;
        let cluster = cluster(&json!({"namespace": namespace}));
        let login = Login::Certificate("me".into(), "c".into(), "k".into());
        brokers(Place { cluster: &cluster, own: "shop" }, &kafka, Some(AuthenticationType::Tls), &login)
    };
    assert_eq!(silent("shop").unwrap().tls.unwrap().ca_file.as_deref(), Some("events-cluster-ca-cert/ca.crt"));
    let (reason, text) = silent("kafka").unwrap_err();
    assert!(
        reason == "CertificatesNotReachable" && text.contains("beside the cluster") && text.contains("copy"),
        "{text}"
    );
}

#[test]
fn a_cluster_that_is_not_ready_is_waited_for() {
    let mut kafka = kafka();
    kafka["status"] = json!({"conditions": [{"type": "NotReady", "status": "True", "message": "Pods are not ready"}]});
    let cluster = cluster(&json!({}));
    let place = Place { cluster: &cluster, own: "shop" };
    let (reason, text) = brokers(place, &kafka, None, &Login::Nobody).unwrap_err();
    assert!(reason == "StrimziClusterNotReady" && text.contains("Pods are not ready"), "{text}");
    assert_eq!(place.absent().0, "StrimziClusterNotFound");
}

#[test]
fn a_kafka_user_says_who_a_run_is() {
    let cluster = cluster(&json!({}));
    let place = Place { cluster: &cluster, own: "shop" };
    let user = |kind: &str, label: &str, status: Value| json!({"metadata": {"labels": {"strimzi.io/cluster": label}}, "spec": {"authentication": {"type": kind}}, "status": status});
    let login = |wanted, user: &Value| user_login(place, wanted, "backup", user).map_err(|(reason, _)| reason);
    let (tls, scram) = (AuthenticationType::Tls, AuthenticationType::ScramSha512);
    let ready = json!({"secret": "s", "username": "u"});
    let certificate = Login::Certificate("s".into(), "user.crt".into(), "user.key".into());
    assert_eq!(login(tls, &user("tls", "events", ready.clone())), Ok(certificate));
    let password = Login::Password("u".into(), "s".into(), "password".into());
    assert_eq!(login(scram, &user("scram-sha-512", "events", ready.clone())), Ok(password));
    assert_eq!(login(scram, &user("tls", "events", ready.clone())), Err("KafkaUserMismatch"));
    assert_eq!(login(tls, &user("tls-external", "events", ready.clone())), Err("KafkaUserMismatch"));
    assert_eq!(login(tls, &user("tls", "other", ready)), Err("KafkaUserOfAnotherCluster"));
    assert_eq!(login(tls, &user("tls", "events", json!({}))), Err("KafkaUserNotReady"));
    assert_eq!(login(scram, &user("scram-sha-512", "events", json!({"secret": "s"}))), Err("KafkaUserNotReady"));
    let far = ClusterRef { namespace: Some("kafka".into()), ..cluster.clone() };
    let (reason, text) = no_user(Place { cluster: &far, own: "shop" }, "backup");
    assert!(reason == "KafkaUserNotFound" && text.contains("beside the cluster"), "{text}");
}

#[test]
fn own_credentials_need_no_kafka_user() {
    let read = |text: Value| own_login(Some(&serde_json::from_value(text).unwrap()));
    let pair = json!({"type": "tls", "certificateAndKey": {"secretName": "s", "certificate": "c", "key": "k"}});
    assert_eq!(read(pair), Some(Login::Certificate("s".into(), "c".into(), "k".into())));
    let password = json!({"type": "scram-sha-512", "username": "u", "passwordSecret": {"name": "s", "key": "p"}});
    assert_eq!(read(password), Some(Login::Password("u".into(), "s".into(), "p".into())));
    assert_eq!(read(json!({"type": "tls", "kafkaUserRef": {"name": "u"}})), None);
    assert_eq!(own_login(None), Some(Login::Nobody));
}

proptest! {
    /// Whatever listeners there are and whatever their status says: what comes out is what a run takes, or a reason.
    #[test]
    fn any_resource_gives_a_run_or_a_reason(
        listeners in prop::collection::vec((any::<bool>(), any::<bool>(), 0_usize..4, prop::option::of("[a-z:0-9,]{0,12}"), any::<bool>()), 0..6),
        wanted in 0_usize..3,
        named in prop::option::of(0_usize..6),
    ) {
        let kinds = [None, Some("tls"), Some("scram-sha-512"), Some("oauth")];
        let spec: Vec<_> = listeners.iter().enumerate().map(|(number, (tls, internal, kind, ..))| json!({
            "name": format!("l{number}"), "tls": tls, "type": if *internal { "internal" } else { "route" },
            "authentication": kinds[*kind].map(|kind| json!({"type": kind})),
        })).collect();
        let status: Vec<_> = listeners.iter().enumerate().map(|(number, (.., servers, certificates))| json!({
            "name": format!("l{number}"), "bootstrapServers": servers,
            "certificates": if *certificates { json!(["-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----"]) } else { Value::Null },
        })).collect();
        let kafka = json!({"spec": {"kafka": {"listeners": spec}}, "status": {"listeners": status}});
        let (wanted, login) = match wanted {
            0 => (None, Login::Nobody),
            1 => (Some(AuthenticationType::Tls), Login::Certificate("s".into(), "c".into(), "k".into())),
            _ => (Some(AuthenticationType::ScramSha512), Login::Password("u".into(), "s".into(), "p".into())),
        };
        let mut cluster = cluster(&json!({}));
        cluster.listener = named.map(|number| format!("l{number}"));
        match brokers(Place { cluster: &cluster, own: "shop" }, &kafka, wanted, &login) {
            Ok(found) => {
                prop_assert!(!found.bootstrap_servers.is_empty());
                prop_assert_eq!(found.security_protocol.uses_sasl(), found.sasl.is_some());
                prop_assert_eq!(found.security_protocol.uses_tls(), found.tls.is_some());
                prop_assert!(wanted != Some(AuthenticationType::Tls) || found.tls.is_some(), "a certificate goes over TLS");
            }
            Err((reason, text)) => prop_assert!(!reason.is_empty() && text.contains("events")),
        }
    }
}
