//! ZooKeeper for brokers of releases that need it.

use std::path::Path;
use std::process::Command;

use crate::process::{Guarded, free_port};

/// Starts ZooKeeper in a folder; returns its port, too.
pub(crate) fn start(libs: &Path, dir: &Path) -> (Guarded, u16) {
    let port = free_port();
    let config = dir.join("zookeeper.properties");
    let data = dir.join("zookeeper");
    let text = format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\ntickTime=2000\n",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut java = Command::new("java");
    java.arg("-Xmx256m").arg("-cp").arg(libs.join("*"));
    java.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(&config);
    let log = dir.join("zookeeper.log");
    (Guarded::spawn(&java, &log).listens(port, &log), port)
}
