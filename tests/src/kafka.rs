//! Real Apache Kafka brokers (KRaft) on loopback.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Guarded, Scratch, alive, fetch, free_port};

/// Newest release in the matrix.
pub const NEW: &str = "4.3.1";
/// Oldest release in the matrix.
pub const OLD: &str = "3.9.2";
/// Older than that: with ZooKeeper, and message formats 0 and 1.
pub const ANCIENT: &str = "2.8.2";

/// What a listener of secure clusters advertises, and nobody knows.
pub const LOST: &str = "kafka-0.nowhere.invalid:9092";
/// An address of this machine that no certificate names.
pub const ELSEWHERE: &str = "127.0.0.2";

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Release.
    pub version: &'static str,
    /// Brokers, each also a controller unless `voters` says how many are.
    pub nodes: usize,
    /// The first so many are controllers; all when absent.
    pub voters: Option<usize>,
    /// Also listen with SASL, mutual TLS and SASL over TLS, and enforce ACLs.
    pub secure: bool,
    /// Further lines of `server.properties`.
    pub properties: Vec<String>,
    /// Each node in a rack of its own: `rack-1`, `rack-2`, ...
    pub racks: bool,
    /// Ports that clients are told to use instead of the brokers' own: those of proxies.
    pub advertise: Vec<u16>,
    /// Address of the plaintext listeners.
    pub host: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: NEW,
            nodes: 1,
            voters: None,
            secure: false,
            properties: Vec::new(),
            racks: false,
            advertise: Vec::new(),
            host: "127.0.0.1",
        }
    }
}

/// A running cluster; its processes end when it is dropped.
#[derive(Debug)]
pub struct Kafka {
    dir: Scratch,
    options: Options,
    libs: PathBuf,
    cluster_id: String,
    nodes: Vec<Node>,
    zookeeper: Option<(Guarded, u16)>,
}

#[derive(Debug)]
struct Node {
    dir: PathBuf,
    ports: Ports,
    process: Option<Guarded>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    controller: u16,
    sasl: u16,
    mtls: u16,
    sasl_tls: u16,
    tls: u16,
    lost: u16,
    elsewhere: u16,
}

impl Node {
    fn new(dir: &Path, number: usize) -> Self {
        let ports = Ports {
            plain: free_port(),
            controller: free_port(),
            sasl: free_port(),
            mtls: free_port(),
            sasl_tls: free_port(),
            tls: free_port(),
            lost: free_port(),
            elsewhere: free_port(),
        };
        Self { dir: dir.join(format!("node{number}")), ports, process: None }
    }
}

impl Kafka {
    /// One plain broker of the newest release.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// A cluster made to measure.
    pub fn with(options: Options) -> Self {
        Self::launch_behind(options, |_, _| {})
    }

    /// A cluster whose ports are told, by node, before anything starts: to proxies that stand before it.
    pub fn launch_behind(options: Options, tell: impl Fn(usize, u16)) -> Self {
        let libs = fetch(&["kafka", options.version]);
        let dir = Scratch::new("kafka-backup-broker-");
        let nodes = (0..options.nodes).map(|number| Node::new(dir.path(), number)).collect();
        let cluster_id = cluster_id(dir.path());
        let zookeeper = (options.version == ANCIENT).then(|| crate::zookeeper::start(&libs, dir.path()));
        let mut kafka = Self { dir, options, libs, cluster_id, nodes, zookeeper };
        if kafka.options.secure {
            crate::certificates::make(&kafka.certs());
        }
        for number in 0..kafka.nodes.len() {
            tell(number, kafka.node_port(number));
            kafka.configure(number);
        }
        for number in 0..kafka.nodes.len() {
            kafka.launch(number);
        }
        for number in 0..kafka.nodes.len() {
            kafka.wait_ready(number);
        }
        kafka
    }

