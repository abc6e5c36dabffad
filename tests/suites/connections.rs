//! The ways to a cluster that kubectl goes: each leads to an API server of this process, which notes how it was reached and
//! with which credentials.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use harness::certificates::openssl;
use harness::plugin::{Said, binary, said};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tempfile::TempDir;

/// A token that ends in 2100: {"alg":"none"}, {"exp":4102444800}.
const OIDC_TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Http,
    Https,
    Socks,
}

trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}
type Stream = Box<dyn Both>;

/// A port for each way, and who came: the way, whom a proxy was asked for, and the credentials.
struct World {
    dir: TempDir,
    ports: Vec<(Way, u16)>,
    came: Arc<Mutex<Vec<(Way, String, String)>>>,
}

fn world() -> &'static World {
    static SHARED: OnceLock<World> = OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let make = |arguments: &str| openssl(dir.path(), arguments);
        make("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem");
        std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost,DNS:api.test,IP:127.0.0.1\n").unwrap();
        make("req -newkey rsa:2048 -nodes -subj /CN=api -keyout api.key -out api.csr");
        make("x509 -req -in api.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out api.pem");
        let chain = vec![CertificateDer::from_pem_file(dir.path().join("api.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(dir.path().join("api.key")).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (tls, came) = (Arc::new(tls), Arc::<Mutex<Vec<_>>>::default());
        let ports = [Way::Direct, Way::Http, Way::Https, Way::Socks].map(|way| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let (tls, came) = (Arc::clone(&tls), Arc::clone(&came));
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (tls, came) = (Arc::clone(&tls), Arc::clone(&came));
                    // Whoever leaves in the middle is no failure here.
                    std::thread::spawn(move || serve(way, Box::new(stream), &tls, &came));
                }
            });
            (way, port)
        });
        World { dir, ports: ports.to_vec(), came }
    })
}

fn encrypted(stream: Stream, tls: &Arc<ServerConfig>) -> Stream {
    Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream))
}

/// What comes before an empty line; `None` when nobody says anything more.
fn head(stream: &mut Stream) -> Option<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    String::from_utf8(text).ok()
}

/// A proxy that is itself what it leads to.
fn serve(
    way: Way,
    mut stream: Stream,
    tls: &Arc<ServerConfig>,
    came: &Mutex<Vec<(Way, String, String)>>,
) -> Option<()> {
    let mut target = String::new();
    match way {
        Way::Direct => {}
        Way::Http | Way::Https => {
            if way == Way::Https {
                stream = encrypted(stream, tls);
            }
            head(&mut stream)?.split_whitespace().nth(1)?.clone_into(&mut target);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
        }
        Way::Socks => {
            let mut hello = [0; 2];
            stream.read_exact(&mut hello).ok()?;
            stream.read_exact(&mut vec![0; hello[1].into()]).ok()?;
            stream.write_all(&[5, 0]).ok()?;
            let mut ask = [0; 5];
            stream.read_exact(&mut ask).ok()?;
            assert_eq!(ask[3], 3, "a name, which the proxy looks up");
            let mut name = vec![0; usize::from(ask[4]) + 2];
            stream.read_exact(&mut name).ok()?;
            let (name, port) = name.split_at(ask[4].into());
            target = format!("{}:{}", String::from_utf8_lossy(name), u16::from_be_bytes([port[0], port[1]]));
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        }
    }
    let mut stream = encrypted(stream, tls);
    while let Some(head) = head(&mut stream) {
        let token = head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization: "));
        let token = token.and_then(|line| line.split("Bearer ").nth(1)).unwrap_or_default();
        came.lock().unwrap().push((way, target.clone(), token.to_owned()));
        let body = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []}).to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).ok()?;
    }
    Some(())
}

