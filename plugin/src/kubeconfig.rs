//! Where the cluster is, as kubectl finds it: the files of KUBECONFIG of which some may be missing, `~/.kube/config`, or the
//! service account of a pod; and the proxy on the way: `proxy-url` of the cluster, else the environment's.
//!
//! It never goes past a file that does not read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use contract::words::of_system;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Config, client::AuthError};

use crate::error::Error;
use crate::overrides::Overrides;

/// What flags choose.
pub(crate) struct Choice<'a> {
    /// One file instead of the usual ones.
    pub(crate) file: Option<&'a Path>,
    /// Context, cluster and user in it.
    pub(crate) options: KubeConfigOptions,
    /// Flags that count more than what stands there.
    pub(crate) overrides: &'a Overrides,
}

/// What of the environment counts.
#[derive(Debug, Default)]
struct Environment {
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
    https_proxy: Option<String>,
    http_proxy: Option<String>,
    no_proxy: Option<String>,
}

impl Environment {
    fn read() -> Self {
        // What is no text is no address.
        let text = |name: &str| std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty());
        let either = |upper: &str| text(upper).or_else(|| text(&upper.to_ascii_lowercase()));
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()),
            home: std::env::home_dir(),
            https_proxy: either("HTTPS_PROXY"),
            http_proxy: either("HTTP_PROXY"),
            no_proxy: either("NO_PROXY"),
        }
    }

    /// The files that are there, the first with the most say; none when there are none.
    fn files(&self) -> Vec<PathBuf> {
        let all: Vec<PathBuf> = match &self.kubeconfig {
            Some(list) => std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect(),
            None => self.home.iter().map(|home| home.join(".kube").join("config")).collect(),
        };
        all.into_iter().filter(|path| path.exists()).collect()
    }

    /// The proxy to an API server; none to this machine itself.
    fn proxy(&self, server: &http::Uri) -> Option<String> {
        let proxy = if server.scheme_str() == Some("http") { &self.http_proxy } else { &self.https_proxy }.clone()?;
        let host = server.host()?.trim_start_matches('[').trim_end_matches(']');
        let own = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let matcher = Matcher::builder().all(proxy.clone()).no(self.no_proxy.clone().unwrap_or_default()).build();
        matcher.intercept(server).filter(|_| !own)?;
        Some(if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
    }
}

/// The program that makes a user's credentials.
#[derive(Debug, Clone)]
pub(crate) struct Helper {
    command: String,
    hint: Option<String>,
}

impl Helper {
    fn of(config: &Config) -> Option<Self> {
        let exec = config.auth_info.exec.as_ref()?;
        let hint = exec.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty()).map(str::to_owned);
        Some(Self { command: exec.command.clone()?, hint })
    }

    /// What a failure to log in means, when this program is what fails.
    pub(crate) fn failure(&self, error: &kube::Error) -> Option<Error> {
        let name = &self.command;
        let other = || "choose another --user or --context".to_owned();
        let (what, hint) = match error {
            kube::Error::Auth(AuthError::AuthExecStart(io)) if io.kind() == std::io::ErrorKind::NotFound => {
                let what =
                    format!("the kubeconfig's user logs in with the program `{name}`, which is not on this machine");
                (what, self.hint.clone().unwrap_or_else(|| format!("install `{name}`, or {}", other())))
            }
            kube::Error::Auth(AuthError::AuthExecStart(io)) => (
                format!("the kubeconfig's user logs in with the program `{name}`, which cannot be started: {io}"),
                other(),
            ),
            kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
                let said = String::from_utf8_lossy(&out.stderr);
                let said =
                    said.lines().rev().find(|line| !line.trim().is_empty()).map(|line| format!(": {}", line.trim()));
                let what = format!(
                    "the program `{name}`, which logs in, ended with {}{}",
                    out.status,
                    said.unwrap_or_default()
                );
                (what, format!("log in with it again, or {}", other()))
            }
            // It is not about logging in.
            _ => return None,
        };
        Some(Error::Cluster { what, hint })
    }
}

