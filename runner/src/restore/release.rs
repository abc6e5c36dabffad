//! `release`: ends a restore that will not go on, by an explicit command, and gives its target topics back.

use contract::{Code, Failure, RestoreSpec, RunSpec};

use super::claims::{Claims, Holder, Thing, full_name};
use super::ending::end;
use super::facts::existing;
use super::identity::Identity;
use super::plan::RestorePlan;
use super::trust::{Asked, may_be_released};
use crate::connect;
use crate::context::Context;

/// Ends the restores that have claimed these target topics, or, without topics, the one that has this name. Says what
/// was done.
///
/// # Errors
/// When cluster or store cannot be reached, the state of such a restore is not one that a restore makes, or configs cannot be put
/// back: then the claim holds on.
pub(crate) async fn release(
    context: &Context,
    spec: &RunSpec,
    part: &RestoreSpec,
    topics: &[String],
) -> Result<Vec<String>, Failure> {
    let cluster = connect::cluster(context, spec, &connect::restore_needs(part)).await?;
    let store = connect::store(context, spec).await?;
    let states = super::state_store(context, spec, part, &store).await?;
    let identity = Identity::new(spec, part, &cluster)?;
    let nonce = context.nonce();
    let claims =
        Claims { states: &states, cluster: identity.cluster(), restore: identity.hex(), nonce: nonce.as_str() };
    let found = existing(&cluster, topics).await?;
    let mut things: Vec<_> =
        topics.iter().map(|name| Thing::Topic(name.clone(), found.get(name).map(|t| t.topic.id))).collect();
    if topics.is_empty() {
        things.push(Thing::Name(spec.namespace.clone(), spec.name.clone()));
    }
    let mut out = Vec::new();
    for thing in things {
        let what = match &thing {
            Thing::Name(..) => format!("the name {}", spec.name),
            Thing::Topic(topic, _) => format!("topic {topic}"),
        };
        let Some(Holder { restore, mut journal, state }) = claims.held_by(&thing).await? else {
            out.push(format!("no unfinished restore holds {what}"));
            continue;
        };
        let plan = RestorePlan::read(&journal.plan(&state.plan).await?)?;
        let asked = Asked { spec, part, cluster: identity.cluster() };
        let own = (restore == identity.hex()).then_some(asked);
        may_be_released(&plan, &state, &thing, identity.cluster(), own)?;
        // Saved once more first: an attempt that still works finds its number taken, and stops within a minute.
        journal.save(&state).await?;
        let (name, ended) =
            (full_name(&state), state.topics.iter().map(|topic| topic.name.clone()).collect::<Vec<_>>());
        let verdict = Failure::new(
            Code::StateMismatch,
            format!("restore {name} was ended by `kafka-backup-runner release`; restore again under a new name"),
        );
        end(&cluster, &mut journal, state, verdict).await?;
        out.push(format!("restore {name} is ended; its configs are put back on {}", ended.join(", ")));
    }
    Ok(out)
}
