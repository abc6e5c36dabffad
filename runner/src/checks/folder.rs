//! The folder that gets a copy of the newest entry's digest (`backup.checkpointFolder`): whether a run may write there. The copy
//! itself is not touched.

use std::path::Path;

use archive::HeadCopy;
use contract::words::of_system;
use contract::{Code, Failure};

use crate::context::Context;

/// Makes a file there and removes it. Says what was found.
///
/// # Errors
/// When there is no such folder, or no file can be made in it.
pub(crate) async fn check(context: &Context, folder: &str) -> Result<String, Failure> {
    let path = context.paths.volumes.join(folder);
    let name = format!("_check-{}", context.nonce());
    // What a run asks first.
    HeadCopy::new(&path, &name)?;
    let file = path.join(&name);
    let tried = tokio::task::spawn_blocking(move || try_out(&file)).await;
    let tried = tried.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    tried.map_err(|error| {
        let words = of_system(&error);
        let text = format!(
            "backup.checkpointFolder {}: a file cannot be made and removed there: {words}; correct the folder or its rights",
            path.display()
        );
        Failure::new(Code::StoreDenied, text)
    })?;
    Ok(format!("files can be made in {}", path.display()))
}

fn try_out(file: &Path) -> std::io::Result<()> {
    std::fs::File::create(file)?.sync_all()?;
    std::fs::remove_file(file)
}

#[cfg(test)]
mod tests {
    use archive::Paths;

    use super::*;

    #[tokio::test]
    async fn a_folder_that_takes_no_file_is_told_before_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::system(Paths { secrets: dir.path().into(), volumes: dir.path().into() });
        std::fs::create_dir(dir.path().join("claim")).unwrap();
        check(&context, "claim").await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("claim")).unwrap().count(), 0, "it removes what it made");
        let missing = check(&context, "claim/heads").await.unwrap_err();
        assert!(missing.code == Code::StoreMissing && missing.message.contains("claim/heads"), "{missing:?}");
        // A folder that takes no files, also for root: one of the kernel's.
        let context = Context::system(Paths { secrets: dir.path().into(), volumes: "/proc".into() });
        let denied = check(&context, "self").await.unwrap_err();
        assert!(denied.code == Code::StoreDenied && denied.message.contains("/proc/self"), "{denied:?}");
    }
}
