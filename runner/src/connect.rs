//! Reaching the cluster and the store of a specification, waiting a while for secrets that are not mounted yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use archive::Store;
use contract::{
    Action, AllowedEndpoints, BackupSpec, CircuitBreakerSpec, Code, ExistingTopics, Failure, RestoreSpec, RunSpec,
    StoreSpec, ValidationSpec,
};
use wire::{Cluster, ClusterConfig, IdentityFiles, Request, SaslConfig, TlsFiles, UserName};

use crate::context::{Context, Opening};

/// How long a missing file of a secret is waited for.
const SECRET_WAIT: Duration = Duration::from_secs(60);
const SECRET_POLL: Duration = Duration::from_millis(500);

/// Opens the archive's store.
///
/// # Errors
/// What the store says, or a missing secret.
pub async fn store(context: &Context, spec: &RunSpec) -> Result<Store, Failure> {
    open(context, &spec.storage, &spec.circuit_breaker).await
}

/// The same without asking the store anything yet: whoever uses it asks soon enough.
///
/// # Errors
/// A missing secret, or a directory that is not there.
pub async fn store_unasked(context: &Context, spec: &RunSpec) -> Result<Store, Failure> {
    for file in spec.storage.secret_files() {
        await_secret(context, file).await?;
    }
    Ok((context.stores)(spec.storage.clone(), context.paths.clone(), spec.circuit_breaker, Opening::Unasked).await?)
}

/// Opens a store.
///
/// # Errors
/// As [`store`].
pub async fn open(context: &Context, storage: &StoreSpec, breaker: &CircuitBreakerSpec) -> Result<Store, Failure> {
    for file in storage.secret_files() {
        await_secret(context, file).await?;
    }
    Ok((context.stores)(storage.clone(), context.paths.clone(), *breaker, Opening::Asked).await?)
}

/// Opens a store for a command that somebody waits for: a failing request is not sent again for longer than `budget`.
///
/// # Errors
/// As [`store`].
pub async fn briefly(context: &Context, storage: &StoreSpec, budget: Duration) -> Result<Store, Failure> {
    for file in storage.secret_files() {
        await_secret(context, file).await?;
    }
    Ok(archive::open_briefly(storage, &context.paths, budget, &context.waits).await?)
}

/// The id that the cluster gives itself.
///
/// # Errors
/// A cluster of before Kafka 2.8 that has none.
pub fn cluster_id(cluster: &Cluster) -> Result<String, Failure> {
    cluster.cluster_id().ok_or_else(|| {
        Failure::new(Code::BrokerUnsupported, "the cluster does not tell its id; Apache Kafka 2.8 or newer is needed")
    })
}

/// What a run asks brokers for.
#[must_use]
pub fn needs(action: Action<'_>) -> Vec<Request> {
    match action {
        Action::Backup(part) => backup_needs(part),
        Action::Restore(part) => restore_needs(part),
        Action::OffsetReset(_) => wire::OFFSET_NEEDS.to_vec(),
        Action::OffsetRollback(_) => [wire::OFFSET_NEEDS, &[Request::OffsetDelete]].concat(),
        Action::Validation(part) => validation_needs(part),
        Action::Prune(_) => Vec::new(),
    }
}

/// What a backup asks brokers for.
#[must_use]
pub fn backup_needs(backup: &BackupSpec) -> Vec<Request> {
    let groups = if backup.consumer_group_snapshot { wire::GROUP_NEEDS } else { &[] };
    [wire::BACKUP_NEEDS, groups].concat()
}

/// What a restore asks brokers for.
#[must_use]
pub fn restore_needs(restore: &RestoreSpec) -> Vec<Request> {
    let create = restore.create_topics.then_some(Request::CreateTopics);
    let purge = (restore.existing_topics == ExistingTopics::Purge).then_some(Request::DeleteRecords);
    let groups = restore.groups.as_ref().filter(|groups| groups.commit);
    let delete = groups.filter(|groups| groups.roll_back_on_failure).map(|_| Request::OffsetDelete);
    let groups = groups.map_or(&[][..], |_| wire::GROUP_RESTORE_NEEDS);
    wire::RESTORE_NEEDS.iter().chain(groups).copied().chain(delete).chain(create).chain(purge).collect()
}

