//! Where answers about an archive come from.

mod direct;
mod kept;
mod through;

use std::sync::Arc;

use inspect::{Answer, Question};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use direct::Direct;
pub(crate) use direct::store_of;
pub use kept::{Evidence, Kept};
pub use through::Through;

use crate::error::Error;

/// Answers that are on their way.
const ON_THE_WAY: usize = 64;

/// Something that answers questions.
#[derive(Debug)]
pub enum Source {
    /// A store that this process reads itself.
    Direct(Direct),
    /// A pod that reads the store.
    Through(Arc<Through>),
}

/// The answers to a question, as they come.
#[derive(Debug)]
pub struct Answers {
    answers: mpsc::Receiver<Answer>,
    asking: Option<JoinHandle<Result<(), Error>>>,
}

impl Answers {
    /// The next answer; `None` after the last.
    ///
    /// # Errors
    /// When the one who answers says why there is no more.
    pub async fn next(&mut self) -> Result<Option<Answer>, Error> {
        match self.answers.recv().await {
            Some(Answer::Failed(failure)) => Err(Error::Archive(failure)),
            Some(answer) => Ok(Some(answer)),
            None => match self.asking.take() {
                Some(asking) => asking.await.unwrap_or(Err(Error::Interrupted)).map(|()| None),
                None => Ok(None),
            },
        }
    }
}

impl Source {
    /// Asks; the answers come while the question is worked on.
    #[must_use]
    pub fn ask(&self, question: Question) -> Answers {
        let (sender, answers) = mpsc::channel(ON_THE_WAY);
        let asking = match self {
            Self::Direct(direct) => {
                direct.ask(question, sender);
                None
            }
            Self::Through(through) => {
                let through = Arc::clone(through);
                Some(tokio::spawn(async move { through.ask(&question, &sender).await }))
            }
        };
        Answers { answers, asking }
    }

    /// Lets go of what was held for the answers.
    ///
    /// # Errors
    /// When that fails.
    pub async fn close(self) -> Result<(), Error> {
        match self {
            Self::Direct(_) => Ok(()),
            Self::Through(through) => through.close().await,
        }
    }
}
