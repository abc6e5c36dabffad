//! The cluster that kubectl's own flags and files name, and what its refusals mean.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use api::lower::job::OWNER_LABEL;
use asks::limited;
use clap::Args;
use contract::system_words::of_connection;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, ApiResource, ListParams};
use kube::config::KubeConfigOptions;
use kube::core::GroupVersionKind;
use kube::{Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answered::{is_kind_unknown, is_of_a_webhook};
use crate::error::Error;
use crate::kubeconfig::{self, Choice, Helper};
use crate::near;
use crate::overrides::Overrides;
use crate::told::{REQUESTS, told};

/// The field manager of what this program writes.
pub(crate) const MANAGER: &str = "kubectl-kafka-backup";
/// What this program calls itself to the API server.
const AGENT: &str = concat!("kubectl-kafka-backup/", env!("CARGO_PKG_VERSION"));

/// kubectl's own flags.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Path of the kubeconfig file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig file
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// Cluster of the kubeconfig file
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub cluster: Option<String>,
    /// User of the kubeconfig file
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub user: Option<String>,
    /// Namespace
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long, global = true, help_heading = "Cluster")]
    pub all_namespaces: bool,
    /// Act as this user
    #[arg(long = "as", global = true, value_name = "NAME", help_heading = "Cluster")]
    pub act_as: Option<String>,
    /// Act as this group; may be repeated
    #[arg(long = "as-group", global = true, value_name = "NAME", help_heading = "Cluster")]
    pub act_as_group: Vec<String>,
    /// Act as the user with this uid
    #[arg(long = "as-uid", global = true, value_name = "UID", help_heading = "Cluster")]
    pub act_as_uid: Option<String>,
    /// How long one plain request may take: 30s, 2m; 0 for ever. What follows, forwards or streams has no limit
    #[arg(long, global = true, value_name = "TIME", default_value = "0", value_parser = duration, help_heading = "Cluster")]
    pub request_timeout: Duration,
    /// Verbosity as kubectl counts it: from 6 on, each request to the API server is told on standard error
    #[arg(short = 'v', long = "v", global = true, value_name = "LEVEL", default_value_t = 0, help_heading = "Cluster")]
    pub verbosity: u8,
    /// Do not check the certificate of the API server
    #[arg(long, global = true, help_heading = "Cluster")]
    pub insecure_skip_tls_verify: bool,
    /// What counts more than the kubeconfig.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// A duration as kubectl writes it: 30s, 2m, 1h, 1h30m; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let wrong = |_| format!("`{text}` is not a duration such as 30s, 2m or 1h30m");
    let parsed: jiff::SignedDuration = text.parse().map_err(wrong)?;
    Duration::try_from(parsed).map_err(|_| format!("`{text}` is not more than 0"))
}

