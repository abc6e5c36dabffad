//! What does not connect, and what is said of it: a table over real brokers, with what is set, the code and exit code, the
//! words, and the seconds until the words are there and until the command ends.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use harness::kafka::{ELSEWHERE, Kafka, LOST, NEW, OLD, Options};
use harness::load;
use harness::process::signal;
use harness::runner::Bench;
use serde_json::{Value, json};

/// Longest time from a wrong setting to its name.
const NAMED: Duration = Duration::from_secs(10);
/// What no try heals is final at the first one: three tries take 10 seconds at least.
const AT_ONCE: Duration = Duration::from_secs(9);
/// Three tries over 10 seconds, and what a debug build takes.
const TRIES: Duration = Duration::from_secs(25);
/// What may pass is tried for as long as the row says, [`DEADLINE`] at most.
const LASTS: Duration = Duration::from_secs(30);
/// A name that DNS does not know is final after a minute.
const MINUTE: Duration = Duration::from_secs(80);
/// How long the brokers of a row may fail, in milliseconds.
const DEADLINE: u32 = 12_000;

static NEWEST: LazyLock<Kafka> = LazyLock::new(|| start(NEW));
static OLDEST: LazyLock<Kafka> = LazyLock::new(|| start(OLD));

fn start(version: &'static str) -> Kafka {
    let kafka = Kafka::with(Options { version, secure: true, ..Options::default() });
    load::create(&kafka.bootstrap(), "d-topic", 2, 1, &[]);
    kafka
}

#[path = "diagnosis/keys.rs"]
mod keys;
#[path = "diagnosis/stores.rs"]
mod stores;

