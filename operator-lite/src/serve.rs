//! The operator as a whole: every replica serves admission, one runs the controllers.

use std::sync::Arc;
use std::time::Duration;

use api::lower::job::MANAGER;
use jiff::SignedDuration;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::Capacity;
use crate::certificate::{Keeper, follow_files, keep};
use crate::controller::{self, Context, Readings};
use crate::definitions;
use crate::error::Error;
use crate::fit::while_they_fit;
use crate::http::{self, Health};
use crate::lease::{self, Candidate, Observed, Terms};
use crate::metrics::Metrics;
use crate::namespaces;
use crate::settings::Settings;
use crate::webhook::{self, Certificate, TlsListener};

/// How often the definitions in the cluster are compared with this program's, and namespaces that are watched are looked for.
const DEFINITIONS: Duration = Duration::from_secs(60);

/// How long controllers, and then everything else, may take to end: together with the time for draining (at most 15 s, which
/// begins with that of the controllers) less than the pod's grace period.
const GRACE: Duration = Duration::from_secs(10);

/// Runs until `stop`.
///
/// # Errors
/// When a setting makes no sense, or a port is taken.
pub async fn serve(settings: Settings, client: Client, stop: CancellationToken) -> Result<(), Error> {
    let placement = Arc::new(settings.placement()?);
    let namespaces = settings.watch_namespaces.join(", ");
    tracing::info!(namespaces = if namespaces.is_empty() { "all" } else { &namespaces }, "runs resources");
    let (metrics, certificate) = (Arc::new(Metrics::new()), Arc::new(Certificate::default()));
    let (fit, definitions) = watch::channel(false);
    let health = Health {
        metrics: Arc::clone(&metrics),
        certificate: Arc::clone(&certificate),
        definitions: definitions.clone(),
        stop: stop.clone(),
    };
    let tasks = TaskTracker::new();
    let drained = CancellationToken::new();
    tasks.spawn(drain(Duration::from_secs(u64::from(settings.drain_secs)), stop.clone(), drained.clone()));
    let spawn = |name: &'static str, task: futures::future::BoxFuture<'static, Result<(), Error>>| {
        let stop = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(task = name, %error, "ends the operator");
                stop.cancel();
            }
        });
    };
    spawn("health", Box::pin(http::serve(settings.metrics_address, health, drained.clone())));
    spawn("definitions", Box::pin(watch_definitions(client.clone(), settings.groups.clone(), fit, stop.clone())));
    if !settings.watch_namespaces.is_empty() {
        tasks.spawn(watch_namespaces(client.clone(), settings.watch_namespaces.clone(), stop.clone()));
    }
    let files = settings.webhook_certificate_file.clone().zip(settings.webhook_key_file.clone());
    if let Some((chain, key)) = files {
        spawn(
            "certificate",
            Box::pin(follow_files(Arc::clone(&certificate), chain, key, Arc::clone(&metrics), stop.clone())),
        );
    } else {
        let keeper = Keeper {
            namespace: settings.namespace.clone(),
            secret: settings.webhook_secret.clone(),
            configuration: settings.webhook_configuration.clone(),
            names: settings.webhook_names.clone(),
            lifetimes: settings.lifetimes(),
        };
        tasks.spawn(keep(keeper, client.clone(), Arc::clone(&certificate), Arc::clone(&metrics), stop.clone()));
    }
    let listener = TlsListener::bind(settings.webhook_address, certificate).await?;
    let (rights, ambient) = (settings.admission_rights, settings.ambient_identity);
    let rules = webhook::Rules { rights, ambient, allowed: settings.allowed()? };
    let admission = webhook::serve(listener, client.clone(), Arc::clone(&metrics), rules, drained);
    spawn("admission", Box::pin(admission));

    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(settings.identity.clone()) };
    let context = Context {
        recorder: Recorder::new(client.clone(), reporter),
        client: client.clone(),
        lost_after: (settings.lost_node_secs > 0)
            .then(|| SignedDuration::from_secs(i64::from(settings.lost_node_secs))),
        allowed_endpoints: settings.allowed_endpoints.clone().into(),
        offsets_storage: settings.positions()?.map(Arc::new),
        placement,
        readings: Readings::default(),
        capacity: Arc::new(Capacity::new(settings.max_concurrent_runs, settings.max_concurrent_runs_per_namespace)),
        metrics,
    };
    let led = Box::pin(lead(&settings, &client, context, &definitions, &stop)).await;
    stop.cancel();
    tasks.close();
    let most = GRACE + Duration::from_secs(u64::from(settings.drain_secs));
    if tokio::time::timeout(most, tasks.wait()).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    led
}

/// Lets admission and health be served for a while after `stop`: whoever has this replica's address goes on asking it until
/// word has spread that it ends.
async fn drain(time: Duration, stop: CancellationToken, drained: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(time).await;
    drained.cancel();
}

