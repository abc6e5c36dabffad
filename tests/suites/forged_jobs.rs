//! Somebody who has the operator's token: which Jobs the API server takes, and what of the webhook can be changed.

use harness::cluster::{Cluster, NAMESPACE, PATIENCE, wait_for};
use serde_json::{Value, json};

/// A Job that the operator made for a backup of this name, which is made.
pub(super) fn made_for(cluster: &Cluster, name: &str) -> Value {
    cluster.apply(&super::backup(name, json!({"suspend": false}))).unwrap();
    wait_for(PATIENCE, || {
        let jobs = cluster.list("jobs", "default");
        let is_ours = |job: &&Value| job["metadata"]["ownerReferences"][0]["name"] == name;
        jobs.iter().find(is_ours).cloned().ok_or_else(|| "no Job yet".to_owned())
    })
}

/// Such a Job, as the operator would make it again under another name.
fn honest(cluster: &Cluster) -> Value {
    let mut job = made_for(cluster, "made");
    let meta = &job["metadata"];
    job["metadata"] = json!({
        "name": "forged", "namespace": "default", "labels": meta["labels"], "ownerReferences": meta["ownerReferences"],
    });
    job.as_object_mut().unwrap().remove("status");
    job["spec"].as_object_mut().unwrap().remove("selector");
    let labels = job["spec"]["template"]["metadata"]["labels"].as_object_mut().unwrap();
    labels.retain(|name, _| !name.contains("controller-uid") && !name.contains("job-name"));
    job
}

fn forged(job: &Value, changes: &[(&str, Value)]) -> Value {
    let mut job = job.clone();
    for (place, value) in changes {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let found = job.pointer_mut(parent).unwrap_or_else(|| panic!("{place}"));
        match (found, value) {
            (Value::Object(fields), Value::Null) => drop(fields.remove(name)),
            (Value::Object(fields), value) => drop(fields.insert(name.replace("~1", "/"), value.clone())),
            (Value::Array(all), value) => all.push(value.clone()),
            _ => panic!("{place}"),
        }
    }
    job
}

/// A place in the pod of a Job.
fn pod(place: &str) -> String {
    format!("/spec/template/spec/{place}")
}

/// A place in its container.
fn runner(place: &str) -> String {
    pod(&format!("containers/0/{place}"))
}

/// A change of what the container may do.
fn security(field: &str, value: Value) -> (String, Value) {
    (runner(&format!("securityContext/{field}")), value)
}

