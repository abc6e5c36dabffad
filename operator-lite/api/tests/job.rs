//! The Job of an attempt: what the cluster is asked to run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use api::lower::job::{self, Owner, Placement};
use api::lower::{self, Identity};
use api::oso::{KafkaBackupSpec, KafkaRestoreSpec};
use contract::{InspectSpec, RunSpec};
use serde_json::{Value, json};

fn owner() -> Owner {
    Owner {
        api_version: "kafka.oso.sh/v1alpha1".into(),
        kind: "KafkaBackup".into(),
        namespace: "team".into(),
        name: "nightly".into(),
        uid: "0b5d".into(),
        part: None,
    }
}

fn placement() -> Placement {
    serde_json::from_value(json!({
        "image": "runner:1", "imagePullPolicy": "Always", "imagePullSecrets": ["registry"],
        "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "backup", "operator": "Exists"}],
        "labels": {"team": "payments"}, "annotations": {"note": "x"}, "serviceAccountName": "backup-jobs",
    }))
    .unwrap()
}

fn backup(spec: Value) -> RunSpec {
    let spec: KafkaBackupSpec = serde_json::from_value(spec).unwrap();
    let run = Some(job::run_ref("nightly", "2026-11-21T02:00:00Z".parse().unwrap()));
    lower::backup(Identity { namespace: "team".into(), name: "nightly".into(), run }, &spec).unwrap()
}

fn secured() -> RunSpec {
    backup(json!({
        "kafkaCluster": {
            "bootstrapServers": ["kafka:9093"], "securityProtocol": "SASL_SSL", "caSecret": {"name": "ca"},
            "saslSecret": {"name": "login", "mechanism": "PLAIN"},
        },
        "topics": ["a"], "metrics": {"port": 9191},
        "checkpoint": {"storage": {"pvcName": "digests", "subPath": "a/b"}},
        "storage": {"storageType": "pvc", "pvc": {"claimName": "backups", "subPath": "kafka"}},
    }))
}

fn made(run: &RunSpec) -> Value {
    serde_json::to_value(job::job(&owner(), run, 2, &placement()).unwrap()).unwrap()
}

#[test]
fn secrets_are_for_the_group_of_the_pod() {
    let mode = |placement: &Placement| {
        let job = serde_json::to_value(job::job(&owner(), &secured(), 2, placement).unwrap()).unwrap();
        let volumes = job["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
        let of = |volume: &Value| volume["secret"].as_object().map(|secret| secret.get("defaultMode").cloned());
        let modes: Vec<_> = volumes.iter().filter_map(of).collect();
        assert_eq!(modes.len(), 2, "{volumes:?}");
        modes[0].clone()
    };
    let with =
        |context: Value| Placement { pod_security_context: serde_json::from_value(context).unwrap(), ..placement() };
    assert_eq!(mode(&placement()), Some(json!(0o440)));
    assert_eq!(mode(&with(json!({"fsGroup": 7}))), Some(json!(0o440)));
    assert_eq!(mode(&with(json!({}))), None, "the platform chooses, and it is not known whether it does");
}

#[test]
fn the_name_follows_from_the_claim() {
    let run = job::run_ref("nightly", "2026-11-21T02:00:00Z".parse().unwrap());
    assert_eq!(run.id, "nightly-20261121-020000");
    let name = job::job_name(&owner(), &run, 1);
    assert!(name.starts_with("nightly-") && name.ends_with("-20261121020000-1"), "{name}");
    let again = Owner { uid: "another".into(), ..owner() };
    assert_eq!(job::job_name(&again, &run, 1), name, "created again from Git");
    let other = Owner { namespace: "other".into(), ..owner() };
    assert_ne!(job::job_name(&other, &run, 1), name);
    let long = Owner { name: "a".repeat(60) + ".b", ..owner() };
    assert!(job::job_name(&long, &run, 999).len() <= 63);
    for known in [&owner(), &again, &long, &other] {
        let name = job::job_name(known, &run, 7);
        assert!(job::is_job_name(known, &name), "{name}");
        assert!(
            !job::is_job_name(known, &format!("{name}x")) && !job::is_job_name(known, &format!("a{name}")),
            "{name}"
        );
    }
    assert!(!job::is_job_name(&owner(), &job::job_name(&other, &run, 1)));
}

#[test]
fn one_job_is_one_attempt() {
    let job = made(&secured());
    assert_eq!(job["spec"]["backoffLimit"], 0);
    assert_eq!(job["spec"]["podReplacementPolicy"], "Failed");
    let rules = job["spec"]["podFailurePolicy"]["rules"].as_array().unwrap();
    let actions: Vec<_> = rules.iter().map(|rule| &rule["action"]).collect();
    assert_eq!(actions, ["FailJob", "Ignore", "FailJob"]);
    assert_eq!(rules[0]["onPodConditions"][0]["type"], "DisruptionTarget");
    // A runner that was told to stop, as whoever suspends a Job does it.
    assert_eq!(
        (&rules[1]["onExitCodes"]["operator"], &rules[1]["onExitCodes"]["values"]),
        (&json!("In"), &json!([75]))
    );
    assert_eq!(rules[2]["onExitCodes"]["values"], json!([0]));
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "0b5d");
    assert_eq!(job["metadata"]["annotations"][job::ATTEMPT_ANNOTATION], "2");
    assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() > 25);
}

