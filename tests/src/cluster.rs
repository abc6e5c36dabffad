//! A Kubernetes of its own, in one of two forms. The control plane alone (etcd, API server, controller manager on
//! loopback) runs no pods: operators are processes with the rights of their service account, and tests play the kubelet by
//! writing statuses of pods. A node has all of it, with kubelet and containerd, in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Guarded, Scratch, alive, free_port};

/// The operator's namespace.
pub const NAMESPACE: &str = "kafka-backup";

/// This machine as pods see it.
pub const HOST: &str = "10.77.2.2";
/// The node's address, where the API server listens, too.
const NODE: &str = "10.77.0.1";
/// Folder of a node's state: paths of sockets are short.
const NODE_RUN: &str = "/run/kafka-backup-k8s";

/// How long something that takes seconds is waited for, on a machine that does other things, too.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Why a test that needs a node is skipped.
pub const NODE_TAKES_ROOT: &str = "a node that runs pods takes root";

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    dir: Scratch,
    is_node: bool,
    port: u16,
    etcd: u16,
    bin: PathBuf,
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes")
}

/// Builds the programs of a form of cluster, once, and says where they are.
fn build(mode: &str) -> PathBuf {
    let built = Command::new(here().join("build.sh")).env("K8S_MODE", mode).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
}

/// The folder of kubectl, which is built if it is not there.
pub fn programs() -> PathBuf {
    build("cp")
}

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("manifests")
}

impl Cluster {
    /// Starts a control plane, building its programs first if they are not there.
    pub fn start() -> Self {
        let cluster = Self {
            dir: Scratch::new("kafka-backup-k8s-"),
            is_node: false,
            port: free_port(),
            etcd: free_port(),
            bin: build("cp"),
        };
        cluster.script("up.sh");
        cluster
    }

    /// Starts a cluster with a node that runs pods; `None` where this machine cannot: it takes root ([`NODE_TAKES_ROOT`]).
    pub fn node() -> Option<Self> {
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if !root {
            return None;
        }
        let (dir, bin) = (Scratch::new("kafka-backup-k8s-"), build("node"));
        let cluster = Self { dir, is_node: true, port: 6443, etcd: 2379, bin };
        // What an interrupted run left.
        cluster.script("down.sh");
        cluster.script("up.sh");
        let admin = std::fs::read_to_string(cluster.run().join("admin.kubeconfig")).unwrap();
        std::fs::write(cluster.kubeconfig(), admin.replace("127.0.0.1:6443", &format!("{NODE}:6443"))).unwrap();
        Some(cluster)
    }

    /// Makes the images of operator and runner from the binaries beside this test, and loads them into the node.
    pub fn load_images(&self) {
        let out = self.dir.path().join("images");
        let profile = crate::runner::binary().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let mut script = Command::new(manifests().join("images/make.sh"));
        let made = script.args([&profile, "localhost/kafka-backup-", "test"]).arg(&out).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut load = Command::new(here().join("load.sh"));
        load.env("K8S_MODE", "node").arg(out.join("operator.tar")).arg(out.join("runner.tar"));
        let loaded = load.output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    }

    /// Installs the manifests as a user does, with the images of [`Cluster::load_images`] and further variables of the operator,
    /// and waits for it.
    pub fn install_manifests(&self, variables: &[(&str, &str)]) {
        let overlay = here().join("overlay");
        let mut text = self.ok(&["kustomize", overlay.to_str().unwrap()]);
        let (place, indent) = ("- name: RUNNER_IMAGE\n", "\n        ");
        assert!(text.contains(place) && text.contains(&format!("{indent}{place}")), "{text}");
        for (name, value) in variables {
            let more = format!("- name: {name}{indent}  value: {}{indent}{place}", json!(value));
            text = text.replacen(place, &more, 1);
        }
        wait_for(Duration::from_secs(60), || {
            let output = self.kubectl_with(&self.kubeconfig(), &["apply", "--server-side", "-f", "-"], &text);
            if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
        });
        self.ok(&["rollout", "status", "-n", NAMESPACE, "deployment/kafka-backup-operator", "--timeout=120s"]);
    }

