//! `doctor`: whether what runs in the cluster is well, each with its fix.

use api::oso::{KafkaBackup, KafkaRestore, RunClaim};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use serde::Serialize;

use super::print;
use super::probe::{self, Admission};
use super::version;
use crate::cluster::{Cluster, pages};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::operator::Operator;
use crate::screen::{Screen, Tone};
use crate::words::{duration, safe};

/// The Secret of the webhook's certificate.
const WEBHOOK_SECRET: &str = "kafka-backup-webhook";
/// How far the clock here may be from the cluster's.
const CLOCK: SignedDuration = SignedDuration::from_secs(30);
/// Without a word for so long, a leader is gone.
const LEADER: SignedDuration = SignedDuration::from_secs(60);
/// A webhook's authority that ends sooner was not replaced in time.
const AUTHORITY: SignedDuration = SignedDuration::from_hours(24 * 7);
/// A one-off that ended so long ago is history: nothing has to be mended for it to be well again.
const HISTORY: SignedDuration = SignedDuration::from_hours(24);
/// A run that says nothing for so long is stuck.
const STUCK: SignedDuration = SignedDuration::from_mins(10);

/// Flags of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup doctor        definitions, operator, admission, rights, clock and runs; each with its fix

Exit code 1: something is not well.")]
pub struct DoctorFlags {
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    /// Whether nothing is wrong, as far as could be looked.
    good: bool,
    /// Whether the caller may not look.
    skipped: bool,
    found: String,
    fix: Option<String>,
}

/// What could not be looked at: nothing is known of what the caller may not see.
fn unseen(name: &'static str, error: &kube::Error, right: &str) -> Check {
    let fix = format!("ask for the right to {right}");
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            let found = format!("not looked at: you may not {right}");
            Check { name, good: true, skipped: true, found, fix: Some(fix) }
        }
        other => bad(name, other.to_string(), fix),
    }
}

fn good(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, good: true, skipped: false, found: found.into(), fix: None }
}

fn bad(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { name, good: false, skipped: false, found: found.into(), fix: Some(fix.into()) }
}

/// Looks at everything.
pub(crate) async fn doctor(options: DoctorFlags, cluster: &Cluster, screen: &mut Screen) -> Result<Exit, Error> {
    // The first question: whether the cluster answers at all.
    let version = cluster.client.apiserver_version().await;
    let version = version.map_err(|error| crate::cluster::failed("ask the API server for its version", error))?;
    let mut checks = vec![good("cluster", format!("Kubernetes {}.{}", version.major, version.minor))];
    checks.extend(definitions(cluster).await);
    let (place, found) = Operator::look(cluster).await;
    checks.extend(operator(&place, found));
    checks.push(leader(cluster, &place, screen.style.now).await);
    checks.extend(authority(cluster, &place, screen.style.now).await);
    checks.push(admission(cluster, &place).await);
    checks.push(rights(cluster).await);
    checks.push(clock(cluster).await);
    checks.extend(runs(cluster, screen.style.now).await);
    let all_good = checks.iter().all(|check| check.good);
    if matches!(options.output, Output::Table | Output::Wide | Output::Name) {
        for check in &checks {
            let mark = match (check.skipped, check.good) {
                (true, _) => screen.style.paint(Tone::Warn, "skip"),
                (false, true) => screen.style.paint(Tone::Good, "ok  "),
                (false, false) => screen.style.paint(Tone::Bad, "FAIL"),
            };
            screen.text(&format!("  {mark}  {:<12} {}\n", check.name, safe(&check.found)))?;
            if let Some(fix) = &check.fix {
                let fix = screen.style.paint(Tone::Faint, &format!("fix: {fix}"));
                screen.text(&format!("                     {fix}\n"))?;
            }
        }
    } else {
        print::document("Diagnosis", &checks, options.output, screen)?;
    }
    Ok(if all_good { Exit::Done } else { Exit::No })
}

async fn definitions(cluster: &Cluster) -> Vec<Check> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let mut out = Vec::new();
    for group in api::document::GROUPS.into_iter().chain([api::inspection::GROUP]) {
        let (mut missing, mut old, mut found) = (Vec::new(), Vec::new(), 0);
        for kind in api::document::KINDS.iter().filter(|kind| kind.group == group) {
            let ours = kind.definition();
            match api.get_opt(&ours.name_any()).await {
                Ok(Some(theirs)) => {
                    found += 1;
                    if let Some(field) = api::outdated::first_missing(&ours, &theirs) {
                        old.push(format!("{} lacks {field}", kind.kind));
                    }
                }
                Ok(None) => missing.push(kind.kind),
                Err(error) => {
                    return vec![unseen("definitions", &error, "get customresourcedefinitions")];
                }
            }
        }
        // Groups that nobody installed are nobody's business, but for the first.
        if found == 0 && ![api::oso::GROUP, api::inspection::GROUP].contains(&group) {
            continue;
        }
        let fix = format!("kubectl kafka-backup install --crds-only --groups {group} --apply");
        out.push(if !missing.is_empty() {
            bad("definitions", format!("{group}: {} missing", missing.join(", ")), fix)
        } else if old.is_empty() {
            good("definitions", format!("{group}: {found} kinds, of this version"))
        } else {
            bad("definitions", format!("{group}: {}", old.join(", ")), fix)
        });
    }
    out
}

