//! kubectl's flags that count more than what a kubeconfig says: where the API server is, who it must be, and who asks. Pure.

use std::path::{Path, PathBuf};

use clap::Args;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use secrecy::SecretString;

/// What the parts that these flags change are called in the changed kubeconfig.
const NAME: &str = "(flags)";

/// The flags.
#[derive(Debug, Clone, Default, Args)]
pub struct Overrides {
    /// Address of the API server. `validate --server` alone asks the one of the kubeconfig
    #[arg(short, long, global = true, value_name = "URL", num_args = 0..=1, default_missing_value = "", help_heading = "Cluster")]
    pub server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret, help_heading = "Cluster")]
    pub token: Option<SecretString>,
    /// File with the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub certificate_authority: Option<PathBuf>,
    /// File with a client certificate
    #[arg(long, global = true, value_name = "FILE", requires = "client_key", help_heading = "Cluster")]
    pub client_certificate: Option<PathBuf>,
    /// File with the key of the client certificate
    #[arg(long, global = true, value_name = "FILE", requires = "client_certificate", help_heading = "Cluster")]
    pub client_key: Option<PathBuf>,
    /// Name in the API server's certificate, where it is not that of its address
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub tls_server_name: Option<String>,
}

// The form that clap asks for.
#[allow(clippy::unnecessary_wraps)]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Overrides {
    /// The address, if one is given: `validate --server` alone asks the server that the kubeconfig names.
    fn address(&self) -> Option<&String> {
        self.server.as_ref().filter(|server| !server.is_empty())
    }

    fn changes_cluster(&self) -> bool {
        self.address().is_some() || self.certificate_authority.is_some() || self.tls_server_name.is_some()
    }

    fn changes_user(&self) -> bool {
        self.token.is_some() || self.client_certificate.is_some()
    }

    /// Whether they say enough without a kubeconfig.
    pub(crate) fn name_a_cluster(&self) -> bool {
        self.address().is_some()
    }

    /// The kubeconfig and the choice in it with these flags. A name that is not there is left as it is: whoever reads the
    /// kubeconfig refuses it.
    pub(crate) fn applied(&self, mut all: Kubeconfig, options: &KubeConfigOptions) -> (Kubeconfig, KubeConfigOptions) {
        let name = options.context.as_ref().or(all.current_context.as_ref());
        let context = name.and_then(|name| all.contexts.iter().find(|known| known.name == *name));
        let context = context.and_then(|known| known.context.clone());
        let named = |flag: &Option<String>, own: Option<String>| flag.clone().or(own).filter(|name| !name.is_empty());
        let cluster_name = named(&options.cluster, context.as_ref().map(|context| context.cluster.clone()));
        let user_name = named(&options.user, context.as_ref().and_then(|context| context.user.clone()));
        let cluster = all.clusters.iter().find(|known| Some(&known.name) == cluster_name.as_ref());
        let user = all.auth_infos.iter().find(|known| Some(&known.name) == user_name.as_ref());
        let is_unknown = options.context.is_some() && context.is_none()
            || cluster_name.is_some() && cluster.is_none()
            || user_name.is_some() && user.is_none();
        if is_unknown || !(self.changes_cluster() || self.changes_user()) {
            return (all, options.clone());
        }
        let cluster = self.of_cluster(cluster.and_then(|known| known.cluster.clone()).unwrap_or_default());
        let user = self.of_user(user.and_then(|known| known.auth_info.clone()).unwrap_or_default());
        let context = Context {
            cluster: NAME.to_owned(),
            user: Some(NAME.to_owned()),
            namespace: context.and_then(|context| context.namespace),
            ..Context::default()
        };
        all.clusters.push(NamedCluster { name: NAME.to_owned(), cluster: Some(cluster), ..NamedCluster::default() });
        all.auth_infos.push(NamedAuthInfo { name: NAME.to_owned(), auth_info: Some(user), ..NamedAuthInfo::default() });
        all.contexts.push(NamedContext { name: NAME.to_owned(), context: Some(context), ..NamedContext::default() });
        (all, KubeConfigOptions { context: Some(NAME.to_owned()), cluster: None, user: None })
    }

    fn of_cluster(&self, mut cluster: Cluster) -> Cluster {
        if let Some(server) = self.address() {
            // kubectl takes a host alone, too.
            let has_scheme = server.contains("://");
            cluster.server = Some(if has_scheme { server.clone() } else { format!("https://{server}") });
        }
        if let Some(authority) = &self.certificate_authority {
            cluster.certificate_authority = Some(text(authority));
            cluster.certificate_authority_data = None;
        }
        if let Some(name) = &self.tls_server_name {
            cluster.tls_server_name = Some(name.clone());
        }
        cluster
    }

    /// Credentials of a flag stand in place of the kubeconfig's, of whatever kind these are.
    fn of_user(&self, user: AuthInfo) -> AuthInfo {
        if !self.changes_user() {
            return user;
        }
        AuthInfo {
            token: self.token.clone(),
            client_certificate: self.client_certificate.as_deref().map(text),
            client_key: self.client_key.as_deref().map(text),
            impersonate: user.impersonate,
            impersonate_uid: user.impersonate_uid,
            impersonate_groups: user.impersonate_groups,
            ..AuthInfo::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn kubeconfig() -> Kubeconfig {
        let text = "
current-context: usual
contexts: [{name: usual, context: {cluster: one, user: me, namespace: shop}}]
clusters: [{name: one, cluster: {server: 'https://one:6443', certificate-authority-data: Q0E=, proxy-url: 'http://proxy:1'}}]
users: [{name: me, user: {exec: {command: cloud-login}, as: somebody}}]
";
        Kubeconfig::from_yaml(text).unwrap()
    }

    fn chosen(flags: &Overrides, options: &KubeConfigOptions) -> (Cluster, AuthInfo, Option<String>) {
        let (all, options) = flags.applied(kubeconfig(), options);
        let name = options.context.or(all.current_context).unwrap();
        let context = all.contexts.into_iter().find(|known| known.name == name).unwrap().context.unwrap();
        let cluster = all.clusters.into_iter().find(|known| known.name == context.cluster).unwrap().cluster.unwrap();
        let user = all.auth_infos.into_iter().find(|known| Some(&known.name) == context.user.as_ref()).unwrap();
        (cluster, user.auth_info.unwrap(), context.namespace)
    }

    #[test]
    fn a_flag_changes_its_part_and_no_other() {
        let usual = KubeConfigOptions::default();
        let server = Overrides { server: Some("two:6443".into()), ..Overrides::default() };
        let (cluster, user, namespace) = chosen(&server, &usual);
        assert_eq!(cluster.server.as_deref(), Some("https://two:6443"));
        assert_eq!((cluster.certificate_authority_data.as_deref(), namespace.as_deref()), (Some("Q0E="), Some("shop")));
        assert!(cluster.proxy_url.is_some() && user.exec.is_some());
        let token = Overrides { token: Some("t".into()), ..Overrides::default() };
        let (cluster, user, _) = chosen(&token, &usual);
        assert_eq!(cluster.server.as_deref(), Some("https://one:6443"));
        assert!(user.exec.is_none() && user.token.unwrap().expose_secret() == "t");
        assert_eq!(user.impersonate.as_deref(), Some("somebody"));
        let authority = Overrides { certificate_authority: Some("ca.pem".into()), ..Overrides::default() };
        let (cluster, ..) = chosen(&authority, &usual);
        assert_eq!(
            (cluster.certificate_authority.as_deref(), cluster.certificate_authority_data),
            (Some("ca.pem"), None)
        );
    }

    #[test]
    fn what_is_not_there_is_left_to_be_refused() {
        let flags = Overrides { server: Some("two".into()), ..Overrides::default() };
        for options in [
            KubeConfigOptions { context: Some("no".into()), ..KubeConfigOptions::default() },
            KubeConfigOptions { cluster: Some("no".into()), ..KubeConfigOptions::default() },
            KubeConfigOptions { user: Some("no".into()), ..KubeConfigOptions::default() },
        ] {
            let (all, kept) = flags.applied(kubeconfig(), &options);
            assert_eq!(
                (all.contexts.len(), kept.context, kept.cluster, kept.user),
                (1, options.context, options.cluster, options.user)
            );
        }
    }
}