/// What is changed in an honest Job, and words of the refusal.
#[allow(clippy::too_many_lines)] // a table
fn forgeries(job: &Value) -> Vec<((String, Value), &'static str)> {
    let own = &job["metadata"]["ownerReferences"][0];
    let owner = |field: &str, value: Value| {
        let mut owner = own.clone();
        owner[field] = value;
        ("/metadata/ownerReferences".to_owned(), json!([owner]))
    };
    let volume = |source: Value| {
        let mut volume = json!({"name": "forged"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        (pod("volumes/-"), volume)
    };
    let second = json!({"name": "second", "image": "runner:test", "args": job.pointer(&runner("args"))});
    let variable = |from: Value| {
        let mut variable = json!({"name": "LD_PRELOAD"});
        variable.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
        (runner("env"), json!([variable]))
    };
    let mount = |path: &str| (runner("volumeMounts/-"), json!({"name": "tmp", "mountPath": path}));
    let mut arguments = job.pointer(&runner("args")).unwrap().clone();
    arguments[5] = "/run/kafka-backup/volumes/claim/run.json".into();
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]});
    let required = json!({"nodeSelectorTerms": [term]});
    let node = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
    let unconfined = "/spec/template/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1runner";
    vec![
        (("/metadata/ownerReferences".into(), Value::Null), "belongs to a resource"),
        (owner("controller", json!(false)), "belongs to a resource"),
        (owner("uid", json!("00000000-0000-4000-8000-000000000000")), "belongs to a resource"),
        (owner("kind", json!("KafkaBackupInspection")), "belongs to a resource"),
        (owner("apiVersion", json!("apps/v1")), "belongs to a resource"),
        ((runner("image"), json!("evil:1")), "the image evil:1 is not one that runs may have"),
        ((runner("image"), json!("runner:test2")), "the image runner:test2"),
        ((runner("command"), json!(["/bin/sh"])), "carries out a run"),
        ((runner("args"), json!(["show", "x"])), "carries out a run"),
        ((runner("args"), json!(["--secrets", "/s", "--volumes", "/v", "store-check"])), "carries out a run"),
        ((runner("lifecycle"), json!({"preStop": {"exec": {"command": ["x"]}}})), "carries out a run"),
        ((runner("args"), arguments), "carries out a run"),
        ((runner("livenessProbe"), json!({"exec": {"command": ["x"]}})), "carries out a run"),
        ((runner("readinessProbe"), json!({"httpGet": {"host": "169.254.169.254", "port": 80}})), "carries out a run"),
        ((runner("startupProbe"), json!({"tcpSocket": {"host": "10.0.0.1", "port": 22}})), "carries out a run"),
        ((runner("workingDir"), json!("/tmp")), "carries out a run"),
        ((runner("envFrom"), json!([{"secretRef": {"name": "s"}}])), "has the variables of"),
        (variable(json!({"value": "/tmp/evil.so"})), "has the variables of"),
        (variable(json!({"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}})), "has the variables of"),
        (variable(json!({"valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}}})), "has the variables of"),
        (variable(json!({"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})), "has the variables of"),
        (mount("/usr/bin"), "mounts nothing over its image"),
        (mount("/lib64"), "mounts nothing over its image"),
        (mount("/run/kafka-backup/../../usr/bin"), "mounts nothing over its image"),
        ((pod("priorityClassName"), json!("system-node-critical")), "the priority class system-node-critical is not"),
        ((pod("runtimeClassName"), json!("other")), "confined as any pod"),
        (security("appArmorProfile", json!({"type": "Unconfined"})), "confined as any pod"),
        ((pod("securityContext/appArmorProfile"), json!({"type": "Unconfined"})), "confined as any pod"),
        (security("seLinuxOptions", json!({"type": "spc_t"})), "confined as any pod"),
        ((pod("securityContext/seLinuxOptions"), json!({"role": "sysadm_r"})), "confined as any pod"),
        ((unconfined.into(), json!("unconfined")), "confined as any pod"),
        (("/metadata/namespace".into(), json!("kube-system")), "not made in kube-system"),
        ((pod("automountServiceAccountToken"), json!(true)), "no token"),
        ((pod("automountServiceAccountToken"), Value::Null), "no token"),
        ((pod("initContainers"), json!([{"name": "i", "image": "runner:test"}])), "one container"),
        ((pod("containers/-"), second), "one container"),
        ((pod("hostNetwork"), json!(true)), "shares nothing with its node"),
        ((pod("hostPID"), json!(true)), "shares nothing with its node"),
        ((pod("hostIPC"), json!(true)), "shares nothing with its node"),
        ((pod("nodeName"), json!("n")), "shares nothing with its node"),
        ((pod("nodeSelector"), json!({"kubernetes.io/hostname": "n"})), "chooses no node"),
        ((pod("affinity"), node), "chooses no node"),
        ((pod("schedulerName"), json!("mine")), "chooses no node"),
        ((pod("tolerations"), json!([{"operator": "Exists"}])), "tolerates the taints of"),
        (
            (pod("tolerations"), json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])),
            "tolerates the taints of",
        ),
        ((runner("ports"), json!([{"containerPort": 80, "hostPort": 80}])), "shares nothing with its node"),
        ((runner("securityContext"), json!({"privileged": true, "allowPrivilegeEscalation": true})), "no privilege"),
        (security("allowPrivilegeEscalation", json!(true)), "no privilege"),
        (security("allowPrivilegeEscalation", Value::Null), "no privilege"),
        (security("capabilities", json!({"add": ["SYS_ADMIN"]})), "no privilege"),
        (security("seccompProfile", json!({"type": "Unconfined"})), "no privilege"),
        ((pod("securityContext/seccompProfile"), json!({"type": "Unconfined"})), "no privilege"),
        ((pod("securityContext/sysctls"), json!([{"name": "kernel.shm_rmid_forced", "value": "1"}])), "no privilege"),
        (security("runAsUser", json!(0)), "is not root"),
        (security("runAsNonRoot", json!(false)), "is not root"),
        ((pod("securityContext/runAsUser"), json!(0)), "is not root"),
        ((pod("securityContext/runAsGroup"), json!(0)), "is not root"),
        ((pod("securityContext/runAsNonRoot"), json!(false)), "is not root"),
        (volume(json!({"hostPath": {"path": "/"}})), "mounts Secrets"),
        (volume(json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}})), "mounts Secrets"),
        (volume(json!({"configMap": {"name": "c"}})), "mounts Secrets"),
        (volume(json!({"nfs": {"server": "s", "path": "/"}})), "mounts Secrets"),
        (("/spec/parallelism".into(), json!(2)), "one pod"),
    ]
}

#[test]
fn forged_jobs_are_refused() {
    let (cluster, ..) = super::cluster();
    let account = cluster.account(NAMESPACE, "kafka-backup-operator");
    let create = |job: &Value| {
        let output = cluster.kubectl_with(&account, &["create", "--dry-run=server", "-f", "-"], &job.to_string());
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let job = honest(cluster);
    wait_for(PATIENCE, || create(&job));
    for ((place, value), words) in forgeries(&job) {
        let refused = create(&forged(&job, &[(&place, value.clone())]));
        let said = refused.expect_err(&format!("{place} {value} is taken"));
        assert!(said.contains(words) && said.contains("ValidatingAdmissionPolicy"), "{place} {value}: {said}");
    }
    let both = [(pod("hostUsers"), json!(false)), security("procMount", json!("Unmasked"))];
    let both: Vec<_> = both.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
    assert!(create(&forged(&job, &both)).unwrap_err().contains("no privilege"));
    // Which service accounts, variables and priority there are is said in one place.
    let patch = |data: Value| {
        let patch = json!({"data": data}).to_string();
        let arguments = ["patch", "configmap", "-n", NAMESPACE, "kafka-backup-operator-jobs", "--type=merge", "-p"];
        cluster.ok(&[&arguments[..], &[&patch]].concat());
    };
    let with = |name: &str| forged(&job, &[(&pod("serviceAccountName"), json!(name))]);
    let key = json!({"name": "PROXY_USER", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "user"}}});
    let mut other = key.clone();
    other["valueFrom"]["secretKeyRef"]["name"] = "orders".into();
    let proxy = json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"});
    let runs = |last: &Value| {
        forged(&job, &[(&runner("env"), json!([proxy, last])), (&pod("priorityClassName"), json!("low"))])
    };
    let placed = |disk: &str, taint: &str| {
        let taints = json!([{"key": taint, "operator": "Exists"}]);
        forged(&job, &[(&pod("nodeSelector"), json!({"disk": disk})), (&pod("tolerations"), taints)])
    };
    patch(json!({
        "serviceAccounts": "default\nbackup-*\n", "priorityClass": "low",
        "variables": "HTTPS_PROXY\nPROXY_USER secret/proxy/user\n",
    }));
    let said = wait_for(PATIENCE, || create(&with("admin")).err().ok_or_else(|| "admin is taken".to_owned()));
    assert!(said.contains("the service account admin is not one that runs may have"), "{said}");
    create(&with("backup-azure")).unwrap();
    create(&runs(&key)).unwrap();
    assert!(create(&runs(&other)).unwrap_err().contains("has the variables of"));
    create(&job).unwrap();
    patch(json!({"nodeSelector": "disk=ssd\n", "tolerations": "runs/Exists//\n"}));
    wait_for(PATIENCE, || create(&placed("ssd", "runs")));
    assert!(create(&placed("hdd", "runs")).unwrap_err().contains("chooses no node"));
    assert!(create(&placed("ssd", "other")).unwrap_err().contains("tolerates the taints of"));
    assert!(create(&job).unwrap_err().contains("goes where runner.nodeSelector"), "it goes anywhere");
    patch(json!({
        "serviceAccounts": "default\n*\n", "priorityClass": "", "variables": "", "nodeSelector": "", "tolerations": "",
    }));
    cluster.ok(&["delete", "kafkabackups.kafka.oso.sh", "made"]);
}

#[test]
fn of_its_webhook_the_operator_changes_the_authorities_only() {
    let (cluster, ..) = super::cluster();
    let account = cluster.account(NAMESPACE, "kafka-backup-operator");
    let patch = |patch: Value| {
        let kind = [
            "patch",
            "validatingwebhookconfiguration",
            "kafka-backup-operator",
            "--dry-run=server",
            "--type=json",
            "-p",
        ];
        let output = cluster.kubectl_with(&account, &[&kind[..], &[&patch.to_string()]].concat(), "");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let bundle = cluster.get("validatingwebhookconfiguration", "", "kafka-backup-operator")["webhooks"][0]
        ["clientConfig"]["caBundle"]
        .clone();
    let replace =
        |place: &str, value: Value| json!([{"op": "add", "path": format!("/webhooks/0/{place}"), "value": value}]);
    patch(replace("clientConfig/caBundle", bundle)).unwrap();
    let everything = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]);
    for (place, value) in [
        ("rules", everything.clone()),
        ("clientConfig/url", json!("https://example.com/")),
        ("failurePolicy", json!("Ignore")),
        ("matchConditions", json!([])),
        ("timeoutSeconds", json!(30)),
        ("objectSelector", json!({"matchLabels": {"a": "b"}})),
        ("namespaceSelector", json!({"matchLabels": {"a": "b"}})),
        ("name", json!("other.kafka-backup.dev")),
    ] {
        let said = wait_for(PATIENCE, || patch(replace(place, value.clone())).err().ok_or_else(|| place.to_owned()));
        assert!(said.contains("changes the authorities only"), "{place}: {said}");
    }
    let more = json!([{"op": "add", "path": "/webhooks/-", "value": {
        "name": "more.kafka-backup.dev", "rules": everything, "clientConfig": {"url": "https://127.0.0.1:1/"},
        "admissionReviewVersions": ["v1"], "sideEffects": "None",
    }}]);
    assert!(patch(more).unwrap_err().contains("changes the authorities only"));
}

/// Where cert-manager keeps the certificate, the operator has no right to Secrets, nor to its webhook.
#[test]
fn with_cert_manager_the_operator_has_less() {
    let (cluster, ..) = super::cluster();
    let rights = |with: &str| {
        let set = format!("certManager.enabled={with}");
        cluster.chart(&["--set", &set, "--show-only", "templates/rbac.yaml"])
    };
    for right in ["validatingwebhookconfigurations", "resources: [secrets]"] {
        assert!(rights("false").contains(right) && !rights("true").contains(right), "{right}");
    }
}
