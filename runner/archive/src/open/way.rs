//! The way to a store: its TLS, a proxy in between, and the services that hand out identities. What a failure on this way
//! means, in words with a fix.

use std::sync::Arc;

use contract::endpoint::password_beside;
use contract::tls_words::{self, Peer};
use contract::{Code, StoreSpec, StoreTls};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use keys::Trust;
use object_store::client::HttpClient;
use object_store::{ClientConfigKey, ClientOptions};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;

use super::Paths;
use super::patience::CONNECT;
use super::secret::{read_bytes, read_secret};
use crate::ArchiveError;

/// Where machines ask for their own identity: Amazon's, Azure's and Google's instances, containers and pods.
const IDENTITIES: [&str; 6] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "metadata.google.internal.",
];

/// What is special about the way to one store.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    /// What gives credentials, for people who gave none.
    pub(super) givers: &'static str,
    /// Who is trusted; the system's authorities when absent.
    pub(super) trust: Option<Arc<dyn ServerCertVerifier>>,
}

impl Way {
    /// The way that a specification says.
    pub(super) fn new(givers: &'static str, tls: Option<&StoreTls>, paths: &Paths) -> Result<Self, ArchiveError> {
        let Some(tls) = tls else { return Ok(Self { givers, trust: None }) };
        let (tls, paths) = (tls.clone(), paths.clone());
        let read = move || {
            let files: Vec<_> = tls.ca_files().map(|file| authorities(&paths, file)).collect::<Result<_, _>>()?;
            let own = files.concat();
            let system = if tls.system_roots { rustls_native_certs::load_native_certs().certs } else { Vec::new() };
            Ok(Trust { own, system })
        };
        let trust = keys::following(read, Arc::new(keys::provider()));
        let trust = trust.map_err(|reason| ArchiveError::Config { reason, code: Code::SecretUnusable })?;
        Ok(Self { givers, trust: Some(trust) })
    }

    /// A client of HTTP on this way.
    pub(super) fn client(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "HTTP", source };
        // The library writes it.
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let mut client = reqwest::Client::builder();
        if let Some(trust) = &self.trust {
            let config = ClientConfig::builder_with_provider(Arc::new(keys::provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| failed(error.into()))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(trust))
                .with_no_client_auth();
            client = client.tls_backend_preconfigured(config);
        }
        // A store does not decide where requests go: session tokens and data would go along.
        let client = client
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(HeaderValue::from_static(concat!("kafka-backup/", env!("CARGO_PKG_VERSION"))))
            .connect_timeout(CONNECT)
            .http1_only()
            .https_only(!allows_http);
        Ok(HttpClient::new(client.build().map_err(|error| failed(error.into()))?))
    }

    /// That there are no credentials, and how to give some.
    pub(super) fn no_credentials(&self, host: &str, what: &str) -> String {
        format!(
            "no credentials were given, and this machine has no identity of a cloud ({host} {what}); set {}",
            self.givers
        )
    }
}

/// The authorities of one file.
fn authorities(paths: &Paths, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read_bytes(paths, file).map_err(|error| error.to_string())?;
    let beside = password_beside(file).filter(|file| paths.secret(file).exists());
    let password = beside.map(|file| read_secret(paths, &file)).transpose().map_err(|error| error.to_string())?;
    keys::authorities(&bytes, password.as_deref())
        .map_err(|reason| format!("storage.tls.caFile: {} {reason}", paths.secret(file).display()))
}

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: String,
    /// Host and port.
    pub(super) authority: String,
    /// The proxy that it goes through.
    pub(super) proxy: Option<String>,
    pub(super) is_encrypted: bool,
    /// Whether it asks a service that hands out identities of machines.
    pub(super) is_for_identity: bool,
}

impl Target {
    /// Where a request to an address goes.
    pub(super) fn of(uri: &Uri) -> Self {
        let host = uri.host().unwrap_or_default().to_owned();
        Self {
            is_for_identity: IDENTITIES.contains(&host.as_str()),
            is_encrypted: uri.scheme_str() == Some("https"),
            proxy: proxy(uri),
            authority: uri.authority().map_or_else(String::new, ToString::to_string),
            host,
        }
    }
}

