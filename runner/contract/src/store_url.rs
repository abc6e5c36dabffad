//! Stores as one line of text, for command lines: `s3://bucket/prefix?region=eu-central-1`.
//!
//! Credentials never stand in it; they come from the environment, or from a specification.

use std::collections::BTreeMap;

use crate::StoreSpec;

/// The forms that [`parse`] takes, for help texts.
pub const FORMS: &str = "\
  file:///var/backups/kafka                          or just a path with a /
  s3://BUCKET/PREFIX?region=REGION                   also endpoint=URL, pathStyle=false, allowHttp=true
  azure://ACCOUNT/CONTAINER/PREFIX                   also endpoint=URL, allowHttp=true
  gs://BUCKET/PREFIX                                 also endpoint=URL, allowHttp=true";

/// Reads a store's URL.
///
/// # Errors
/// The part that is wrong, and the forms there are.
pub fn parse(text: &str) -> Result<StoreSpec, String> {
    let wrong = |what: &str| format!("{text:?}: {what}. Stores are written as\n{FORMS}");
    let Some((scheme, rest)) = text.split_once("://") else {
        if !text.contains('/') {
            return Err(wrong("this is neither a URL nor a path"));
        }
        return Ok(StoreSpec::Filesystem { path: text.into(), prefix: String::new() });
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut options = options(query).map_err(|what| wrong(&what))?;
    let (first, after) = path.split_once('/').unwrap_or((path, ""));
    let endpoint = options.remove("endpoint");
    let allow_http = flag(&mut options, "allowHttp").map_err(|what| wrong(&what))? == Some(true);
    let spec = match scheme {
        "file" => StoreSpec::Filesystem { path: path.into(), prefix: String::new() },
        "s3" => StoreSpec::S3 {
            bucket: first.into(),
            region: options.remove("region").unwrap_or_else(|| "us-east-1".into()),
            prefix: after.into(),
            endpoint,
            path_style: flag(&mut options, "pathStyle").map_err(|what| wrong(&what))?,
            allow_http,
            tls: None,
            credentials: None,
        },
        "azure" => {
            let (container, prefix) = after.split_once('/').unwrap_or((after, ""));
            StoreSpec::Azure {
                account: first.into(),
                container: container.into(),
                prefix: prefix.into(),
                endpoint,
                allow_http,
                tls: None,
                credentials: None,
            }
        }
        "gs" => StoreSpec::Gcs {
            bucket: first.into(),
            prefix: after.into(),
            endpoint,
            allow_http,
            tls: None,
            credentials: None,
        },
        _ => return Err(wrong(&format!("scheme {scheme:?} is not known"))),
    };
    if let Some(option) = options.keys().next() {
        return Err(wrong(&format!("option {option:?} is not known here")));
    }
    match spec.findings().first() {
        Some((field, rule)) => Err(wrong(&format!("{field} {rule}"))),
        None => Ok(spec),
    }
}

fn options(query: &str) -> Result<BTreeMap<&str, String>, String> {
    let pair = |part| match str::split_once(part, '=') {
        Some((key, value)) => Ok((key, value.to_owned())),
        None => Err(format!("option {part:?} has no value")),
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// A value that is true or false; `None` where it is not given. Nothing else is taken for one of them.
fn flag(options: &mut BTreeMap<&str, String>, name: &str) -> Result<Option<bool>, String> {
    let Some(value) = options.remove(name) else { return Ok(None) };
    let read = value.parse().map_err(|_| format!("option {name} is {value:?}; write true or false"));
    read.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_specifications() {
        let s3 = parse("s3://b/a/b?region=eu-west-1&endpoint=http://127.0.0.1:9000&pathStyle=true&allowHttp=true");
        let StoreSpec::S3 { bucket, region, prefix, endpoint, path_style, .. } = s3.unwrap() else { panic!() };
        assert_eq!(
            (bucket.as_str(), region.as_str(), prefix.as_str(), path_style),
            ("b", "eu-west-1", "a/b", Some(true))
        );
        assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        let StoreSpec::Azure { account, container, prefix, .. } = parse("azure://acct/box/a/b").unwrap() else {
            panic!()
        };
        assert_eq!((account.as_str(), container.as_str(), prefix.as_str()), ("acct", "box", "a/b"));
        assert!(matches!(parse("gs://b").unwrap(), StoreSpec::Gcs { .. }));
        let StoreSpec::Filesystem { path, .. } = parse("file:///srv/x").unwrap() else { panic!() };
        assert_eq!(path, "/srv/x");
    }

    #[test]
    fn mistakes_are_named() {
        for (bad, word) in [
            ("nothing", "neither"),
            ("ftp://x/y", "ftp"),
            ("s3://b?regoin=x", "regoin"),
            ("s3://b?endpoint=http://h", "allowHttp"),
            ("azure://acct", "container"),
            ("gs:///x", "bucket"),
            ("s3://b?pathStyle=True", "option pathStyle is \"True\"; write true or false"),
            ("s3://b?pathStyle=1", "write true or false"),
            ("gs://b?endpoint=http://h&allowHttp=yes", "option allowHttp is \"yes\"; write true or false"),
            ("s3://b?pathStyle=", "write true or false"),
        ] {
            let message = parse(bad).unwrap_err();
            assert!(message.contains(word), "{bad}: {message}");
        }
    }
}