/// What a validation asks brokers for: it only reads.
fn validation_needs(part: &ValidationSpec) -> Vec<Request> {
    let groups = part.checks.consumer_group_offsets.as_ref().map_or(&[][..], |_| wire::GROUP_NEEDS);
    [&[Request::Metadata, Request::ListOffsets], groups].concat()
}

/// Reaches the cluster, which must offer every request of `needs`: a run that cannot end does not begin.
///
/// # Errors
/// What the brokers say, or a missing secret.
pub async fn cluster(context: &Context, run: &RunSpec, needs: &[Request]) -> Result<Arc<Cluster>, Failure> {
    let spec = &run.kafka;
    let allowed = AllowedEndpoints::parse(&run.allowed_endpoints)
        .map_err(|(place, rule)| Failure::new(Code::SpecInvalid, format!("allowedEndpoints[{place}]: {rule}")))?;
    let mut tls = TlsFiles::default();
    if let Some(files) = &spec.tls {
        if let Some(file) = &files.ca_file {
            tls.ca = Some(await_secret(context, file).await?);
        }
        if !files.ca_certificates.is_empty() {
            tls.given = Some(files.ca_certificates.iter().map(|body| pem(body)).collect());
        }
        if let Some(chain) = &files.certificate_file {
            tls.identity = Some(IdentityFiles {
                chain: await_secret(context, chain).await?,
                key: await_optional(context, files.key_file.as_deref()).await?,
                password: await_optional(context, files.key_password_file.as_deref()).await?,
            });
        }
    }
    let sasl = match &spec.sasl {
        None => None,
        Some(sasl) => Some(SaslConfig {
            mechanism: sasl.mechanism,
            username: match (&sasl.username_file, &sasl.username) {
                (Some(file), _) => UserName::File(await_secret(context, file).await?),
                (None, Some(name)) => UserName::Text(name.clone()),
                (None, None) => {
                    let text = "kafka.sasl: usernameFile or username must be there";
                    return Err(Failure::new(Code::SpecInvalid, text));
                }
            },
            password: await_secret(context, &sasl.password_file).await?,
        }),
    };
    let config = ClusterConfig {
        bootstrap: spec.bootstrap_servers.clone(),
        protocol: spec.security_protocol,
        tls,
        sasl,
        allowed,
        options: spec.connection.clone(),
        seed: context.random.next(),
        stop: context.cancel.clone(),
        waits: context.waits.clone(),
    };
    let cluster = Cluster::connect(config, (context.dialers)(&spec.connection)).await?;
    cluster.require(needs).await?;
    Ok(cluster)
}

/// A certificate of a specification as a PEM file has it.
fn pem(body: &str) -> String {
    let mut out = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut left = body;
    // All of it is ASCII: the specification was judged.
    while let Some((line, rest)) = left.split_at_checked(64) {
        out.push_str(line);
        out.push('\n');
        left = rest;
    }
    out.push_str(left);
    out.push_str("\n-----END CERTIFICATE-----\n");
    out
}

/// The same of a file that need not be named.
async fn await_optional(context: &Context, path: Option<&str>) -> Result<Option<PathBuf>, Failure> {
    match path {
        None => Ok(None),
        Some(path) => await_secret(context, path).await.map(Some),
    }
}

/// The path of a secret's file once it is there.
///
/// # Errors
/// When it does not appear for a while.
pub(crate) async fn await_secret(context: &Context, path: &str) -> Result<PathBuf, Failure> {
    let file = context.paths.secret(path);
    let deadline = tokio::time::Instant::now() + SECRET_WAIT;
    let mut wait = None;
    while !file.exists() {
        if context.cancel.is_cancelled() {
            let text = format!("stopped on request before the file {} of a secret was there", file.display());
            return Err(Failure::new(Code::Interrupted, text));
        }
        if tokio::time::Instant::now() >= deadline {
            let text = format!(
                "{} is missing after {} s; create the secret and its key",
                file.display(),
                SECRET_WAIT.as_secs()
            );
            return Err(Failure::new(Code::SecretMissing, text));
        }
        wait.get_or_insert_with(|| {
            context.waits.begin(format!("the file {} of a secret; create the Secret and its key", file.display()))
        });
        tokio::time::sleep(SECRET_POLL).await;
    }
    Ok(file)
}
