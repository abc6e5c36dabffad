//! What this user may do, as far as the cluster tells.

use kafka_protocol::messages::DescribeClusterRequest;

use crate::WireError;
use crate::cluster::Cluster;

/// Bit of the operation Describe in a set of authorized operations (KIP-430).
const DESCRIBE: i32 = 1 << 8;

impl Cluster {
    /// Whether this user may Describe the cluster: only then a list of groups is known to be whole. `None` when no broker
    /// offers the question.
    ///
    /// # Errors
    /// When no broker answers until the deadline.
    pub async fn may_describe_cluster(&self) -> Result<Option<bool>, WireError> {
        let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let asked = self
            .retrying(async || {
                let connection = self.any_connection().await?;
                let answer = connection.call(&request, 0, std::time::Duration::ZERO).await?;
                match answer.error_code {
                    0 => Ok(answer.cluster_authorized_operations & DESCRIBE != 0),
                    code => Err(WireError::broker("the cluster", code)),
                }
            })
            .await;
        match asked {
            Ok(may) => Ok(Some(may)),
            Err(WireError::Version { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
