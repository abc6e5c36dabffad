//! Stores: what is set wrongly is named with its field, and what other tools take works.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use harness::certificates::openssl;
use harness::load::{self, Make};
use harness::process::Scratch;
use harness::runner::Bench;
use harness::s3::S3;
use serde_json::{Value, json};

use super::{AT_ONCE, MINUTE, NEWEST, Row, TRIES, ends_soon, show, table};

/// Names below it are known to the proxy only.
const DOMAIN: &str = "s3.test";

static FILES: LazyLock<Scratch> = LazyLock::new(|| {
    let dir = Scratch::new("kafka-backup-store-tls-");
    harness::certificates::make(dir.path());
    let run = |arguments: &str| openssl(dir.path(), arguments);
    std::fs::write(dir.path().join("self.ext"), "[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\nbasicConstraints=CA:TRUE\nsubjectAltName=IP:127.0.0.1\n").unwrap();
    run("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=self -config self.ext -keyout self.key -out self.pem");
    run("req -newkey rsa:2048 -nodes -subj /CN=over -keyout over.key -out over.csr");
    run("x509 -req -in over.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1 -extfile names.ext -out over.pem");
    std::fs::write(dir.path().join("wide.ext"), format!("subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}\n")).unwrap();
    run("req -newkey rsa:2048 -nodes -subj /CN=wide -keyout wide.key -out wide.csr");
    run("x509 -req -in wide.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile wide.ext -out wide.pem");
    run("x509 -in ca.pem -outform DER -out ca.der");
    run("pkcs12 -export -nokeys -in ca.pem -passout pass:geheim -out ca.p12");
    let part = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    std::fs::write(dir.path().join("together.pem"), part("stranger.pem").trim_end().to_owned() + &part("ca.pem"))
        .unwrap();
    std::fs::write(dir.path().join("cut.pem"), &part("ca.pem")[..400]).unwrap();
    dir
});

static PLAIN: LazyLock<S3> = LazyLock::new(S3::start);
static TLS: LazyLock<S3> = LazyLock::new(|| S3::start_with_tls(FILES.path(), "broker"));
static WIDE: LazyLock<S3> = LazyLock::new(|| S3::start_below(DOMAIN, FILES.path(), "wide"));
static SELF: LazyLock<S3> = LazyLock::new(|| S3::start_with_tls(FILES.path(), "self"));
static OVER: LazyLock<S3> = LazyLock::new(|| S3::start_with_tls(FILES.path(), "over"));

fn bench() -> Bench {
    let bench = Bench::new();
    let dir = bench.dir.path();
    drop(PLAIN.storage(dir, "archive"));
    for file in ["ca.pem", "ca.der", "ca.p12", "together.pem", "cut.pem", "stranger.pem", "self.pem"] {
        std::fs::copy(FILES.path().join(file), dir.join(file)).unwrap();
    }
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("pasted", "[default]\naws_access_key_id = canary\naws_secret_access_key = canary\n");
    write("quoted", "\"canary-access-key\"");
    write("commented", "canary-access-key # mine");
    std::fs::copy(FILES.path().join("ca.p12"), dir.join("kept.p12")).unwrap();
    write("kept.password", "geheim\n");
    std::fs::copy(FILES.path().join("ca.p12"), dir.join("locked.p12")).unwrap();
    write("locked.password", "not-it");
    write("wrong", "canary-wrong");
    write("empty", "\n");
    write("shared", "[default]\naws_access_key_id = 'canary-access-key'\naws_secret_access_key = canary-secret-key\n");
    bench
}

/// A storage block at an endpoint.
fn block(endpoint: String, more: &Value) -> Value {
    let mut block = json!({
        "type": "s3", "bucket": "archive", "region": "us-east-1", "prefix": "team/backups", "endpoint": endpoint,
        "allowHttp": true, "credentials": {"keys": {"accessKeyIdFile": "s3-id", "secretAccessKeyFile": "s3-secret"}},
    });
    for (name, value) in more.as_object().unwrap() {
        block[name] = value.clone();
    }
    block
}

fn at(scheme: &str, server: &S3, more: &Value) -> Value {
    block(format!("{scheme}://127.0.0.1:{}", server.port()), more)
}

