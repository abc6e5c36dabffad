//! What a store's refusal means: its own code out of XML, JSON or headers, in one line for people, and whether the
//! request may be sent again. Pure.
//!
//! An answer travels through the HTTP library as the body of an error ([`Answer::mark`]) and is found again in the
//! library's message ([`Answer::find`]). Nothing else of a store's answer ever reaches a message: no markup, no
//! signature, no access key.

mod codes;

use contract::Code;
use serde::{Deserialize, Serialize};

use self::codes::{CLOSED, DENIED, ELSEWHERE, FULL, TOO_MANY, UNACCEPTED};

/// Where an answer begins in the library's messages.
const MARK: &str = "store-answer:";
/// The code of an answer with a whole object where a part was asked for.
pub(crate) const RANGE_IGNORED: &str = "RangeIgnored";
/// Most of a store's own words that is shown.
const WORDS: usize = 160;

/// A refusal, or why there was no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// HTTP status, 0 when no answer came.
    pub(crate) status: u16,
    /// The store's own code, empty when it gave none.
    pub(crate) code: String,
    /// Its words, or ours where no answer came; one line.
    pub(crate) words: String,
    /// Its number of the request.
    pub(crate) request: String,
    /// The region that it names as the right one.
    pub(crate) region: String,
    /// The host that it names as the right one.
    pub(crate) endpoint: String,
    /// The right that the credentials lack.
    pub(crate) right: String,
    /// Seconds by which this machine's clock is ahead of the store's.
    pub(crate) ahead: Option<i64>,
    /// Whether the request was a create-if-absent.
    pub(crate) conditional: bool,
    /// What it was found to be on this side, before or instead of an answer of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<Code>,
}

/// What a request says that bears on the meaning of its answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    /// It must not replace an object.
    pub(crate) conditional: bool,
    /// When it was signed (`x-amz-date`, `Date`).
    pub(crate) date: Option<&'a str>,
}

