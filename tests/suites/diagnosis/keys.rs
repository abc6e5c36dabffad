//! Keys and certificates as `openssl` and `keytool` make them: what cannot be used is named with the command that makes a
//! good one. What works is in the suite `secure`.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use harness::certificates::openssl;
use harness::kafka::Kafka;
use harness::process::Scratch;
use harness::runner::Bench;
use serde_json::{Value, json};

use super::{AT_ONCE, NEWEST, OLDEST, Row, block, table, with};

static FILES: LazyLock<Scratch> = LazyLock::new(|| {
    let dir = Scratch::new("kafka-backup-keys-");
    make(dir.path());
    dir
});

fn make(dir: &Path) {
    let run = |arguments: &str| openssl(dir, arguments);
    run("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=alice -keyout alice.key -out alice.pem");
    run("pkcs8 -topk8 -in alice.key -passout pass:geheim -out encrypted.key");
    run("rsa -in alice.key -traditional -aes256 -passout pass:geheim -out older.key");
    run("genpkey -algorithm ED448 -out ed448.key");
    run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out small.key");
    run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.key");
    run("pkcs12 -export -in alice.pem -inkey alice.key -passout pass:geheim -out user.p12");
    run("crl2pkcs7 -nocrl -certfile alice.pem -outform DER -out alice.p7b");
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    let key = std::fs::read_to_string(dir.join("alice.key")).unwrap();
    write("cut.key", &key[..600]);
    write("escaped.key", &key.replace('\n', "\\n"));
    write("wrong", "not-it");
    write("empty", "");
    let keytool = "-genkeypair -keyalg RSA -alias user -dname CN=alice -storepass geheim -keypass geheim -storetype JKS -keystore alice.jks";
    if Command::new("keytool").args(keytool.split(' ')).current_dir(dir).output().is_err() {
        // Without Java, what begins such a file is enough.
        std::fs::write(dir.join("alice.jks"), [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).unwrap();
    }
}

fn bench(kafka: &Kafka) -> Bench {
    let bench = Bench::new();
    for entry in std::fs::read_dir(FILES.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, bench.dir.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::copy(kafka.certs().join("ca.pem"), bench.dir.path().join("ca.pem")).unwrap();
    bench
}

fn rows(kafka: &Kafka) -> Vec<Row> {
    let row = |what: &str, tls: Value, words: &'static str| Row {
        what: what.to_owned(),
        kafka: with(block(kafka.mtls_port(), "SSL"), "tls", tls),
        storage: Value::Null,
        environment: Vec::new(),
        code: "KB2003",
        exit: 4,
        words,
        within: AT_ONCE,
    };
    let key = |what: &str, key: &str, words: &'static str| {
        row(what, json!({"caFile": "ca.pem", "certificateFile": "alice.pem", "keyFile": key}), words)
    };
    let store = |what: &str, file: &str, words: &'static str| {
        row(
            what,
            json!({"caFile": "ca.pem", "certificateFile": file, "keyFile": file, "keyPasswordFile": "wrong"}),
            words,
        )
    };
    let locked = json!({"caFile": "ca.pem", "certificateFile": "alice.pem", "keyFile": "encrypted.key", "keyPasswordFile": "wrong"});
    vec![
        key(
            "an encrypted key without a password",
            "encrypted.key",
            "encrypted.key: is encrypted, and no password is given",
        ),
        row("an encrypted key with a wrong password", locked, "wrong: does not decrypt the private key"),
        key("a key that is encrypted in the older form", "older.key", "older.key: is encrypted in the older form"),
        key("a key of Ed448", "ed448.key", "ed448.key: holds a private key of Ed448; taken are RSA of 2048"),
        key("a short RSA key", "small.key", "small.key: holds a private key of RSA of another size"),
        key("the key of another certificate", "other.key", "other.key: does not belong to the certificate"),
        key("a key that was cut", "cut.key", "cut.key: has a block that does not end"),
        key("a key with \\n in two characters", "escaped.key", "escaped.key: has \\n in two characters"),
        key("a certificate in the place of a key", "alice.pem", "alice.pem: holds no private key"),
        key("an empty key", "empty", "empty: holds no private key"),
        store("a keystore with a wrong password", "user.p12", "wrong: does not open the PKCS#12 keystore"),
        store("a keystore of Java's own form", "alice.jks", "alice.jks: is a keystore of Java's own form (JKS)"),
        store("certificates in PKCS#7", "alice.p7b", "alice.p7b: is a PKCS#7 file"),
        row("a CA that is a key", json!({"caFile": "alice.key"}), "alice.key: holds no certificate in PEM or DER"),
        row(
            "a CA in a keystore",
            json!({"caFile": "user.p12"}),
            "user.p12: is a PKCS#12 keystore, and no password is there: put it beside it",
        ),
    ]
}

/// How many rows this table has.
pub(super) fn count(kafka: &Kafka) -> usize {
    rows(kafka).len()
}

#[test]
fn keys_that_cannot_be_used_are_named_with_a_fix() {
    table("run", &rows(&NEWEST), || bench(&NEWEST));
    table("check", &rows(&OLDEST), || bench(&OLDEST));
}
