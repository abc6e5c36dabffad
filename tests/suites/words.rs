//! What is said of everything that can fail before a run begins, a row each: the thing by its name, what is wrong with it, and
//! what to do. Never the raw words of the system, of a library, or of a server.

use std::io::{Read, Write};
use std::net::TcpListener;

use harness::runner::{Bench, Ended};
use serde_json::{Value, json};

/// What no message has: numbers of the system, markup, Rust's debug forms, names of libraries.
const RAW: [&str; 17] = [
    "os error",
    "<Error",
    "<?xml",
    "<html",
    "Error {",
    "Error(",
    "Os {",
    "Some(",
    "kind: ",
    "ErrorKind",
    "panicked",
    "Generic ",
    "hyper",
    "reqwest",
    "serde",
    "object_store",
    "canary",
];

/// A row: what is wrong, what was said, the exit code, and the words that must be there: field, value, rule, fix.
type Row = (&'static str, Ended, i32, Vec<&'static str>);

fn judge(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for (what, ended, code, words) in rows {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let raw: Vec<_> = RAW.iter().filter(|raw| said.contains(**raw)).collect();
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
        if ended.code != code || !raw.is_empty() || !missing.is_empty() {
            wrong.push(format!("{what}: exit {} for {code}, raw {raw:?}, missing {missing:?}: {said}", ended.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A server that gives everybody the same answer.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Whoever leaves in the middle is no failure here.
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    address
}

fn changed(mut spec: Value, path: &str, value: Value) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { &mut spec } else { spec.pointer_mut(parent).unwrap() };
    parent[name] = value;
    spec
}

fn call(bench: &Bench, arguments: &[&str]) -> Ended {
    let mut command = std::process::Command::new(harness::runner::binary());
    harness::runner::ended(command.args(arguments).current_dir(bench.dir.path()).output().unwrap())
}

#[test]
fn files_folders_and_ports_are_named_with_rule_and_fix() {
    let bench = Bench::new();
    let write = |name: &str, bytes: &[u8]| std::fs::write(bench.dir.path().join(name), bytes).unwrap();
    write("bytes.yaml", b"name: \xff\xfe");
    write("broken.yaml", b"name: [a");
    write("list.json", b"[]");
    write("file", b"x");
    write("heads", b"x");
    let dir = bench.dir.path().to_str().unwrap().to_owned();
    let good = bench.backup("orders", "127.0.0.1:1", json!({"topics": ["orders"]}));
    // Metrics are worth a warning; the run ends because there is no broker.
    let good = changed(good, "/kafka/connection", json!({"retryDeadlineMs": 1000}));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics =
        |address: &str, port: u16| changed(good.clone(), "/metrics", json!({"bindAddress": address, "port": port}));
    let place = |path: &str| changed(good.clone(), "/storage/path", json!(path));
    let check = |spec: &Value| bench.call("store-check", spec, &[]);
    judge(vec![
        (
            "no file",
            call(&bench, &["check", "/no/such/file.yaml"]),
            2,
            vec!["KB1001", "/no/such/file.yaml", "does not exist"],
        ),
        ("a folder", call(&bench, &["check", &dir]), 2, vec!["KB1001", "is a folder, not a file"]),
        ("no text", call(&bench, &["check", "bytes.yaml"]), 2, vec!["KB1001", "bytes.yaml", "no text in UTF-8"]),
        ("broken YAML", call(&bench, &["check", "broken.yaml"]), 2, vec!["KB1001", "broken.yaml", "line 1"]),
        ("a list", call(&bench, &["check", "list.json"]), 2, vec!["KB1001", "list.json"]),
        (
            "no such place",
            check(&place("nowhere")),
            4,
            vec!["KB3003", "storage.path", "nowhere does not exist; create it"],
        ),
        (
            "a file as a place",
            check(&place(&format!("{dir}/file"))),
            4,
            vec!["KB3003", "storage.path", "is not a directory"],
        ),
        ("below a file", check(&place(&format!("{dir}/file/in"))), 4, vec!["storage.path", "is no folder"]),
        ("a system's folder", check(&place("/proc")), 4, vec!["/proc"]),
        (
            "a port that is taken",
            bench.call("run", &metrics("127.0.0.1", taken.local_addr().unwrap().port()), &[]),
            3,
            vec!["metrics", "the port is taken"],
        ),
        (
            "an address of others",
            bench.call("run", &metrics("203.0.113.7", 9090), &[]),
            3,
            vec!["metrics", "203.0.113.7", "none of this machine's"],
        ),
        (
            "an address that is none",
            bench.call("run", &metrics("here", 9090), &[]),
            2,
            vec!["KB1002", "metrics.bindAddress", "here"],
        ),
    ]);
}

#[test]
fn secrets_and_stores_are_named_with_rule_and_fix() {
    let bench = Bench::new();
    let write = |name: &str, bytes: &[u8]| std::fs::write(bench.dir.path().join(name), bytes).unwrap();
    std::fs::create_dir(bench.dir.path().join("folder")).unwrap();
    write("empty", b"\n");
    write("bytes", b"\xff\xfe\xfd");
    write("good", b"canary-value");
    let good = bench.backup("orders", "127.0.0.1:1", json!({"topics": ["orders"]}));
    let s3 = |endpoint: &str, id: &str, secret: &str| {
        let storage = json!({
            "type": "s3", "bucket": "b", "region": "us-east-1", "endpoint": format!("http://{endpoint}"), "allowHttp": true,
            "credentials": {"keys": {"accessKeyIdFile": id, "secretAccessKeyFile": secret}},
        });
        bench.call("store-check", &changed(good.clone(), "/storage", storage), &[])
    };
    let xml =
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>no</Message><RequestId>7</RequestId></Error>";
    let refusing: &'static str =
        format!("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{xml}", xml.len()).leak();
    let page = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 26\r\n\r\n<html>nothing here</html>\n";
    let (denied, lost) = (answering(refusing), answering(page));
    judge(vec![
        (
            "a folder as a secret",
            s3(&denied, "folder", "good"),
            4,
            vec!["KB3009", "storage.credentials", "folder is a folder; name a key"],
        ),
        ("an empty secret", s3(&denied, "empty", "good"), 4, vec!["KB3009", "storage.credentials", "empty"]),
        (
            "a secret that is no text",
            s3(&denied, "good", "bytes"),
            4,
            vec!["KB3009", "storage.credentials", "bytes is no text"],
        ),
        ("a store that refuses", s3(&denied, "good", "good"), 4, vec!["KB3002", "AccessDenied"]),
        ("a web server", s3(&lost, "good", "good"), 4, vec!["KB3003", "404"]),
        (
            "nobody at the endpoint",
            s3("127.0.0.1:1", "good", "good"),
            3,
            vec!["KB3001", "127.0.0.1:1", "nobody listens there"],
        ),
    ]);
}

#[test]
fn addresses_and_logins_of_brokers_are_named_with_rule_and_fix() {
    let bench = Bench::new();
    std::fs::write(bench.dir.path().join("empty"), "\n").unwrap();
    std::fs::create_dir(bench.dir.path().join("folder")).unwrap();
    let open = answering("");
    let good = |server: &str| {
        let spec = bench.backup("orders", server, json!({"topics": ["orders"]}));
        changed(spec, "/kafka/connection", json!({"retryDeadlineMs": 1000}))
    };
    let check = |spec: &Value| bench.call("check", spec, &[]);
    let tls = |file: &str| {
        let spec = changed(good(&open), "/kafka/securityProtocol", json!("SSL"));
        check(&changed(spec, "/kafka/tls", json!({"caFile": file})))
    };
    let mut rows = vec![
        ("nobody there", check(&good("127.0.0.1:1")), 3, vec!["KB2001", "127.0.0.1:1", "nobody listens there"]),
        (
            "a CA that is a folder",
            tls("folder"),
            4,
            vec!["KB2003", "folder", "is a folder; name a key of the secret, too"],
        ),
        ("a CA that is empty", tls("empty"), 4, vec!["KB2003", "empty", "holds no certificate"]),
    ];
    for (server, fix) in [
        ("::1:9092", "write [::1]:9092"),
        ("fe80::1", "write [fe80::1]:9092"),
        ("SASL_SSL://kafka:9092", "write kafka:9092, without SASL_SSL://"),
        ("kafka", "write kafka:9092, with the port of the listener"),
        ("kafka:0", "write a port of 1 to 65535"),
        ("kafka:http", "write a port of 1 to 65535"),
        ("a:1;b:2", "write one address in each entry"),
        ("[kafka]:9092", "write one address in each entry"),
    ] {
        let words = vec!["KB1002", "kafka.bootstrapServers", server, "must be host:port", fix];
        rows.push((server, check(&good(server)), 2, words));
    }
    judge(rows);
}

/// The plugin says the same of what it reads.
#[test]
fn the_plugin_names_files_and_stores_with_rule_and_fix() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("bytes.yaml"), b"name: \xff").unwrap();
    std::fs::write(at("config"), b"not: [a kubeconfig").unwrap();
    let call = |arguments: &[&str]| {
        let said = harness::plugin::call(arguments);
        Ended { code: said.code, stdout: said.stdout, stderr: said.stderr }
    };
    let with_config = |config: &str| {
        let mut command = std::process::Command::new(harness::plugin::binary());
        let said = harness::plugin::said(command.arg("status").env("KUBECONFIG", config));
        Ended { code: said.code, stdout: said.stdout, stderr: said.stderr }
    };
    judge(vec![
        (
            "no file",
            call(&["validate", "-f", "/no/such.yaml"]),
            2,
            vec!["/no/such.yaml", "does not exist", "hint: name a YAML"],
        ),
        ("no text", call(&["validate", "-f", &at("bytes.yaml")]), 2, vec!["bytes.yaml", "no text in UTF-8"]),
        ("no file to check", call(&["check", "-f", "/no/such.yaml"]), 2, vec!["/no/such.yaml", "does not exist"]),
        ("no store", call(&["browse", "--store", "/no/such/folder"]), 2, vec!["/no/such/folder"]),
        ("a scheme of others", call(&["browse", "--store", "ftp://a/b"]), 2, vec!["--store", "ftp"]),
        ("no authority", call(&["browse", "--store", "s3://b", "--ca-file", "/no/ca"]), 3, vec!["/no/ca"]),
        ("a folder as a kubeconfig", with_config(dir.path().to_str().unwrap()), 3, vec!["kubeconfig"]),
        ("a kubeconfig that is broken", with_config(&at("config")), 3, vec!["the kubeconfig cannot be read"]),
    ]);
}

/// The texts of product code, without what they put in: each piece between two values.
fn pieces() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = std::process::Command::new("git").args(["ls-files", "*.rs"]).current_dir(&root).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let is_product = |name: &&str| ["runner/", "operator-lite/", "plugin/"].iter().any(|part| name.starts_with(part));
    let mut out = std::collections::BTreeSet::new();
    for name in list.lines().filter(is_product) {
        let text = std::fs::read_to_string(root.join(name)).unwrap_or_default();
        let product: Vec<_> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
        for literal in literals(&product.join("\n")) {
            // A value stands between braces; what is written with two of them is one.
            let mut depth = 0;
            let mut piece = String::new();
            for character in literal.chars() {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ if depth == 0 => piece.push(character),
                    _ => {}
                }
                if character == '{' {
                    out.insert(std::mem::take(&mut piece));
                }
            }
            out.insert(piece);
        }
    }
    out.into_iter().filter(|piece| piece.trim().len() >= 6).collect()
}

