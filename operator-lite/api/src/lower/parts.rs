//! What a Job and its pod have in common: names of labels and annotations, whose they are, and where pods go.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, HostAlias, PodSecurityContext, ResourceRequirements, SecurityContext, Toleration,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::{Deserialize, Serialize};

/// Annotation of a pod template with the run's specification, as JSON.
pub const SPEC_ANNOTATION: &str = "kafka-backup.dev/run-spec";
/// Annotation of a Job with the run's id.
pub const RUN_ANNOTATION: &str = "kafka-backup.dev/run-id";
/// Annotation of a Job with the number of its attempt.
pub const ATTEMPT_ANNOTATION: &str = "kafka-backup.dev/attempt";
/// Label of Jobs and pods: the uid of the resource.
pub const OWNER_LABEL: &str = "kafka-backup.dev/owner-uid";
/// Label of Jobs and pods: the kind of the resource.
pub const KIND_LABEL: &str = "kafka-backup.dev/owner-kind";
/// Label of Jobs and pods: who made them.
pub const MANAGED_LABEL: &str = "app.kubernetes.io/managed-by";
/// Our name in what we make and write: the value of [`MANAGED_LABEL`], the field manager, and who tells Events. No other
/// operator writes under it; the name of our program is one under which another does.
pub const MANAGER: &str = "kafka-backup.dev";
/// Annotation of the operator's Lease: the image that runs get.
pub const RUNNER_IMAGE_ANNOTATION: &str = "kafka-backup.dev/runner-image";
/// Name of the container of a run.
pub const CONTAINER: &str = "runner";
/// Most bytes of a run's specification: annotations of an object share 256 KiB.
pub const SPEC_LIMIT: usize = 200 << 10;

/// Where and how pods of runs are placed: the installation's settings (`runner.*` of the chart).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Placement {
    /// Image of the runner.
    pub image: String,
    /// When it is pulled; IfNotPresent when empty.
    pub image_pull_policy: Option<String>,
    /// Secrets for pulling it.
    pub image_pull_secrets: Vec<String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// What a pod asks for and may use; fits the engine's bound when empty.
    pub resources: Option<ResourceRequirements>,
    /// Labels that pods get, too.
    pub labels: BTreeMap<String, String>,
    /// Annotations that pods get, too.
    pub annotations: BTreeMap<String, String>,
    /// Service account of pods, for workload identity.
    pub service_account_name: Option<String>,
    /// Priority class of pods. What is absent here and below stays out of digests: runs of an older release go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// How pods are spread.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Variables of the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_env: Vec<EnvVar>,
    /// Instead of the pod's own security context; empty where the platform chooses users and groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_security_context: Option<PodSecurityContext>,
    /// Instead of the container's own security context; it gets no privilege whatever stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Which nodes and pods they seek or avoid: a resource says it, no installation.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Names that pods resolve by themselves: a resource says it, no installation.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub host_aliases: Vec<HostAlias>,
    /// Whether runs serve metrics whose resources say nothing of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub metrics: bool,
}

/// The resource that a run belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `group/version`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Which work of the resource it is, where the resource has more than one: a part of the names of its runs and Jobs.
    pub part: Option<&'static str>,
}

impl Owner {
    /// What the names of its runs begin with.
    #[must_use]
    pub fn run_name(&self) -> String {
        self.part.map_or_else(|| self.name.clone(), |part| format!("{}-{part}", self.name))
    }

    /// Eight digits that tell resources of the same name apart; the same for a resource that is created again.
    pub(super) fn hash8(&self) -> String {
        let part = self.part.map(|part| format!("/{part}")).unwrap_or_default();
        let text = format!("{}/{}/{}/{}{part}", self.api_version, self.kind, self.namespace, self.name);
        let digest = blake3::hash(text.as_bytes()).to_hex();
        digest.chars().take(8).collect()
    }

    /// The reference that makes the garbage collector remove what belongs to this resource.
    #[must_use]
    pub fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}
