//! Asking a pod beside the store: it is made for this person and these questions, answers on its own loopback, and is
//! reached by a port-forward through the API server. No credentials of the store come here.

use std::time::Duration;

use api::inspection::{InspectionLevel, KafkaBackupInspection};
use api::oso::KafkaBackup;
use contract::stamp::split_point;
use contract::{CheckLine, Code, Failure, INSPECT_PORT};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use inspect::{Answer, Question};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Portforwarder, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use crate::answered::lacks;
use crate::cluster::{Cluster, failed};
use crate::error::Error;
use crate::screen::Screen;
use crate::stops::{interrupted, or_interrupt, tidied};
use crate::words::safe_lines;

/// How long the pod may take to start.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked at. Nobody has the right to watch inspections: each is one person's.
const LOOK: Duration = Duration::from_millis(300);
/// How often a pod that has just started is knocked at.
const KNOCKS: u32 = 40;

/// A pod that answers. Its token does not print.
pub struct Through {
    cluster: Cluster,
    inspection: String,
    pod: String,
    token: String,
}

impl std::fmt::Debug for Through {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Through").field("inspection", &self.inspection).field("pod", &self.pod).finish_non_exhaustive()
    }
}

impl Through {
    /// Makes an inspection of the KafkaBackup that `name` names, itself or by one of its points, and waits for its pod.
    ///
    /// # Errors
    /// When there is no such KafkaBackup, rights are missing, or the pod does not start.
    pub async fn open(
        cluster: Cluster,
        name: &str,
        level: InspectionLevel,
        screen: &mut Screen,
    ) -> Result<Self, Error> {
        let backup = or_interrupt(backup_of(&cluster, name)).await?;
        let fields = [("backupRef", json!({"name": backup})), ("level", json!(level))];
        let look = fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        Self::make(cluster, &format!("look-{backup}"), look, |error| denied(&backup, error), screen).await
    }

    /// Makes an inspection that checks the connections of `name`, a resource that `subject` leads to, and waits for its pod.
    ///
    /// # Errors
    /// When rights are missing, or the pod does not start.
    pub async fn checking(
        cluster: Cluster,
        name: &str,
        mut subject: Map<String, Value>,
        screen: &mut Screen,
    ) -> Result<Self, Error> {
        subject.insert("level".to_owned(), "check".into());
        Self::make(cluster, &format!("check-{name}"), subject, |error| check_denied(name, error), screen).await
    }

    async fn make(
        cluster: Cluster,
        called: &str,
        mut spec: Map<String, Value>,
        refused: impl FnOnce(kube::Error) -> Error,
        screen: &mut Screen,
    ) -> Result<Self, Error> {
        // 244 bits of the system's randomness; only its digest is written down.
        let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        spec.insert("tokenDigest".to_owned(), blake3::hash(token.as_bytes()).to_hex().to_string().into());
        let short: String = called.chars().take(45).collect();
        let name = format!("{}-{}", short.trim_end_matches(['-', '.']), token.get(..8).unwrap_or_default());
        let document = json!({
            "apiVersion": "kafka-backup.dev/v1alpha1", "kind": "KafkaBackupInspection",
            "metadata": {"name": name, "namespace": cluster.namespace}, "spec": spec,
        });
        let object: KafkaBackupInspection = serde_json::from_value(document)
            .map_err(|error| Error::usage(format!("cannot make an inspection: {error}"), ""))?;
        let api = cluster.api::<KafkaBackupInspection>();
        let opened = Self { cluster, inspection: name, pod: String::new(), token };
        let work = async {
            api.create(&PostParams::default(), &object).await.map_err(|error| (false, refused(error)))?;
            opened.started(screen).await.map_err(|error| (true, error))
        };
        let started = tokio::select! {
            biased;
            // It may be made all the same.
            () = interrupted() => Err((true, Error::Interrupted)),
            started = work => started,
        };
        match started {
            Ok(pod) => Ok(Self { pod, ..opened }),
            Err((false, error)) => Err(error),
            Err((true, error)) => {
                // Where nobody waits for the answer, it goes by itself once nobody asks.
                tidied(matches!(error, Error::Interrupted), opened.close()).await?;
                Err(error)
            }
        }
    }