/// Runs the controllers whenever this replica leads, until `stop`. One that no longer leads goes on serving the webhook.
async fn lead(
    settings: &Settings,
    client: &Client,
    context: Context,
    fit: &watch::Receiver<bool>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let metrics = Arc::clone(&context.metrics);
    let start = |working| controller::start(context.clone(), &settings.watch_namespaces, &settings.groups, working);
    if !settings.leader_election {
        metrics.leads(true);
        let controllers = while_they_fit(fit.clone(), &start, stop);
        let bounded = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = controllers => {}
            // Whatever they wait for: a claim keeps the runs.
            () = bounded => tracing::warn!("controllers did not end in time"),
        }
        return Ok(());
    }
    let duration = Duration::from_secs(u64::from(settings.lease_secs.max(3)));
    let terms = Terms { duration, period: duration / 5 };
    let runner_image = context.placement.image.as_str();
    let candidate = Candidate { namespace: &settings.namespace, me: &settings.identity, runner_image };
    let observed = Observed::default();
    let hold = || lease::hold(client, candidate, terms, &observed);
    while wait_for_turn(hold, terms, stop).await {
        tracing::info!(identity = settings.identity, "runs the controllers");
        metrics.leads(true);
        let leading = stop.child_token();
        let controllers = while_they_fit(fit.clone(), &start, &leading);
        let renewal = renew(hold, terms, &leading);
        tokio::pin!(controllers);
        // Which of the two ends first at a stop is chance.
        let lost = tokio::select! {
            () = &mut controllers => None,
            lost = renewal => Some(lost),
        };
        leading.cancel();
        if lost.is_some() {
            // What is under way ends; its writes carry versions, so that a new leader is not disturbed.
            let _ = tokio::time::timeout(terms.period, controllers).await;
        }
        metrics.leads(false);
        if lost != Some(true) {
            // An API server that does not answer lets the Lease run out.
            let given_up = lease::give_up(client, &settings.namespace, &settings.identity);
            return tokio::time::timeout(terms.period, given_up).await.unwrap_or(Ok(()));
        }
        tracing::warn!("leadership is lost: waits for its turn");
    }
    Ok(())
}

/// Waits until this replica leads (true) or the operator stops (false).
async fn wait_for_turn<F, R>(hold: F, terms: Terms, stop: &CancellationToken) -> bool
where
    F: Fn() -> R,
    R: Future<Output = Result<bool, Error>>,
{
    loop {
        match stop.run_until_cancelled(hold()).await {
            None => return false,
            Some(Ok(true)) => return true,
            Some(Ok(false)) => {}
            Some(Err(error)) => tracing::warn!(%error, "the Lease could not be read"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(terms.period)).await.is_none() {
            return false;
        }
    }
}

/// Renews leadership until it is lost (true) or the operator stops (false).
async fn renew<F, R>(hold: F, terms: Terms, stop: &CancellationToken) -> bool
where
    F: Fn() -> R,
    R: Future<Output = Result<bool, Error>>,
{
    let mut renewed = tokio::time::Instant::now();
    while stop.run_until_cancelled(tokio::time::sleep(terms.period)).await.is_some() {
        match tokio::time::timeout(terms.period, hold()).await {
            Ok(Ok(true)) => renewed = tokio::time::Instant::now(),
            Ok(Ok(false)) => return true,
            Ok(Err(error)) => tracing::warn!(%error, "leadership could not be renewed"),
            Err(_) => tracing::warn!("leadership could not be renewed in time"),
        }
        if renewed.elapsed() + terms.period > terms.duration {
            return true;
        }
    }
    false
}

async fn watch_definitions(
    client: Client,
    groups: Vec<String>,
    fit: watch::Sender<bool>,
    stop: CancellationToken,
) -> Result<(), Error> {
    loop {
        let wait = match definitions::outdated(&client, &groups).await {
            Ok(None) => {
                fit.send_replace(true);
                DEFINITIONS
            }
            Ok(Some(what)) => {
                tracing::error!(reason = "CRDOutdated", what, "apply the definitions of this version");
                fit.send_replace(false);
                Duration::from_secs(5)
            }
            Err(error) => {
                tracing::warn!(%error, "the definitions could not be read");
                Duration::from_secs(5)
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return Ok(());
        }
    }
}

/// Tells of namespaces that are named and not there, once for each time that they are missing.
async fn watch_namespaces(client: Client, names: Vec<String>, stop: CancellationToken) {
    let mut told = Vec::new();
    loop {
        match namespaces::missing(&client, &names).await {
            Ok(missing) => {
                for what in missing.iter().filter(|what| !told.contains(*what)) {
                    tracing::error!(what, "a namespace of WATCH_NAMESPACES: nothing of it is run");
                }
                told = missing;
            }
            Err(error) => tracing::warn!(%error, "whether the watched namespaces are there could not be asked"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(DEFINITIONS)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { duration: Duration::from_secs(15), period: Duration::from_secs(3) };

    /// Whoever asks an API server that never answers still ends when it is told to.
    #[test]
    fn a_silent_api_server_does_not_hold_up_the_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let silent = || std::future::pending::<Result<bool, Error>>();
            let waiting = wait_for_turn(silent, TERMS, &stop);
            let ends = async {
                tokio::task::yield_now().await;
                stop.cancel();
            };
            let ended = tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(waiting, ends).0 }).await;
            assert!(!ended.unwrap());
        });
    }
}
