//! Certificates for tests, made by openssl.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs openssl in a folder; arguments are separated by single blanks.
pub fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().expect("openssl runs");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One CA, a broker certificate, and client certificates: `alice` is signed by the CA, `stranger` is not.
pub fn make(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let openssl = |arguments: &str| openssl(dir, arguments);
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=test-ca -keyout ca.key -out ca.pem");
    fs::write(dir.join("names.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    for who in ["broker", "alice"] {
        openssl(&format!("req -newkey rsa:2048 -nodes -days 30 -subj /CN={who} -keyout {who}.key -out {who}.csr"));
        openssl(&format!(
            "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names.ext -out {who}.pem"
        ));
    }
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=stranger -keyout stranger.key -out stranger.pem");
    let part = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    fs::write(dir.join("broker.keystore.pem"), part("broker.key") + &part("broker.pem") + &part("ca.pem")).unwrap();
}