/// The proxy that requests to a store go through: `host:port`; `None` where they go straight.
#[must_use]
pub fn proxy_of(spec: &StoreSpec) -> Option<String> {
    let (host, port) = spec.authority()?;
    let scheme = if spec.is_encrypted() { "https" } else { "http" };
    proxy(&format!("{scheme}://{host}:{port}/").parse().ok()?)
}

/// The proxy that requests to an address go through, as the HTTP library chooses it: `host:port`.
fn proxy(uri: &Uri) -> Option<String> {
    let proxy = Matcher::from_system().intercept(uri)?;
    let host = proxy.uri().host()?;
    let port = proxy.uri().port_u16().unwrap_or(if proxy.uri().scheme_str() == Some("https") { 443 } else { 80 });
    Some(format!("{host}:{port}"))
}

/// Why TLS with a host failed, when it did: no try heals it.
pub(super) fn tls(host: &str, words: &str) -> Option<String> {
    if tls_words::says_no_tls(words) {
        return Some(format!(
            "{host} does not speak TLS on this port, and the endpoint begins with https://; write http:// with allowHttp: true, or the port with TLS"
        ));
    }
    let peer = Peer {
        host,
        trust: "give the CA that signed it: caSecret of the storage (storage.tls.caFile in a run specification, --ca-file beside --store)",
        identity: None,
        wanted: "use an address of the store that wants none",
        asked: None,
    };
    tls_words::reason(words, peer).map(|reason| format!("TLS with {host} failed: {reason}"))
}

/// Whether a failure shows that TLS is spoken there, whatever is wrong with it.
pub(super) fn shows_certificate(words: &str) -> bool {
    !tls_words::says_no_tls(words) && tls("", words).is_some()
}

/// That a plain request came to a port that speaks TLS.
pub(super) fn wants_tls(host: &str) -> String {
    format!("{host} speaks TLS on this port, and the endpoint begins with http://; write https://")
}

/// Whether an answer, or what stands for one, shows that the port speaks TLS and the request was plain: an alert of TLS is
/// no HTTP, and servers that notice say so.
pub(super) fn shows_tls(words: &str) -> bool {
    ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port", "invalid HTTP version parsed"]
        .iter()
        .any(|said| words.contains(said))
}

/// What a failure at a proxy means.
pub(super) fn at_proxy(proxy: &str, host: &str, words: &str) -> String {
    let fix = "correct HTTPS_PROXY (or HTTP_PROXY, ALL_PROXY) of the environment, or name the store in NO_PROXY";
    let what = if words.contains("proxy authorization required") {
        return format!("the proxy {proxy} wants a login; write it into HTTPS_PROXY as http://user:password@{proxy}");
    } else if words.contains("unsuccessful") || words.contains("unexpected end of file") {
        format!("the proxy {proxy} does not connect to {host}; have {host} allowed there")
    } else {
        format!("the proxy {proxy} cannot be reached: {}", plain(words))
    };
    format!("{what}; {fix}")
}

/// Why no connection came about, in words: those of the system are ours already.
pub(super) fn plain(words: &str) -> String {
    let known = [
        ("timed out", "nobody answers there; a firewall or a network policy may drop what is sent"),
        ("deadline has elapsed", "nobody answers there; a firewall or a network policy may drop what is sent"),
        ("failed to lookup address", "DNS gives no answer for the name"),
        ("closed before message completed", "it closed the connection without an answer"),
        ("unexpected end of file", "it closed the connection without an answer"),
    ];
    if contract::names::says_unknown_host(words) {
        return "DNS knows no such name".to_owned();
    }
    known
        .iter()
        .find(|(said, _)| words.contains(said))
        .map_or_else(|| words.to_owned(), |(_, plain)| (*plain).to_owned())
}
