//! Asking a store.

use archive::Store;
use contract::{Code, Failure, SetOwner};

use crate::replies::Replies;
use crate::{Answer, Question, detail, groups, log, owned, peek, points, retention, verify};

/// Answers a question; a failure is its last answer. Sets of another owner than `owner`, when one is named, are not
/// answered for.
pub async fn ask(store: &Store, question: &Question, owner: Option<&SetOwner>, mut replies: Replies) {
    let result = match question {
        Question::Points { name, since } => {
            points::points(store, name.as_deref(), since.as_deref(), owner, &mut replies).await
        }
        Question::Point { name } => detail::detail(store, name, owner, &mut replies).await,
        Question::Groups { name, include } => groups::groups(store, name, include, owner, &mut replies).await,
        Question::GroupsNow { .. } | Question::Live { .. } => {
            let text = "a store does not know what its source holds now: ask a pod that may ask the brokers";
            Err(Failure::new(Code::SpecInvalid, text))
        }
        Question::Log { name, run } => log::log(store, name, run, owner, &mut replies).await,
        Question::Peek(peek) => peek::peek(store, peek, owner, &mut replies).await,
        Question::Verify { name, depth } => match owned::may_be_asked(store, name, owner).await {
            Ok(()) => verify::verify(store, name, *depth, &mut replies).await,
            Err(failure) => Err(failure),
        },
        Question::Retention(question) => retention::retention(store, question, owner, &mut replies).await,
    };
    if let Err(failure) = result {
        drop(replies.send(Answer::Failed(failure)).await);
    }
}