fn operator(place: &Operator, found: Result<Option<Deployment>, kube::Error>) -> Vec<Check> {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            let text = format!("not installed in namespace {}", place.namespace);
            return vec![bad("operator", text, "kubectl kafka-backup install --apply")];
        }
        Err(error) => {
            return vec![unseen("operator", &error, &format!("get deployments in namespace {}", place.namespace))];
        }
    };
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = found.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let others = match place.others.as_slice() {
        [] => String::new(),
        others => format!("; others are in {}", others.join(", ")),
    };
    let text = format!("{ready} of {wanted} replicas ready in namespace {}{others}", place.namespace);
    let replicas = if ready >= wanted { good("operator", text) } else { bad("operator", text, place.pods()) };
    let skew = version::skew(env!("CARGO_PKG_VERSION"), version::image(&found).as_deref());
    let fix = "update this plugin, or the cluster with `kubectl kafka-backup install --apply`";
    vec![replicas, if skew.fits { good("version", skew.words) } else { bad("version", skew.words, fix) }]
}

async fn leader(cluster: &Cluster, place: &Operator, now: Timestamp) -> Check {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &place.namespace);
    let spec = match api.get_opt(&place.name).await {
        Ok(found) => found.and_then(|lease| lease.spec).unwrap_or_default(),
        Err(error) => return unseen("leader", &error, &format!("get leases in namespace {}", place.namespace)),
    };
    let since = spec.renew_time.map(|time| now.duration_since(time.0));
    match (spec.holder_identity, since) {
        (Some(name), Some(since)) if since < LEADER => good("leader", name),
        (Some(name), _) => bad("leader", format!("{name} says nothing any more"), place.logs()),
        (None, _) => bad("leader", "nobody leads: nothing is scheduled", place.logs()),
    }
}

async fn authority(cluster: &Cluster, place: &Operator, now: Timestamp) -> Vec<Check> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(cluster.client.clone());
    match api.get_opt(&place.cluster_name()).await {
        Ok(Some(found)) => certificate(&found, place, now),
        Ok(None) => {
            let text = "not registered: nothing is judged before it is kept";
            vec![bad("webhook", text, "kubectl kafka-backup install --apply")]
        }
        Err(error) => vec![unseen("webhook", &error, "get validatingwebhookconfigurations")],
    }
}

/// Whether the API server knows an authority that holds. Whether the certificate is one of its own, `admission` tries.
fn certificate(found: &ValidatingWebhookConfiguration, place: &Operator, now: Timestamp) -> Vec<Check> {
    let bundles = found.webhooks.iter().flatten().map(|hook| hook.client_config.ca_bundle.as_ref());
    // A webhook is reached as long as one of its authorities holds.
    let ends = bundles.map(|bundle| bundle.and_then(|bundle| api::certificate::ends(&bundle.0).into_iter().max()));
    match ends.min() {
        None => vec![bad("webhook", "registered without webhooks", "kubectl kafka-backup install --apply")],
        Some(None) => {
            let fix = "the operator, or cert-manager, fills it: look at its log";
            vec![bad("webhook", "registered without its authority", fix)]
        }
        Some(Some(end)) => {
            let text = if end <= now {
                format!("its authority ended at {end}")
            } else {
                format!("its authority holds for {}", duration(end.duration_since(now).as_secs()))
            };
            let holds = end.duration_since(now) > AUTHORITY;
            let fix = format!("it should have been replaced: {}", place.logs());
            let second = if holds { good("certificate", text) } else { bad("certificate", text, fix) };
            vec![good("webhook", "registered"), second]
        }
    }
}

async fn admission(cluster: &Cluster, place: &Operator) -> Check {
    match probe::admission(cluster).await {
        Admission::Judges => good("admission", "refuses what breaks a rule, and says why"),
        Admission::Away(text) => away(cluster, place, &text).await,
        Admission::NotAsked => {
            let text = "takes what breaks a rule: the webhook is not asked";
            bad("admission", text, "kubectl kafka-backup install --apply")
        }
        Admission::Refused(text) => {
            bad("admission", text, "this user may not create KafkaBackups here: try -n, or another user")
        }
    }
}