/// A cluster and the namespace that is meant.
#[derive(Clone)]
pub struct Cluster {
    /// Its API server.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// Whether all namespaces are meant.
    pub all: bool,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects as kubectl would.
    ///
    /// # Errors
    /// When the kubeconfig does not read or names nothing.
    pub async fn connect(flags: &Connection) -> Result<Self, Error> {
        // The HTTP client takes its TLS provider from the process.
        drop(keys::provider().install_default());
        let (config, helper) = config(flags).await?;
        // `-n ''` means the context's, as for kubectl.
        let named = flags.namespace.clone().filter(|name| !name.is_empty());
        let namespace = named.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| {
            let helper = helper.as_ref().and_then(|helper| helper.failure(&error));
            helper.unwrap_or_else(|| failed("connect to the cluster", error))
        })?;
        let client =
            if flags.verbosity < REQUESTS { client } else { told(client, |line| anstream::eprintln!("{line}")) };
        let client = if flags.request_timeout.is_zero() {
            client
        } else {
            limited(client, flags.request_timeout, "--request-timeout")
        };
        Ok(Self { client, namespace, all: flags.all_namespaces })
    }

    /// The objects of a kind in the namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The objects of a kind that are meant.
    #[must_use]
    pub fn api_of<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        if self.all { Api::all(self.client.clone()) } else { self.api() }
    }

    /// All objects of a kind that are meant, of those that labels select.
    ///
    /// # Errors
    /// When the API server refuses, or does not know the kind; when the namespace is not there.
    pub async fn list<K>(&self, labels: Option<&str>) -> Result<Vec<K>, Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let asked = ListParams { label_selector: labels.map(str::to_owned), ..ListParams::default() };
        let list = pages(&self.api_of(), asked).await;
        let list = list.map_err(|error| failed(&format!("list {}", resource::<K>()), error))?;
        // Nothing is in a namespace that is not there, either.
        if list.is_empty() && !self.all {
            self.is_there().await?;
        }
        Ok(list)
    }

    /// The same of a kind that the cluster may not know: then there are none.
    ///
    /// # Errors
    /// When the API server refuses; when the namespace is not there.
    pub async fn list_known<K>(&self, labels: Option<&str>) -> Result<Vec<K>, Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let asked = ListParams { label_selector: labels.map(str::to_owned), ..ListParams::default() };
        match pages(&self.api_of(), asked).await {
            Err(kube::Error::Api(status)) if status.code == 404 && is_kind_unknown(&status) => Ok(Vec::new()),
            found => found.map_err(|error| failed(&format!("list {}", resource::<K>()), error)),
        }
    }

    /// Fails when the namespace is not there. Who may not look at namespaces is told nothing of it.
    async fn is_there(&self) -> Result<(), Error> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let Ok(None) = namespaces.get_opt(&self.namespace).await else { return Ok(()) };
        // Only a hint hangs on it.
        let known = pages(&namespaces, ListParams::default()).await.unwrap_or_else(|_| Vec::new());
        let names: Vec<String> = known.iter().map(ResourceExt::name_any).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint =
            near::hint(&self.namespace, &names).unwrap_or_else(|| "`kubectl get namespaces` lists them".to_owned());
        Err(Error::usage(format!("namespace `{}` is not there", self.namespace), hint))
    }

    /// An object by name; the error names the one that may be meant.
    ///
    /// # Errors
    /// When it is not there, or the API server refuses.
    pub async fn get<K>(&self, name: &str) -> Result<K, Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let what = format!("read {} `{name}`", resource::<K>());
        if let Some(found) = self.api::<K>().get_opt(name).await.map_err(|error| failed(&what, error))? {
            return Ok(found);
        }
        self.is_there().await?;
        Err(self.missing::<K>(name).await)
    }

    /// The pods that runs of a resource left, oldest first.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn pods_of(&self, uid: &str) -> Result<Vec<Pod>, Error> {
        let own = ListParams::default().labels(&format!("{OWNER_LABEL}={uid}"));
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut found = pages(&pods, own).await.map_err(|error| failed("list pods", error))?;
        found.sort_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
        Ok(found)
    }

    /// Says that an object is not there, and where one of its name is, or which is near.
    async fn missing<K>(&self, name: &str) -> Error
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let what = format!("{} `{name}` is not in namespace `{}`", K::kind(&()), self.namespace);
        let everywhere = pages(&Api::<K>::all(self.client.clone()), ListParams::default()).await;
        let known = match everywhere {
            Ok(list) => list,
            // Only a hint hangs on it.
            Err(_) => pages(&self.api::<K>(), ListParams::default()).await.unwrap_or_else(|_| Vec::new()),
        };
        let elsewhere = known.iter().find(|object| object.name_any() == name).and_then(ResourceExt::namespace);
        let here = known.iter().filter(|object| object.namespace().as_deref() == Some(&*self.namespace));
        let names: Vec<String> = here.map(ResourceExt::name_any).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = match elsewhere {
            Some(namespace) => format!("it exists in `{namespace}`; add `-n {namespace}`"),
            None => near::hint(name, &names).unwrap_or_else(|| {
                format!("`kubectl get {} -n {}` lists what there is", resource::<K>(), self.namespace)
            }),
        };
        Error::usage(what, hint)
    }
}

/// How many objects are asked for at once, as kubectl does.
const PAGE: u32 = 500;