fn ca(file: &str) -> Value {
    json!({"tls": {"caFile": file}})
}

fn keys(id: &str, secret: &str) -> Value {
    json!({"credentials": {"keys": {"accessKeyIdFile": id, "secretAccessKeyFile": secret}}})
}

fn row(what: &str, storage: Value, code: &'static str, exit: i32, words: &'static str) -> Row {
    let kafka = json!({"bootstrapServers": [NEWEST.bootstrap()]});
    Row { what: what.to_owned(), kafka, storage, environment: Vec::new(), code, exit, words, within: AT_ONCE }
}

fn within(row: Row, within: Duration) -> Row {
    Row { within, ..row }
}

fn with(mut row: Row, name: &'static str, value: String) -> Row {
    row.environment.push((name, value));
    row
}

fn certificates() -> Vec<Row> {
    let tls = |what: &str, storage: Value, words: &'static str| row(what, storage, "KB3011", 4, words);
    let name = block(format!("https://0.0.0.0:{}", TLS.port()), &ca("ca.pem"));
    vec![
        tls(
            "a store's CA that nobody gave",
            at("https", &TLS, &json!({})),
            "signed by an issuer that is not trusted here; give the CA that signed it: caSecret",
        ),
        tls(
            "another CA for a store",
            at("https", &TLS, &ca("stranger.pem")),
            "signed by an issuer that is not trusted here",
        ),
        tls(
            "a name that a store's certificate lacks",
            name,
            "its certificate is for localhost, 127.0.0.1, and not for 0.0.0.0",
        ),
        tls("a store's certificate that is over", at("https", &OVER, &ca("ca.pem")), "its certificate has expired"),
        tls(
            "another store's own certificate",
            at("https", &TLS, &ca("self.pem")),
            "signed by an issuer that is not trusted here",
        ),
        tls(
            "http:// to a store with TLS",
            at("http", &TLS, &json!({})),
            "127.0.0.1 speaks TLS on this port, and the endpoint begins with http://; write https://",
        ),
        tls(
            "https:// to a store without TLS",
            at("https", &PLAIN, &json!({})),
            "does not speak TLS on this port, and the endpoint begins with https://; write http:// with allowHttp",
        ),
        row(
            "a CA file that was cut",
            at("https", &TLS, &ca("cut.pem")),
            "KB3009",
            4,
            "cut.pem has a block that does not end",
        ),
        row(
            "a CA in a keystore",
            at("https", &TLS, &ca("ca.p12")),
            "KB3009",
            4,
            "ca.p12 is a PKCS#12 keystore, and no password is there: put it beside it",
        ),
        row(
            "a CA in a keystore with a wrong password",
            at("https", &TLS, &ca("locked.p12")),
            "KB3009",
            4,
            "locked.p12 is a PKCS#12 keystore that the password beside it does not open",
        ),
    ]
}

