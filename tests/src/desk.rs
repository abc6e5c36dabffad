//! A person's desk: a cluster with a node, a broker and an S3 server, and kubectl with the plugin on PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cluster::{Cluster, HOST};
use crate::kafka::{Kafka, Options};
use crate::plugin::{Said, binary, said};
use crate::process::Scratch;
use crate::s3::{ACCESS_KEY, S3, SECRET_KEY};

/// Image of the operator, as [`Cluster::load_images`] names it.
pub const OPERATOR_IMAGE: &str = "localhost/kafka-backup-operator:test";
/// Image of the runner.
pub const RUNNER_IMAGE: &str = "localhost/kafka-backup-runner:test";

/// All that a person has.
#[derive(Debug)]
pub struct Desk {
    /// The cluster, without anything of ours.
    pub cluster: Cluster,
    /// A broker that pods reach.
    pub kafka: Kafka,
    /// A store that pods reach.
    pub s3: S3,
    home: Scratch,
}

impl Desk {
    /// Starts all of it; `None` where no node can run.
    pub fn start() -> Option<Self> {
        let cluster = Cluster::node()?;
        cluster.load_images();
        let kafka = Kafka::with(Options { host: HOST, ..Options::default() });
        Some(Self { cluster, kafka, s3: S3::start_at(HOST), home: Scratch::new("kafka-backup-home-") })
    }

    /// A folder for files.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// PATH with the plugin and kubectl.
    pub fn path(&self) -> String {
        let plugin: PathBuf = binary().parent().unwrap().into();
        let path = std::env::var("PATH").unwrap();
        format!("{}:{}:{path}", plugin.display(), self.cluster.programs().display())
    }

    /// A program with the plugin and kubectl on its PATH, and an administrator's kubeconfig.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", self.path()).env("KUBECONFIG", self.cluster.kubeconfig()).env("HOME", self.home.path());
        command.env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
        command
    }

    /// `kubectl kafka-backup ...`, as an administrator.
    pub fn call(&self, arguments: &[&str]) -> Said {
        said(self.command("kubectl").arg("kafka-backup").args(arguments))
    }

    /// The same, as somebody else.
    pub fn call_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Said {
        said(self.command("kubectl").arg("kafka-backup").args(arguments).env("KUBECONFIG", kubeconfig))
    }

    /// URL of the store.
    pub fn store(&self) -> String {
        let port = self.s3.port();
        format!("s3://archive/shop?region=us-east-1&endpoint=http://{HOST}:{port}&pathStyle=true&allowHttp=true")
    }

    /// `kubectl kafka-backup ... --store`, with credentials of this machine and no cluster.
    pub fn call_store(&self, arguments: &[&str]) -> Said {
        let store = self.store();
        let mut command = self.command("kubectl");
        command.arg("kafka-backup").args(arguments).args(["--store", &store]);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        said(command.env("KUBECONFIG", "/no/such/file"))
    }
}