/// The configuration that these flags and the environment name, and who makes its credentials.
///
/// # Errors
/// When a file does not read, names what is not there, or nothing is configured.
pub(crate) async fn config(choice: &Choice<'_>) -> Result<(Config, Option<Helper>), Error> {
    let environment = Environment::read();
    let files = choice.file.map_or_else(|| environment.files(), |path| vec![path.to_owned()]);
    let (mut config, own_proxy) = if files.is_empty() && !choice.overrides.name_a_cluster() {
        // Inside a pod there is no file, and a service account instead.
        let nothing = |_| wrong("no cluster is configured: no kubeconfig is there, and this is no pod".to_owned());
        (Config::incluster().map_err(nothing)?, None)
    } else {
        let merged =
            files.iter().try_fold(Kubeconfig::default(), |merged, file| merged.merge(Kubeconfig::read_from(file)?));
        let merged = merged.map_err(|error| match error {
            KubeconfigError::ReadConfig(error, path) => {
                wrong(format!("the kubeconfig cannot be read: {} {}", path.display(), of_system(&error)))
            }
            other => wrong(format!("the kubeconfig cannot be read: {other}")),
        })?;
        let (merged, options) = choice.overrides.applied(merged, &choice.options);
        let own_proxy = proxy_of(&merged, &options);
        let unfit = |error: KubeconfigError| wrong(format!("the kubeconfig does not fit: {error}"));
        (Config::from_custom_kubeconfig(merged, &options).await.map_err(unfit)?, own_proxy)
    };
    // What a cluster names counts always; NO_PROXY is about the environment's, and asks for the API server's name.
    let proxy = own_proxy.or_else(|| environment.proxy(&config.cluster_url));
    let parsed = proxy.map(|proxy| {
        proxy.parse::<http::Uri>().map_err(|error| wrong(format!("the proxy to the cluster is no address: {error}")))
    });
    config.proxy_url = parsed.transpose()?;
    let helper = Helper::of(&config);
    Ok((config, helper))
}

/// `proxy-url` of the cluster that is meant.
fn proxy_of(kubeconfig: &Kubeconfig, options: &KubeConfigOptions) -> Option<String> {
    let context = options.context.as_ref().or(kubeconfig.current_context.as_ref());
    let context = context.and_then(|name| kubeconfig.contexts.iter().find(|context| &context.name == name));
    let of_context = || Some(context?.context.as_ref()?.cluster.clone());
    let name = options.cluster.clone().or_else(of_context)?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == name)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty())
}

fn wrong(what: String) -> Error {
    let hint = "`kubectl config view` shows what is configured; --kubeconfig and --context choose".to_owned();
    Error::Cluster { what, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_s_proxy_is_for_servers_that_are_not_left_out() {
        let proxy = |server: &str, no_proxy: &str| {
            let environment = Environment {
                https_proxy: Some("proxy:3128".into()),
                no_proxy: Some(no_proxy.into()).filter(|list: &String| !list.is_empty()),
                ..Environment::default()
            };
            environment.proxy(&server.parse().unwrap())
        };
        let through = Some("http://proxy:3128".to_owned());
        for (server, no_proxy, expected) in [
            ("https://api.example:6443", "", &through),
            ("https://api.example:6443", "other.example, 10.0.0.0/8,", &through),
            ("https://api.example:6443", "example", &None),
            ("https://api.example:6443", ".example", &None),
            ("https://api.example:6443", "*", &None),
            ("https://10.1.2.3:6443", "10.0.0.0/8", &None),
            ("https://127.0.0.1:6443", "", &None),
            ("https://localhost:6443", "", &None),
            ("https://[::1]:6443", "", &None),
            ("http://api.example:8080", "", &None),
        ] {
            assert_eq!(&proxy(server, no_proxy), expected, "{server} without {no_proxy:?}");
        }
    }

    #[test]
    fn files_that_are_missing_are_left_out() {
        let there = std::env::current_dir().unwrap();
        let list = std::env::join_paths([PathBuf::from("/nowhere/config"), PathBuf::new(), there.clone()]).unwrap();
        let environment = Environment { kubeconfig: Some(list), ..Environment::default() };
        assert_eq!(environment.files(), [there]);
        let none = Environment {
            kubeconfig: Some("/nowhere/config".into()),
            home: Some("/".into()),
            ..Environment::default()
        };
        assert!(none.files().is_empty(), "KUBECONFIG is said: the home is not looked at");
    }
}
