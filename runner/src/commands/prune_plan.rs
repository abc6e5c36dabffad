//! `prune-plan`: what rules of retention would take away of the backup that a specification names. It lists and reads.

use archive::{PrunePlan, prune_plan};
use clap::Args;
use contract::retention::{RetentionRules, age_secs};
use contract::words::{duration, read_size};
use contract::{Code, ExitCode, Failure, RunSpec, SetOwner};
use inspect::{RetainedPoint, told};

use super::{Output, print};
use crate::connect;
use crate::context::Context;

/// Flags of `prune-plan`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Newest points that stay
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: Option<u32>,
    /// Points older than this go: 36h, 30d, 8w
    #[arg(long, value_name = "AGE", value_parser = age)]
    max_age: Option<u64>,
    /// While all points together have more bytes, the oldest go: 500GiB, 2TiB, or a number of bytes
    #[arg(long, value_name = "SIZE", value_parser = read_size)]
    max_total_bytes: Option<u64>,
    /// Id of the source cluster whose backups are meant, where the storage has those of several
    #[arg(long, value_name = "ID")]
    cluster_id: Option<String>,
}

fn age(text: &str) -> Result<u64, String> {
    age_secs(text).ok_or_else(|| "must be a number above 0 and one of s, m, h, d, w, as 30d".to_owned())
}

/// Says what would go.
pub(crate) async fn plan(
    context: &Context,
    spec: &RunSpec,
    flags: &Flags,
    output: Output,
) -> Result<ExitCode, Failure> {
    if spec.backup.is_none() {
        return Err(Failure::new(Code::SpecInvalid, "backup: prune-plan needs the specification of a backup"));
    }
    let rules = RetentionRules::keeping(flags.keep_last, flags.max_age, flags.max_total_bytes);
    let rules = rules.map_err(|rule| {
        let text = format!("{rule}: give --keep-last, --max-age or --max-total-bytes");
        Failure::new(Code::SpecInvalid, text)
    })?;
    let owner = SetOwner {
        name: spec.name.clone(),
        namespace: Some(spec.namespace.clone()),
        cluster_id: flags.cluster_id.clone(),
    };
    let store = connect::store(context, spec).await?;
    let found: PrunePlan = prune_plan(&store, &owner, &rules, context.clock.now()).await?;
    let found = told(&spec.name, &rules, found);
    if output == Output::Json {
        print::json(&found)?;
        return Ok(ExitCode::Done);
    }
    let rows: Vec<Vec<String>> = found.items.iter().map(row).collect();
    print::table(&["POINT", "COMMITTED", "AGE", "STAYS", "WHY", "BYTES"], &rows);
    found.plan.sentences().iter().for_each(|line| print::line(line));
    Ok(ExitCode::Done)
}

fn row(point: &RetainedPoint) -> Vec<String> {
    let unknown = || "-".to_owned();
    let age = point.age_secs.map(|seconds| duration(i64::try_from(seconds).unwrap_or(i64::MAX)));
    vec![
        point.name.clone(),
        point.committed.map_or_else(unknown, |at| print::time(at.as_millisecond())),
        age.unwrap_or_else(unknown),
        if point.verdict.goes() { "no" } else { "yes" }.to_owned(),
        point.remark(),
        point.gain(),
    ]
}
