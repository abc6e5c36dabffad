//! The controllers against an API server that does what real ones do rarely: it refuses for a while, forgets what was watched,
//! cuts answers, says nothing, sends what does not decode. Over real connections.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::stream;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;

const RESETS: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkaoffsetresets";
const ROLLBACKS: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkaoffsetrollbacks";
const VALIDATIONS: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkabackupvalidations";
const INSPECTIONS: &str = "/apis/kafka-backup.dev/v1alpha1/namespaces/team/kafkabackupinspections";
/// How long a resource may wait for its run, whatever the server did before: the watch tries again within half a minute.
const WITHIN: Duration = Duration::from_secs(60);
/// Silence after which the client gives a connection up; the operator's own is 295 s.
const SILENCE: Duration = Duration::from_secs(3);

/// What happens to the next requests for all KafkaBackups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trick {
    /// Lists are answered with this status.
    Refused(u16),
    /// A watch ends: what it goes on from is too old.
    Gone,
    /// A watch ends in the middle of a line.
    Cut,
    /// A watch says nothing, and does not end.
    Silence,
    /// A watch sends an object that does not decode.
    Garbage,
    /// A watch sends what is no JSON.
    Noise,
}

#[derive(Clone)]
struct Rare {
    server: Server,
    tricks: Arc<Mutex<VecDeque<Trick>>>,
    asked: Arc<AtomicUsize>,
}

impl Rare {
    fn next(&self, is_watch: bool) -> Option<Trick> {
        let mut tricks = self.tricks.lock().unwrap();
        let fits = tricks.front().is_some_and(|trick| is_watch != matches!(trick, Trick::Refused(_)));
        if fits { tricks.pop_front() } else { None }
    }

    /// A client over a connection of its own, with the resources of this server.
    async fn client(&self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut config = Config::new(url);
        config.read_timeout = Some(SILENCE);
        config.default_namespace = "team".into();
        Client::try_from(config).unwrap()
    }
}

async fn answer(State(rare): State<Rare>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let lists = [BACKUPS, RESTORES, RESETS, ROLLBACKS, VALIDATIONS, JOBS, INSPECTIONS];
    let is_list = request.method() == Method::GET && lists.contains(&path.as_str());
    if !is_list {
        return serve(State(rare.server), request).await;
    }
    let parts: Vec<_> = request.uri().query().unwrap_or_default().split('&').map(str::to_owned).collect();
    let is_watch = parts.iter().any(|part| part == "watch=true");
    let since = parts.iter().find_map(|part| part.strip_prefix("resourceVersion=")?.parse().ok());
    if path == BACKUPS {
        rare.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(trick) = rare.next(is_watch) {
            return play(trick);
        }
    }
    if is_watch { watch(rare.server, path, since.unwrap_or(0)) } else { list(&rare.server, &path) }
}

fn play(trick: Trick) -> Response {
    let event = |kind: &str, object: Value| Body::from(json!({"type": kind, "object": object}).to_string() + "\n");
    match trick {
        Trick::Refused(code) => status(StatusCode::from_u16(code).unwrap()),
        Trick::Gone => {
            let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
                "message": "too old resource version"});
            Response::new(event("ERROR", gone))
        }
        Trick::Cut => Response::new(Body::from(r#"{"type": "ADDED", "object": {"apiVersion": "kafka.o"#)),
        Trick::Silence => Response::new(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())),
        Trick::Garbage => {
            let mut odd = backup("odd");
            odd["spec"] = json!({"topics": 5});
            odd["metadata"]["resourceVersion"] = "1".into();
            Response::new(event("ADDED", odd))
        }
        Trick::Noise => Response::new(Body::from("<html>bad gateway</html>\n")),
    }
}

fn list(server: &Server, path: &str) -> Response {
    let world = server.0.lock().unwrap();
    let metadata = json!({"resourceVersion": world.version.to_string()});
    let items: Vec<_> = world.inside(path).collect();
    json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}).to_string().into_response()
}

/// Sends what is newer than a version.
fn watch(server: Server, path: String, since: u64) -> Response {
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    let changes = stream::unfold((server, path, since), move |(server, path, since)| async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let (lines, now) = {
                let world = server.0.lock().unwrap();
                let new = world.inside(&path).filter(|object| version(object) > since);
                let line = |object: &Value| json!({"type": "MODIFIED", "object": object}).to_string() + "\n";
                (new.map(line).collect::<String>(), world.version)
            };
            if !lines.is_empty() {
                return Some((Ok::<_, Infallible>(Bytes::from(lines)), (server, path, now)));
            }
        }
    });
    Response::new(Body::from_stream(changes))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_api_server_does_for_a_while_runs_begin_afterwards() {
    let each = [
        vec![Trick::Refused(429), Trick::Refused(429)],
        vec![Trick::Refused(500), Trick::Refused(503)],
        vec![Trick::Gone],
        vec![Trick::Cut],
        vec![Trick::Silence],
        vec![Trick::Garbage],
        vec![Trick::Noise],
        vec![Trick::Gone, Trick::Refused(429), Trick::Cut, Trick::Silence],
    ];
    futures::future::join_all(each.map(|tricks| async move {
        let rare = Rare { server: Server::default(), tricks: Arc::default(), asked: Arc::default() };
        *rare.tricks.lock().unwrap() = tricks.clone().into();
        let client = rare.client().await;
        let reporter = Reporter { controller: "test".into(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        let context = (*rare.server.context(Capacity::new(10, 0))).clone();
        let context = Context { client, recorder, ..context };
        let stop = CancellationToken::new();
        // One that stands before, and one that comes once everything odd has happened. The first has version 1, as the object
        // that does not decode: a watch goes on behind it, so whatever came between the list and the watch would never be seen.
        rare.server.put(&format!("{BACKUPS}/first"), backup("first"));
        let running = tokio::spawn({
            let stop = stop.clone();
            async move { crate::controller::start(context, &["team".to_owned()], &[], stop).await }
        });
        let has_run = |name: &str| rare.server.get(&format!("{BACKUPS}/{name}"))["status"]["run"]["id"].is_string();
        let waited = async |what: &str, is: &dyn Fn() -> bool| {
            let until = tokio::time::Instant::now() + WITHIN;
            while !is() {
                assert!(tokio::time::Instant::now() < until, "{tricks:?}: {what}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        waited("the tricks were not played", &|| rare.tricks.lock().unwrap().is_empty()).await;
        rare.server.put(&format!("{BACKUPS}/second"), backup("second"));
        waited("the first run did not begin", &|| has_run("first")).await;
        waited("the second run did not begin", &|| has_run("second")).await;
        // It waits longer and longer: whoever is overloaded is not asked again and again.
        let asked = rare.asked.load(Ordering::SeqCst);
        assert!(asked < 40, "{tricks:?}: {asked} requests");
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
    }))
    .await;
}