/// A wrong setting, and what must happen.
struct Row {
    what: String,
    /// The `kafka` block.
    kafka: Value,
    /// The `storage` block; the bench's folder where it is null.
    storage: Value,
    environment: Vec<(&'static str, String)>,
    code: &'static str,
    exit: i32,
    words: &'static str,
    /// Within what time the command ends.
    within: Duration,
}

/// What was seen of a row.
struct Seen {
    named: Duration,
    ended: Duration,
}

fn bench(kafka: &Kafka) -> Bench {
    let bench = Bench::new();
    let write = |name: &str, text: &str| std::fs::write(bench.dir.path().join(name), text).unwrap();
    write("user", "admin");
    write("password", "admin-secret\n");
    write("wrong", "not-it");
    for file in ["ca.pem", "alice.pem", "alice.key", "stranger.pem", "stranger.key"] {
        std::fs::copy(kafka.certs().join(file), bench.dir.path().join(file)).unwrap();
    }
    bench
}

fn sasl() -> Value {
    json!({"mechanism": "PLAIN", "usernameFile": "user", "passwordFile": "password"})
}

/// The `kafka` block of a protocol at a port.
fn block(port: u16, protocol: &str) -> Value {
    let mut block = json!({"bootstrapServers": [format!("localhost:{port}")], "securityProtocol": protocol});
    if protocol.ends_with("SSL") {
        block["tls"] = json!({"caFile": "ca.pem"});
    }
    if protocol.starts_with("SASL") {
        block["sasl"] = sasl();
    }
    block
}

fn with(mut block: Value, key: &str, value: Value) -> Value {
    block[key] = value;
    block
}

/// Each protocol at each listener that speaks another one.
fn listeners(kafka: &Kafka) -> Vec<Row> {
    let (plain, sasl, mtls, sasl_tls, tls) =
        (kafka.port(), kafka.sasl_port(), kafka.mtls_port(), kafka.sasl_tls_port(), kafka.tls_port());
    let port = |address: String| address.rsplit(':').next().unwrap().parse().unwrap();
    let web = port(stores::answering("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
    let other = port(stores::answering("SSH-2.0-OpenSSH_9.6\r\n"));
    let cases = [
        ("PLAINTEXT listener", plain, "SSL", "set securityProtocol to PLAINTEXT"),
        (
            "PLAINTEXT listener",
            plain,
            "SASL_PLAINTEXT",
            "it has no login, and securityProtocol is SASL_PLAINTEXT; set securityProtocol to PLAINTEXT",
        ),
        ("PLAINTEXT listener", plain, "SASL_SSL", "set securityProtocol to PLAINTEXT"),
        (
            "SASL_PLAINTEXT listener",
            sasl,
            "PLAINTEXT",
            "it wants a login, and securityProtocol is PLAINTEXT; set securityProtocol to SASL_PLAINTEXT, with sasl and one of its mechanisms",
        ),
        ("SASL_PLAINTEXT listener", sasl, "SSL", "set securityProtocol to SASL_PLAINTEXT, with sasl"),
        (
            "SASL_PLAINTEXT listener",
            sasl,
            "SASL_SSL",
            "it does not speak TLS, and securityProtocol is SASL_SSL; set securityProtocol to SASL_PLAINTEXT",
        ),
        (
            "mTLS listener",
            mtls,
            "PLAINTEXT",
            "it speaks TLS, and securityProtocol is PLAINTEXT; set securityProtocol to SSL",
        ),
        ("mTLS listener", mtls, "SASL_PLAINTEXT", "it speaks TLS, and securityProtocol is SASL_PLAINTEXT"),
        ("SASL_SSL listener", sasl_tls, "PLAINTEXT", "or to SASL_SSL where it wants a login"),
        ("SASL_SSL listener", sasl_tls, "SASL_PLAINTEXT", "set securityProtocol to SASL_SSL"),
        (
            "SASL_SSL listener",
            sasl_tls,
            "SSL",
            "it wants a login, and securityProtocol is SSL; set securityProtocol to SASL_SSL",
        ),
        (
            "SSL listener",
            tls,
            "PLAINTEXT",
            "it speaks TLS, and securityProtocol is PLAINTEXT; set securityProtocol to SSL",
        ),
        ("SSL listener", tls, "SASL_PLAINTEXT", "or to SSL where it has no login"),
        (
            "SSL listener",
            tls,
            "SASL_SSL",
            "it has no login, and securityProtocol is SASL_SSL; set securityProtocol to SSL",
        ),
        ("controllers' listener", kafka.controller_port(), "PLAINTEXT", "a listener for the cluster's controllers"),
        ("web server", web, "PLAINTEXT", "it is a web server (it answers with HTTP)"),
        ("web server", web, "SSL", "it is a web server (it answers with HTTP)"),
        ("server of another kind", other, "SASL_PLAINTEXT", "it is not a Kafka listener"),
        (
            "server that closes at once",
            hanging_up(false),
            "PLAINTEXT",
            "closes the connection at the first question (ApiVersions), and securityProtocol is PLAINTEXT",
        ),
        ("server that breaks off", hanging_up(true), "SASL_PLAINTEXT", "closes the connection at the first question"),
    ];
    let row = |(listener, port, protocol, words): (&str, u16, &str, &'static str)| Row {
        what: format!("{protocol} to a {listener}"),
        kafka: block(port, protocol),
        storage: Value::Null,
        environment: Vec::new(),
        code: "KB2014",
        exit: 4,
        words,
        within: TRIES,
    };
    cases.into_iter().map(row).collect()
}

/// A server that takes connections and ends them: in order, or with a reset, since what came is not read.
fn hanging_up(breaks_off: bool) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut first = [0; 1];
            let come =
                if breaks_off { stream.peek(&mut first) } else { std::io::Read::read(&mut stream, &mut [0; 4096]) };
            // Whoever asked may have gone.
            drop(come);
        }
    });
    port
}

/// A server whose queue is full: what is sent to it is dropped. It lives as long as what is returned.
fn dropping() -> (u16, Dropping) {
    let script = "import socket,sys,time\ns=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(0)\n\
                  c=[socket.socket() for _ in range(4)]\n\
                  [x.setblocking(False) for x in c]\n[x.connect_ex(s.getsockname()) for x in c]\n\
                  time.sleep(0.5); print(s.getsockname()[1], flush=True); sys.stdin.read()";
    let mut python = std::process::Command::new(harness::runner::python());
    let mut child = python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (line.trim().parse().unwrap(), Dropping(child))
}

struct Dropping(std::process::Child);

impl Drop for Dropping {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

static DROPPING: LazyLock<(u16, Dropping)> = LazyLock::new(dropping);

/// Addresses that cannot be reached, of brokers; they may be reached later.
fn addresses() -> Vec<Row> {
    let row = |what: &str, address: String, words: &'static str| {
        let connection = json!({"retryDeadlineMs": DEADLINE});
        Row {
            what: what.to_owned(),
            kafka: json!({"bootstrapServers": [address], "connection": connection}),
            storage: Value::Null,
            environment: Vec::new(),
            code: "KB2001",
            exit: 3,
            words,
            within: LASTS,
        }
    };
    vec![
        row("a port where nobody listens", "127.0.0.1:1".into(), "nobody listens there (connection refused)"),
        row("an address without a route", "255.255.255.255:9092".into(), "there is no route to it"),
        row("a link-local address", "[fe80::1]:9092".into(), "needs the name of an interface"),
        row("a name that DNS does not know", "kafka.nowhere.invalid:9092".into(), "DNS"),
        row("packets that are dropped", format!("127.0.0.1:{}", DROPPING.0), "a connection to 127.0.0.1:"),
    ]
}

