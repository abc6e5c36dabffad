//! Asking a store.

use archive::Store;

use crate::replies::Replies;
use crate::{Answer, Question, detail, log, peek, points, verify};

/// Answers a question; a failure is its last answer.
pub async fn ask(store: &Store, question: &Question, mut replies: Replies) {
    let result = match question {
        Question::Points { name, since } => {
            points::points(store, name.as_deref(), since.as_deref(), &mut replies).await
        }
        Question::Point { name } => detail::detail(store, name, &mut replies).await,
        Question::Log { name, run } => log::log(store, name, run, &mut replies).await,
        Question::Peek(peek) => peek::peek(store, peek, &mut replies).await,
        Question::Verify { name, depth } => verify::verify(store, name, *depth, &mut replies).await,
    };
    if let Err(failure) = result {
        drop(replies.send(Answer::Failed(failure)).await);
    }
}