/// All objects of a list, page by page. A list that changed too much meanwhile is asked for anew.
///
/// # Errors
/// What the API server says.
pub(crate) async fn pages<K>(api: &Api<K>, asked: ListParams) -> Result<Vec<K>, kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let (mut all, mut page) = (Vec::new(), asked.clone().limit(PAGE));
    loop {
        let listed = match api.list(&page).await {
            Err(kube::Error::Api(status)) if status.code == 410 && page.continue_token.is_some() => {
                // Its history is gone: whole, and from one moment.
                return Ok(api.list(&asked).await?.items);
            }
            listed => listed?,
        };
        all.extend(listed.items);
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// The resource that a document is one of; its plural follows from its kind.
#[must_use]
pub fn definition(document: &Value) -> ApiResource {
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let lower = kind.to_ascii_lowercase();
    let plural = lower.strip_suffix('y').map_or_else(|| format!("{lower}s"), |stem| format!("{stem}ies"));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &plural)
}

/// `plural.group`, as kubectl takes it.
#[must_use]
pub fn resource<K: Resource<DynamicType = ()>>() -> String {
    let group = K::group(&());
    if group.is_empty() { K::plural(&()).into_owned() } else { format!("{}.{group}", K::plural(&())) }
}

/// The configuration, with what the flags say.
async fn config(flags: &Connection) -> Result<(Config, Option<Helper>), Error> {
    let options =
        KubeConfigOptions { context: flags.context.clone(), cluster: flags.cluster.clone(), user: flags.user.clone() };
    let choice = Choice { file: flags.kubeconfig.as_deref(), options, overrides: &flags.overrides };
    let (mut config, helper) = kubeconfig::config(&choice).await?;
    // A limit on reading would end whatever is silent for long: logs, forwarded ports. `limited` bounds plain requests.
    config.read_timeout = None;
    if !flags.request_timeout.is_zero() {
        config.connect_timeout = Some(flags.request_timeout);
    }
    config.accept_invalid_certs |= flags.insecure_skip_tls_verify;
    let auth = &mut config.auth_info;
    if flags.act_as.is_some() || !flags.act_as_group.is_empty() || flags.act_as_uid.is_some() {
        auth.impersonate.clone_from(&flags.act_as);
        auth.impersonate_groups = (!flags.act_as_group.is_empty()).then(|| flags.act_as_group.clone());
        auth.impersonate_uid.clone_from(&flags.act_as_uid);
    }
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(AGENT)));
    Ok((config, helper))
}

/// What a failure of the API server means to a person.
#[must_use]
pub fn failed(doing: &str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => Error::Refused {
                what: format!("cannot {doing}: the API server does not accept these credentials"),
                hint: "log in again, or choose another --context or --user".to_owned(),
            },
            403 if is_of_a_webhook(&status) => refused(doing, &status.message),
            403 => Error::Refused {
                what: format!("cannot {doing}: {}", status.message),
                hint: "ask for the rights: the ClusterRoles kafka-backup-view and kafka-backup-edit hold them"
                    .to_owned(),
            },
            404 if is_kind_unknown(&status) => Error::Cluster {
                what: format!("cannot {doing}: this cluster does not know the kind"),
                hint: "`kubectl kafka-backup install` prints what is missing".to_owned(),
            },
            404 => Error::usage(format!("cannot {doing}: {}", status.message), ""),
            400 | 422 => refused(doing, &status.message),
            409 => Error::Refused {
                what: format!("cannot {doing}: {}", status.message),
                hint: "it exists, or was changed meanwhile: look at it, and try again".to_owned(),
            },
            _ => Error::Cluster {
                what: format!("cannot {doing}: {}", status.message),
                hint: "`kubectl kafka-backup doctor` looks for the reason".to_owned(),
            },
        },
        other => Error::Cluster {
            what: format!("cannot {doing}: {}", causes(&other)),
            hint: "is the cluster there? `kubectl cluster-info` asks it, --context chooses another".to_owned(),
        },
    }
}

