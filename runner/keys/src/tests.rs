//! Keys and certificates made by openssl and keytool, as people make them, whole, pasted and broken.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Identity, Part, Refused, Trust, authorities, certificates, identity, provider, verifier};

/// A folder of files.
static FILES: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    dir
});

const PASSWORD: &str = "canary-password";

fn run(dir: &Path, program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split(' ')).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn make(dir: &Path) {
    let openssl = |arguments: &str| run(dir, "openssl", arguments);
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem");
    let kinds = [
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("p384", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
        ("p521", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521"),
        ("ed25519", "genpkey -algorithm ED25519"),
        ("ed448", "genpkey -algorithm ED448"),
        ("small", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024"),
        ("k256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1"),
    ];
    for (name, how) in kinds {
        openssl(&format!("{how} -out {name}.key"));
        openssl(&format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
        openssl(&format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out {name}.pem"));
    }
    openssl("pkcs8 -topk8 -nocrypt -in rsa.key -outform DER -out rsa.key.der");
    openssl("rsa -in rsa.key -traditional -out rsa1.key");
    openssl("rsa -in rsa.key -traditional -outform DER -out rsa1.key.der");
    openssl("ec -in p256.key -out sec1.key");
    openssl("ec -in p521.key -out sec1-521.key");
    openssl("x509 -in rsa.pem -outform DER -out rsa.der");
    openssl(&format!("pkcs8 -topk8 -in rsa.key -passout pass:{PASSWORD} -out enc.key"));
    openssl(&format!("pkcs8 -topk8 -v2 des3 -in rsa.key -passout pass:{PASSWORD} -out enc3.key"));
    openssl(&format!("pkcs8 -topk8 -in rsa.key -outform DER -passout pass:{PASSWORD} -out enc.key.der"));
    openssl(&format!("pkcs8 -topk8 -scrypt -in p521.key -passout pass:{PASSWORD} -out enc-521.key"));
    openssl(&format!("rsa -in rsa.key -traditional -aes256 -passout pass:{PASSWORD} -out old.key"));
    openssl(&format!(
        "pkcs12 -export -in rsa.pem -inkey rsa.key -certfile ca.pem -name user -passout pass:{PASSWORD} -out user.p12"
    ));
    openssl(&format!("pkcs12 -export -in p521.pem -inkey p521.key -passout pass:{PASSWORD} -out p521.p12"));
    openssl(&format!("pkcs12 -export -nokeys -in ca.pem -passout pass:{PASSWORD} -out ca.p12"));
    let comment = "x".repeat(70_000);
    openssl(&format!(
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=odd -addext nsComment={comment} -keyout odd.key -out odd.pem"
    ));
    openssl("crl2pkcs7 -nocrl -certfile ca.pem -outform DER -out ca.p7b");
    if Command::new("keytool").output().is_ok() {
        let common = format!("-genkeypair -keyalg RSA -alias user -dname CN=user -storepass {PASSWORD}");
        run(dir, "keytool", &format!("{common} -storetype PKCS12 -keystore java.p12"));
        run(dir, "keytool", &format!("{common} -storetype JKS -keypass {PASSWORD} -keystore java.jks"));
    }
    std::fs::write(dir.join("nothing"), "").unwrap();
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(FILES.path().join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(read(name)).unwrap()
}

fn take(chain: &[u8], key: Option<&[u8]>, password: Option<&str>) -> Result<Vec<String>, Refused> {
    identity(Identity { chain, key, password }).map(|made| made.cert.iter().map(subject).collect())
}

fn subject(der: &CertificateDer<'_>) -> String {
    X509Certificate::from_der(der).unwrap().1.subject().to_string()
}

#[test]
fn what_java_and_librdkafka_take_is_taken() {
    // All of them are of X.509 version 1: plain `openssl x509 -req` makes them so.
    for name in ["rsa", "p256", "p384", "p521", "ed25519"] {
        let taken = take(&read(&format!("{name}.pem")), Some(&read(&format!("{name}.key"))), None);
        assert_eq!(taken, Ok(vec![format!("CN={name}")]));
    }
    for (chain, key) in [
        ("rsa.pem", "rsa1.key"),
        ("p256.pem", "sec1.key"),
        ("p521.pem", "sec1-521.key"),
        ("rsa.der", "rsa.key.der"),
        ("rsa.pem", "rsa1.key.der"),
    ] {
        assert!(take(&read(chain), Some(&read(key)), None).is_ok(), "{chain} {key}");
    }
    for (chain, key) in
        [("rsa.pem", "enc.key"), ("rsa.pem", "enc3.key"), ("rsa.pem", "enc.key.der"), ("p521.pem", "enc-521.key")]
    {
        assert!(take(&read(chain), Some(&read(key)), Some(PASSWORD)).is_ok(), "{chain} {key}");
    }
    // A key beside its certificate in one file, and a password that nothing needs.
    let both = text("rsa.key") + &text("rsa.pem");
    assert_eq!(take(both.as_bytes(), None, Some("x")), Ok(vec!["CN=rsa".to_owned()]));
}

#[test]
fn keystores_are_taken_with_their_password() {
    assert_eq!(take(&read("user.p12"), None, Some(PASSWORD)), Ok(vec!["CN=rsa".to_owned(), "CN=ca".to_owned()]));
    assert_eq!(take(&read("rsa.pem"), Some(&read("user.p12")), Some(PASSWORD)).map(|list| list.len()), Ok(2));
    assert!(take(&read("p521.p12"), None, Some(PASSWORD)).is_ok());
    if FILES.path().join("java.p12").exists() {
        assert_eq!(take(&read("java.p12"), None, Some(PASSWORD)), Ok(vec!["CN=user".to_owned()]));
        let refused = take(&read("java.jks"), None, Some(PASSWORD)).unwrap_err();
        assert!(refused.part == Part::Chain && refused.reason.contains("keytool -importkeystore"), "{refused:?}");
    }
    for (store, password, part, words) in [
        ("user.p12", None, Part::Chain, "no password is given"),
        ("user.p12", Some("wrong"), Part::Password, "does not open the PKCS#12 keystore"),
        ("ca.p12", Some(PASSWORD), Part::Chain, "without a private key"),
    ] {
        let refused = take(&read(store), None, password).unwrap_err();
        assert!(refused.part == part && refused.reason.contains(words), "{store}: {refused:?}");
    }
}

#[test]
fn a_chain_is_put_in_order_and_loses_nothing() {
    let (leaf, ca, other) = (text("rsa.pem"), text("ca.pem"), text("p256.pem"));
    for chain in [format!("{ca}{leaf}"), format!("{leaf}{ca}"), format!("{}{}", ca.trim_end(), leaf.trim_end())] {
        assert_eq!(
            take(chain.as_bytes(), Some(&read("rsa.key")), None),
            Ok(vec!["CN=rsa".to_owned(), "CN=ca".to_owned()])
        );
    }
    let all = format!("{other}{ca}{leaf}");
    let order = vec!["CN=rsa".to_owned(), "CN=ca".to_owned(), "CN=p256".to_owned()];
    assert_eq!(take(all.as_bytes(), Some(&read("rsa.key")), None), Ok(order));
}

#[test]
fn pasted_files_are_read_whole_or_refused() {
    let (one, two) = (text("ca.pem"), text("rsa.pem"));
    let flat = |text: &str| text.replace('\n', "");
    let count = |text: String| certificates(text.as_bytes()).map(|list| list.len());
    assert_eq!(count(format!("{one}{two}")), Ok(2));
    assert_eq!(count(one.trim_end().to_owned() + two.trim_end()), Ok(2), "without a line feed between them");
    assert_eq!(count(flat(&one) + &flat(&two)), Ok(2), "on one line");
    assert_eq!(count(one.replace('\n', " ")), Ok(1), "with blanks for line feeds");
    assert_eq!(count(one.replace('\n', "\r\n")), Ok(1));
    assert_eq!(count(format!("# my CA\nsubject=x\n{one}\ntext\n{two}# end")), Ok(2), "with text around");
    for (broken, words) in [
        (one[..one.len() / 2].to_owned(), "does not end"),
        (one[..one.len() / 2].to_owned() + &two, "begins before the one before it ends"),
        (one[one.len() / 2..].to_owned() + &two, "ends and does not begin"),
        (one.replace('\n', "\\n"), "two characters"),
        (one.replace("MII", "!!!"), "no base64"),
        (one.replacen("MII", "AAA", 1), "cannot be read, number 1"),
        (text("rsa.csr"), "request for a certificate"),
        (text("rsa.key"), "no certificate"),
    ] {
        let refused = certificates(broken.as_bytes()).unwrap_err();
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert_eq!(certificates(&read("rsa.der")).map(|list| list.len()), Ok(1));
    for (file, words) in [
        ("ca.p12", "PKCS#12"),
        ("ca.p7b", "PKCS#7"),
        ("rsa.key.der", "DER and no certificate"),
        ("nothing", "no certificate"),
    ] {
        assert!(certificates(&read(file)).unwrap_err().contains(words), "{file}");
    }
    let count = |file: &str, password: Option<&str>| authorities(&read(file), password).map(|list| list.len());
    assert_eq!(count("ca.p12", Some(&format!("{PASSWORD}\n"))), Ok(1), "as Strimzi writes it, its password beside it");
    assert_eq!(count("rsa.pem", Some("of nothing")), Ok(1));
    assert!(count("ca.p12", None).unwrap_err().contains("no password is there: put it beside it (ca.password"));
    assert!(count("ca.p12", Some("wrong")).unwrap_err().contains("does not open"));
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(one.bytes().flat_map(|byte| [byte, 0])).collect();
    assert!(certificates(&wide).unwrap_err().contains("UTF-16"));
}

/// Left out without a word, whatever it signed would be of an unknown issuer.
#[test]
fn an_authority_that_cannot_be_used_is_named() {
    let trusted = |files: &[&str]| {
        let own = files.iter().flat_map(|file| certificates(&read(file)).unwrap()).collect();
        verifier(Trust { own, ..Trust::default() }, std::sync::Arc::new(provider())).map(drop)
    };
    trusted(&["ca.pem"]).unwrap();
    let refused = trusted(&["ca.pem", "odd.pem"]).unwrap_err();
    assert!(refused.contains("number 2: it is larger than 64 KiB"), "{refused}");
}

#[test]
fn keys_that_cannot_be_used_are_named_with_a_fix() {
    for (chain, key, password, part, words) in [
        ("ed448", "ed448.key", None, Part::Key, "of Ed448; taken are"),
        ("small", "small.key", None, Part::Key, "of RSA of another size"),
        ("k256", "k256.key", None, Part::Key, "of another curve"),
        ("rsa", "enc.key", None, Part::Key, "is encrypted, and no password is given"),
        ("rsa", "enc.key", Some("wrong"), Part::Password, "does not decrypt the private key"),
        ("rsa", "enc.key.der", None, Part::Key, "is encrypted, and no password is given"),
        ("rsa", "old.key", Some(PASSWORD), Part::Key, "encrypted in the older form"),
        ("rsa", "p256.key", None, Part::Key, "does not belong to the certificate"),
        ("rsa", "rsa.pem", None, Part::Key, "holds no private key"),
        ("rsa", "rsa.der", None, Part::Key, "holds a certificate and no private key"),
        ("rsa", "nothing", None, Part::Key, "holds no private key"),
        ("rsa", "ca.p7b", None, Part::Key, "PKCS#7"),
    ] {
        let refused = take(&read(&format!("{chain}.pem")), Some(&read(key)), password).unwrap_err();
        assert!(refused.part == part && refused.reason.contains(words), "{key}: {refused:?}");
    }
}

/// However a key was pasted, no refusal shows a part of it: as text, as a list of bytes, in hex or in base64.
#[test]
fn no_refusal_shows_bytes_of_a_key() {
    let whole = text("rsa.key");
    let flat = whole.replace('\n', "");
    let escaped = whole.replace('\n', "\\n");
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let pasted = [
        flat.replace("-----END", "---END"),
        escaped.clone(),
        half(&whole),
        half(&flat),
        half(&escaped),
        whole.replace("-----BEGIN PRIVATE KEY-----\n", ""),
        whole.replace("PRIVATE KEY", "CERTIFICATE"),
        whole.replace("BEGIN PRIVATE", "BEGIN RSA PRIVATE"),
        whole.replace("MII", "M II I!"),
        format!("x{whole}{whole}"),
    ];
    let body: Vec<u8> = flat.trim_matches('-').bytes().skip(60).take(24).collect();
    let canaries = [
        String::from_utf8(body.clone()).unwrap(),
        body.iter().take(4).map(u8::to_string).collect::<Vec<_>>().join(", "),
        body.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
    ];
    for paste in pasted {
        let as_key = take(&read("rsa.pem"), Some(paste.as_bytes()), Some("x")).map(drop);
        let as_chain = take(paste.as_bytes(), Some(&read("rsa.key")), None).map(drop);
        for refused in [as_key, as_chain].into_iter().filter_map(Result::err) {
            let words = format!("{refused} {refused:?}");
            assert!(canaries.iter().all(|canary| !words.contains(canary)), "{words}");
            assert!(words.len() < 700, "{words}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_end_the_process(bytes: Vec<u8>, cut in 0usize..2000, flip in 0usize..2000) {
        drop(certificates(&bytes));
        drop(take(&bytes, None, Some("x")));
        for name in ["user.p12", "enc.key.der", "rsa.der", "rsa.key.der", "rsa.pem"] {
            let mut bytes = read(name);
            bytes.truncate(cut.max(8));
            let at = flip % bytes.len();
            bytes[at] ^= 0x55;
            drop(take(&bytes, Some(&bytes), Some(PASSWORD)));
        }
    }
}

#[test]
fn a_certificate_says_for_whom_it_is_who_signed_it_and_until_when() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| run(dir.path(), "openssl", arguments);
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem");
    std::fs::write(dir.path().join("names"), "subjectAltName=DNS:kafka.svc,IP:127.0.0.1,IP:::1\n").unwrap();
    openssl("req -newkey rsa:2048 -nodes -subj /CN=broker -keyout b.key -out b.csr");
    openssl("x509 -req -in b.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -extfile names -out b.pem");
    let read = |name: &str| certificates(&std::fs::read(dir.path().join(name)).unwrap()).unwrap();
    let about = crate::about(&read("b.pem")[0]).unwrap();
    assert_eq!(about.names, ["kafka.svc", "127.0.0.1", "::1"]);
    assert_eq!(about.issuer, "CN=ca");
    // The end that openssl itself reads.
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(dir.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let end = said("openssl", &["x509", "-in", "b.pem", "-noout", "-enddate", "-dateopt", "iso_8601"]);
    let end = end.strip_prefix("notAfter=").unwrap();
    assert_eq!(about.ends.to_string(), said("date", &["-u", "-d", end, "+%s"]));
    // Without names of its own: its subject.
    assert_eq!(crate::about(&read("ca.pem")[0]).unwrap().names, ["CN=ca"]);
    assert_eq!(crate::about(b"no certificate"), None);
}
