//! Controllers work only while the definitions in the cluster fit this program: older ones drop fields of a status, and a
//! run whose claim lost a field would be looked at for ever. Reads nothing of the cluster itself.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Runs what `start` makes whenever `fit` is true, until `stop` or until it ends by itself. Each start gets a token that
/// ends it when the definitions stop fitting.
pub(crate) async fn while_they_fit<F>(
    mut fit: watch::Receiver<bool>,
    start: impl Fn(CancellationToken) -> F,
    stop: &CancellationToken,
) where
    F: Future<Output = ()>,
{
    loop {
        match stop.run_until_cancelled(fit.wait_for(|fits| *fits)).await {
            Some(Ok(_)) => {}
            // Stopped, or nobody looks at the definitions any more: the operator ends.
            Some(Err(_)) | None => return,
        }
        let working = stop.child_token();
        let work = start(working.clone());
        tokio::pin!(work);
        tokio::select! {
            () = &mut work => return,
            changed = fit.wait_for(|fits| !*fits) => {
                if changed.is_ok() {
                    tracing::error!(reason = "CRDOutdated", "controllers wait until the definitions fit again");
                }
            }
        }
        working.cancel();
        work.await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[test]
    fn controllers_wait_for_definitions_and_end_with_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (sender, fit) = watch::channel(false);
            let (stop, running, starts) = (CancellationToken::new(), Cell::new(false), Cell::new(0));
            let start = |working: CancellationToken| {
                let (running, starts) = (&running, &starts);
                async move {
                    starts.set(starts.get() + 1);
                    running.set(true);
                    working.cancelled().await;
                    running.set(false);
                }
            };
            let script = async {
                let pause = || tokio::time::sleep(Duration::from_secs(1));
                pause().await;
                assert_eq!((running.get(), starts.get()), (false, 0), "old definitions: nothing runs");
                for (fits, expected) in [(true, (true, 1)), (false, (false, 1)), (true, (true, 2))] {
                    sender.send(fits).unwrap();
                    pause().await;
                    assert_eq!((running.get(), starts.get()), expected, "{fits}");
                }
                stop.cancel();
            };
            tokio::join!(while_they_fit(fit, start, &stop), script);
            assert!(!running.get());
        });
    }
}