#[test]
fn the_specification_travels_with_the_pod() {
    let run = secured();
    let job = made(&run);
    let template = &job["spec"]["template"];
    let text = template["metadata"]["annotations"][job::SPEC_ANNOTATION].as_str().unwrap();
    let mut travelled = serde_json::from_str::<RunSpec>(text).unwrap();
    // The report says which attempt it is of.
    assert_eq!(travelled.run.as_mut().unwrap().attempt.take(), Some(2));
    assert_eq!(travelled, run);
    let pod = &template["spec"];
    let file = &pod["volumes"][0]["downwardAPI"]["items"][0];
    assert_eq!(file["fieldRef"]["fieldPath"], format!("metadata.annotations['{}']", job::SPEC_ANNOTATION));
    let container = &pod["containers"][0];
    let path =
        format!("{}/{}", container["volumeMounts"][0]["mountPath"].as_str().unwrap(), file["path"].as_str().unwrap());
    assert!(container["args"].as_array().unwrap().contains(&json!(path)));
}

#[test]
fn keys_are_mounted_one_by_one_and_may_be_missing() {
    let run = secured();
    let pod = &made(&run)["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let secrets: Vec<_> = volumes.iter().filter(|volume| volume["secret"].is_object()).collect();
    let names: Vec<_> = secrets.iter().map(|volume| volume["secret"]["secretName"].as_str().unwrap()).collect();
    assert_eq!(names, ["ca", "login"]);
    assert!(secrets.iter().all(|volume| volume["secret"]["optional"] == true));
    assert_eq!(
        secrets[1]["secret"]["items"],
        json!([{"key": "password", "path": "password"}, {"key": "username", "path": "username"}])
    );
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    let folder = arguments[1].as_str().unwrap();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == format!("{folder}/login") && mount["readOnly"] == true));
    assert_eq!(run.kafka.sasl.unwrap().password_file, "login/password");
}

