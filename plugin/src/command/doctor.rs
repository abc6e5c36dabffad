//! `doctor`: whether what runs in the cluster is well, each with its fix. What the caller may not look at is skipped, with the
//! right that is missing: nothing is known of it.

mod runs;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::Api;
use serde::Serialize;

use super::version;
use crate::cluster::{Cluster, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::operator::Operator;
use crate::screen::{Screen, Tone};
use crate::steps::print;
use crate::steps::probe::{self, Admission};
use crate::words::{duration, safe};

/// The Secret of the webhook's certificate.
const WEBHOOK_SECRET: &str = "kafka-backup-webhook";
/// How far the clock here may be from the cluster's.
const CLOCK: SignedDuration = SignedDuration::from_secs(30);
/// Without a word for so long, a leader is gone.
const LEADER: SignedDuration = SignedDuration::from_secs(60);
/// A webhook's authority that ends sooner was not replaced in time.
const AUTHORITY: SignedDuration = SignedDuration::from_hours(24 * 7);
/// The right that shows where the operator is.
const FINDS_OPERATOR: &str = "list deployments of all namespaces";

/// Flags of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup doctor        definitions, operator, admission, rights, clock and runs; each with its fix

What you may not look at is skipped, and the right that is missing is named. Exit code 1: something is not well.")]
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
fn unseen(name: &'static str, error: kube::Error, right: &str) -> Check {
    if is_forbidden(&error) {
        return skipped(name, format!("you may not {right}"), format!("ask for the right to {right}"));
    }
    let error = failed(right, error);
    Check { name, good: false, skipped: false, found: error.to_string(), fix: error.hint() }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

fn skipped(name: &'static str, why: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { name, good: true, skipped: true, found: format!("not looked at: {}", why.into()), fix: Some(fix.into()) }
}

/// What is not in the usual place of an operator, while nobody knows whether it is in another.
fn not_located(name: &'static str) -> Check {
    skipped(name, "it is not known where the operator is", format!("ask for the right to {FINDS_OPERATOR}"))
}

fn good(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, good: true, skipped: false, found: found.into(), fix: None }
}

fn bad(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { name, good: false, skipped: false, found: found.into(), fix: Some(fix.into()) }
}

/// Looks at everything.
pub(crate) async fn doctor(options: DoctorFlags, cluster: &Cluster, screen: &mut Screen) -> Result<Exit, Error> {
    let checks = look(cluster, screen.style.now).await?;
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

/// Looks at everything that the caller may look at.
async fn look(cluster: &Cluster, now: Timestamp) -> Result<Vec<Check>, Error> {
    // The first question: whether the cluster answers at all.
    let first = match cluster.client.apiserver_version().await {
        Ok(version) => good("cluster", format!("Kubernetes {}.{}", version.major, version.minor)),
        Err(error) if is_forbidden(&error) => unseen("cluster", error, "get /version"),
        Err(error) => return Err(failed("ask the API server for its version", error)),
    };
    let mut checks = vec![first];
    checks.extend(definitions(cluster).await);
    let (place, found) = Operator::look(cluster).await;
    let located = found.is_ok();
    checks.extend(operator(&place, found));
    checks.push(leader(cluster, &place, located, now).await);
    checks.extend(authority(cluster, &place, located, now).await);
    checks.push(admission(cluster, &place).await);
    checks.push(rights(cluster).await);
    checks.push(clock(cluster).await);
    checks.extend(runs::runs(cluster, now).await);
    Ok(checks)
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
                Err(error) => return vec![unseen("definitions", error, "get customresourcedefinitions")],
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
        Err(error) => return vec![unseen("operator", error, FINDS_OPERATOR)],
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

async fn leader(cluster: &Cluster, place: &Operator, located: bool, now: Timestamp) -> Check {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &place.namespace);
    let spec = match api.get_opt(&place.name).await {
        Ok(None) if !located => return not_located("leader"),
        Ok(found) => found.and_then(|lease| lease.spec).unwrap_or_default(),
        Err(error) => return unseen("leader", error, &format!("get leases in namespace {}", place.namespace)),
    };
    let since = spec.renew_time.map(|time| now.duration_since(time.0));
    match (spec.holder_identity, since) {
        (Some(name), Some(since)) if since < LEADER => good("leader", name),
        (Some(name), _) => bad("leader", format!("{name} says nothing any more"), place.logs()),
        (None, _) => bad("leader", "nobody leads: nothing is scheduled", place.logs()),
    }
}

async fn authority(cluster: &Cluster, place: &Operator, located: bool, now: Timestamp) -> Vec<Check> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(cluster.client.clone());
    match api.get_opt(&place.cluster_name()).await {
        Ok(Some(found)) => certificate(&found, place, now),
        Ok(None) if !located => vec![not_located("webhook")],
        Ok(None) => {
            let text = "not registered: nothing is judged before it is kept";
            vec![bad("webhook", text, "kubectl kafka-backup install --apply")]
        }
        Err(error) => vec![unseen("webhook", error, "get validatingwebhookconfigurations")],
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
        Admission::Forbidden(error) => {
            unseen("admission", error, &format!("create kafkabackups in namespace {}", cluster.namespace))
        }
        Admission::Refused(error) => {
            let error = failed("show the API server a KafkaBackup that breaks a rule", error);
            Check { name: "admission", good: false, skipped: false, found: error.to_string(), fix: error.hint() }
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
    let mut missing = Vec::new();
    for (group, resource, verb) in wanted {
        match probe::may(cluster, group, resource, verb).await {
            Ok(true) => {}
            Ok(false) => missing.push(format!("{verb} {resource}")),
            Err(error) => return unseen("rights", error, "create selfsubjectaccessreviews"),
        }
    }
    if missing.is_empty() {
        return good("rights", format!("you may look, back up and restore in namespace {}", cluster.namespace));
    }
    // Nothing is wrong with the cluster: not everybody has every right.
    let found = format!("in namespace {} you may not: {}", cluster.namespace, missing.join(", "));
    let fix = "bind the ClusterRole kafka-backup-edit (or kafka-backup-view to look only)".to_owned();
    Check { name: "rights", good: true, skipped: true, found, fix: Some(fix) }
}

/// The time that the API server writes on what it is asked, beside the time here.
async fn clock(cluster: &Cluster) -> Check {
    let request = http::Request::get("/version").body(Vec::new());
    let Ok(request) = request else { return bad("clock", "no request could be made", "report this") };
    let answer = match cluster.client.send(request.map(kube::client::Body::from)).await {
        Ok(answer) => answer,
        Err(error) => return unseen("clock", error, "get /version"),
    };
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let there = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
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

#[cfg(test)]
mod tests;
