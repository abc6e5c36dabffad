//! Azure Blob Storage: public, sovereign and private endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::store_address::{authority, broken_rule, shown};
use contract::words::safe;
use contract::{AzureCredentials, Code, odd};
use object_store::ObjectStore;
use object_store::azure::{
    AzureAccessKey, AzureConfigKey, AzureCredential, MicrosoftAzureBuilder, authority_hosts, split_sas,
};

use super::breaker::Breaker;
use super::guard::Connector;
use super::secret::{FromFiles, Looked, read_value, unusable};
use super::way::Way;
use super::{Paths, install_tls};
use crate::ArchiveError;

/// What Azure's admission webhook sets in a pod with workload identity.
const WORKLOAD_IDENTITY: [&str; 3] = ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"];

/// What names an Azure store.
pub(super) struct AzureStore<'a> {
    pub(super) account: &'a str,
    pub(super) container: &'a str,
    pub(super) endpoint: Option<&'a str>,
    pub(super) allow_http: bool,
}

pub(super) fn open(
    place: &AzureStore<'_>,
    credentials: Option<&AzureCredentials>,
    paths: &Paths,
    breaker: &Breaker,
    way: &Way,
) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    install_tls();
    let refused = |error: object_store::Error| ArchiveError::store("open", place.container, &error);
    let environment = MicrosoftAzureBuilder::from_env();
    let builder = if credentials.is_some() { MicrosoftAzureBuilder::new() } else { environment.clone() };
    let mut builder = builder
        .with_account(place.account)
        .with_container_name(place.container)
        .with_use_emulator(false)
        .with_use_fabric_endpoint(false)
        .with_client_options(Breaker::client_options(place.allow_http))
        .with_retry(breaker.retries())
        .with_http_connector(Connector::new(breaker, way));
    match credentials {
        None => {}
        Some(AzureCredentials::AccountKey { file }) => {
            let text = read_value(paths, file, odd::one_line)?;
            let first = Key::parse(&text, place.account).map_err(|rule| wrong(file, rule))?;
            if let Some(rule) = first.endpoint.as_deref().and_then(|named| elsewhere(named, place)) {
                return Err(unusable(paths, file, &rule));
            }
            let (paths, file, account) = (paths.clone(), file.clone(), place.account.to_owned());
            let read = move || {
                let text = read_value(&paths, &file, odd::one_line)?;
                let key = Key::parse(&text, &account).map_err(|rule| wrong(&file, rule))?;
                key.credential().map_err(|rule| wrong(&file, rule))
            };
            builder = builder.with_credentials(Arc::new(FromFiles::new(read)?));
        }
        Some(AzureCredentials::SasToken { file }) => {
            let (paths, file) = (paths.clone(), file.clone());
            let read = move || sas(&read_value(&paths, &file, odd::header_value)?).map_err(|rule| wrong(&file, rule));
            builder = builder.with_credentials(Arc::new(FromFiles::new(read)?));
        }
        Some(AzureCredentials::ServicePrincipal { client_id_file, tenant_id_file, client_secret_file }) => {
            builder = builder
                .with_client_id(read_value(paths, client_id_file, id)?)
                .with_tenant_id(read_value(paths, tenant_id_file, id)?)
                .with_client_secret(read_value(paths, client_secret_file, odd::one_line)?);
        }
        Some(AzureCredentials::Application { client_id, tenant_id, client_secret_file }) => {
            let checked = |field: &str, value: &String| match id(value) {
                None => Ok(value.clone()),
                Some(rule) => Err(ArchiveError::Config {
                    reason: format!("storage.credentials.application.{field} {rule}"),
                    code: Code::SpecInvalid,
                }),
            };
            builder = builder
                .with_client_id(checked("clientId", client_id)?)
                .with_tenant_id(checked("tenantId", tenant_id)?)
                .with_client_secret(read_value(paths, client_secret_file, odd::one_line)?);
        }
        Some(AzureCredentials::WorkloadIdentity {}) => {
            let [client, tenant, token] =
                [AzureConfigKey::ClientId, AzureConfigKey::AuthorityId, AzureConfigKey::FederatedTokenFile]
                    .map(|key| environment.get_config_value(&key));
            let (Some(client), Some(tenant), Some(token)) = (client, tenant, token) else {
                let reason = format!(
                    "storage.credentials is workload-identity, but {} are not all set; label the pod azure.workload.identity/use: \"true\" and annotate its service account with the client id",
                    WORKLOAD_IDENTITY.join(", ")
                );
                return Err(ArchiveError::Config { reason, code: Code::StoreDenied });
            };
            builder = builder.with_client_id(client).with_tenant_id(tenant).with_federated_token_file(token);
        }
    }
    if let Some(endpoint) = place.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    if let Some((rule, fix)) = place.endpoint.and_then(|endpoint| broken_rule(endpoint, true)) {
        let reason = format!("storage.endpoint {rule}: {fix}");
        return Err(ArchiveError::Config { reason, code: Code::SpecInvalid });
    }
    let builder = builder.with_authority_host(authority_of(place.endpoint, &environment));
    let identity = builder.clone().build().map_err(refused)?;
    let looked = Looked(Arc::clone(identity.credentials()));
    Ok(Arc::new(builder.with_credentials(Arc::new(looked)).build().map_err(refused)?))
}

