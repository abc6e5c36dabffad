//! Handshakes with servers of openssl: which keys are taken, and what is said of those that are not.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

#[test]
fn a_final_dot_is_no_part_of_a_certificates_name() {
    assert_eq!(server_name("kafka.svc.", "b").unwrap().to_str(), "kafka.svc");
    assert_eq!(server_name("::1", "b").unwrap().to_str(), "::1");
    assert!(server_name("a b", "b").is_err());
}

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A CA and a server of it, `<name>.pem`: how their keys are made, and what signs.
fn issue(dir: &Path, name: &str, authority: &str, own: &str, digest: &str) {
    openssl(dir, &format!("genpkey {authority} -out {name}-ca.key"));
    openssl(dir, &format!("req -x509 -key {name}-ca.key {digest} -days 30 -subj /CN=ca -out {name}-ca.pem"));
    openssl(dir, &format!("genpkey {own} -out {name}.key"));
    openssl(dir, &format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        dir,
        &format!(
            "x509 -req -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key -CAcreateserial {digest} -days 30 -extfile names -out {name}.pem"
        ),
    );
}

struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn serve(dir: &Path, name: &str, more: &str) -> Server {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let arguments = format!("s_server -quiet -accept 127.0.0.1:{port} -cert {name}.pem -key {name}.key {more}");
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(dir).stdin(Stdio::piped());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    Server(child, port)
}

/// What is said of the handshake with this server; `None` where it is good.
async fn said(dir: &Path, name: &str, more: &str) -> Option<String> {
    let server = serve(dir, name, more);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.1)).await.unwrap();
    let files = TlsFiles { ca: Some(dir.join(format!("{name}-ca.pem"))), ..TlsFiles::default() };
    handshake(&files, "localhost", "localhost:1", Box::new(stream)).await.err().map(|failed| failed.error.to_string())
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";

#[tokio::test]
async fn keys_on_p521_are_taken_from_servers_and_authorities() {
    let dir = tempfile::tempdir().unwrap();
    for (name, authority, own, digest) in [
        ("both", P521, P521, "-sha512"),
        ("leaf", P256, P521, "-sha256"),
        // What openssl does where nobody says another digest.
        ("authority", P521, P256, "-sha256"),
        ("third", P521, P256, "-sha384"),
    ] {
        issue(dir.path(), name, authority, own, digest);
        assert_eq!(said(dir.path(), name, "").await, None, "{name}");
    }
    // Another CA of the same name, and key.
    std::fs::copy(dir.path().join("third-ca.pem"), dir.path().join("authority-ca.pem")).unwrap();
    let said = said(dir.path(), "authority", "").await.unwrap();
    assert!(said.contains("signed by another CA of the same name"), "{said}");
}

#[tokio::test]
async fn a_handshake_that_fails_has_its_true_cause() {
    let dir = tempfile::tempdir().unwrap();
    issue(dir.path(), "good", P256, P256, "-sha256");
    issue(dir.path(), "k256", P256, "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "-sha256");
    issue(dir.path(), "ed448", "-algorithm ED448", P256, "");
    let common = "it has no cipher, group or kind of key in common with this client, or no certificate; this client takes TLS 1.2 and 1.3";
    let old = "it offers neither TLS 1.2 nor 1.3";
    for (name, more, words) in [
        ("good", "", None),
        ("good", "-tls1_2 -Verify 1 -verify_return_error", Some("it wants a client certificate, and none was given")),
        ("good", "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", Some(common)),
        ("good", "-tls1_1 -cipher ALL:@SECLEVEL=0", Some(old)),
        ("good", "-groups P-521", Some(common)),
        ("k256", "", Some(common)),
        ("ed448", "", Some("a CA's key on another curve than P-256, P-384 and P-521, or of Ed448")),
    ] {
        let said = said(dir.path(), name, more).await;
        match words {
            None => assert_eq!(said, None, "{name} {more}"),
            Some(words) => assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{name} {more}: {said:?}"),
        }
    }
}