#[test]
fn addresses_that_cannot_be_reached_are_named() {
    table("run", &addresses(), Bench::new);
    table("check", &addresses(), Bench::new);
}

/// Listeners of the right kind, and something else that is wrong.
fn credentials(kafka: &Kafka) -> Vec<Row> {
    let row = |what: &str, kafka: Value, code: &'static str, words: &'static str| Row {
        what: what.to_owned(),
        kafka,
        storage: Value::Null,
        environment: Vec::new(),
        code,
        exit: 4,
        words,
        within: AT_ONCE,
    };
    let wrong = json!({"mechanism": "PLAIN", "usernameFile": "user", "passwordFile": "wrong"});
    let scram = json!({"mechanism": "SCRAM-SHA-512", "usernameFile": "user", "passwordFile": "wrong"});
    let stranger = json!({"caFile": "ca.pem", "certificateFile": "stranger.pem", "keyFile": "stranger.key"});
    vec![
        row(
            "no client certificate",
            block(kafka.mtls_port(), "SSL"),
            "KB2003",
            "it wants a client certificate, and none was given; set tls.certificateFile and tls.keyFile",
        ),
        row(
            "a login where a client certificate is wanted",
            block(kafka.mtls_port(), "SASL_SSL"),
            "KB2003",
            "it wants a client certificate",
        ),
        row(
            "a client certificate of a stranger",
            with(block(kafka.mtls_port(), "SSL"), "tls", stranger),
            "KB2003",
            "client certificate",
        ),
        row(
            "another CA",
            with(block(kafka.tls_port(), "SSL"), "tls", json!({"caFile": "stranger.pem"})),
            "KB2003",
            "signed by an issuer that is not trusted here; put the CA that signed it into tls.caFile",
        ),
        row(
            "no CA",
            with(block(kafka.tls_port(), "SSL"), "tls", json!({})),
            "KB2003",
            "set tls.caFile to the CA that signed it",
        ),
        row(
            "a name that the certificate lacks",
            with(block(kafka.tls_port(), "SSL"), "bootstrapServers", json!([format!("0.0.0.0:{}", kafka.tls_port())])),
            "KB2003",
            "its certificate is for localhost, 127.0.0.1, and not for 0.0.0.0",
        ),
        row(
            "a wrong password",
            with(block(kafka.sasl_port(), "SASL_PLAINTEXT"), "sasl", wrong.clone()),
            "KB2002",
            "user name or password is wrong",
        ),
        row(
            "a wrong password over TLS",
            with(block(kafka.sasl_tls_port(), "SASL_SSL"), "sasl", wrong),
            "KB2002",
            "user name or password is wrong",
        ),
        row(
            "a wrong password of SCRAM",
            with(block(kafka.sasl_port(), "SASL_PLAINTEXT"), "sasl", scram),
            "KB2002",
            "SCRAM-SHA-512",
        ),
    ]
}

/// Runs a command, and notes when the words came and when it ended.
fn see(bench: &Bench, command: &str, row: &Row) -> Seen {
    let mut spec = bench.backup("diagnosis", "localhost:1", json!({"topics": ["d-topic"]}));
    spec["kafka"] = row.kafka.clone();
    if !row.storage.is_null() {
        spec["storage"] = row.storage.clone();
    }
    let started = Instant::now();
    let mut process = bench.command(command, &spec, &[]);
    process.envs(row.environment.iter().map(|(name, value)| (name, value)));
    let mut child = process.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut named, mut all, mut last) = (None, String::new(), String::new());
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains(row.words) {
            named.get_or_insert_with(|| started.elapsed());
        }
        if line.starts_with("error ") {
            last.clone_from(&line);
        }
        all = all + &line + "\n";
    }
    let (code, ended) = (child.wait().unwrap().code(), started.elapsed());
    assert!(last.starts_with(&format!("error {}", row.code)), "{}: {all}", row.what);
    assert!(all.contains(row.words), "{}: {:?} is not in {all}", row.what, row.words);
    assert_eq!(code, Some(row.exit), "{}: {all}", row.what);
    for raw in
        ["os error", "(os ", "Error(", "InvalidCertificate", "admin-secret", "canary-secret", "<Error>", "Generic "]
    {
        assert!(!all.contains(raw), "{}: {raw}: {all}", row.what);
    }
    Seen { named: named.unwrap_or_else(|| panic!("{}: {all}", row.what)), ended }
}