/// What is wrong with the id of a client or a tenant: it becomes a part of an address.
fn id(text: &str) -> Option<String> {
    odd::header_value(text).or_else(|| {
        let odd = text.chars().any(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
        odd.then(|| "is no id: it has other characters than letters, digits, '-', '_' and '.'".to_owned())
    })
}

/// Why a connection string does not fit: it names another address than the specification. Admission and the list of allowed
/// endpoints look at the specification only, so requests go to no other address.
fn elsewhere(named: &str, place: &AzureStore<'_>) -> Option<String> {
    let own = format!("https://{}.blob.core.windows.net", place.account);
    let lower = |endpoint: &str| authority(endpoint).map(|(host, port)| (host.to_ascii_lowercase(), port));
    let to = lower(named);
    let fits = [Some(own.as_str()), place.endpoint].into_iter().flatten().any(|endpoint| lower(endpoint) == to);
    (to.is_none() || !fits).then(|| {
        format!(
            "names the address {} (BlobEndpoint, or DefaultEndpointsProtocol and EndpointSuffix), and the storage is at {}; write it as endpoint of the storage if it is meant",
            safe(&shown(named)),
            place.endpoint.unwrap_or(&own)
        )
    })
}

fn wrong(file: &str, rule: String) -> ArchiveError {
    ArchiveError::Config { reason: format!("storage.credentials.file {file}: {rule}"), code: Code::StoreDenied }
}

/// Where tokens come from: the environment's choice, else the login host of the endpoint's cloud.
fn authority_of(endpoint: Option<&str>, environment: &MicrosoftAzureBuilder) -> String {
    if let Some(host) = environment.get_config_value(&AzureConfigKey::AuthorityHost) {
        return host.trim_end_matches('/').to_owned();
    }
    let host = endpoint.unwrap_or_default();
    let known = [
        (".chinacloudapi.cn", authority_hosts::AZURE_CHINA),
        (".usgovcloudapi.net", authority_hosts::AZURE_GOVERNMENT),
    ];
    let found = known.iter().find(|(part, _)| host.contains(part)).map(|(_, authority)| *authority);
    found.unwrap_or(authority_hosts::AZURE_PUBLIC_CLOUD).to_owned()
}

fn sas(text: &str) -> Result<AzureCredential, String> {
    split_sas(text).map(AzureCredential::SASToken).map_err(|_| "is not a shared access signature".into())
}

/// The content of an account key file.
struct Key {
    shared: Option<String>,
    sas: Option<String>,
    endpoint: Option<String>,
}

impl Key {
    /// An account key as it is, or a connection string (`Name=value;...`, Azure Storage documentation).
    fn parse(text: &str, account: &str) -> Result<Self, String> {
        if !text.contains(';') && !text.contains("AccountKey=") {
            return Ok(Self { shared: Some(text.to_owned()), sas: None, endpoint: None });
        }
        let pairs: BTreeMap<_, _> =
            text.split(';').filter_map(|part| part.trim().split_once('=')).map(|(k, v)| (k.trim(), v.trim())).collect();
        let get = |name: &str| pairs.get(name).map(|value| (*value).to_owned());
        if let Some(other) = get("AccountName").filter(|name| name != account) {
            return Err(format!("the connection string is of account {other:?}, storage.account says {account:?}"));
        }
        let (shared, sas) = (get("AccountKey"), get("SharedAccessSignature"));
        if shared.is_none() && sas.is_none() {
            return Err("the connection string has neither AccountKey nor SharedAccessSignature".into());
        }
        let by_suffix = || {
            let protocol = get("DefaultEndpointsProtocol").unwrap_or_else(|| "https".into());
            get("EndpointSuffix").map(|suffix| format!("{protocol}://{account}.blob.{suffix}"))
        };
        Ok(Self { shared, sas, endpoint: get("BlobEndpoint").or_else(by_suffix) })
    }

    fn credential(&self) -> Result<AzureCredential, String> {
        if let Some(key) = &self.shared {
            let key = AzureAccessKey::try_new(key).map_err(|_| "the account key is not base64".to_owned())?;
            return Ok(AzureCredential::AccessKey(key));
        }
        sas(self.sas.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_connection_strings_are_told_apart() {
        let plain = Key::parse("c2VjcmV0", "acct").unwrap();
        assert!(plain.endpoint.is_none() && plain.credential().is_ok());
        let text = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=c2VjcmV0Cg==;EndpointSuffix=core.chinacloudapi.cn";
        let long = Key::parse(text, "acct").unwrap();
        assert_eq!(long.shared.as_deref(), Some("c2VjcmV0Cg=="));
        assert_eq!(long.endpoint.as_deref(), Some("https://acct.blob.core.chinacloudapi.cn"));
        let empty = MicrosoftAzureBuilder::new();
        assert_eq!(authority_of(long.endpoint.as_deref(), &empty), "https://login.chinacloudapi.cn");
        assert_eq!(authority_of(None, &empty), "https://login.microsoftonline.com");
        let signed = Key::parse("BlobEndpoint=https://p.example/acct;SharedAccessSignature=sv=2022&sig=a%2Bb", "acct");
        let signed = signed.unwrap();
        assert_eq!(signed.endpoint.as_deref(), Some("https://p.example/acct"));
        let AzureCredential::SASToken(pairs) = signed.credential().unwrap() else { panic!() };
        assert_eq!(pairs, [("sv".into(), "2022".into()), ("sig".into(), "a+b".into())]);
    }

    #[test]
    fn a_connection_string_leads_nowhere_else() {
        let of = |endpoint, named: &str| {
            let place = AzureStore { account: "acct", container: "c", endpoint, allow_http: false };
            elsewhere(named, &place)
        };
        let key = |text: &str| Key::parse(&format!("{text};AccountKey=c2VjcmV0"), "acct").unwrap().endpoint.unwrap();
        let private = Some("https://p.example:444/acct");
        for text in [
            "BlobEndpoint=https://acct.blob.core.windows.net/",
            "BlobEndpoint=https://ACCT.blob.core.windows.net:443",
            "EndpointSuffix=core.windows.net",
        ] {
            assert_eq!((of(None, &key(text)), of(private, &key(text))), (None, None), "{text}");
        }
        assert_eq!(of(private, &key("BlobEndpoint=https://p.example:444")), None);
        for text in [
            "BlobEndpoint=https://evil.example/acct.blob.core.windows.net",
            "BlobEndpoint=https://other.blob.core.windows.net",
            "BlobEndpoint=https://acct.blob.core.windows.net:8443",
            "BlobEndpoint=https://acct.blob.core.windows.net@evil.example",
            "BlobEndpoint=https://acct.blob.core.windows.net.evil.example/?sig=canary",
            "BlobEndpoint=https://p.example",
            "BlobEndpoint=",
            "EndpointSuffix=core.chinacloudapi.cn",
            "EndpointSuffix=evil.example",
            "DefaultEndpointsProtocol=http;EndpointSuffix=core.windows.net",
        ] {
            for endpoint in [None, private] {
                let rule = of(endpoint, &key(text)).unwrap_or_else(|| panic!("{text}"));
                assert!(rule.contains("endpoint of the storage") && !rule.contains("canary"), "{rule}");
            }
        }
    }

    #[test]
    fn a_secret_does_not_say_where_requests_go() {
        let dir = tempfile::tempdir().unwrap();
        let text = "BlobEndpoint=https://evil.example/;AccountName=acct;AccountKey=c2VjcmV0";
        std::fs::write(dir.path().join("connection"), text).unwrap();
        let paths = Paths { secrets: dir.path().into(), volumes: dir.path().into() };
        let open = |endpoint: Option<&str>| {
            let place = AzureStore { account: "acct", container: "c", endpoint, allow_http: false };
            let credentials = AzureCredentials::AccountKey { file: "connection".into() };
            let breaker = Breaker::new(contract::CircuitBreakerSpec::default());
            super::open(&place, Some(&credentials), &paths, &breaker, &Way::default())
        };
        let refused = open(None).unwrap_err();
        assert!(matches!(&refused, ArchiveError::Config { code: Code::SecretUnusable, .. }), "{refused:?}");
        assert!(refused.to_string().contains("https://evil.example") && !refused.to_string().contains("c2VjcmV0"));
        assert!(open(Some("https://evil.example")).is_ok());
    }

    #[test]
    fn mistakes_in_keys_are_named_without_the_key() {
        let error = Key::parse("AccountName=other;AccountKey=c2VjcmV0", "acct").err().unwrap();
        assert!(error.contains("other") && !error.contains("c2VjcmV0"));
        assert!(Key::parse("a=b;c=d", "acct").is_err());
        assert!(Key::parse("not base64!", "acct").unwrap().credential().is_err());
    }
}