fn settings() -> Vec<Row> {
    let plain = |more: Value| at("http", &PLAIN, &more);
    let used = |what: &str, id: &str, secret: &str, words: &'static str| {
        row(what, plain(keys(id, secret)), "KB3009", 4, words)
    };
    vec![
        used(
            "a whole credentials file as a key id",
            "pasted",
            "s3-secret",
            "pasted has a line feed at character 10; it must be the bare value on one line",
        ),
        used("a key id in quotes", "quoted", "s3-secret", "quoted has quotes around it"),
        used("a key id with a comment", "commented", "s3-secret", "commented has a comment behind it"),
        used("an empty key id", "empty", "s3-secret", "empty is empty"),
        used("a secret key with line feeds", "s3-id", "pasted", "pasted has a line feed"),
        row(
            "quotes in a credentials file",
            plain(json!({"credentials": {"shared-file": {"file": "shared"}}})),
            "KB3009",
            4,
            "shared in profile \"default\": the access key id has quotes around it",
        ),
        row(
            "a profile that is not there",
            plain(json!({"credentials": {"shared-file": {"file": "shared", "profile": "x"}}})),
            "KB3002",
            4,
            "profile \"x\" has no aws_access_key_id",
        ),
        row(
            "a wrong secret key",
            plain(keys("s3-id", "wrong")),
            "KB3002",
            4,
            "the secret key is not the one of this access key id",
        ),
        row(
            "a key id that nobody has",
            plain(keys("wrong", "s3-secret")),
            "KB3002",
            4,
            "the store does not know this access key id",
        ),
        row(
            "a bucket that is not there",
            plain(json!({"bucket": "absent"})),
            "KB3003",
            4,
            "the bucket or container does not exist",
        ),
        row(
            "an endpoint with a path",
            block("http://127.0.0.1:1/archive".into(), &json!({})),
            "KB1002",
            2,
            "has a path in it",
        ),
        row(
            "an endpoint with a port that is none",
            block("http://127.0.0.1:99999".into(), &json!({})),
            "KB1002",
            2,
            "a port of 1 to 65535",
        ),
        row(
            "a bucket in the host of an address",
            plain(json!({"pathStyle": false})),
            "KB1002",
            2,
            "takes no bucket before it",
        ),
        row("http:// without allowHttp", plain(json!({"allowHttp": false})), "KB1002", 2, "say allowHttp: true"),
        row(
            "a line feed in a bucket's name",
            plain(json!({"bucket": "arch\nive"})),
            "KB1002",
            2,
            "storage.bucket: has a line feed at character 5",
        ),
    ]
}

/// A server, or a proxy, that takes a request and answers this.
pub(super) fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    format!("http://{address}")
}

/// Ways to a store that end before it. The service of identities is a proxy's answer here, wherever this machine is.
fn ways() -> Vec<Row> {
    let nobody = json!({"type": "s3", "bucket": "archive", "region": "us-east-1"});
    let far = |more: &Value| block("https://s3.example".into(), more);
    let none = answering("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let refusing = answering("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let asking =
        answering("HTTP/1.1 407 Proxy Authentication Required\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let dead = "http://127.0.0.1:1".to_owned();
    let silent = with(
        row("no credentials at Amazon", nobody.clone(), "KB3002", 4, "no credentials were given"),
        "HTTP_PROXY",
        none.clone(),
    );
    let gcs = json!({"type": "gcs", "bucket": "archive"});
    let azure = json!({"type": "azure", "account": "acct", "container": "archive"});
    let tls = json!({});
    let rows = vec![
        silent,
        with(
            row("no credentials at Google", gcs, "KB3002", 4, "set credentialsSecret of the storage"),
            "HTTP_PROXY",
            none.clone(),
        ),
        with(row("no credentials at Azure", azure, "KB3002", 4, "useWorkloadIdentity"), "HTTP_PROXY", none),
        with(
            row(
                "a dead proxy",
                far(&tls),
                "KB3012",
                4,
                "the proxy 127.0.0.1:1 cannot be reached: nobody listens there",
            ),
            "HTTPS_PROXY",
            dead.clone(),
        ),
        with(
            row("a dead proxy for all", far(&tls), "KB3012", 4, "correct HTTPS_PROXY (or HTTP_PROXY, ALL_PROXY)"),
            "ALL_PROXY",
            dead,
        ),
        with(row("a proxy that wants a login", far(&tls), "KB3012", 4, "wants a login"), "HTTPS_PROXY", asking),
        with(
            row("a proxy that refuses", far(&tls), "KB3012", 4, "does not connect to s3.example"),
            "HTTPS_PROXY",
            refusing,
        ),
        with(
            row("no credentials where identities get no answer", nobody, "KB3002", 4, "no credentials were given"),
            "HTTP_PROXY",
            mute(),
        ),
    ];
    // A proxy is tried three times, and an identity service for a while.
    rows.into_iter().map(|row| within(row, TRIES)).collect()
}

/// A name that nobody knows may come to be: it is told at once, and final after a minute where somebody has the time.
#[test]
fn a_store_whose_name_nobody_knows_is_named_with_the_fix() {
    let unknown = |code, exit| {
        let storage = block("https://s3.nowhere.invalid".into(), &json!({}));
        row(
            "a name that DNS does not know",
            storage,
            code,
            exit,
            "; correct storage.endpoint, storage.region or the name",
        )
    };
    table("store-check", &[within(unknown("KB3001", 3), TRIES)], bench);
    table("run", &[within(unknown("KB3010", 4), MINUTE)], bench);
}

/// A server that takes connections and says nothing.
fn mute() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            kept.push(stream);
        }
    });
    format!("http://{address}")
}