#[test]
fn claims_are_mounted_where_the_specification_looks() {
    let pod = &made(&secured())["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let paths: Vec<_> = mounts
        .iter()
        .filter_map(|mount| mount["mountPath"].as_str())
        .filter(|path| path.contains("/volumes/"))
        .collect();
    assert_eq!(paths, ["/run/kafka-backup/volumes/backups", "/run/kafka-backup/volumes/digests"]);
}

#[test]
fn a_restore_with_its_state_elsewhere_only_reads_its_archive() {
    let spec: KafkaRestoreSpec = serde_json::from_value(json!({
        "backupRef": {"name": "nightly"}, "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
        "stateStorage": {"pvc": {"claimName": "state"}},
    }))
    .unwrap();
    let place = serde_json::from_value(json!({"pvc": {"claimName": "backups"}})).unwrap();
    let at = "2026-11-21T08:00:00Z".parse().unwrap();
    let run = Some(contract::RunRef { id: "back-1".into(), at, attempt: None });
    let identity = Identity { namespace: "team".into(), name: "back".into(), run };
    let mut run = lower::restore(identity, &spec, &place, None).unwrap();
    let pod = &made(&run)["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let read_only = |claim: &str| {
        let volume = volumes.iter().find(|volume| volume["persistentVolumeClaim"]["claimName"] == claim).unwrap();
        volume["persistentVolumeClaim"]["readOnly"].as_bool().unwrap()
    };
    assert!(read_only("backups") && !read_only("state"));
    // A Job has the name of its run: without one there is none.
    run.run = None;
    assert!(job::job(&owner(), &run, 1, &placement()).unwrap_err().to_string().contains("no name"));
}

#[test]
fn pods_fit_the_restricted_level() {
    let pod = &made(&secured())["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
}

#[test]
fn each_setting_of_the_placement_shows() {
    let job = made(&secured());
    let template = &job["spec"]["template"];
    let (pod, container) = (&template["spec"], &template["spec"]["containers"][0]);
    assert_eq!(container["image"], "runner:1");
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    assert_eq!(pod["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(pod["tolerations"], json!([{"key": "backup", "operator": "Exists"}]));
    assert_eq!(pod["serviceAccountName"], "backup-jobs");
    assert_eq!(template["metadata"]["labels"]["team"], "payments");
    assert_eq!(template["metadata"]["annotations"]["note"], "x");
    assert_eq!(container["resources"]["limits"]["memory"], "512Mi");
    assert_eq!(container["ports"][0]["containerPort"], 9191);
    let resources = serde_json::from_value(json!({"limits": {"memory": "1Gi"}})).unwrap();
    let larger = Placement { resources: Some(resources), ..placement() };
    let job = serde_json::to_value(job::job(&owner(), &secured(), 1, &larger).unwrap()).unwrap();
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["resources"], json!({"limits": {"memory": "1Gi"}}));
}

#[test]
fn a_claim_is_made_when_it_is_asked_for() {
    let storage = |pvc: Value| serde_json::from_value(json!({"pvc": pvc})).unwrap();
    assert!(job::claim("team", &storage(json!({"claimName": "a"}))).is_none());
    assert!(job::claim("team", &storage(json!({"claimName": "a", "create": {"enabled": false}}))).is_none());
    let create = json!({"enabled": true, "size": "5Gi", "storageClassName": "fast", "accessModes": ["ReadWriteMany"]});
    let claim = job::claim("team", &storage(json!({"claimName": "a", "create": create}))).unwrap();
    let claim = serde_json::to_value(claim).unwrap();
    assert_eq!(claim["metadata"]["name"], "a");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "5Gi");
    assert_eq!(claim["spec"]["storageClassName"], "fast");
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteMany"]));
    assert!(claim["metadata"]["ownerReferences"].is_null(), "the archive outlives the resource");
}

#[test]
fn the_digest_tells_what_shapes_a_run() {
    let base = secured();
    let digest = job::digest(&base, &placement()).unwrap();
    let tick = RunSpec { run: None, ..base.clone() };
    assert_eq!(job::digest(&tick, &placement()).unwrap(), digest);
    let renamed = RunSpec { name: "other".into(), ..base.clone() };
    assert_ne!(job::digest(&renamed, &placement()).unwrap(), digest);
    let image = Placement { image: "runner:2".into(), ..placement() };
    assert_ne!(job::digest(&base, &image).unwrap(), digest);
}

#[test]
fn an_installation_says_how_pods_run_and_never_with_privilege() {
    let made = |more: Value| {
        let mut whole = serde_json::to_value(placement()).unwrap();
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let placement: Placement = serde_json::from_value(whole).unwrap();
        let job = job::job(&owner(), &secured(), 1, &placement).unwrap();
        serde_json::to_value(job).unwrap()["spec"]["template"]["spec"].clone()
    };
    let usual = made(json!({}));
    assert_eq!(usual["securityContext"]["runAsUser"], 65_532);
    assert_eq!(usual["containers"][0]["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    let chosen = made(json!({
        "priorityClassName": "low", "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "podSecurityContext": {}, "securityContext": {"privileged": true, "allowPrivilegeEscalation": true},
    }));
    assert_eq!((&chosen["priorityClassName"], &chosen["securityContext"]), (&json!("low"), &json!({})));
    assert_eq!(chosen["topologySpreadConstraints"][0]["topologyKey"], "zone");
    assert_eq!(chosen["containers"][0]["env"][0]["name"], "HTTPS_PROXY");
    assert_eq!(chosen["containers"][0]["securityContext"], json!({"allowPrivilegeEscalation": false}));
}

/// The policy that bounds the operator lists its Jobs' arguments and folders; what it does not know, the API server refuses.
#[test]
fn the_policy_for_jobs_knows_what_the_operator_writes() {
    let file = "../../manifests/helm/kafka-backup-operator/templates/admission-policy.yaml";
    let policy = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let policy = policy.split_whitespace().collect::<Vec<_>>().join(" ");
    let spec = json!({"backupRef": {"name": "nightly"}, "level": "check", "tokenDigest": "a".repeat(64)});
    let told = lower::check(&serde_json::from_value(spec).unwrap(), secured());
    let jobs = [job::job(&owner(), &secured(), 1, &placement()), job::inspection(&owner(), &told, &placement())];
    for job in jobs.map(|job| serde_json::to_value(job.unwrap()).unwrap()) {
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].to_string().replace("\",\"", "\", \"");
        assert!(policy.contains(&arguments), "{arguments}");
        for mount in container["volumeMounts"].as_array().unwrap() {
            let path = mount["mountPath"].as_str().unwrap();
            assert!(path == "/tmp" || path.starts_with("/run/kafka-backup/"), "{path}");
        }
        for absent in ["command", "lifecycle", "livenessProbe", "workingDir", "envFrom"] {
            assert!(container[absent].is_null(), "{absent}");
        }
    }
}

