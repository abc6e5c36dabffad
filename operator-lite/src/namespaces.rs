//! Whether the namespaces are there that the operator is to watch: of one whose name is written wrong nothing is run, and nobody
//! would know. Only reads.

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::Api;

use crate::error::Error;

/// What is wrong with which of them, in words.
///
/// # Errors
/// When the API server does not answer.
pub async fn missing(client: &Client, names: &[String]) -> Result<Vec<String>, Error> {
    let (api, mut out) = (Api::<Namespace>::all(client.clone()), Vec::new());
    for name in names {
        match api.get_metadata_opt(name).await {
            Ok(Some(_)) => {}
            Ok(None) => out.push(format!("namespace {name:?} is not there")),
            // The rights of the operator are of the namespaces that it watches.
            Err(kube::Error::Api(status)) if status.code == 403 => {
                out.push(format!("namespace {name:?} is not there, or the operator may not look at it"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use serde_json::json;

    use super::*;

    async fn answer(request: Request) -> Response {
        let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let failed = |code| {
            let reason = if code == 404 { "NotFound" } else { "no" };
            (code, json!({"status": "Failure", "message": "no", "reason": reason, "code": code}))
        };
        let (code, body) = match name.as_str() {
            "shop" => (200, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})),
            "shpo" => failed(404),
            "hidden" => failed(403),
            _ => failed(503),
        };
        (StatusCode::from_u16(code).unwrap(), body.to_string()).into_response()
    }

    #[tokio::test]
    async fn a_namespace_that_nobody_made_is_told() {
        let client = Client::new(Router::new().fallback(answer), "n");
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(missing(&client, &names(&["shop"])).await.unwrap().is_empty());
        let told = missing(&client, &names(&["shpo", "shop", "hidden"])).await.unwrap();
        assert_eq!(
            told,
            [
                "namespace \"shpo\" is not there",
                "namespace \"hidden\" is not there, or the operator may not look at it"
            ]
        );
        assert!(missing(&client, &names(&["shop", "away"])).await.is_err(), "nobody knows");
    }
}
