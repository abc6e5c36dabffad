//! Uploads in parts that were begun and never ended, as a store lists them. Their parts are paid for and no list of
//! objects shows them.
//!
//! Only stores that speak S3 list them. Azure drops blocks that were not committed within a week by itself; Google Cloud
//! Storage needs a lifecycle rule.

use std::fmt::Debug;

use async_trait::async_trait;
use object_store::path::Path;

use crate::answer::{tag, without_entities};

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    /// The whole key of the object that it would have become.
    pub(crate) key: String,
    /// The store's name of the upload.
    pub(crate) id: String,
}

/// What of a store's uploads can be asked and ended.
#[async_trait]
pub(crate) trait Uploads: Debug + Send + Sync {
    /// One page of the uploads whose keys begin with `prefix`, behind `after`.
    async fn page(&self, prefix: &str, after: Option<&Upload>) -> Result<Page, object_store::Error>;

    /// Ends an upload: its parts are removed.
    async fn abort(&self, key: &Path, id: &str) -> Result<(), object_store::Error>;
}

/// A page of uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) uploads: Vec<Upload>,
    /// Where the next page begins; nothing at the end.
    pub(crate) next: Option<Upload>,
}

impl Page {
    /// Reads an answer to `ListMultipartUploads`. `None`: it is something else.
    pub(crate) fn read(xml: &str) -> Option<Self> {
        if !xml.contains("<ListMultipartUploadsResult") {
            return None;
        }
        let mut out = Self::default();
        for part in xml.split("<Upload>").skip(1) {
            let (upload, _) = part.split_once("</Upload>")?;
            out.uploads.push(Upload { key: text_of(upload, "Key")?, id: text_of(upload, "UploadId")? });
        }
        // The protocol's own word.
        if tag(xml, "IsTruncated").as_deref() == Some("true") {
            let (key, id) = (text_of(xml, "NextKeyMarker")?, text_of(xml, "NextUploadIdMarker")?);
            out.next = Some(Upload { key, id });
        }
        Some(out)
    }
}

/// As it stands, with no blank taken off: keys and ids are not ours to tidy.
fn text_of(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.contains('<')).then(|| without_entities(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        let xml = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"x\"><Bucket>b</Bucket><KeyMarker></KeyMarker>\
            <UploadIdMarker/><NextKeyMarker>a&amp;b/k2</NextKeyMarker><NextUploadIdMarker>id2</NextUploadIdMarker>\
            <MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>\
            <Upload><Key>a&amp;b/k1</Key><UploadId>id1</UploadId><Initiator><ID>x</ID></Initiator></Upload>\
            <Upload><Key>a&amp;b/k2</Key><UploadId>id2</UploadId></Upload></ListMultipartUploadsResult>";
        let upload = |key: &str, id: &str| Upload { key: key.into(), id: id.into() };
        let uploads = vec![upload("a&b/k1", "id1"), upload("a&b/k2", "id2")];
        assert_eq!(Page::read(xml), Some(Page { uploads, next: Some(upload("a&b/k2", "id2")) }));
        let none = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        assert_eq!(Page::read(none), Some(Page::default()));
    }

    #[test]
    fn another_answer_is_no_empty_page() {
        for xml in ["", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"] {
            assert_eq!(Page::read(xml), None);
        }
        // A page that says that more follows, and not where.
        let cut = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>";
        assert_eq!(Page::read(cut), None);
        let without_id = "<ListMultipartUploadsResult><Upload><Key>k</Key></Upload></ListMultipartUploadsResult>";
        assert_eq!(Page::read(without_id), None);
    }
}