#[test]
fn certificates_of_stores_and_mixed_up_schemes_are_named_at_once() {
    table("store-check", &certificates(), bench);
    table("run", &certificates(), bench);
}

#[test]
fn wrong_settings_of_stores_are_named() {
    table("store-check", &settings(), bench);
    table("run", &settings(), bench);
}

#[test]
fn proxies_and_missing_credentials_are_named() {
    table("store-check", &ways(), bench);
    table("run", &ways(), bench);
}

/// How many rows these tables have.
pub(super) fn count() -> usize {
    certificates().len() + settings().len() + ways().len()
}

/// In a cloud, whoever the environment says is named before the store is asked, and its credentials are used.
#[test]
fn the_identity_of_a_pod_is_named_and_used() {
    let bench = bench();
    let body = format!(
        r#"{{"AccessKeyId":"{}","SecretAccessKey":"{}","Token":"session","Expiration":"2099-01-01T00:00:00Z"}}"#,
        harness::s3::ACCESS_KEY,
        harness::s3::SECRET_KEY
    );
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let service = answering((head + &body).leak());
    let token = bench.dir.path().join("pod-token");
    std::fs::write(&token, "pod").unwrap();
    let mut spec = bench.backup("ambient", "localhost:1", json!({"topics": ["d-topic"]}));
    spec["storage"] = at("http", &PLAIN, &json!({}));
    spec["storage"].as_object_mut().unwrap().remove("credentials");
    let tried = |more: &[(&str, &str)]| {
        let mut command = bench.command("store-check", &spec, &[]);
        command.envs(more.iter().copied());
        harness::runner::ended(command.output().unwrap())
    };
    let pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let said = tried(&pod);
    let named = "no credentials are given: the role of the pod or container";
    assert!(said.stdout.contains(named), "{} {}", said.stdout, said.stderr);
    // This server knows no session tokens: that it refuses one shows that the service was asked, and believed.
    said.fails("KB3002", 4, &["the session token is over or wrong"]);
    let keys = |secret| [("AWS_ACCESS_KEY_ID", harness::s3::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", secret)];
    let said = tried(&keys(harness::s3::SECRET_KEY)).ok();
    assert!(said.stdout.contains("ok    write and read"), "{}", said.stdout);
    let said = tried(&keys("canary-wrong"));
    assert!(said.stdout.contains("access keys of the environment (AWS_ACCESS_KEY_ID"), "{}", said.stdout);
    assert!(!format!("{said:?}").contains("canary-wrong"), "{said:?}");
    said.fails("KB3002", 4, &["the secret key is not the one of this access key id"]);
}

/// Passes connections on as a proxy of a company does.
fn tunnel() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut from in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if from.read(&mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let port = head.split_whitespace().nth(1).unwrap().rsplit(':').next().unwrap().to_owned();
                let mut to = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
                from.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut back, mut there) = (to.try_clone().unwrap(), from.try_clone().unwrap());
                std::thread::spawn(move || drop(std::io::copy(&mut back, &mut there)));
                drop(std::io::copy(&mut from, &mut to));
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn stores_work_as_other_tools_reach_them() {
    let proxied = block(format!("https://localhost:{}", TLS.port()), &ca("ca.pem"));
    let in_host = json!({"tls": {"caFile": "ca.pem"}, "pathStyle": false});
    let asked_for = block(format!("https://{DOMAIN}:{}", WIDE.port()), &in_host);
    let already_there = block(format!("https://archive.{DOMAIN}:{}", WIDE.port()), &in_host);
    let ways = [
        ("path style", at("http", &PLAIN, &json!({})), None),
        ("path style, asked for", at("http", &PLAIN, &json!({"pathStyle": true})), None),
        ("TLS with its CA", at("https", &TLS, &ca("ca.pem")), None),
        ("TLS with its CA in DER", at("https", &TLS, &ca("ca.der")), None),
        ("TLS with its CA behind another one without a line feed", at("https", &TLS, &ca("together.pem")), None),
        ("TLS with its CA in a keystore, the password beside it", at("https", &TLS, &ca("kept.p12")), None),
        ("TLS with its CA alone", at("https", &TLS, &json!({"tls": {"caFile": "ca.pem", "systemRoots": false}})), None),
        ("a certificate that is its own CA", at("https", &SELF, &ca("self.pem")), None),
        ("TLS through a proxy", proxied, Some(tunnel())),
        ("virtual host style, asked for", asked_for, Some(tunnel())),
        ("virtual host style, the bucket is in the endpoint", already_there, Some(tunnel())),
    ];
    for (what, storage, proxy) in ways {
        let mut bench = bench();
        bench.environment.extend(proxy.map(|proxy| ("HTTPS_PROXY", proxy)));
        let mut spec = bench.backup("fits", &NEWEST.bootstrap(), json!({"topics": ["d-topic"]}));
        spec["storage"] = storage;
        let started = std::time::Instant::now();
        bench.run(&spec).ok();
        show("run", what, "ok", started.elapsed(), started.elapsed(), 0);
    }
}

/// The same of a URL: `--ca-file` is what `caSecret` is in the cluster.
#[test]
fn a_url_takes_a_ca_beside_it() {
    let bench = bench();
    let url = format!("s3://archive/x?endpoint=https://127.0.0.1:{}", TLS.port());
    let ask = |arguments: &[&str]| {
        let mut command = std::process::Command::new(harness::runner::binary());
        command.arg("store-check").arg(&url).args(arguments).current_dir(bench.dir.path());
        command.env("AWS_ACCESS_KEY_ID", harness::s3::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", harness::s3::SECRET_KEY);
        harness::runner::ended(command.output().unwrap())
    };
    ask(&["--ca-file", "ca.pem"]).ok();
    ask(&[]).fails("KB3011", 4, &["--ca-file beside --store"]);
}

/// Whatever a command waits for at a store, it says so within seconds, and ends at once when it is asked to.
#[test]
fn no_command_waits_for_its_store_in_silence() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let bench = bench();
    let mut spec = bench.backup("silent", &NEWEST.bootstrap(), json!({"topics": ["d-topic"]}));
    spec["storage"] = block(format!("http://{}", silent.local_addr().unwrap()), &json!({}));
    for command in ["run", "ls", "verify"] {
        let started = Instant::now();
        let mut child =
            bench.command(command, &spec, &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("waiting for ")).unwrap_or_default();
        assert!(line.contains("the object store at 127.0.0.1"), "{command}: {line}");
        assert!(started.elapsed() < Duration::from_secs(9), "{command}: {:?}", started.elapsed());
        ends_soon(&mut child);
    }
}

/// A store that does not answer any more is told of within five seconds, and a run that only waits for it ends at once
/// when it is asked to, also one that has begun.
#[test]
fn a_run_that_waits_for_its_store_says_so_and_ends_at_once() {
    let mut server = S3::start();
    let bench = Bench::new();
    let mut spec = bench.backup(
        "dead",
        &NEWEST.bootstrap(),
        json!({"topics": ["d-topic"], "continuous": true, "checkpointIntervalSecs": 1}),
    );
    spec["storage"] = server.storage(bench.dir.path(), "archive");
    for begun in [true, false] {
        let mut command = bench.command("run", &spec, &["-o", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
        if begun {
            // It has made a point, and more comes.
            events.find(|event| event["event"] == "committed").unwrap();
            server.kill();
            load::produce(&NEWEST.bootstrap(), "d-topic", &[], (0..10).map(|n| Make::new(n, 0)));
        }
        let started = Instant::now();
        let told = events.find(|event| event["event"] == "waiting").unwrap();
        let what = told["what"].to_string();
        assert!(what.contains("the object store at 127.0.0.1: ") && what.contains("nobody listens there"), "{what}");
        // A checkpoint comes first, then four seconds of waiting.
        assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
        ends_soon(&mut child);
    }
}