    fn script(&self, name: &str) {
        let mut command = Command::new(here().join(name));
        command.env("K8S_MODE", if self.is_node { "node" } else { "cp" });
        command.env("K8S_RUN", self.run()).env("K8S_PORT", self.port.to_string());
        command.env("K8S_ETCD_PORT", self.etcd.to_string()).env("K8S_WATCH_PID", std::process::id().to_string());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&self) -> PathBuf {
        if self.is_node { NODE_RUN.into() } else { self.dir.path().join("run") }
    }

    /// Kills the API server, waits, and starts it again.
    pub fn restart_api_server(&self, away: Duration) {
        let pid = std::fs::read_to_string(self.run().join("pids/kube-apiserver")).unwrap();
        Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
        let pid: u32 = pid.trim().parse().unwrap();
        wait_for(Duration::from_secs(60), || if alive(pid) { Err("it does not end".to_owned()) } else { Ok(()) });
        std::thread::sleep(away);
        self.script("up.sh");
    }

    /// A kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        if self.is_node { self.dir.path().join("admin.kubeconfig") } else { self.run().join("admin.kubeconfig") }
    }

    /// The folder of kubectl and the other programs.
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// What the API server noted of requests that change something.
    pub fn audit(&self) -> String {
        std::fs::read_to_string(self.run().join("logs/audit.log")).unwrap()
    }

    /// Runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(&self.kubeconfig(), arguments, "")
    }

    /// Runs kubectl as somebody, with a document on its standard input.
    pub fn kubectl_with(&self, kubeconfig: &Path, arguments: &[&str], document: &str) -> Output {
        use std::io::Write;
        let mut command = Command::new(self.bin.join("kubectl"));
        command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
        command.env("HOME", self.dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let document = document.to_owned();
        let writer = std::thread::spawn(move || drop(input.write_all(document.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Runs kubectl, which must succeed, and returns what it prints.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Applies a document, and returns the server's warnings.
    ///
    /// # Errors
    /// What the server says when it refuses.
    pub fn apply(&self, document: &Value) -> Result<String, String> {
        let output = self.kubectl_with(&self.kubeconfig(), &["apply", "-f", "-"], &document.to_string());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// An object; `Null` when it is not there.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let output = self.kubectl(&["get", kind, "-n", namespace, name, "-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// All objects of a kind in a namespace.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let text = self.ok(&["get", kind, "-n", namespace, "-o", "json"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Waits until an object is as wanted.
    pub fn wait(&self, kind: &str, namespace: &str, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(PATIENCE, || {
            let object = self.get(kind, namespace, name);
            if is(&object) { Ok(object) } else { Err(format!("{what}: {}", object["status"])) }
        })
    }

    /// Installs the definitions of all groups.
    pub fn definitions(&self) {
        for group in ["kafka.oso.sh", "backup.strimzi.io", "kafkabackup.com", "kafka-backup.dev"] {
            let folder = manifests().join("crds").join(group);
            self.ok(&["apply", "--server-side", "-k", folder.to_str().unwrap()]);
        }
        self.wait_for_definitions();
    }

    /// Installs the definitions of all groups, and what the operator needs, with the webhook at a port of this machine.
    pub fn install(&self, webhook: u16) {
        self.definitions();
        let base = manifests().join("base");
        for file in ["namespace.yaml", "rbac.yaml", "admission-policy.yaml"] {
            self.ok(&["apply", "--server-side", "-f", base.join(file).to_str().unwrap()]);
        }
        let allowed =
            json!({"data": {"images": "runner:test\nregistry.example.com/*\n", "serviceAccounts": "default\n*\n"}});
        let bounds = ["patch", "configmap", "-n", NAMESPACE, "kafka-backup-operator-jobs", "--type=merge", "-p"];
        self.ok(&[&bounds[..], &[&allowed.to_string()]].concat());
        let text = std::fs::read_to_string(base.join("webhook.yaml")).unwrap();
        let service = "service: {name: kafka-backup-operator, namespace: kafka-backup, path: /validate}";
        assert!(text.contains(service));
        let text = text.replace(service, &format!("url: https://127.0.0.1:{webhook}/validate"));
        let output = self.kubectl_with(&self.kubeconfig(), &["apply", "--server-side", "-f", "-"], &text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits until all definitions are served. One that was made just now has no status, which kubectl takes for an error.
    pub fn wait_for_definitions(&self) {
        wait_for(PATIENCE, || {
            let output = self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
            if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
        });
    }

    /// Lets the installed webhook be called at a port of this machine, where operators of this cluster listen.
    pub fn point_webhook(&self, port: u16) {
        let patch = json!([
            {"op": "remove", "path": "/webhooks/0/clientConfig/service"},
            {"op": "add", "path": "/webhooks/0/clientConfig/url", "value": format!("https://127.0.0.1:{port}/validate")},
        ]);
        let kind = "validatingwebhookconfiguration";
        self.ok(&["patch", kind, "kafka-backup-operator", "--type=json", "-p", &patch.to_string()]);
    }

    /// Runs Helm.
    pub fn helm(&self, arguments: &[&str]) -> Output {
        let mut helm = Command::new(crate::process::fetch(&["helm"]));
        helm.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        helm.env("HOME", self.dir.path()).output().unwrap()
    }

    /// What the chart renders with these arguments.
    pub fn chart(&self, arguments: &[&str]) -> String {
        let chart = manifests().join("helm/kafka-backup-operator");
        let common = ["template", "kafka-backup-operator", chart.to_str().unwrap(), "--namespace", NAMESPACE];
        let output = self.helm(&[&common[..], &["--kube-version", "1.34.0"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A kubeconfig with the rights of a service account.
    pub fn account(&self, namespace: &str, name: &str) -> PathBuf {
        let token = self.ok(&["create", "token", "-n", namespace, name, "--duration=24h"]);
        let path = self.dir.path().join(format!("{namespace}-{name}.kubeconfig"));
        let admin = std::fs::read_to_string(self.kubeconfig()).unwrap();
        let authority = admin.lines().find(|line| line.contains("certificate-authority-data")).unwrap();
        let user = json!({"name": "account", "user": {"token": token.trim()}});
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: https://{}:{}\n{authority}\n\
             users: [{user}]\ncontexts:\n- name: c\n  context: {{cluster: c, user: account}}\ncurrent-context: c\n",
            if self.is_node { NODE } else { "127.0.0.1" },
            self.port
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts an operator with the rights of its service account, and waits until it is ready.
    pub fn operator(&self, identity: &str, webhook: u16, arguments: &[&str]) -> Operator {
        let operator = self.operator_unready(identity, webhook, arguments);
        operator.wait_ready();
        operator
    }

    /// As [`Cluster::operator`], without waiting.
    pub fn operator_unready(&self, identity: &str, webhook: u16, arguments: &[&str]) -> Operator {
        let account = self.account(NAMESPACE, "kafka-backup-operator");
        let metrics = free_port();
        let program = crate::runner::binary().with_file_name("kafka-backup-operator");
        let log = self.dir.path().join(format!("{identity}.log"));
        let mut command = Command::new(program);
        command.args(["--identity", identity, "--runner-image", "runner:test", "--log-format", "text"]);
        command.args(["--groups", "kafka.oso.sh,backup.strimzi.io,kafkabackup.com"]);
        // Nobody asks it by a Service here; tests of that say otherwise.
        if !arguments.iter().any(|argument| argument.starts_with("--drain-secs")) {
            command.arg("--drain-secs=0");
        }
        command.arg(format!("--webhook-address=127.0.0.1:{webhook}")).arg("--webhook-names=127.0.0.1");
        command.arg(format!("--metrics-address=127.0.0.1:{metrics}")).args(arguments);
        command.env("KUBECONFIG", account).env("KAFKA_BACKUP_LOG", "info");
        Operator { process: Guarded::spawn(&command, &log), metrics, log }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script("down.sh");
    }
}

/// An operator that runs.
#[derive(Debug)]
pub struct Operator {
    process: Guarded,
    metrics: u16,
    log: PathBuf,
}

impl Operator {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Waits until `/readyz` says so.
    pub fn wait_ready(&self) {
        wait_for(PATIENCE, || {
            let (status, text) = self.http("/readyz");
            if status == 200 { Ok(()) } else { Err(format!("{status} {text}\n{}", self.log())) }
        });
    }

    /// An answer of its metrics port: status and body; 0 without an answer.
    pub fn http(&self, path: &str) -> (u16, String) {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.metrics)) else {
            return (0, String::new());
        };
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it with a signal. Returns its log.
    pub fn end(self, signal: &str) -> String {
        self.process.end(signal);
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Asks again and again until the answer is there.
pub fn wait_for<T>(patience: Duration, ask: impl Fn() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(reason) => assert!(Instant::now() < deadline, "waited {patience:?} for {reason}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