/// A check meets what the run will meet: the same pod but for the command and the port of metrics.
#[test]
fn the_pod_of_a_check_is_that_of_the_run() {
    let run = secured();
    let spec = json!({"backupRef": {"name": "nightly"}, "level": "check", "tokenDigest": "A".repeat(64)});
    let told = lower::check(&serde_json::from_value(spec).unwrap(), run.clone());
    assert_eq!((told.records, told.token_digest.as_str()), (false, "a".repeat(64).as_str()));
    let check = serde_json::to_value(job::inspection(&owner(), &told, &placement()).unwrap()).unwrap();
    let (mut check, mut run) = (check["spec"]["template"].clone(), made(&run)["spec"]["template"].clone());
    assert_eq!(check["spec"]["containers"][0]["args"][4], "inspect");
    for template in [&mut check, &mut run] {
        template["metadata"]["annotations"].as_object_mut().unwrap().remove(job::SPEC_ANNOTATION).unwrap();
        let container = template["spec"]["containers"][0].as_object_mut().unwrap();
        container.remove("args");
        container.remove("ports");
    }
    assert_eq!(check, run);
}

/// A comparison reads the archive and asks the brokers: it has the Secrets of both, and writes to no volume.
#[test]
fn the_pod_of_a_comparison_has_the_secrets_of_the_brokers_and_only_reads() {
    let spec = json!({"backupRef": {"name": "nightly"}, "level": "compare", "tokenDigest": "a".repeat(64)});
    let checked = lower::check(&serde_json::from_value(spec).unwrap(), secured());
    let volumes = |source: Option<RunSpec>| {
        let told = InspectSpec { check: None, source: source.map(Box::new), ..checked.clone() };
        let job = serde_json::to_value(job::inspection(&owner(), &told, &placement()).unwrap()).unwrap();
        job["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone()
    };
    let names = |volumes: &[Value], at: &str| {
        let names = volumes.iter().filter_map(|volume| volume.pointer(at)?.as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let compares = volumes(Some(secured()));
    assert_eq!(names(&compares, "/secret/secretName"), ["ca", "login"]);
    assert_eq!(names(&compares, "/persistentVolumeClaim/claimName"), ["backups"], "checkpoints are of runs");
    let claim = compares.iter().find(|volume| volume["persistentVolumeClaim"].is_object()).unwrap();
    assert_eq!(claim["persistentVolumeClaim"]["readOnly"], true);
    assert!(names(&volumes(None), "/secret/secretName").is_empty(), "a look has no Secret of the brokers");
}