/// A line of the table.
fn show(command: &str, what: &str, code: &str, named: Duration, ended: Duration, exit: i32) {
    println!(
        "{command:<11} {what:<58} {code:<6} named after {:4.1} s, ended after {:4.1} s, exit {exit}",
        named.as_secs_f64(),
        ended.as_secs_f64(),
    );
}

fn table(command: &str, rows: &[Row], bench: impl Fn() -> Bench + Sync) {
    let mut longest = Duration::ZERO;
    for rows in rows.chunks(5) {
        std::thread::scope(|scope| {
            let seeing: Vec<_> = rows.iter().map(|row| scope.spawn(|| see(&bench(), command, row))).collect();
            for (row, seeing) in rows.iter().zip(seeing) {
                let seen = seeing.join().unwrap();
                show(command, &row.what, row.code, seen.named, seen.ended, row.exit);
                let Seen { named, ended } = seen;
                assert!(named < NAMED && ended < row.within, "{}: {named:?}, {ended:?}", row.what);
                harness::figures::note("the longest time from a wrong setting to its name", seen.named, &row.what);
                longest = longest.max(seen.named);
            }
        });
    }
    println!("longest time from a wrong setting to its name: {:.1} s", longest.as_secs_f64());
}

/// Every row is tried by two commands; those about brokers at 3.9 and at 4.3.
#[test]
fn the_table_is_as_long_as_it_was_promised() {
    let brokers = listeners(&NEWEST).len() + credentials(&NEWEST).len() + keys::count(&NEWEST) + addresses().len();
    let rows = 2 * (brokers + stores::count());
    println!("{rows} rows");
    assert!(rows >= 80, "{rows}");
}

#[test]
fn a_wrong_kind_of_listener_is_named_with_the_field_to_change() {
    table("run", &listeners(&NEWEST), || bench(&NEWEST));
    table("check", &listeners(&OLDEST), || bench(&OLDEST));
}

#[test]
fn wrong_credentials_and_certificates_are_named() {
    table("check", &credentials(&NEWEST), || bench(&NEWEST));
    table("run", &credentials(&OLDEST), || bench(&OLDEST));
}