fn refused(doing: &str, message: &str) -> Error {
    Error::Refused {
        what: format!("cannot {doing}: {message}"),
        hint: "`kubectl kafka-backup explain KIND.FIELD` says what a field takes".to_owned(),
    }
}

/// An error and what caused it, once each. What the operating system refused is told in our words.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let of_system = chain.filter_map(|error| error.downcast_ref::<std::io::Error>());
    if let Some(refused) = of_system.last().filter(|error| error.raw_os_error().is_some()) {
        return format!("the API server cannot be reached: {}", of_connection(refused));
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    /// Lists two pages and the rest; a token may be too old.
    async fn listed(expires: bool) -> (Vec<String>, Vec<String>) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            noted.lock().unwrap().push(query.clone());
            let page = |names: &[&str], next: &str| {
                let items: Vec<Value> = names.iter().map(|name| json!({"metadata": {"name": name}})).collect();
                (200, json!({"metadata": {"continue": next}, "items": items}))
            };
            let (code, body) = match query.as_str() {
                "&limit=500" => page(&["a", "b"], "2"),
                _ if query.contains("continue=2") && expires => {
                    (410, json!({"status": "Failure", "reason": "Expired", "message": "too old", "code": 410}))
                }
                _ if query.contains("continue=2") => page(&["c"], "3"),
                _ if query.contains("continue=3") => page(&["d"], ""),
                _ => page(&["a", "b", "c", "d", "e"], ""),
            };
            let body = kube::client::Body::from(body.to_string().into_bytes());
            async move { http::Response::builder().status(code).body(body) }
        });
        let api: Api<ConfigMap> = Api::all(Client::new(service, "n"));
        let found = pages(&api, ListParams::default()).await.unwrap();
        let queries = asked.lock().unwrap().clone();
        (found.iter().map(ResourceExt::name_any).collect(), queries)
    }

    #[tokio::test]
    async fn long_lists_come_page_by_page() {
        let (names, queries) = listed(false).await;
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert!(queries.len() == 3 && queries.iter().all(|query| query.contains("limit=500")), "{queries:?}");
        // A token that is too old: everything once more, from one moment.
        let (names, queries) = listed(true).await;
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
        assert!(queries.len() == 3 && !queries[2].contains("limit"), "{queries:?}");
    }

    #[tokio::test]
    async fn a_namespace_that_is_not_there_fails() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            noted.lock().unwrap().push(request.uri().to_string());
            let (code, body) = match request.uri().path() {
                "/api/v1/namespaces/shpo" => {
                    (404, json!({"status": "Failure", "reason": "NotFound", "message": "no", "code": 404}))
                }
                "/api/v1/namespaces/shop" => (200, json!({"metadata": {"name": "shop"}})),
                "/api/v1/namespaces/hidden" => {
                    (403, json!({"status": "Failure", "reason": "Forbidden", "message": "no", "code": 403}))
                }
                "/api/v1/namespaces" => (200, json!({"metadata": {}, "items": [{"metadata": {"name": "shop"}}]})),
                _ => (200, json!({"metadata": {}, "items": []})),
            };
            let body = kube::client::Body::from(body.to_string().into_bytes());
            async move { http::Response::builder().status(code).body(body) }
        });
        let client = Client::new(service, "n");
        let listed = async |namespace: &str, all: bool| {
            let cluster = Cluster { client: client.clone(), namespace: namespace.to_owned(), all };
            cluster.list::<ConfigMap>(Some("team=shop")).await.map(|found| found.len())
        };
        let error = listed("shpo", false).await.unwrap_err();
        assert_eq!(error.to_string(), "namespace `shpo` is not there");
        assert!(error.hint().unwrap().contains("shop"), "{error:?}");
        for (namespace, all) in [("shop", false), ("hidden", false), ("shpo", true)] {
            assert_eq!(listed(namespace, all).await.unwrap(), 0, "{namespace}");
        }
        assert!(asked.lock().unwrap()[0].contains("labelSelector=team%3Dshop"), "{asked:?}");
    }

    #[test]
    fn durations_are_read_as_kubectl_writes_them() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("soon").is_err() && duration("-5s").is_err());
    }
}
