//! Lists of the API server, a few objects at a time: how large an object is, and how many there are, others decide.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Objects of a page. One has at most about 1.5 MiB in the API server's store, and up to three times as much as JSON.
const PAGE: u32 = 4;

/// Objects of a page of which only the metadata come.
const HEADS: u32 = 16;

/// Gives the metadata of each object of a list to `take`.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn each_head<K>(
    api: &Api<K>,
    params: ListParams,
    mut take: impl FnMut(ObjectMeta),
) -> Result<(), Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = params.limit(HEADS);
    loop {
        let page = api.list_metadata(&params).await?;
        page.items.into_iter().for_each(|item| take(item.metadata));
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else { return Ok(()) };
        params = params.continue_token(&token);
    }
}

/// Gives each object of a list to `take`, in the API server's order.
///
/// # Errors
/// When the API server does not answer, or there are more than `most` objects.
pub(super) async fn each<K>(api: &Api<K>, params: ListParams, most: usize, mut take: impl FnMut(K)) -> Result<(), Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let (mut params, mut seen) = (params.limit(PAGE), 0);
    loop {
        let page = api.list(&params).await?;
        seen += page.items.len();
        if seen > most {
            return Err(Error::TooMany(most));
        }
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        page.items.into_iter().for_each(&mut take);
        let Some(token) = next else { return Ok(()) };
        params = params.continue_token(&token);
    }
}