impl Answer {
    /// Reads an answer: its status, a way to look up headers, and as much of its body as came.
    pub(crate) fn read<'h>(
        asked: Asked<'_>,
        status: u16,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
    ) -> Self {
        let body = String::from_utf8_lossy(body);
        let json: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let xml = |name: &str| tag(&body, name);
        let from_json = |paths: &[&str]| {
            let json = json.as_ref()?;
            paths.iter().find_map(|path| json.pointer(path)?.as_str().map(str::to_owned))
        };
        let first = |names: &[&str]| names.iter().find_map(|name| header(name)).map(str::to_owned);
        let code = xml("Code")
            .or_else(|| first(&["x-ms-error-code", "x-minio-error-code"]))
            .or_else(|| from_json(&["/error/errors/0/reason", "/error/status", "/error/code", "/error", "/Code"]));
        let words = xml("Message")
            .or_else(|| from_json(&["/error/message", "/error_description", "/message", "/Message"]))
            .or_else(|| first(&["x-minio-error-desc"]));
        let request =
            xml("RequestId").or_else(|| first(&["x-amz-request-id", "x-ms-request-id", "x-guploader-uploadid"]));
        let region = xml("Region").or_else(|| first(&["x-amz-bucket-region"]));
        let endpoint = xml("Endpoint").or_else(|| header("location").filter(|_| is_redirect(status)).and_then(host_of));
        let right = [xml("Details"), words.clone()].into_iter().flatten().find_map(|text| right_of(&text));
        let server = xml("ServerTime").or_else(|| header("date").map(str::to_owned));
        let sent = xml("RequestTime").or_else(|| asked.date.map(str::to_owned));
        let ahead = sent.zip(server).and_then(|(sent, server)| Some(seconds(&sent)? - seconds(&server)?));
        let name = |text: Option<String>, most: usize| text.map_or_else(String::new, |text| plain(&text, most));
        Self {
            status,
            code: name(code, 60),
            words: words.map_or_else(String::new, |words| plain(&without_secrets(&words), WORDS)),
            request: name(request, 60),
            region: name(region, 40),
            endpoint: name(endpoint, 120),
            right: name(right, 60),
            ahead,
            conditional: asked.conditional,
            found: None,
        }
    }

    /// No answer came, and none will: what it is was found on this side.
    pub(crate) fn found(code: Code, words: impl Into<String>) -> Self {
        Self { words: words.into(), found: Some(code), ..Self::default() }
    }

    /// No answer came.
    pub(crate) fn none(words: impl Into<String>) -> Self {
        Self { words: words.into(), ..Self::default() }
    }

    /// The body under which the answer travels.
    pub(crate) fn mark(&self) -> String {
        match serde_json::to_string(self) {
            Ok(json) => format!("{MARK}{json}"),
            Err(error) => format!("{MARK}{{\"status\":0,\"words\":{:?}}}", error.to_string()),
        }
    }

    /// The answer inside a library's message.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let (_, json) = text.split_once(MARK)?;
        // The mark may stand in somebody else's text.
        serde_json::Deserializer::from_str(json).into_iter().next()?.ok()
    }

    /// The status under which the library shall see it: it sends again what ends in 408, 429 or 5xx, and nothing else.
    pub(crate) fn library_status(&self) -> u16 {
        if self.found.is_some() && self.status == 0 {
            return 400;
        }
        let again = ["RequestTimeout", "IncompleteBody", "OperationAborted", "ConditionalRequestConflict"];
        match self.status {
            // Never done, whenever it is asked for; room does not come back in minutes; a redirect loses the body.
            200 | 501 | 505 | 507 | 300..=303 | 305..=308 => 400,
            // S3 on a body that came too slowly or not whole.
            400 if again.contains(&self.code.as_str()) => 408,
            // Something else was going on there. A create is settled by reading.
            409 if !self.conditional && (self.code.is_empty() || again.contains(&self.code.as_str())) => 503,
            403 if TOO_MANY.contains(&self.code.as_str()) => 429,
            status => status,
        }
    }

    /// Whether the library sends the same request again.
    pub(crate) fn is_for_now(&self) -> bool {
        matches!(self.library_status(), 408 | 429 | 500..=599)
    }

    /// Whether the bucket or container is what is not there.
    pub(crate) fn no_bucket(&self) -> bool {
        let codes = ["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"];
        codes.contains(&self.code.as_str())
    }

    /// Whether there is no such upload in parts: it was ended, or never begun.
    pub(crate) fn no_upload(&self) -> bool {
        self.code == "NoSuchUpload"
    }

    /// The project's code.
    pub(crate) fn class(&self) -> Code {
        let is = |codes: &[&str]| codes.contains(&self.code.as_str());
        if self.no_bucket() {
            return Code::StoreMissing;
        }
        if let Some(code) = self.found {
            return code;
        }
        // Backblaze has no code of its own for its caps.
        if is(FULL) || self.status == 507 || (is(&["AccessDenied"]) && self.words.contains(" cap exceeded")) {
            return Code::StoreFull;
        }
        if is(CLOSED) || is(UNACCEPTED) || is(DENIED) {
            return Code::StoreDenied;
        }
        if self.no_upload() {
            return Code::StoreUnreachable;
        }
        match (self.status, self.library_status()) {
            (0, _) | (_, 408 | 429 | 500..=599) => Code::StoreUnreachable,
            (401 | 403, _) => Code::StoreDenied,
            (404, _) => Code::StoreMissing,
            _ => Code::StoreRefused,
        }
    }

    /// One line: the store's code, its number of the request, and what to do.
    pub(crate) fn line(&self) -> String {
        if self.status == 0 || self.found.is_some() {
            return self.words.clone();
        }
        let mut text = format!("the store answers {}", self.status);
        if !self.code.is_empty() {
            text = format!("{text} {}", self.code);
        }
        if !self.request.is_empty() {
            text = format!("{text} (request {})", self.request);
        }
        match self.advice() {
            Some(advice) => format!("{text}: {advice}"),
            None if self.words.is_empty() => text,
            None => format!("{text}: {}", self.words),
        }
    }

    fn advice(&self) -> Option<String> {
        let is = |codes: &[&str]| codes.contains(&self.code.as_str());
        // The answer to a HEAD has no body: the region's header is all that it says.
        let silent = self.status == 400 && self.code.is_empty() && !self.region.is_empty();
        if is(&["RequestTimeTooSkewed", "RequestExpired"]) {
            let by = match self.ahead {
                Some(ahead) if ahead > 0 => format!("this machine's clock is {ahead} s ahead of the store's"),
                Some(ahead) => format!("this machine's clock is {} s behind the store's", -ahead),
                None => "this machine's clock and the store's are too far apart".to_owned(),
            };
            return Some(format!("{by}; set the clock"));
        }
        if is_redirect(self.status) || silent || is(ELSEWHERE) || (is(&["AccessDenied"]) && !self.endpoint.is_empty()) {
            return Some(match (self.region.as_str(), self.endpoint.as_str()) {
                ("", "") => "the bucket is in another region, or the endpoint is another store's; correct storage.region or storage.endpoint".to_owned(),
                ("", endpoint) => format!("the bucket is at {endpoint}; correct storage.region or storage.endpoint"),
                (region, _) => format!("the bucket is in region {region}; set storage.region to it"),
            });
        }
        if self.conditional && matches!(self.status, 400 | 405 | 501) {
            return Some("it does not take a create that must not replace (If-None-Match); use a store that does, or a release of it that does".to_owned());
        }
        let advice = match self.class() {
            Code::StoreMissing => "the bucket or container does not exist; create it, or correct the name",
            Code::StoreFull => "no room is left, or a quota is reached; make room, then run again",
            Code::StoreDenied if is(&["SignatureDoesNotMatch"]) => {
                "the secret key is not the one of this access key id"
            }
            Code::StoreDenied if is(&["InvalidAccessKeyId", "XAdminUserNotFound"]) => {
                "the store does not know this access key id"
            }
            Code::StoreDenied if is(&["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]) => {
                "the session token is over or wrong; bring a new one"
            }
            Code::StoreDenied
                if is(&["AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"]) =>
            {
                "the account key, signature or token is wrong or over"
            }
            Code::StoreDenied if is(&["SecondLevelDomainForbidden"]) => {
                "the store wants the bucket in the host name; set storage.pathStyle: false"
            }
            Code::StoreDenied if is(&["AuthorizationFailure"]) => {
                "the account's network rules or the token's rights refuse this; allow this network, or correct them"
            }
            Code::StoreDenied if is(CLOSED) => {
                "the account is closed, suspended or without billing; its owner must mend it"
            }
            Code::StoreDenied if !self.right.is_empty() => {
                return Some(format!("the credentials lack the right {}", self.right));
            }
            Code::StoreDenied if self.status == 401 || is(UNACCEPTED) => {
                "the store does not accept the credentials; they are wrong, over, or another account's"
            }
            Code::StoreDenied => "the credentials lack a right; get, put and list below the prefix are needed",
            Code::StoreRefused if self.status == 501 || is(&["NotImplemented"]) => {
                "it does not offer this kind of request"
            }
            Code::StoreRefused if self.status == 407 => "a proxy before the store asks for a login",
            _ if self.no_upload() => "the parts of this upload are gone (a lifecycle rule or somebody ended it)",
            // The store's own words are all there is.
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

/// The text of the first element of this name, where it holds text alone.
pub(crate) fn tag(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.contains('<')).then(|| without_entities(text.trim()))
}

/// XML's own names of characters, replaced by them.
pub(crate) fn without_entities(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Whether an answer says that something is elsewhere.
fn is_redirect(status: u16) -> bool {
    (300..400).contains(&status) && status != 304
}

/// Host and port of a URL: what follows may be a signature.
fn host_of(location: &str) -> Option<String> {
    location.parse::<http::Uri>().ok()?.authority().map(|authority| {
        // Before an @ stands a password.
        authority.as_str().rsplit('@').next().unwrap_or_default().to_owned()
    })
}

/// The right that a refusal names: `... is not authorized to perform: s3:PutObject on ...` (Amazon), `... does not have
/// storage.objects.list access ...` (Google).
fn right_of(words: &str) -> Option<String> {
    let word = |text: &str| text.split_whitespace().next().map(str::to_owned);
    let amazon = words.split_once("not authorized to perform: ").and_then(|(_, rest)| word(rest));
    amazon.or_else(|| {
        words.split_once("does not have ").filter(|(_, rest)| rest.contains(" access")).and_then(|(_, rest)| word(rest))
    })
}

/// The first line, without words that are or carry a key, a signature or a token.
fn without_secrets(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let secret = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let has = |of: fn(&char) -> bool| bare.chars().any(|c| of(&c));
        // Names of keys and tokens mix capitals and digits; names of people's things rarely do at this length.
        let key = bare.len() >= 16 && has(char::is_ascii_uppercase) && has(char::is_ascii_digit);
        let lower = word.to_ascii_lowercase();
        key || ["signature=", "sig=", "credential=", "accesskeyid="].iter().any(|part| lower.contains(part))
    };
    let words = first.split_whitespace().map(|word| if secret(word) { "***" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// One line of at most `most` characters without markup.
fn plain(text: &str, most: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).take(most).collect()
}

/// Seconds since 1970 of `20260131T080000Z`, RFC 3339 or RFC 2822.
fn seconds(text: &str) -> Option<i64> {
    let basic = || {
        let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
        at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
    };
    let mail = || jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp());
    text.parse::<jiff::Timestamp>().ok().or_else(basic).or_else(mail).map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests;