/// Why the webhook does not answer: what of the operator can be looked at comes before what the API server says.
async fn away(cluster: &Cluster, place: &Operator, text: &str) -> Check {
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &place.namespace);
    // Whoever may not look there learns the cause from the API server's words alone.
    if let Ok(None) = secrets.get_metadata_opt(WEBHOOK_SECRET).await {
        let found = format!("the webhook does not answer: its certificate's Secret {WEBHOOK_SECRET} is gone");
        let fix = "the operator makes it again within a minute; if not, its rights are of an older version: kubectl kafka-backup install --apply";
        return bad("admission", found, fix);
    }
    let (found, fix) = probe::cause(text, place);
    bad("admission", format!("the webhook does not answer: {found}"), fix)
}

async fn rights(cluster: &Cluster) -> Check {
    let wanted = [
        (api::oso::GROUP, "kafkabackups", "list"),
        (api::oso::GROUP, "kafkabackups", "create"),
        (api::oso::GROUP, "kafkarestores", "create"),
        ("", "pods/log", "get"),
    ];
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let mut missing = Vec::new();
    for (group, resource, verb) in wanted {
        let (resource, sub) = resource.split_once('/').map_or((resource, None), |(all, sub)| (all, Some(sub)));
        let attributes = ResourceAttributes {
            namespace: Some(cluster.namespace.clone()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: sub.map(str::to_owned),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let allowed = api.create(&PostParams::default(), &review).await.ok().and_then(|review| review.status);
        if !allowed.is_some_and(|status| status.allowed) {
            missing.push(format!("{verb} {resource}"));
        }
    }
    if missing.is_empty() {
        good("rights", format!("you may look, back up and restore in namespace {}", cluster.namespace))
    } else {
        let fix = "bind the ClusterRole kafka-backup-edit (or kafka-backup-view to look only)";
        bad("rights", format!("in namespace {} you may not: {}", cluster.namespace, missing.join(", ")), fix)
    }
}

/// The time that the API server writes on what it is asked, beside the time here.
async fn clock(cluster: &Cluster) -> Check {
    let request = http::Request::get("/version").body(Vec::new());
    let Ok(request) = request else { return bad("clock", "no request could be made", "report this") };
    let answer = cluster.client.send(request.map(kube::client::Body::from)).await;
    let date = answer.ok().and_then(|answer| Some(answer.headers().get(http::header::DATE)?.to_str().ok()?.to_owned()));
    let there = date.and_then(|date| jiff::fmt::rfc2822::parse(&date).ok());
    match there.map(|there| Timestamp::now().duration_since(there.timestamp())) {
        Some(apart) if apart.abs() <= CLOCK => good("clock", "as the API server's"),
        Some(apart) => bad(
            "clock",
            format!("{}s apart from the API server's", apart.as_secs()),
            "set the time of this machine or of the control plane",
        ),
        None => good("clock", "the API server does not tell its time"),
    }
}

/// What is known of the run of a resource.
struct RunFacts {
    kind: &'static str,
    namespace: String,
    name: String,
    stalled: Option<String>,
    /// Since when an unfinished run has saved nothing; `None` for a continuous one, which saves nothing while nothing comes.
    silent_since: Option<Timestamp>,
    /// When the only run of a one-off ended.
    over: Option<Timestamp>,
}

/// Runs that are stalled, or say nothing any more.
async fn runs(cluster: &Cluster, now: Timestamp) -> Vec<Check> {
    let backups: Api<KafkaBackup> = Api::all(cluster.client.clone());
    let restores: Api<KafkaRestore> = Api::all(cluster.client.clone());
    let backups = match pages(&backups, ListParams::default()).await {
        Ok(backups) => backups,
        Err(error) => return vec![unseen("runs", &error, "list kafkabackups of all namespaces")],
    };
    let restores = match pages(&restores, ListParams::default()).await {
        Ok(restores) => restores,
        Err(error) => return vec![unseen("runs", &error, "list kafkarestores of all namespaces")],
    };
    let count = backups.len() + restores.len();
    let facts = backups.iter().map(of_backup).chain(restores.iter().map(of_restore));
    let checks: Vec<Check> = facts.filter_map(|facts| judge(&facts, now)).collect();
    if checks.is_empty() { vec![good("runs", format!("{count} resources, none stuck"))] } else { checks }
}

fn of_backup(object: &KafkaBackup) -> RunFacts {
    let status = object.status.clone().unwrap_or_default();
    let run = status.run.as_ref().filter(|run| run.is_unfinished() && !object.spec.continuous);
    let one_off = object.spec.schedule.is_none() && !object.spec.continuous;
    let last = run.and_then(|run| status.last_checkpoint_time.clone().max(run.started_at.clone()));
    RunFacts {
        kind: "backup",
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        stalled: stalled(&status.conditions),
        silent_since: last.and_then(|last| last.parse().ok()),
        over: status.run.as_ref().filter(|_| one_off).and_then(ended),
    }
}

fn of_restore(object: &KafkaRestore) -> RunFacts {
    let status = object.status.clone().unwrap_or_default();
    RunFacts {
        kind: "restore",
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        stalled: stalled(&status.conditions),
        silent_since: None,
        over: status.run.as_ref().and_then(ended),
    }
}

fn ended(run: &RunClaim) -> Option<Timestamp> {
    run.finished_at.as_deref()?.parse().ok()
}

fn stalled(conditions: &[Condition]) -> Option<String> {
    let found = conditions.iter().find(|one| one.type_ == "Stalled" && one.status == "True")?;
    Some(format!("{}: {}", found.reason, found.message))
}

fn judge(facts: &RunFacts, now: Timestamp) -> Option<Check> {
    let RunFacts { kind, namespace, name, .. } = facts;
    if facts.over.is_some_and(|over| now.duration_since(over) > HISTORY) {
        return None;
    }
    let silent = || {
        let since = facts.silent_since.filter(|since| now.duration_since(*since) > STUCK)?;
        Some(format!("nothing was saved since {since}"))
    };
    let text = facts.stalled.clone().or_else(silent)?;
    let mut codes = text.split([':', ' ']).filter_map(|word| word.parse::<contract::Code>().ok());
    let fix = if codes.any(contract::Code::is_found_by_check) {
        format!("kubectl kafka-backup check {kind}/{name} -n {namespace}")
    } else {
        format!("kubectl kafka-backup logs {name} -n {namespace}")
    };
    Some(bad("runs", format!("{kind} {namespace}/{name}: {text}"), fix))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhook;

    use super::*;

    #[test]
    fn what_may_not_be_seen_is_skipped() {
        let forbidden = |code| {
            let status = kube::core::Status { code, message: "no".into(), ..kube::core::Status::default() };
            unseen("leader", &kube::Error::Api(Box::new(status)), "get leases")
        };
        assert!(forbidden(403).skipped && forbidden(403).good);
        assert!(!forbidden(500).skipped && !forbidden(500).good);
    }

    #[test]
    fn only_what_goes_on_is_stuck() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let backup = |spec: &str, run: &str| {
            let text = format!(
                r#"{{"apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {{"name": "a", "namespace": "shop"}},
                "spec": {{"kafkaCluster": {{"bootstrapServers": ["k:1"]}}, "topics": ["a"], "storage": {{}}, {spec}}},
                "status": {{"run": {run}, "conditions": [{{"type": "Stalled", "status": "STALLED", "reason": "RunFailed",
                "message": "no", "lastTransitionTime": "2026-11-22T00:00:00Z"}}]}}}}"#
            );
            let stalled = if run.contains("finishedAt") { "True" } else { "False" };
            judge(&of_backup(&serde_json::from_str(&text.replace("STALLED", stalled)).unwrap()), now).is_some()
        };
        let going = r#"{"id": "r", "startedAt": "2026-11-25T10:00:00Z"}"#;
        assert!(backup(r#""continuous": false"#, going), "silent for two hours");
        assert!(!backup(r#""continuous": true"#, going), "idle");
        let over = |at: &str| format!(r#"{{"id": "r", "finishedAt": "{at}", "outcome": "Failed"}}"#);
        assert!(backup(r#""continuous": false"#, &over("2026-11-25T10:00:00Z")));
        assert!(!backup(r#""continuous": false"#, &over("2026-11-20T10:00:00Z")), "history");
        assert!(backup(r#""schedule": "0 0 2 * * *""#, &over("2026-11-20T10:00:00Z")), "the next run fails, too");
    }

    #[test]
    fn what_keeps_a_run_from_brokers_and_stores_is_to_be_checked() {
        let judged = |text: &str| {
            let facts = RunFacts {
                kind: "restore",
                namespace: "shop".into(),
                name: "back".into(),
                stalled: Some(text.into()),
                silent_since: None,
                over: None,
            };
            judge(&facts, "2026-11-25T12:00:00Z".parse().unwrap()).unwrap().fix.unwrap()
        };
        let check = "kubectl kafka-backup check restore/back -n shop";
        assert_eq!(judged("RunFailed: KB2014: kafka:9092 is another kind of listener"), check);
        assert_eq!(judged("RunFailed: KB4001: damaged"), "kubectl kafka-backup logs back -n shop");
    }

    #[test]
    fn authorities_that_end_are_told() {
        let bundle = include_bytes!("../../../operator-lite/api/tests/authorities.pem");
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
        assert!(
            !certificate(&ValidatingWebhookConfiguration::default(), &Operator::usual(), day.parse().unwrap())[0].good
        );
    }
}