/// The texts between quotes, as they are read: a line that ends with a backslash goes on with the next one.
fn literals(source: &str) -> Vec<String> {
    let (mut out, mut characters) = (Vec::new(), source.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => while characters.next_if(|c| *c != '\n').is_some() {},
            '\'' => {
                // A character, or the name of a lifetime, which has no end.
                if characters.next() == Some('\\') {
                    characters.next();
                }
                characters.next_if_eq(&'\'');
            }
            '"' => {
                let mut text = String::new();
                while let Some(character) = characters.next() {
                    match character {
                        '"' => break,
                        '\\' => match characters.next() {
                            Some('\n') => while characters.next_if(|c| c.is_whitespace()).is_some() {},
                            Some('n') => text.push('\n'),
                            Some(other) => text.push(other),
                            None => break,
                        },
                        other => text.push(other),
                    }
                }
                out.push(text);
            }
            _ => {}
        }
    }
    out
}

/// Words of a message in a row that no text of the code has: names of hosts and topics, and numbers, at most.
fn strange(message: &str, pieces: &[String]) -> Option<String> {
    let mut known = vec![false; message.len()];
    // Three words of one piece: a message may end before the piece does.
    let starts: Vec<usize> = std::iter::once(0).chain(message.match_indices(' ').map(|(at, _)| at + 1)).collect();
    for (place, from) in starts.iter().enumerate() {
        let to = starts.get(place + 3).map_or(message.len(), |next| next - 1);
        let has_three = place + 3 <= starts.len();
        if has_three && pieces.iter().any(|piece| piece.contains(&message[*from..to])) {
            known[*from..to].fill(true);
        }
    }
    for piece in pieces {
        for piece in [piece.as_str(), piece.trim()] {
            for (at, _) in message.match_indices(piece) {
                known[at..at + piece.len()].fill(true);
            }
        }
    }
    let mut row: Vec<&str> = Vec::new();
    let mut start = 0;
    for word in message.split(' ') {
        let is_known = known[start..start + word.len()].iter().filter(|known| **known).count() * 2 > word.len();
        start += word.len() + 1;
        let is_value = word.contains(|c: char| c.is_ascii_digit() || "./:\"=".contains(c));
        if is_known || word.starts_with("KB") || word == "..." {
            row.clear();
        } else if !is_value {
            row.push(word);
        }
        if row.len() > 3 {
            return Some(row.join(" "));
        }
    }
    None
}

/// Messages in docs/troubleshooting.md are those of the code, word for word, but for what a message names.
#[test]
fn messages_in_the_docs_are_those_of_the_code() {
    let pieces = pieces();
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md")).unwrap();
    let (mut seen, mut unknown) = (0, Vec::new());
    for row in docs.lines().filter(|line| line.starts_with("| `")) {
        let said = row.trim_start_matches("| ").split(" | ").next().unwrap();
        for message in said.split('`').skip(1).step_by(2) {
            seen += 1;
            let message = message.replace("note  old place  ", "");
            unknown.extend(strange(&message, &pieces).map(|words| format!("{words:?} in {message}")));
        }
    }
    assert!(seen > 60, "{seen} messages");
    assert!(unknown.is_empty(), "{unknown:#?}");
    let changed = "KB2014 kafka:9093 is another kind of listener: it talks with TLS by now";
    assert!(strange(changed, &pieces).is_some(), "a message that the code does not have");
}