/// One way to a cluster.
#[derive(Default)]
struct Case {
    /// `server`, and more of the cluster.
    server: String,
    more: String,
    /// The current user.
    user: &'static str,
    environment: Vec<(&'static str, String)>,
    flags: Vec<&'static str>,
}

const USERS: &str = "
- {name: plain, user: {token: plain-token}}
- {name: other, user: {token: other-token}}
- name: helper
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./helper.sh, interactiveMode: Never}}
- name: expired
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./expired.sh, interactiveMode: Never}}
- name: absent
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: cloud-login, interactiveMode: Never, installHint: \"get cloud-login from your cloud\"}}
- name: oidc
  user: {auth-provider: {name: oidc, config: {idp-issuer-url: \"https://idp.test\", client-id: c, refresh-token: r, id-token: TOKEN}}}
";

fn port(way: Way) -> u16 {
    world().ports.iter().find(|(known, _)| *known == way).unwrap().1
}

fn script(dir: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(dir.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Goes this way: what the plugin said, and who came.
fn go(case: &Case) -> (Said, Vec<(Way, String, String)>) {
    let (dir, home) = (world().dir.path(), tempfile::tempdir().unwrap());
    let credential =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"made-token"}}"#;
    script(home.path(), "helper.sh", &format!("echo '{credential}'"));
    script(home.path(), "expired.sh", "echo 'the session is over' >&2; exit 1");
    let config = home.path().join("config");
    let ca = dir.join("ca.pem");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: usual\ncontexts:\n- {{name: usual, context: {{cluster: usual, user: {}, namespace: shop}}}}\n- {{name: wrong, context: {{cluster: wrong, user: plain}}}}\nclusters:\n- name: usual\n  cluster: {{server: \"{}\", certificate-authority: {}{}}}\n- {{name: wrong, cluster: {{server: \"https://127.0.0.1:1\"}}}}\nusers:{}",
        case.user,
        case.server,
        ca.display(),
        case.more,
        USERS.replace("TOKEN", OIDC_TOKEN)
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    command.env("KUBECONFIG", &config);
    for (name, value) in &case.environment {
        command.env(name, value.replace("FILE", config.to_str().unwrap()));
    }
    world().came.lock().unwrap().clear();
    let said = said(command.args(["status", "-o", "json"]).args(&case.flags));
    let visitors = world().came.lock().unwrap().clone();
    (said, visitors)
}

fn named() -> String {
    "https://api.test:6443".to_owned()
}

fn direct() -> String {
    format!("https://127.0.0.1:{}", port(Way::Direct))
}

fn plain(server: String) -> Case {
    Case { server, user: "plain", ..Case::default() }
}

fn environment(name: &'static str, way: Way) -> Vec<(&'static str, String)> {
    vec![(name, format!("http://127.0.0.1:{}", port(way)))]
}

/// All of it in one test: who came is noted in one place.
#[test]
fn every_way_of_kubectl_leads_to_the_cluster() {
    leads_there();
    from_inside_a_pod();
    leads_nowhere();
}

/// A pod has no kubeconfig: the address is in its environment, and its service account in a folder of its own.
fn from_inside_a_pod() {
    let (home, port) = (tempfile::tempdir().unwrap(), port(Way::Direct).to_string());
    let as_pod = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec"]);
        command.arg(format!("mount -t tmpfs none /run; mkdir -p /run/secrets/kubernetes.io/serviceaccount; {script}"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", &port);
        command
    };
    if !as_pod("true").output().is_ok_and(|output| output.status.success()) {
        return harness::skip::note("folders of a pod take a mount namespace of one's own");
    }
    world().came.lock().unwrap().clear();
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    let script = format!(
        "cp {} {account}/ca.crt; printf pod-token > {account}/token; printf shop > {account}/namespace; {} status -o json",
        world().dir.path().join("ca.pem").display(),
        binary().display()
    );
    let said = said(&mut as_pod(&script));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let came = world().came.lock().unwrap().clone();
    let all_direct = came.iter().all(|one| *one == (Way::Direct, String::new(), "pod-token".to_owned()));
    assert!(!came.is_empty() && all_direct, "{came:?}");
}

fn leads_there() {
    let through = |scheme: &str, way: Way| format!(", proxy-url: \"{scheme}://localhost:{}\"", port(way));
    let nowhere = ("HTTPS_PROXY", "http://127.0.0.1:1".to_owned());
    let ways = [
        ("without a proxy", plain(direct()), Way::Direct, "plain-token"),
        (
            "to this machine no proxy",
            Case { environment: vec![nowhere.clone()], ..plain(direct()) },
            Way::Direct,
            "plain-token",
        ),
        ("proxy-url http", Case { more: through("http", Way::Http), ..plain(named()) }, Way::Http, "plain-token"),
        ("proxy-url https", Case { more: through("https", Way::Https), ..plain(named()) }, Way::Https, "plain-token"),
        ("proxy-url socks5", Case { more: through("socks5", Way::Socks), ..plain(named()) }, Way::Socks, "plain-token"),
        (
            "HTTPS_PROXY",
            Case { environment: environment("HTTPS_PROXY", Way::Http), ..plain(named()) },
            Way::Http,
            "plain-token",
        ),
        (
            "https_proxy",
            Case { environment: environment("https_proxy", Way::Http), ..plain(named()) },
            Way::Http,
            "plain-token",
        ),
        (
            "HTTPS_PROXY without a scheme",
            Case { environment: vec![("HTTPS_PROXY", format!("127.0.0.1:{}", port(Way::Http)))], ..plain(named()) },
            Way::Http,
            "plain-token",
        ),
        (
            "proxy-url before the environment",
            Case {
                more: through("http", Way::Http),
                environment: vec![nowhere.clone(), ("NO_PROXY", "*".to_owned())],
                ..plain(named())
            },
            Way::Http,
            "plain-token",
        ),
        ("an exec plugin", Case { user: "helper", ..plain(direct()) }, Way::Direct, "made-token"),
        ("OIDC", Case { user: "oidc", ..plain(direct()) }, Way::Direct, OIDC_TOKEN),
        (
            "a list with a missing file",
            Case { environment: vec![("KUBECONFIG", "/no/such/file:FILE".to_owned())], ..plain(direct()) },
            Way::Direct,
            "plain-token",
        ),
        ("--user", Case { flags: vec!["--user", "other"], ..plain(direct()) }, Way::Direct, "other-token"),
        (
            "--server and --token",
            Case {
                flags: vec!["--token=flag-token", "-s", direct().leak()],
                ..plain("https://127.0.0.1:1".to_owned())
            },
            Way::Direct,
            "flag-token",
        ),
        (
            "flags without a kubeconfig",
            Case {
                environment: vec![("KUBECONFIG", "/no/such/file".to_owned())],
                flags: vec![
                    "--token=flag-token",
                    "--certificate-authority",
                    world().dir.path().join("ca.pem").to_str().unwrap().to_owned().leak(),
                    "--tls-server-name=localhost",
                    "--server",
                    direct().leak(),
                ],
                ..Case::default()
            },
            Way::Direct,
            "flag-token",
        ),
        ("the context's namespace", Case { flags: vec!["-n", ""], ..plain(direct()) }, Way::Direct, "plain-token"),
        ("all namespaces", Case { flags: vec!["-n", "shop", "-A"], ..plain(direct()) }, Way::Direct, "plain-token"),
        (
            "--cluster over a context",
            Case { flags: vec!["--context", "wrong", "--cluster", "usual"], ..plain(direct()) },
            Way::Direct,
            "plain-token",
        ),
    ];
    for (name, case, way, token) in ways {
        let (said, came) = go(&case);
        assert_eq!(said.code, 0, "{name}: {}", said.stderr);
        let target = if way == Way::Direct { "" } else { "api.test:6443" };
        assert!(!came.is_empty(), "{name}: nobody came");
        for one in came {
            assert_eq!(one, (way, target.to_owned(), token.to_owned()), "{name}");
        }
    }
}

fn leads_nowhere() {
    let refused = [
        (
            "NO_PROXY",
            Case {
                environment: [environment("HTTPS_PROXY", Way::Http), vec![("NO_PROXY", "test".to_owned())]].concat(),
                ..plain(named())
            },
            "",
        ),
        (
            "an exec plugin that is missing",
            Case { user: "absent", ..plain(direct()) },
            "`cloud-login`, which is not on this machine\nhint: get cloud-login from your cloud",
        ),
        (
            "an exec plugin that fails",
            Case { user: "expired", ..plain(direct()) },
            "ended with exit status: 1: the session is over",
        ),
        (
            "no file",
            Case { environment: vec![("KUBECONFIG", "/no/such/file".to_owned())], ..plain(direct()) },
            "no cluster is configured",
        ),
        (
            "a file that does not read",
            Case { server: "\"".to_owned(), user: "plain", ..Case::default() },
            "the kubeconfig cannot be read",
        ),
    ];
    for (name, case, says) in refused {
        let (said, came) = go(&case);
        assert!(said.code == 3 && said.stderr.contains(says), "{name}: {} {}", said.code, said.stderr);
        assert!(came.is_empty(), "{name}: {came:?}");
    }
}