    /// Waits for the pod, and says what it is waited for.
    async fn started(&self, screen: &mut Screen) -> Result<String, Error> {
        let begun = Instant::now();
        let mut said = String::new();
        loop {
            let object: KafkaBackupInspection = self.cluster.get(&self.inspection).await?;
            let status = object.status.unwrap_or_default();
            let message = status.message.unwrap_or_else(|| "waiting for the operator".to_owned());
            match (status.phase.as_deref(), status.pod_name) {
                (Some("Ready"), Some(pod)) => {
                    screen.progress(None);
                    return Ok(pod);
                }
                (Some("Failed"), _) => {
                    screen.progress(None);
                    let hint = "`kubectl kafka-backup doctor` looks for the reason".to_owned();
                    return Err(Error::Cluster {
                        what: format!("the pod that reads the archive failed: {message}"),
                        hint,
                    });
                }
                _ => {}
            }
            if screen.watched {
                screen.progress(Some(&message));
            } else if message != said && begun.elapsed() > Duration::from_secs(5) {
                screen.say(&safe_lines(&message));
                said.clone_from(&message);
            }
            if begun.elapsed() >= PATIENCE {
                screen.progress(None);
                return Err(Error::TimeOut {
                    what: format!(
                        "the pod that reads the archive has not started after {}s: {message}",
                        PATIENCE.as_secs()
                    ),
                    hint: "`kubectl kafka-backup doctor` looks for the reason".to_owned(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks.
    pub(super) async fn ask(&self, question: &Question, sender: &Sender<Answer>) -> Result<(), Error> {
        let body = serde_json::to_vec(question).map_err(|error| Error::Document(error.to_string()))?;
        self.stream("/ask", body, sender).await
    }

    /// Lets the pod check, and passes its lines on as they come.
    ///
    /// # Errors
    /// When the pod refuses, or the connection to it breaks.
    pub async fn check(&self, sender: &Sender<CheckLine>) -> Result<(), Error> {
        self.stream("/check", Vec::new(), sender).await
    }

    /// Sends a request, and passes the lines of its answer on. A pod that has just started may not listen yet.
    async fn stream<T: DeserializeOwned>(
        &self,
        path: &'static str,
        body: Vec<u8>,
        sender: &Sender<T>,
    ) -> Result<(), Error> {
        let mut knocks = 0;
        let (forward, answer) = loop {
            match self.send(path, body.clone()).await {
                Ok(found) => break found,
                Err(_) if knocks < KNOCKS => knocks += 1,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(LOOK).await;
        };
        let status = answer.status();
        let mut body = answer.into_body();
        if status != StatusCode::OK {
            let text = body.collect().await.map(|all| String::from_utf8_lossy(&all.to_bytes()).into_owned());
            // An answer whose words do not come is told by its code.
            let what = text.unwrap_or_else(|_| status.to_string());
            return Err(Error::Refused {
                what,
                hint: "ask with a name of this backup, and with the right to".to_owned(),
            });
        }
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| cut(&error))?;
            rest.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                // The pod says that it still works.
                if line == b"\n" {
                    continue;
                }
                let answer = serde_json::from_slice(&line).map_err(|error| cut(&error))?;
                if sender.send(answer).await.is_err() {
                    return Ok(());
                }
            }
        }
        drop(forward);
        Ok(())
    }

    async fn send(
        &self,
        path: &'static str,
        body: Vec<u8>,
    ) -> Result<(Portforwarder, http::Response<Incoming>), Error> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        let doing = format!("reach pod `{}` by port-forward", self.pod);
        let mut forward = pods.portforward(&self.pod, &[INSPECT_PORT]).await.map_err(|error| failed(&doing, error))?;
        let stream = forward.take_stream(INSPECT_PORT).ok_or_else(|| cut(&"no stream"))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| cut(&error))?;
        tokio::spawn(connection);
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| cut(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| cut(&error))?;
        Ok((forward, answer))
    }

    /// Removes the inspection, and with it its pod.
    ///
    /// # Errors
    /// When the API server refuses; not when it is gone.
    pub async fn close(&self) -> Result<(), Error> {
        let api = self.cluster.api::<KafkaBackupInspection>();
        match api.delete(&self.inspection, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(failed(&format!("remove inspection `{}`", self.inspection), error)),
            Ok(_) => Ok(()),
        }
    }
}

fn cut(error: &dyn std::fmt::Display) -> Error {
    let text = format!("the connection to the pod that reads the archive broke: {error}");
    Error::Archive(Failure::new(Code::StoreUnreachable, text))
}

fn denied(backup: &str, error: kube::Error) -> Error {
    if let kube::Error::Api(status) = &error {
        let lacks = lacks(status);
        let without = |verb: &str| lacks.iter().any(|lacking| lacking == verb);
        let hint = if without("peek") {
            "bind the ClusterRole kafka-backup-peek; without it, `browse` shows everything but what records hold"
        } else if without("compare") {
            "bind the ClusterRole kafka-backup-compare; without it, `groups` without --live shows the recovery point"
        } else if without("diff") {
            "bind the ClusterRole kafka-backup-diff; without it, `diff` compares two recovery points"
        } else {
            "bind the ClusterRole kafka-backup-inspect"
        };
        if !lacks.is_empty() {
            return Error::Refused { what: status.message.clone(), hint: hint.to_owned() };
        }
    }
    failed(&format!("inspect backup `{backup}`"), error)
}

fn check_denied(name: &str, error: kube::Error) -> Error {
    match &error {
        kube::Error::Api(status) if !lacks(status).is_empty() => Error::Refused {
            what: status.message.clone(),
            hint:
                "bind the ClusterRole kafka-backup-check; a file takes the rights that making its resource takes, too"
                    .to_owned(),
        },
        kube::Error::Api(status) if status.code == 403 => Error::Refused {
            what: format!("check `{name}`: {}", status.message),
            hint: "bind the ClusterRole kafka-backup-check".to_owned(),
        },
        _ => failed(&format!("check `{name}`"), error),
    }
}

/// The KafkaBackup that a name means: itself, or that of a recovery point.
async fn backup_of(cluster: &Cluster, name: &str) -> Result<String, Error> {
    if name.is_empty() {
        let known: Vec<KafkaBackup> = cluster.list(None).await?;
        let names: Vec<String> = known.iter().map(ResourceExt::name_any).collect();
        return match names.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Error::usage(
                format!("there is no KafkaBackup in namespace `{}`", cluster.namespace),
                "choose another with -n, or read a store from here with --store",
            )),
            many => Err(Error::usage(format!("which backup? there are: {}", many.join(", ")), "name one of them")),
        };
    }
    let base = split_point(name).map(|(base, _)| base);
    let api = cluster.api::<KafkaBackup>();
    for wanted in [Some(name), base].into_iter().flatten() {
        let found = api.get_opt(wanted).await.map_err(|error| failed(&format!("read backup `{wanted}`"), error))?;
        if found.is_some() {
            return Ok(wanted.to_owned());
        }
    }
    cluster.get::<KafkaBackup>(base.unwrap_or(name)).await.map(|found| found.name_any())
}