    /// Bootstrap addresses of the plaintext listeners.
    pub fn bootstrap(&self) -> String {
        let address = |node: &Node| format!("{}:{}", self.options.host, node.ports.plain);
        self.nodes.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// The broker's own port of the first node, past any proxy.
    pub fn port(&self) -> u16 {
        self.node_port(0)
    }

    /// Plain port of a node.
    pub fn node_port(&self, node: usize) -> u16 {
        self.nodes[node].ports.plain
    }

    /// Port of the SASL listener of the first node.
    pub fn sasl_port(&self) -> u16 {
        self.nodes[0].ports.sasl
    }

    /// Port of the mutual TLS listener of the first node.
    pub fn mtls_port(&self) -> u16 {
        self.nodes[0].ports.mtls
    }

    /// Port of the SASL over TLS listener of the first node.
    pub fn sasl_tls_port(&self) -> u16 {
        self.nodes[0].ports.sasl_tls
    }

    /// Port of the TLS listener of the first node that wants no client certificate.
    pub fn tls_port(&self) -> u16 {
        self.nodes[0].ports.tls
    }

    /// Port of a TLS listener of the first node that advertises [`ELSEWHERE`], which its certificate does not name.
    pub fn elsewhere_port(&self) -> u16 {
        self.nodes[0].ports.elsewhere
    }

    /// Port of the controllers' listener of the first node.
    pub fn controller_port(&self) -> u16 {
        self.nodes[0].ports.controller
    }

    /// Port of a plaintext listener of the first node that advertises [`LOST`].
    pub fn lost_port(&self) -> u16 {
        self.nodes[0].ports.lost
    }

    /// Folder of the certificates.
    pub fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// Process id of a node.
    pub fn pid(&self, node: usize) -> u32 {
        self.nodes[node].process.as_ref().expect("the node runs").pid
    }

    /// Stops a node, by SIGTERM or at once.
    pub fn stop(&mut self, node: usize, at_once: bool) {
        if let Some(process) = self.nodes[node].process.take() {
            process.end(if at_once { "KILL" } else { "TERM" });
        }
    }

    /// The log of a partition as the broker keeps it on disk: all its segments one after the other.
    pub fn log_bytes(&self, topic: &str, partition: i32) -> Vec<u8> {
        let dir = fs::read_dir(self.nodes[0].dir.join(format!("data/{topic}-{partition}"))).unwrap();
        let mut files: Vec<_> = dir.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        files.iter().flat_map(|path| fs::read(path).unwrap()).collect()
    }

    /// Copies what the brokers have on disk: a folder for each node.
    pub fn keep_logs(&self, to: &Path) {
        for (number, node) in self.nodes.iter().enumerate() {
            let place = to.join(number.to_string());
            fs::create_dir_all(&place).unwrap();
            let copied = Command::new("cp").arg("-r").arg(node.dir.join("data")).arg(&place).status().unwrap();
            assert!(copied.success(), "{}", place.display());
        }
    }

    /// Starts a stopped node on its old data.
    pub fn restart(&mut self, node: usize) {
        self.launch(node);
        self.wait_ready(node);
    }

    /// Adds a broker that is no controller, and returns its number. A cluster that may grow names its `voters`.
    pub fn add_node(&mut self) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node::new(self.dir.path(), number));
        self.configure(number);
        self.restart(number);
        number
    }

    /// Runs one of Kafka's own command-line classes and returns its output.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        self.tool_with_input(class, arguments, "")
    }

    /// The same with text on its standard input.
    pub fn tool_with_input(&self, class: &str, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new("java")
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Djava.io.tmpdir={}", self.dir.path().display()))
            .arg("-cp")
            .arg(self.libs.join("*"))
            .arg(class)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{class} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// A line for a shell that runs one of Kafka's own command-line classes against this broker.
    pub fn tool_line(&self, class: &str, arguments: &[&str]) -> String {
        format!(
            "java -Xmx256m -cp '{}' {class} --bootstrap-server {} {}",
            self.libs.join("*").display(),
            self.bootstrap(),
            arguments.join(" ")
        )
    }

    fn configure(&self, number: usize) {
        let node = &self.nodes[number];
        fs::create_dir_all(&node.dir).unwrap();
        fs::write(node.dir.join("server.properties"), self.properties(number)).unwrap();
        fs::write(node.dir.join("log4j2.properties"), LOG4J2).unwrap();
        fs::write(node.dir.join("log4j.properties"), LOG4J).unwrap();
        if self.zookeeper.is_some() {
            return;
        }
        let mut format = self.java(number);
        format.args(["kafka.tools.StorageTool", "format", "-t", &self.cluster_id, "-c"]);
        format.arg(node.dir.join("server.properties"));
        if self.options.secure {
            for user in ["admin", "alice"] {
                for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                    format.arg("--add-scram").arg(format!("{mechanism}=[name={user},password={user}-secret]"));
                }
            }
        }
        let output = format.output().unwrap();
        assert!(output.status.success(), "formatting: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn properties(&self, number: usize) -> String {
        let ports = self.nodes[number].ports;
        if let Some((_, zookeeper)) = &self.zookeeper {
            return format!(
                "broker.id={}\nzookeeper.connect=127.0.0.1:{zookeeper}\nlisteners=PLAINTEXT://127.0.0.1:{}\n\
                 log.dirs={}\nauto.create.topics.enable=false\noffsets.topic.num.partitions=2\n\
                 offsets.topic.replication.factor=1\ntransaction.state.log.num.partitions=2\n\
                 transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                 group.initial.rebalance.delay.ms=0\nlog.retention.ms=-1\nlog.cleaner.dedupe.buffer.size=16777216\n",
                number + 1,
                ports.plain,
                self.nodes[number].dir.join("data").display(),
            );
        }
        let voter = |(id, node): (usize, &Node)| format!("{}@127.0.0.1:{}", id + 1, node.ports.controller);
        let count = self.options.voters.unwrap_or(self.nodes.len());
        let voters: Vec<_> = self.nodes.iter().enumerate().take(count).map(voter).collect();
        let is_controller = number < count;
        let replicas = if self.nodes.len() < 3 { 1 } else { 3 };
        let host = self.options.host;
        let mut listeners = format!("PLAINTEXT://{host}:{}", ports.plain);
        let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
        let advertised_port = self.options.advertise.get(number).copied().unwrap_or(ports.plain);
        if self.options.secure {
            let more = format!(
                ",SASL://127.0.0.1:{},MTLS://127.0.0.1:{},SASLTLS://127.0.0.1:{},TLS://127.0.0.1:{},LOST://127.0.0.1:{},ELSEWHERE://0.0.0.0:{}",
                ports.sasl, ports.mtls, ports.sasl_tls, ports.tls, ports.lost, ports.elsewhere
            );
            listeners += &more;
            protocols += ",SASL:SASL_PLAINTEXT,MTLS:SSL,SASLTLS:SASL_SSL,TLS:SSL,LOST:PLAINTEXT,ELSEWHERE:SSL";
        }
        let own = format!("PLAINTEXT://{host}:{}", ports.plain);
        let advertised = listeners.replace(&own, &format!("PLAINTEXT://{host}:{advertised_port}"));
        let advertised = advertised.replace(&format!("LOST://127.0.0.1:{}", ports.lost), &format!("LOST://{LOST}"));
        let advertised = advertised.replace("ELSEWHERE://0.0.0.0", &format!("ELSEWHERE://{ELSEWHERE}"));
        let mut out = format!(
            "process.roles={}\nnode.id={}\ncontroller.quorum.voters={}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listeners={listeners}{}\nadvertised.listeners={advertised}\n\
             listener.security.protocol.map={protocols}\nlog.dirs={}\nnum.partitions=1\n\
             auto.create.topics.enable=false\noffsets.topic.num.partitions=2\n\
             offsets.topic.replication.factor={replicas}\ntransaction.state.log.num.partitions=2\n\
             transaction.state.log.replication.factor={replicas}\ntransaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor={replicas}\nshare.coordinator.state.topic.min.isr=1\n\
             share.coordinator.state.topic.num.partitions=2\n\
             group.initial.rebalance.delay.ms=0\nlog.retention.ms=-1\nlog.cleaner.backoff.ms=500\n\
             num.network.threads=2\nnum.io.threads=4\nlog.cleaner.dedupe.buffer.size=16777216\n",
            if is_controller { "broker,controller" } else { "broker" },
            number + 1,
            voters.join(","),
            if is_controller { format!(",CONTROLLER://127.0.0.1:{}", ports.controller) } else { String::new() },
            self.nodes[number].dir.join("data").display(),
        );
        if self.options.secure {
            self.secure_properties(&mut out);
        }
        if self.options.racks {
            writeln!(out, "broker.rack=rack-{}", number + 1).unwrap();
        }
        for line in &self.options.properties {
            writeln!(out, "{line}").unwrap();
        }
        out
    }

    fn secure_properties(&self, out: &mut String) {
        let certs = self.certs();
        out.push_str(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS;User:admin\nallow.everyone.if.no.acl.found=false\n\
             ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT\n\
             listener.name.mtls.ssl.client.auth=required\nlistener.name.sasltls.ssl.client.auth=none\n\
             listener.name.tls.ssl.client.auth=none\nlistener.name.elsewhere.ssl.client.auth=none\n",
        );
        for name in ["sasl", "sasltls"] {
            write!(
                out,
                "listener.name.{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
                 listener.name.{name}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_admin=\"admin-secret\" user_alice=\"alice-secret\" user_bob=\"bob-secret\";\n\
                 listener.name.{name}.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
                 listener.name.{name}.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
            )
            .unwrap();
        }
        for name in ["mtls", "sasltls", "tls", "elsewhere"] {
            write!(
                out,
                "listener.name.{name}.ssl.keystore.type=PEM\nlistener.name.{name}.ssl.keystore.location={0}/broker.keystore.pem\n\
                 listener.name.{name}.ssl.truststore.type=PEM\nlistener.name.{name}.ssl.truststore.location={0}/ca.pem\n",
                certs.display()
            )
            .unwrap();
        }
    }

    fn java(&self, number: usize) -> Command {
        let dir = &self.nodes[number].dir;
        let mut java = Command::new("java");
        java.args(["-Xmx512m", "-XX:+UseG1GC", "-Djava.awt.headless=true"]);
        // Native libraries of codecs are unpacked there.
        java.arg(format!("-Djava.io.tmpdir={}", dir.display()));
        if self.options.version.starts_with('4') {
            java.arg(format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.properties").display()));
        } else {
            java.arg(format!("-Dlog4j.configuration=file:{}", dir.join("log4j.properties").display()));
        }
        java.arg("-cp").arg(self.libs.join("*"));
        java
    }

    fn launch(&mut self, number: usize) {
        let mut java = self.java(number);
        let dir = self.nodes[number].dir.clone();
        java.arg("kafka.Kafka").arg(dir.join("server.properties"));
        self.nodes[number].process = Some(Guarded::spawn(&java, &dir.join("broker.log")));
    }

    fn wait_ready(&mut self, number: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let node = &self.nodes[number];
        loop {
            let log = fs::read_to_string(node.dir.join("broker.log")).unwrap_or_default();
            let started = log.contains("Kafka Server started") || self.zookeeper.is_some() && log.contains("] started");
            if started && TcpStream::connect((self.options.host, node.ports.plain)).is_ok() {
                return;
            }
            let pid = node.process.as_ref().expect("the node was started").pid;
            assert!(alive(pid) && Instant::now() < deadline, "the broker did not start:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let zookeeper = self.zookeeper.take().map(|(process, _)| process);
        for process in self.nodes.iter_mut().filter_map(|node| node.process.take()).chain(zookeeper) {
            process.end("KILL");
        }
    }
}

/// 22 characters of base64url, different for each folder.
fn cluster_id(dir: &Path) -> String {
    let digest = blake3::hash(dir.to_string_lossy().as_bytes()).to_hex().to_string();
    format!("{}A", &digest[..21])
}

const LOG4J2: &str = "status = error\nappender.console.type = Console\nappender.console.name = OUT\n\
appender.console.layout.type = PatternLayout\nappender.console.layout.pattern = [%d] %p %m (%c)%n\n\
rootLogger.level = info\nrootLogger.appenderRefs = out\nrootLogger.appenderRef.out.ref = OUT\n";
const LOG4J: &str = "log4j.rootLogger=INFO, stdout\nlog4j.appender.stdout=org.apache.log4j.ConsoleAppender\n\
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout\nlog4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n\n";
