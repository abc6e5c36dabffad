//! `check`: does everything that a run does before it writes.

use contract::{Action, Code, ExitCode, Failure, RunSpec};

use super::{Output, brokers, print};
use crate::context::Context;
use crate::emit::Emitter;
use crate::{backup, connect, restore};

/// Checks a specification against the cluster and the store. A program gets one document, also of a check that failed.
pub(crate) async fn check(context: &Context, spec: &RunSpec, output: Output) -> Result<ExitCode, Failure> {
    let mut asked = Vec::new();
    let checked = try_all(context, spec, output, &mut asked).await;
    if let Err(failure) = &checked
        && output == Output::Json
    {
        print::json(&serde_json::json!({"failure": failure, "brokers": asked}))?;
    }
    checked
}

async fn try_all(
    context: &Context,
    spec: &RunSpec,
    output: Output,
    asked: &mut Vec<brokers::Asked>,
) -> Result<ExitCode, Failure> {
    let action = spec.action().map_err(|finding| Failure::new(Code::SpecInvalid, finding.to_string()))?;
    match action {
        Action::Backup(part) => {
            let cluster = connect::cluster(context, spec, &connect::backup_needs(part)).await?;
            let cluster_id = connect::cluster_id(&cluster)?;
            let backup::Found { topics, undescribed } = backup::discover(&cluster, part).await?;
            let needed = brokers::needed(&cluster, &topics, part.consumer_group_snapshot);
            *asked = brokers::ask(&cluster, &needed, output).await;
            brokers::judge(asked)?;
            let store = connect::store(context, spec).await?;
            let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
            let names: Vec<_> = topics.iter().map(|topic| topic.name.as_str()).collect();
            let away: Vec<_> = undescribed.iter().map(|topic| topic.name.as_str()).collect();
            if output == Output::Json {
                print::json(
                    &serde_json::json!({"clusterId": cluster_id, "storage": store.place(), "topics": names, "partitions": partitions, "undescribed": away, "brokers": asked}),
                )?;
            } else {
                print::line(&format!("cluster {cluster_id} and storage {} can be reached", store.place()));
                print::line(&format!("{} topics, {partitions} partitions: {}", names.len(), names.join(", ")));
                if !away.is_empty() {
                    print::line(&format!("not described by the cluster for now: {}", away.join(", ")));
                }
            }
        }
        Action::Restore(part) => {
            let cluster = connect::cluster(context, spec, &connect::restore_needs(part)).await?;
            *asked = brokers::ask(&cluster, &brokers::needed(&cluster, &[], true), output).await;
            brokers::judge(asked)?;
            let plan = restore::plan_only(context, &Emitter::new(context, false), spec, part).await?;
            if output == Output::Json {
                print::json(&plan.json()?)?;
            } else {
                print::lines(&plan.text());
            }
        }
    }
    Ok(ExitCode::Done)
}
