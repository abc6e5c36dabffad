//! What `doctor` says to callers with and without rights.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhook;
use kube::Client;
use serde_json::{Value, json};

use super::*;

/// Looks at a cluster whose API server answers so to a method and a path.
async fn looked(answer: impl Fn(&str, &str) -> (u16, Value) + Send + Sync + 'static) -> Vec<(&'static str, Check)> {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (code, body) = answer(request.method().as_str(), request.uri().path());
        let body = kube::client::Body::from(body.to_string().into_bytes());
        async move { http::Response::builder().status(code).body(body) }
    });
    let cluster = Cluster { client: Client::new(service, "shop"), namespace: "shop".to_owned(), all: false };
    let checks = look(&cluster, Timestamp::now()).await.unwrap();
    let mark = |check: &Check| match (check.skipped, check.good) {
        (true, _) => "skip",
        (false, true) => "ok",
        (false, false) => "FAIL",
    };
    checks.into_iter().map(|check| (mark(&check), check)).collect()
}

fn failure(code: u16) -> (u16, Value) {
    let reason = if code == 403 { "Forbidden" } else { "NotFound" };
    (code, json!({"status": "Failure", "reason": reason, "message": "no", "code": code}))
}

/// What everybody who logged in may ask.
fn of_everybody(path: &str) -> Option<(u16, Value)> {
    match path {
        "/version" => {
            let names = ["gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
            let mut info = json!({"major": "1", "minor": "34"});
            for name in names {
                info[name] = "x".into();
            }
            Some((200, info))
        }
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            Some((201, json!({"spec": {}, "status": {"allowed": false}})))
        }
        _ => None,
    }
}

#[tokio::test]
async fn who_may_look_at_nothing_is_told_each_right_that_is_missing() {
    let checks = looked(|_, path| of_everybody(path).unwrap_or_else(|| failure(403))).await;
    let said: Vec<String> =
        checks.iter().map(|(mark, check)| format!("{mark} {} {}", check.name, check.found)).collect();
    assert_eq!(
        said,
        [
            "ok cluster Kubernetes 1.34",
            "skip definitions not looked at: you may not get customresourcedefinitions",
            "skip operator not looked at: you may not list deployments of all namespaces",
            "skip leader not looked at: you may not get leases in namespace kafka-backup",
            "skip webhook not looked at: you may not get validatingwebhookconfigurations",
            "skip admission not looked at: you may not create kafkabackups in namespace shop",
            "skip rights in namespace shop you may not: list kafkabackups, create kafkabackups, create kafkarestores, get pods/log",
            "ok clock the API server does not tell its time",
            "skip runs not looked at: you may not list kafkabackups of all namespaces",
            "skip runs not looked at: you may not list kafkarestores of all namespaces",
            "skip runs not looked at: you may not list kafkabackupvalidations of all namespaces",
        ]
    );
    assert!(checks.iter().all(|(mark, check)| *mark != "skip" || check.fix.is_some()));
    // Not even that.
    let checks = looked(|_, _| failure(403)).await;
    assert!(checks.iter().all(|(mark, _)| *mark != "FAIL"), "{checks:?}");
    assert!(checks.iter().any(|(_, check)| check.found.ends_with("you may not create selfsubjectaccessreviews")));
}

/// Whoever may look at the usual namespace only does not know that there is no operator.
#[tokio::test]
async fn an_operator_that_may_be_elsewhere_is_not_missing() {
    let answer = |everywhere: u16| {
        move |_: &str, path: &str| {
            let lists = path == "/apis/apps/v1/deployments";
            of_everybody(path).unwrap_or_else(|| match (lists, everywhere) {
                (true, 200) => (200, json!({"metadata": {}, "items": []})),
                (true, code) => failure(code),
                (false, _) => failure(404),
            })
        }
    };
    let marks = async |everywhere| {
        let checks = looked(answer(everywhere)).await;
        let of = |name: &str| checks.iter().find(|(_, check)| check.name == name).map(|(mark, _)| *mark);
        ["operator", "leader", "webhook"].map(|name| of(name).unwrap())
    };
    assert_eq!(marks(403).await, ["skip"; 3]);
    assert_eq!(marks(200).await, ["FAIL"; 3]);
}

/// The namespace of the caller is looked at where all are not to be seen.
#[tokio::test]
async fn runs_of_ones_own_namespace_are_looked_at() {
    let checks = looked(|_, path| {
        let own = path.starts_with("/apis/kafka.oso.sh/v1alpha1/namespaces/shop/");
        let list = || if own { (200, json!({"metadata": {}, "items": []})) } else { failure(403) };
        of_everybody(path).unwrap_or_else(list)
    });
    let checks: Vec<_> = checks.await.into_iter().filter(|(_, check)| check.name == "runs").collect();
    assert_eq!(checks.iter().map(|(mark, _)| *mark).collect::<Vec<_>>(), ["ok", "skip", "skip", "skip"], "{checks:?}");
}

#[test]
fn what_may_not_be_seen_is_skipped() {
    let forbidden = |code| {
        let status = kube::core::Status { code, message: "no".into(), ..kube::core::Status::default() };
        unseen("leader", kube::Error::Api(Box::new(status)), "get leases")
    };
    assert!(forbidden(403).skipped && forbidden(403).good);
    assert!(!forbidden(500).skipped && !forbidden(500).good);
}

#[test]
fn authorities_that_end_are_told() {
    let bundle = include_bytes!("../../../../operator-lite/api/tests/authorities.pem");
    let second = bundle.windows(10).rposition(|part| part == b"-----BEGIN").unwrap();
    let verdict = |bundle: &[u8], now: &str| {
        let mut hook = ValidatingWebhook::default();
        hook.client_config.ca_bundle = Some(ByteString(bundle.to_vec()));
        let found = ValidatingWebhookConfiguration { webhooks: Some(vec![hook]), ..Default::default() };
        let check = certificate(&found, &Operator::usual(), now.parse().unwrap()).pop().unwrap();
        (check.name, check.good, check.found)
    };
    let day = "2026-11-25T16:43:51Z";
    assert_eq!(verdict(&bundle[second..], day), ("certificate", false, "its authority holds for 12h".into()));
    assert!(verdict(&bundle[second..], "2027-01-01T00:00:00Z").2.starts_with("its authority ended at 2026-11-26"));
    assert!(verdict(bundle, day).1, "one of two holds");
    assert_eq!(verdict(b"", day).0, "webhook");
    assert!(!certificate(&ValidatingWebhookConfiguration::default(), &Operator::usual(), day.parse().unwrap())[0].good);
}
