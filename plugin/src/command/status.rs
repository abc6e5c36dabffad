//! `status`: how well backups are protected.

use std::time::Duration;

use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaOffsetReset, KafkaOffsetRollback, KafkaRestore};
use api::strimzi::{BackupOf, Documented, Released, RestoreOf};
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use crate::changes::Changes;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::screen::Screen;
use crate::show;
use crate::steps::print;
use crate::steps::watch::{Watch, watch};
use crate::view::others::OtherLine;
use crate::view::status::Status;

/// How often ages are drawn anew while nothing changes.
const AGES: Duration = Duration::from_secs(10);

/// Flags of `status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup status -A                  everything, on one screen
  kubectl kafka-backup status nightly -n shop     one backup, restore or validation
  kubectl kafka-backup status -A -l team=shop     those with a label
  kubectl kafka-backup status -A --exit-code      as a probe: 1 if something is late or failed
  kubectl kafka-backup status -w                  again and again")]
pub struct StatusFlags {
    /// Name of a backup, restore, validation, reset or rollback, of any group; all when absent
    name: Option<String>,
    /// Only those with these labels: `team=shop`, `tier!=test`
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "name")]
    selector: Option<String>,
    /// Exit with 1 if something is late or has failed
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    watch: Watch,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Shows the state of backups, restores and validations.
pub(crate) async fn status(options: StatusFlags, cluster: &Cluster, screen: &mut Screen) -> Result<Exit, Error> {
    let (name, output) = (options.name.as_deref(), options.output);
    let labels = options.selector.as_deref();
    let look = async |now| look(name, labels, cluster, now).await;
    let mut changes = options.watch.watch.then(|| {
        Changes::of::<KafkaBackup>(cluster.api_of(), None)
            .or(Changes::of::<KafkaRestore>(cluster.api_of(), None))
            .or(Changes::of::<KafkaBackupValidation>(cluster.api_of(), None))
    });
    let woken = async || {
        if let Some(changes) = &mut changes {
            changes.next(AGES).await;
        }
    };
    let status = watch(options.watch, screen, look, woken, |status, screen| draw(status, output, screen)).await?;
    Ok(if options.exit_code && status.is_bad() { Exit::No } else { Exit::Done })
}

async fn look(name: Option<&str>, labels: Option<&str>, cluster: &Cluster, now: Timestamp) -> Result<Status, Error> {
    let (mut backups, mut restores, mut validations) = tokio::try_join!(
        cluster.list::<KafkaBackup>(labels),
        cluster.list::<KafkaRestore>(labels),
        cluster.list::<KafkaBackupValidation>(labels)
    )?;
    let mut others = others(labels, cluster, now).await?;
    if let Some(name) = name {
        backups.retain(|object| object.name_any() == name);
        restores.retain(|object| object.name_any() == name);
        validations.retain(|object| object.name_any() == name);
        others.retain(|line| line.name == name);
        if backups.is_empty() && restores.is_empty() && validations.is_empty() && others.is_empty() {
            // The error of a resource that is not there; it may have come meanwhile.
            backups.push(cluster.get::<KafkaBackup>(name).await?);
        }
    }
    let all = Status::of(&backups, &restores, now).with_validations(&validations, now).with_others(others);
    Ok(Status { operator: operator(cluster).await, ..all })
}

/// Resources of the other kinds, as far as the cluster knows these.
async fn others(labels: Option<&str>, cluster: &Cluster, now: Timestamp) -> Result<Vec<OtherLine>, Error> {
    let (resets, rollbacks, documented, released, restores, released_restores) = tokio::try_join!(
        cluster.list_known::<KafkaOffsetReset>(labels),
        cluster.list_known::<KafkaOffsetRollback>(labels),
        cluster.list_known::<BackupOf<Documented>>(labels),
        cluster.list_known::<BackupOf<Released>>(labels),
        cluster.list_known::<RestoreOf<Documented>>(labels),
        cluster.list_known::<RestoreOf<Released>>(labels),
    )?;
    let mut out: Vec<OtherLine> = resets.iter().map(OtherLine::of_reset).collect();
    out.extend(rollbacks.iter().map(OtherLine::of_rollback));
    out.extend(documented.iter().map(|object| OtherLine::of_backup(object, now)));
    out.extend(released.iter().map(|object| OtherLine::of_backup(object, now)));
    out.extend(restores.iter().map(OtherLine::of_restore));
    out.extend(released_restores.iter().map(OtherLine::of_restore));
    Ok(out)
}

/// Why nothing is run: no operator is installed, in any namespace, or none is ready. Who may not look at deployments is told
/// nothing of it.
async fn operator(cluster: &Cluster) -> Option<String> {
    // The table does not need this right.
    let found = crate::operator::all(cluster).await.ok()?;
    if found.is_empty() {
        return Some("none is installed: nothing is run".to_owned());
    }
    let ready = |one: &Deployment| one.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0) > 0;
    (!found.iter().any(ready)).then(|| "none of its replicas is ready: nothing is run".to_owned())
}

fn draw(status: &Status, output: Output, screen: &mut Screen) -> Result<(), Error> {
    match output {
        Output::Table | Output::Wide => {
            let text = show::status::status(status, output == Output::Wide, &screen.style);
            screen.text(&text)
        }
        Output::Name => {
            let backups = status.backups.iter().map(|line| format!("{}/{}", "kafkabackup.kafka.oso.sh", line.name));
            let restores = status.restores.iter().map(|line| format!("{}/{}", "kafkarestore.kafka.oso.sh", line.name));
            let validations = &status.validations;
            let validations =
                validations.iter().map(|line| format!("{}/{}", "kafkabackupvalidation.kafka.oso.sh", line.name));
            let others = status.others.iter().map(|line| format!("{}/{}", line.kind, line.name));
            print::names(backups.chain(restores).chain(validations).chain(others), screen)
        }
        output => print::document("Status", status, output, screen),
    }
}
