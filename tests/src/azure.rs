//! Azure Blob Storage's emulator (Azurite) on loopback over TLS, and a stand-in for Microsoft's login.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::certificates;
use crate::process::{Guarded, Scratch, fetch, free_port};
use serde_json::{Value, json};

/// The emulator's account.
pub const ACCOUNT: &str = "devstoreaccount1";
/// The emulator's published key.
pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
const SECRET: &str = "canary-client-secret";
const TOKEN: &str = "canary-federated-token";

/// A running emulator with one container `archive`.
#[derive(Debug)]
pub struct Azure {
    dir: Scratch,
    port: u16,
    login: u16,
    _processes: [Guarded; 2],
}

fn script(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/azure.py");
    let output = Command::new("python3").arg(script).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "azure.py {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Azure {
    /// Starts the emulator and the login.
    pub fn start() -> Self {
        let dir = Scratch::new("kafka-backup-azure-");
        let path = |name: &str| dir.path().join(name);
        certificates::make(dir.path());
        std::fs::write(path("token"), TOKEN).unwrap();
        let (port, login) = (free_port(), free_port());
        let mut emulator = Command::new("node");
        emulator.arg(fetch(&["azurite"])).args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
        emulator.args(["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--oauth", "basic", "--location"]);
        emulator.arg(path("data")).arg("--cert").arg(path("broker.pem")).arg("--key").arg(path("broker.key"));
        let mut tokens = Command::new("python3");
        tokens.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/azure.py"));
        tokens.args(["login", &login.to_string(), TENANT, CLIENT, SECRET]).arg(path("token"));
        let processes = [
            Guarded::spawn(&emulator, &path("log")).listens(port, &path("log")),
            Guarded::spawn(&tokens, &path("login.log")).listens(login, &path("login.log")),
        ];
        let server = Self { dir, port, login, _processes: processes };
        script(&["container", &server.endpoint(), &server.ca().display().to_string(), "archive"]);
        server
    }

    /// The account's endpoint.
    pub fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// The certificate that clients must trust.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A shared access signature of the container.
    pub fn sas(&self) -> String {
        script(&["sas", "archive"])
    }

    /// A `storage` block with these credentials.
    pub fn storage(&self, credentials: Value) -> Value {
        json!({
            "type": "azure", "account": ACCOUNT, "container": "archive", "prefix": "team/backups",
            // The login's stand-in speaks http.
            "endpoint": self.endpoint(), "allowHttp": true, "credentials": credentials,
        })
    }

    /// Credentials of each kind with their files in `secrets`, by name.
    pub fn credentials(&self, secrets: &Path) -> Vec<(&'static str, Value)> {
        let write = |name: &str, text: &str| std::fs::write(secrets.join(name), text).unwrap();
        write("key", KEY);
        write("connection", &format!("DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEY};"));
        write("sas", &self.sas());
        write("client", CLIENT);
        write("tenant", TENANT);
        write("secret", SECRET);
        vec![
            ("key", json!({"account-key": {"file": "key"}})),
            ("connection string", json!({"account-key": {"file": "connection"}})),
            ("sas", json!({"sas-token": {"file": "sas"}})),
            (
                "service principal",
                json!({"service-principal": {"clientIdFile": "client", "tenantIdFile": "tenant", "clientSecretFile": "secret"}}),
            ),
            ("workload identity", json!({"workload-identity": {}})),
            ("default chain", Value::Null),
        ]
    }

    /// What the pod's environment holds: the trusted certificate, the login's host, and a workload identity.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SSL_CERT_FILE", self.ca().display().to_string()),
            ("AZURE_AUTHORITY_HOST", format!("http://127.0.0.1:{}", self.login)),
            ("AZURE_CLIENT_ID", CLIENT.into()),
            ("AZURE_TENANT_ID", TENANT.into()),
            ("AZURE_FEDERATED_TOKEN_FILE", self.dir.path().join("token").display().to_string()),
        ]
    }
}
