//! File systems that are too small, or read-only.

/// A small file system in memory; needs root, like the machines that run CI.
#[derive(Debug)]
pub struct Mount(pub tempfile::TempDir);

impl Mount {
    /// Mounts it; `None` without the right to.
    pub fn new(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let status =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).status();
        let mounted = status.is_ok_and(|status| status.success());
        crate::skip::or_noted(mounted.then_some(Self(dir)), "to mount a file system takes root")
    }

    /// Changes its options.
    pub fn resize(&self, options: &str) {
        let status =
            std::process::Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}
