use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post as posted;
use contract::{CheckVerdict, Severity, ValidatedPoint, ValidationCheck};
use serde_json::json;

use super::*;

const QUICK: Duration = Duration::from_millis(5);
const SECRET: &str = "T0/B0/very-secret";

/// A service on this machine that answers with these statuses, the last one for ever; what it got, and its address.
async fn service(statuses: &[u16]) -> (Arc<Mutex<Vec<Value>>>, String) {
    let (got, number): (Arc<Mutex<Vec<Value>>>, _) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let (kept, statuses) = (Arc::clone(&got), statuses.to_vec());
    let answer = move |body: axum::body::Bytes| {
        kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        let place = number.fetch_add(1, Ordering::Relaxed).min(statuses.len() - 1);
        std::future::ready((StatusCode::from_u16(statuses[place]).unwrap(), "the words of the service"))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/{*path}", posted(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (got, format!("http://{address}/services/{SECRET}"))
}

fn poster() -> Poster {
    Poster::new(&["127.0.0.1".to_owned()]).unwrap()
}

#[tokio::test]
async fn a_service_that_is_busy_is_asked_again_and_a_refusal_is_not() {
    for (statuses, requests, is_sent) in [
        (&[200][..], 1, true),
        (&[500, 429, 202][..], 3, true),
        (&[503][..], 4, false),
        (&[400][..], 1, false),
        (&[302][..], 1, false),
    ] {
        let (got, url) = service(statuses).await;
        let sent = post(&poster(), &url, &json!({"a": 1}), QUICK).await;
        assert_eq!((got.lock().unwrap().len(), sent.is_ok()), (requests, is_sent), "{statuses:?}: {sent:?}");
        if let Err(why) = sent {
            assert!(!why.contains("secret") && !why.contains("words"), "{why}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_reached_or_is_not_allowed_names_no_secret() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/{SECRET}?token={SECRET}", listener.local_addr().unwrap());
    drop(listener);
    let why = post(&poster(), &nobody, &json!({}), QUICK).await.unwrap_err();
    assert!(why.contains("could not be reached") && !why.contains("secret"), "{why}");
    let why =
        post(&poster(), &format!("https://hooks.slack.com/services/{SECRET}"), &json!({}), QUICK).await.unwrap_err();
    assert!(
        why.contains("hooks.slack.com:443") && why.contains("allowedEndpoints") && !why.contains("secret"),
        "{why}"
    );
    assert!(
        post(&poster(), &format!("ftp://{SECRET}"), &json!({}), QUICK).await.is_err_and(|why| !why.contains("secret"))
    );
}

fn told(verdict: CheckVerdict) -> ValidationReport {
    let checks = vec![ValidationCheck::new("decode", verdict, "1 problem in <a & b>")];
    let point =
        ValidatedPoint { id: "orders-20260101-000000".into(), set: "orders".into(), ..ValidatedPoint::default() };
    let verdict = ValidationReport::judge(&checks);
    ValidationReport { point: Some(point), verdict, checks, ..ValidationReport::default() }
}

fn event(validation: &ValidationReport) -> Value {
    let verdict = validation.verdict.unwrap();
    let told = Told { name: "nightly", namespace: "shop", run: "r-1", verdict, validation };
    pagerduty(&told, "key", Severity::Error, "2026-01-01T00:00:00Z")
}

#[test]
fn an_incident_begins_with_a_failed_check_and_ends_with_the_next_good_result() {
    let bad = event(&told(CheckVerdict::Fail));
    assert_eq!(bad["event_action"], "trigger");
    assert_eq!(bad["routing_key"], "key");
    assert_eq!(bad["payload"]["severity"], "error");
    assert_eq!(bad["payload"]["summary"], "Validation shop/nightly of orders-20260101-000000 FAILED");
    assert_eq!(bad["payload"]["source"], "shop/nightly");
    assert_eq!(bad["payload"]["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(bad["payload"]["custom_details"]["failed"]["decode"], "1 problem in <a & b>");
    for good in [CheckVerdict::Pass, CheckVerdict::Warn, CheckVerdict::Skipped] {
        let good = event(&told(good));
        assert_eq!(good["event_action"], "resolve");
        assert_eq!(good["dedup_key"], bad["dedup_key"]);
    }
}

#[test]
fn slack_gets_blocks_whose_marks_are_its_own() {
    let validation = told(CheckVerdict::Fail);
    let told =
        Told { name: "nightly", namespace: "", run: "r-1", verdict: ValidationVerdict::Fail, validation: &validation };
    let message = slack(&told, "now");
    assert_eq!(message["blocks"][0]["type"], "header");
    assert_eq!(message["blocks"][0]["text"]["text"], "Validation nightly of orders-20260101-000000 FAILED");
    let section = message["blocks"][1]["text"]["text"].as_str().unwrap();
    assert_eq!(section, "*FAIL* decode: 1 problem in &lt;a &amp; b&gt;");
    assert!(message["text"].as_str().unwrap().contains("FAILED"));
}

#[test]
fn long_results_fit_into_what_services_take() {
    let mut validation = told(CheckVerdict::Fail);
    validation.checks =
        (0..26).map(|n| ValidationCheck::new("n".repeat(60), CheckVerdict::Fail, format!("{n}").repeat(900))).collect();
    let name = "x".repeat(400);
    let told = Told { name: &name, namespace: "", run: "r", verdict: ValidationVerdict::Fail, validation: &validation };
    let message = slack(&told, "now");
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    assert!(length(&message["blocks"][0]["text"]["text"]) <= 150);
    assert!(length(&message["blocks"][1]["text"]["text"]) <= 3_000);
    let event = pagerduty(&told, "k", Severity::Critical, "now");
    assert!(length(&event["dedup_key"]) <= 255 && length(&event["payload"]["summary"]) <= 1_024);
}
