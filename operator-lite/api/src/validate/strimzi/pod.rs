//! Rules of what shapes the pod of a run.

use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::without_effect;
use crate::finding::Findings;
use crate::strimzi::{Logging, Metrics, Pod, Resources, Template};
use crate::validate::metrics;
use crate::validate::names::{is_label_key, is_label_value, is_quantity, object_name};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

pub(super) fn logging(out: &mut Findings, logging: Option<&Logging>) {
    const AT: &str = "spec.logging";
    let Some(logging) = logging else { return };
    if let Some(level) = &logging.level {
        out.one_of(&format!("{AT}.level"), level, &LEVELS);
    }
    for (module, level) in &logging.modules {
        if !module.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)) || module.is_empty() {
            let rule = "must be the name of a module: letters, digits, '_' and ':'";
            out.wrong(&format!("{AT}.modules"), format!("{module:?}"), rule, "write it like wire or runner::backup");
        }
        out.one_of(&format!("{AT}.modules.{module}"), level, &LEVELS);
    }
    if let Some(format) = &logging.format {
        out.one_of(&format!("{AT}.format"), format, &["text", "json"]);
    }
    if let Some(output) = &logging.output {
        let field = format!("{AT}.output");
        let known = out.one_of(&field, output, &["stderr", "stdout", "file"]);
        without_effect(out, &field, known && output != "stderr", "logs go to stderr, stdout carries the run's events");
    }
    without_effect(out, &format!("{AT}.rotation"), logging.rotation.is_some(), "the node rotates the logs of pods");
}

pub(super) fn metrics_block(out: &mut Findings, block: Option<&Metrics>) {
    let Some(block) = block.filter(|block| block.enabled != Some(false)) else { return };
    if let Some(port) = block.port {
        out.above_zero("spec.metrics.port", port);
    }
    if let Some(interval) = block.update_interval_ms {
        out.above_zero("spec.metrics.updateIntervalMs", interval);
    }
    if let Some(path) = &block.path {
        metrics::path(out, path);
    }
    if let Some(address) = &block.bind_address {
        metrics::bind_address(out, address);
    }
}

pub(super) fn resources(out: &mut Findings, resources: Option<&Resources>) {
    let Some(resources) = resources else { return };
    for (part, quantities) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, quantity) in quantities {
            if let IntOrString::String(text) = quantity
                && !is_quantity(text)
            {
                let field = format!("spec.resources.{part}.{name}");
                out.wrong(&field, format!("{text:?}"), "must be a quantity", "write it like 500m or 1Gi");
            }
        }
    }
}

pub(super) fn template(out: &mut Findings, template: Option<&Template>) {
    let Some(template) = template else { return };
    if let Some(pod) = &template.pod {
        pod_template(out, pod);
    }
    if let Some(container) = &template.container {
        environment(out, "spec.template.container.env", &container.env);
    }
}

fn pod_template(out: &mut Findings, pod: &Pod) {
    const AT: &str = "spec.template.pod";
    if let Some(metadata) = &pod.metadata {
        for (key, value) in &metadata.labels {
            let field = format!("{AT}.metadata.labels.{key}");
            if !is_label_key(key) || !is_label_value(value) {
                let rule = "must be a label: letters, digits, '-', '_', '.', at most 63, a prefix before /";
                out.wrong(&field, format!("{value:?}"), rule, "shorten it, or make it an annotation");
            }
        }
        for key in metadata.annotations.keys().filter(|key| !is_label_key(key)) {
            let field = format!("{AT}.metadata.annotations.{key}");
            let rule = "must be the key of an annotation: letters, digits, '-', '_', '.', a prefix before /";
            out.wrong(&field, format!("{key:?}"), rule, "mend the key");
        }
    }
    for (number, alias) in pod.host_aliases.iter().enumerate() {
        if alias.ip.parse::<std::net::IpAddr>().is_err() {
            let field = format!("{AT}.hostAliases[{number}].ip");
            out.wrong(&field, format!("{:?}", alias.ip), "must be an IP address", "write it like 10.0.0.5");
        }
    }
    for (number, secret) in pod.image_pull_secrets.iter().enumerate() {
        object_name(out, &format!("{AT}.imagePullSecrets[{number}].name"), &secret.name);
    }
    if let Some(account) = &pod.service_account_name {
        object_name(out, &format!("{AT}.serviceAccountName"), account);
    }
}

pub(super) fn environment(out: &mut Findings, at: &str, variables: &[EnvVar]) {
    for (number, variable) in variables.iter().enumerate() {
        let field = format!("{at}[{number}]");
        if variable.name.is_empty() || variable.name.contains('=') {
            let rule = "must be the name of an environment variable";
            out.wrong(&format!("{field}.name"), format!("{:?}", variable.name), rule, "write one without =");
        }
        if variable.value.as_ref().is_some_and(|value| !value.is_empty()) && variable.value_from.is_some() {
            out.wrong(&format!("{field}.valueFrom"), "set", "excludes value", "keep one of them");
        }
    }
}

pub(super) fn image(out: &mut Findings, image: Option<&String>) {
    if let Some(image) = image.filter(|image| image.trim().is_empty() || image.contains(char::is_whitespace)) {
        let fix = "write registry/name:tag, or leave it out";
        out.wrong("spec.image", format!("{image:?}"), "must be the name of an image", fix);
    }
}