/// The bootstrap address answers, and nobody knows the address that it names.
#[test]
fn an_advertised_address_that_nobody_knows_is_named() {
    let bench = bench(&NEWEST);
    let mut spec = bench.backup("lost", "localhost:1", json!({"topics": ["d-topic"]}));
    spec["kafka"] = block(NEWEST.lost_port(), "PLAINTEXT");
    let started = Instant::now();
    let checked = bench.call("check", &spec, &[]);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let line = checked.stdout.lines().find(|line| line.contains("FAIL")).unwrap_or_default().to_owned();
    assert!(line.contains(&format!("broker 1 at {LOST}")) && line.contains("DNS knows no such name"), "{checked:?}");
    checked.fails("KB2001", 3, &["advertises: set advertised.listeners of the broker"]);
    // A run says it after the first failure, and stops at once when it is asked to.
    let mut command = bench.command("run", &spec, &["-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let event = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap()).find(|e| e["event"] == "waiting");
    let what = event.unwrap()["what"].to_string();
    assert!(what.contains(LOST) && what.contains("this is the address that broker 1 advertises"), "{what}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    ends_soon(&mut child);
}

/// The certificate names the bootstrap address, and not the one that the broker advertises: no retry heals it.
#[test]
fn a_certificate_that_lacks_the_advertised_name_is_final() {
    let bench = bench(&NEWEST);
    let mut spec = bench.backup("elsewhere", "localhost:1", json!({"topics": ["d-topic"]}));
    spec["kafka"] = block(NEWEST.elsewhere_port(), "SSL");
    let words =
        [&*format!("its certificate is for localhost, 127.0.0.1, and not for {ELSEWHERE}"), "that broker 1 advertises"];
    for command in ["check", "run"] {
        let started = Instant::now();
        bench.call(command, &spec, &[]).fails("KB2003", 4, &words);
        assert!(started.elapsed() < Duration::from_secs(10), "{command}: {:?}", started.elapsed());
    }
}

/// Brokers may send us anywhere: only to endpoints that are allowed.
#[test]
fn an_advertised_address_outside_of_allowed_endpoints_is_refused() {
    let bench = bench(&NEWEST);
    let mut spec = bench.backup("outside", "localhost:1", json!({"topics": ["d-topic"]}));
    spec["kafka"] = block(NEWEST.lost_port(), "PLAINTEXT");
    spec["allowedEndpoints"] = json!([format!("localhost:{}", NEWEST.lost_port()), "127.0.0.0/8"]);
    bench.run(&spec).fails("KB2015", 4, &["broker 1", LOST, "allowedEndpoints"]);
    spec["allowedEndpoints"] = json!(["elsewhere.example.com"]);
    bench.run(&spec).fails("KB1002", 2, &["kafka.bootstrapServers", "allowedEndpoints"]);
}

/// The brokers that a run needs are all asked, a line each.
#[test]
fn check_talks_to_every_broker_that_is_needed() {
    let bench = bench(&NEWEST);
    let spec = bench.backup("all", &NEWEST.bootstrap(), json!({"topics": ["d-topic"]}));
    let checked = bench.call("check", &spec, &[]).ok().stdout;
    assert!(
        checked.contains("ok    broker 1 at 127.0.0.1:") && checked.contains("connected and logged in"),
        "{checked}"
    );
    let checked: Value = serde_json::from_str(&bench.call("check", &spec, &["-o", "json"]).ok().stdout).unwrap();
    assert_eq!(checked["brokers"][0]["id"], 1, "{checked}");
}

/// A password that whoever is on the way can read is told, in the report and as it happens; the run goes on.
#[test]
fn a_password_that_travels_without_encryption_is_told() {
    let bench = bench(&NEWEST);
    let scram = json!({"mechanism": "SCRAM-SHA-512", "usernameFile": "user", "passwordFile": "password"});
    for (name, kafka, is_told) in [
        ("open", block(NEWEST.sasl_port(), "SASL_PLAINTEXT"), true),
        ("scram", with(block(NEWEST.sasl_port(), "SASL_PLAINTEXT"), "sasl", scram), false),
        ("encrypted", block(NEWEST.sasl_tls_port(), "SASL_SSL"), false),
    ] {
        let mut spec = bench.backup(name, "localhost:1", json!({"topics": ["d-topic"]}));
        spec["kafka"] = kafka;
        let ended = bench.run(&spec).ok();
        let words = "kafka.sasl.mechanism PLAIN sends the password as it is over a connection without encryption";
        assert_eq!(ended.stdout.contains(words), is_told, "{name}: {}\n{}", ended.stdout, ended.stderr);
    }
}

fn ends_soon(child: &mut std::process::Child) {
    signal(child.id(), "TERM");
    let asked = Instant::now();
    child.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

/// A wait is told of within five seconds, and ends at once.
#[test]
fn no_wait_is_silent() {
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bench = Bench::new();
    let mut spec = bench.backup("silent", &silent.local_addr().unwrap().to_string(), json!({"topics": ["d-topic"]}));
    for command in ["check", "run"] {
        for dead in [false, true] {
            if dead {
                spec["kafka"]["bootstrapServers"] = json!(["127.0.0.1:1"]);
            }
            let started = Instant::now();
            let mut child = bench.command(command, &spec, &[]).stderr(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
            let line = lines.find(|line| line.contains("waiting for ")).unwrap_or_default();
            let what = if dead { "nobody listens there (connection refused)" } else { "to answer ApiVersions" };
            assert!(line.contains(what), "{command}: {line}");
            assert!(started.elapsed() < Duration::from_secs(7), "{command}: {:?}", started.elapsed());
            ends_soon(&mut child);
        }
        spec["kafka"]["bootstrapServers"] = json!([silent.local_addr().unwrap().to_string()]);
    }
}

/// For programs, a wait is an event and a failed check is a document.
#[test]
fn a_check_tells_programs_what_it_waits_for_and_how_it_failed() {
    let bench = bench(&NEWEST);
    let mut spec = bench.backup("json", &NEWEST.bootstrap(), json!({"topics": ["d-topic"]}));
    spec["kafka"] = block(NEWEST.lost_port(), "PLAINTEXT");
    let checked = bench.call("check", &spec, &["-o", "json"]);
    let said: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(said["failure"]["code"], "KB2001", "{said}");
    assert!(said["brokers"][0]["error"].to_string().contains("DNS knows no such name"), "{said}");
    let waits = checked.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(waits.filter(|line| line["event"] == "waiting").count() > 0, "{}", checked.stderr);
}
